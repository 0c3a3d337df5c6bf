"""Recorded bars as a contract: what an archive file once said is served again."""

from __future__ import annotations

import gzip
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path

from bars import INTERVALS, MINUTE, MINUTE_MS, Bar, Interval, Scale, aggregate_all
from exchange.simulated.minutes import MinutePath
from exchange.simulated.plan import ContractPlan
from wire.rows import bar_from_row


class RecordedSeries:
    """A contract whose bars are read from archive files, named as there: `NEARUSDT-1m-2025-02.csv[.gz]`.

    Intervals that were not recorded are aggregated from the largest recorded one that nests in them. There
    is nothing in progress: a bar shows once it is closed, and its minutes are streamed as finals only.

    Args:
        contract: everything about the contract but its bars.
        paths: monthly files, header line or not, of one contract.

    Raises:
        BarError: a row that is none.
    """

    def __init__(self, contract: ContractPlan, paths: Iterable[Path]) -> None:
        self.contract = contract
        self.texts: dict[tuple[Interval, str], str] = {}
        """The files' text by interval and period (`2025-02`)."""
        self._bars: dict[Interval, list[Bar]] = {}
        for path in sorted(paths):
            _, interval_name, period = path.name.split(".")[0].split("-", 2)
            interval = INTERVALS[{"1mo": "1M"}.get(interval_name, interval_name)]
            text = _read(path)
            self.texts[interval, period] = text
            self._bars.setdefault(interval, []).extend(_bars(text, interval))
        if not self._bars:
            raise ValueError(f"reading the record of {contract.symbol}: expected at least one file, got none")
        for bars in self._bars.values():
            bars.sort()
        self.first_minute = min(bars[0].open_ms for bars in self._bars.values()) // MINUTE_MS
        self.end_minute = (
            max(interval.next_open(bars[-1].open_ms) for interval, bars in self._bars.items()) // MINUTE_MS
        )

    def bars(self, interval: Interval, start_ms: int, stop_ms: int) -> list[Bar]:
        """The bars that open in the half-open span; fewer where the record has holes."""
        fitting = [recorded for recorded in self._bars if recorded.nests_in(interval)]
        if not fitting:
            return []
        source = max(fitting, key=lambda recorded: recorded.span_ms)
        if source is interval:
            return _between(self._bars[source], start_ms, stop_ms)
        start_ms = interval.ceil(start_ms)
        held = _between(self._bars[source], start_ms, interval.ceil(stop_ms))
        return list(aggregate_all(held, interval))

    def minute(self, minute: int) -> Bar | None:
        return next(iter(self.minutes(minute, minute + 1)), None)

    def minutes(self, start: int, stop: int) -> list[Bar]:
        return self.bars(MINUTE, start * MINUTE_MS, stop * MINUTE_MS)

    def path(self, minute: int) -> MinutePath | None:  # noqa: ARG002 - how trades came was not recorded
        return None

    def flat_bar(self, minute: int) -> Bar:
        raise LookupError(f"carrying a close of {self.contract.symbol}: a record has no minute {minute} in progress")


def _read(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def _bars(text: str, interval: Interval) -> list[Bar]:
    """The bars of a file, each at the scale that its text is written in."""
    rows = (line.split(",") for line in text.splitlines() if line[:1].isdigit())
    return [bar_from_row(row, interval, _scale(row)) for row in rows]


def _scale(row: list[str]) -> Scale:
    price, volume, quote = (max(len(row[at].partition(".")[2]) for at in places) for places in _PLACES)
    return Scale(price, volume, quote)


_PLACES = ((1, 2, 3, 4), (5, 9), (7, 10))
"""Where a row has prices, volumes and quote volumes."""


def _between(bars: list[Bar], start_ms: int, stop_ms: int) -> list[Bar]:
    start = bisect_left(bars, start_ms, key=lambda bar: bar.open_ms)
    return bars[start : bisect_left(bars, stop_ms, key=lambda bar: bar.open_ms)]
