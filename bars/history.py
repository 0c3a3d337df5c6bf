"""How far back the history of each stored interval is kept: `1m=7d,5m=30d,30m=180d,4h=2y,1d=all,1w=all`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bars.gaps import Span
from bars.interval import DAY_MS, HOUR_MS, MINUTE_MS, STORED, WEEK_MS, Interval

_UNITS_MS = MappingProxyType({"y": 365 * DAY_MS, "w": WEEK_MS, "d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS})
_LENGTH = re.compile(r"([0-9]{1,6})([mhdwy])")
_NAMES = MappingProxyType({interval.name: interval for interval in STORED})
_EXPECTED_INTERVAL = f"an interval of {', '.join(_NAMES)}"
_EXPECTED_DEPTH = "a depth of <n>m|h|d|w|y, all or none"


@dataclass(frozen=True, slots=True)
class Depth:
    """How far back: a length of time, everything, or nothing. A year has 365 days."""

    length_ms: int | None
    """In whole minutes; 0 for none, None for all."""

    @classmethod
    def parse(cls, text: str) -> Depth:
        """Read `90d`, `all` or `none`.

        Raises:
            ValueError: naming what would be right.
        """
        if text in ("all", "none"):
            return ALL if text == "all" else NONE
        match = _LENGTH.fullmatch(text)
        length_ms = int(match[1]) * _UNITS_MS[match[2]] if match else 0
        if not length_ms:
            raise ValueError(f"{_EXPECTED_DEPTH}, got {text!r}")
        return cls(length_ms)

    def start_ms(self, now_ms: int, interval: Interval) -> int:
        """The open time of the first bucket of `interval` within this depth.

        The buckets cover at least the length. 0 for all; for none the bucket in progress at `now_ms`, so
        that no closed bucket is within.
        """
        if self.length_ms is None:
            return 0
        return max(0, interval.floor(now_ms - self.length_ms))

    def __str__(self) -> str:
        """The text that `parse` reads, in the largest unit that divides the length."""
        if not self.length_ms:
            return "all" if self.length_ms is None else "none"
        unit, unit_ms = next((u, ms) for u, ms in _UNITS_MS.items() if self.length_ms % ms == 0)
        return f"{self.length_ms // unit_ms}{unit}"


ALL = Depth(None)
NONE = Depth(0)

BEHIND_BARS_MAX = 10_000
"""How far a hole may reach behind the wanted depth to be filled all the same, in bars: a week of minutes."""

DEFAULT_HISTORY_TEXT = "1m=7d,5m=30d,30m=180d,4h=2y,1d=all,1w=all"


def parse_history(text: str) -> Mapping[Interval, Depth]:
    """Read `<interval>=<depth>` pairs separated by commas.

    Returns a depth for each stored interval, ascending; intervals that are not named keep their default.

    Raises:
        ValueError: worded as what was expected and in which pair.
    """
    depths = _pairs(DEFAULT_HISTORY_TEXT) | _pairs(text)
    return MappingProxyType({interval: depths[interval] for interval in STORED})


def history_text(history: Mapping[Interval, Depth]) -> str:
    """The text that `parse_history` reads."""
    return ",".join(f"{interval}={depth}" for interval, depth in history.items())


def _pairs(text: str) -> dict[Interval, Depth]:
    depths: dict[Interval, Depth] = {}
    for pair in text.split(","):
        name, equals, depth = (part.strip() for part in pair.partition("="))
        if not equals:
            raise ValueError(f"<interval>=<depth> pairs separated by commas (in {pair!r})")
        if name not in _NAMES:
            raise ValueError(f"{_EXPECTED_INTERVAL} (in {pair!r})")
        if _NAMES[name] in depths:
            raise ValueError(f"each interval once (in {pair!r})")
        try:
            depths[_NAMES[name]] = Depth.parse(depth)
        except ValueError:
            raise ValueError(f"{_EXPECTED_DEPTH} (in {pair!r})") from None
    return depths


def parse_keep(text: str) -> Mapping[Interval, Depth]:
    """Read how long bars are kept: `all`, or `<interval>=<depth>` pairs as of the history.

    Returns a depth for each stored interval, ascending; intervals that are not named keep all.

    Raises:
        ValueError: worded as what was expected and in which pair.
    """
    depths = {} if text.strip() == "all" else _pairs(text)
    if NONE in depths.values():
        raise ValueError(f"a depth of <n>m|h|d|w|y or all for each interval (in {text!r})")
    return MappingProxyType({interval: depths.get(interval, ALL) for interval in STORED})


def within(history: Mapping[Interval, Depth], keep: Mapping[Interval, Depth]) -> Mapping[Interval, Depth]:
    """The history to fetch when no more than `keep` stays: of both depths the shorter."""
    return MappingProxyType({interval: _shorter(depth, keep[interval]) for interval, depth in history.items()})


def worth_filling(hole: Span, interval: Interval, wanted_ms: int) -> Span:
    """A hole as far as it is within the depth that starts at `wanted_ms`; what is behind it too, unless that is much.

    Much is no loss of ours: clients had old spans fetched, and nobody asked for what lies between. May be empty.
    """
    if interval.count(hole.start_ms, min(wanted_ms, hole.stop_ms)) <= BEHIND_BARS_MAX:
        return hole
    return Span(max(hole.start_ms, wanted_ms), hole.stop_ms)


def _shorter(one: Depth, other: Depth) -> Depth:
    return min(one, other, key=lambda depth: (depth.length_ms is None, depth.length_ms or 0))
