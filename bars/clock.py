"""The exchange's clock, as far as it can be known from here.

All that concerns the market runs on the exchange's time, which its events and answers carry: a machine
whose own clock is wrong, or an exchange that runs faster than real time, changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from bars.interval import MINUTE_MS

RATE_WINDOW_S = 10.0
"""Over how much real time, at most, the rate is measured."""
ANCHOR_EVERY_S = 0.5
"""How often the rate is measured; also the least span to measure it over."""
REAL_TIME_TOLERANCE = 0.2
"""A measured rate at most this much above 1 is put down to varying delay; no exchange is slower than real time."""
LEAP_MS = 10 * MINUTE_MS
"""A time this far ahead of the estimate must be confirmed by a later one, and so must the first in a frame: one damaged
frame, though it come twice, is not to set the clock."""


class _Observation(NamedTuple):
    exchange_ms: int
    monotonic_s: float


class ExchangeClock:
    """Estimates exchange time from observations `(exchange_ms, monotonic_s)`.

    Observations are late by the network's delay and may come in any order; only those that move the
    exchange's time forward count.

    The rate is measured against *anchors*, some of the observations of the last seconds. A late anchor, or
    a machine that slept in between, makes the exchange seem to race, and an estimate that ran ahead could
    not be taken back. So the lowest rate counts that any anchor gives, in two measurements running. Too low
    a rate only makes the estimate wait for the next observation.
    """

    def __init__(self) -> None:
        self._latest: _Observation | None = None
        self._anchors: tuple[_Observation, ...] = ()
        self._measured = 1.0
        self._rate = 1.0
        self._now_ms = 0
        self._doubted_ms: int | None = None

    @property
    def observed_ms(self) -> int | None:
        """The latest time that the exchange itself has named: it is at least this late there."""
        return None if self._latest is None else self._latest.exchange_ms

    def observe(self, exchange_ms: int, monotonic_s: float, *, is_frame: bool = False) -> None:
        """Take in that the exchange named `exchange_ms` when the local monotonic clock showed `monotonic_s`."""
        if self._is_doubtful(exchange_ms, monotonic_s, is_frame):
            return
        if self._latest is not None and exchange_ms <= self._latest.exchange_ms:
            return
        self._latest = _Observation(exchange_ms, monotonic_s)
        if not self._anchors or monotonic_s - self._anchors[-1].monotonic_s >= ANCHOR_EVERY_S:
            self._measure(self._latest)

    def now_ms(self, monotonic_s: float) -> int | None:
        """The estimated time there; never goes back. None until something was observed."""
        if self._latest is None:
            return None
        self._now_ms = max(self._now_ms, self._estimate_ms(self._latest, monotonic_s))
        return self._now_ms

    def _estimate_ms(self, latest: _Observation, monotonic_s: float) -> int:
        return latest.exchange_ms + int(max(0.0, monotonic_s - latest.monotonic_s) * 1_000 * self._rate)

    def _is_doubtful(self, exchange_ms: int, monotonic_s: float, is_frame: bool) -> bool:
        """Whether it is a leap, or a first frame, that the observation right before it does not confirm."""
        latest = self._latest
        is_near = latest is not None and exchange_ms - self._estimate_ms(latest, monotonic_s) <= LEAP_MS
        if is_near or (latest is None and not is_frame):
            self._doubted_ms = None
            return False
        before_ms, self._doubted_ms = self._doubted_ms, exchange_ms
        return before_ms is None or not 0 < exchange_ms - before_ms <= LEAP_MS

    def _measure(self, at: _Observation) -> None:
        anchors = [anchor for anchor in self._anchors if at.monotonic_s - anchor.monotonic_s <= RATE_WINDOW_S]
        self._anchors = (*anchors, at)
        if anchors:
            before, self._measured = self._measured, min(_rate(anchor, at) for anchor in anchors)
            rate = min(before, self._measured)
            self._rate = rate if rate > 1.0 + REAL_TIME_TOLERANCE else 1.0


def _rate(earlier: _Observation, later: _Observation) -> float:
    return (later.exchange_ms - earlier.exchange_ms) / 1_000 / (later.monotonic_s - earlier.monotonic_s)
