"""Archive files: which there are, what they are called, and what is in them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from types import MappingProxyType
from typing import NamedTuple

from bars import DAY, INTERVALS, MINUTE_MS, Bar, Interval, Span
from bars.gaps import subtract
from exchange.simulated.plan import ArchivePlan
from exchange.simulated.recorded import RecordedSeries
from exchange.simulated.world import Series, World
from wire.rows import FIELDS, row_from_bar

MONTH = INTERVALS["1M"]
SETTLED = "_SETTLED"
FOLDERS = MappingProxyType(
    {("1mo" if interval is MONTH else interval.name): interval for interval in INTERVALS.values()}
)
"""Intervals by folder name: as in REST, but for the month."""


class Period(NamedTuple):
    """A day or a month."""

    kind: Interval
    start_ms: int

    @property
    def stop_ms(self) -> int:
        return self.kind.next_open(self.start_ms)

    @property
    def text(self) -> str:
        """`2026-10` or `2026-10-05`."""
        return datetime.fromtimestamp(self.start_ms // 1_000, timezone.utc).strftime(
            "%Y-%m" if self.kind is MONTH else "%Y-%m-%d"
        )

    def published_ms(self, plan: ArchivePlan) -> int:
        return self.stop_ms + (plan.monthly_delay_ms if self.kind is MONTH else plan.daily_delay_ms)


class ArchiveFile(NamedTuple):
    """One zip: a symbol's bars of one interval that open in one period."""

    symbol: str
    """As the archive calls it, which may end in `_SETTLED`."""
    series: Series
    interval: Interval
    period: Period

    @property
    def base_name(self) -> str:
        return f"{self.symbol}-{_folder(self.interval)}-{self.period.text}"

    @property
    def key(self) -> str:
        """The S3 key."""
        kind = "monthly" if self.period.kind is MONTH else "daily"
        folder = f"data/futures/um/{kind}/klines/{self.symbol}/{_folder(self.interval)}"
        return f"{folder}/{self.base_name}.zip"


def symbols(world: World, now_ms: int) -> dict[str, Series]:
    """Every contract that the archive knows, by the archive's name, ascending.

    A contract whose symbol was given to a new one has `_SETTLED` appended.
    """
    named: dict[str, Series] = {}
    for symbol, of_symbol in world.all_series.items():
        onboarded = [series for series in of_symbol if series.contract.onboard_ms <= now_ms]
        for age, series in enumerate(reversed(onboarded)):
            named[symbol + SETTLED * age] = series
    return dict(sorted(named.items()))


def files(
    symbol: str, series: Series, interval: Interval, kind: Interval, plan: ArchivePlan, now_ms: int
) -> Iterator[ArchiveFile]:
    """The files of one folder that are published by `now_ms`, oldest first."""
    if kind is DAY and interval.span_ms > DAY.span_ms:
        return
    period = Period(kind, kind.floor(interval.floor(series.first_minute * MINUTE_MS)))
    while period.published_ms(plan) <= now_ms:
        if interval.ceil(period.start_ms) < period.stop_ms:
            yield ArchiveFile(symbol, series, interval, period)
        period = Period(kind, period.stop_ms)


def zipped(world: World, file: ArchiveFile, plan: ArchivePlan, hole: Span | None) -> bytes:
    """The zip: one CSV of the same base name, the same bytes each time.

    Args:
        hole: bars that open in this span are left out.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        stamp = datetime.fromtimestamp(file.period.stop_ms // 1_000, timezone.utc).timetuple()[:6]
        info = zipfile.ZipInfo(f"{file.base_name}.csv", stamp)
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, csv_text(world, file, plan, hole))
    return buffer.getvalue()


def csv_text(world: World, file: ArchiveFile, plan: ArchivePlan, hole: Span | None = None) -> str:
    """The CSV: LF line ends, a header in newer files only."""
    interval, series, period = file.interval, file.series, file.period
    if isinstance(series, RecordedSeries) and (interval, period.text) in series.texts:
        return _without(series.texts[interval, period.text], hole)
    spans = subtract([Span(period.start_ms, period.stop_ms)], [hole] if hole else [])
    bars = [
        bar
        for span in spans
        for bar in world.bars(series.contract.symbol, interval, *span, at_ms=series.contract.onboard_ms)
    ]
    if period.start_ms >= plan.header_from_ms:
        return "\n".join([FIELDS, *(_line(bar, interval) for bar in bars)]) + "\n"
    return "".join(f"{_old_line(bar, interval)}\n" for bar in bars)


def _without(text: str, hole: Span | None) -> str:
    """A recorded file's text without the rows of a hole."""
    if hole is None:
        return text
    lines = text.splitlines(keepends=True)
    inside = (line[:1].isdigit() and hole.start_ms <= int(line.partition(",")[0]) < hole.stop_ms for line in lines)
    return "".join(line for line, is_inside in zip(lines, inside, strict=True) if not is_inside)


def _line(bar: Bar, interval: Interval) -> str:
    return ",".join(map(str, row_from_bar(bar, interval)))


def _old_line(bar: Bar, interval: Interval) -> str:
    """Files of 2023 print whole numbers without decimals, prices too; empty volumes as `0.0`."""
    row = [str(value) for value in row_from_bar(bar, interval)]
    for at in (1, 2, 3, 4, 5, 7, 9, 10):
        whole, _, fraction = row[at].partition(".")
        row[at] = row[at] if fraction.strip("0") else whole
    if bar.is_empty:
        row[5], row[7] = "0.0", "0.0000"
    return ",".join(row)


def _folder(interval: Interval) -> str:
    return "1mo" if interval is MONTH else interval.name
