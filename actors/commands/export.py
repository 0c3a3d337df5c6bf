"""Stored bars to files: CSV as in the exchange's archive, or Parquet. No actor: it runs and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from actors.commands.export_csv import BarWriter, CsvWriter
from actors.options import BadOption
from actors.selection import expect_order, records
from actors.settings import Settings
from bars import Interval, Scale, Span, stored_source
from bars.times import time_text
from storage import ContractRecord, Reader, SeriesSummary

UNFINISHED = ".unfinished"
_NO_PATH = MappingProxyType(str.maketrans("/\\", "__"))
"""Symbols come from outside."""


class ExportFailed(Exception):
    """A file could not be written."""


class ExportOptions(NamedTuple):
    """Bars that open in [start_ms, stop_ms); None: from the first, up to the last stored."""

    intervals: tuple[Interval, ...]
    start_ms: int | None
    stop_ms: int | None
    format: str
    """csv or parquet."""
    output: Path


class Exported(NamedTuple):
    """One file."""

    path: Path
    bars: int
    missing: int
    """How many bars between the first and the last are neither stored nor known not to exist."""
    size_bytes: int


OpenWriter = Callable[[Path, str, Interval, Scale], BarWriter]


def run_export(settings: Settings, options: ExportOptions) -> Iterator[Exported]:
    """Write one file for each symbol and interval that has closed bars; yields each once it is whole.

    A file is named by what is in it, `BTCUSDT-5m-2025-01-01-2025-02-01.csv`, the end exclusive, months as in the
    archive (`1mo`), and appears under that name when it is finished. Memory does not grow with its length.

    Raises:
        BadOption: a symbol that is not stored, a span the wrong way round, no such directory, no pyarrow.
        ExportFailed: a file could not be written.
        DatabaseUnusable, DatabaseNewer
    """
    expect_order(options.start_ms, options.stop_ms)
    open_writer = WRITERS[options.format]()
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOption("--output", f"a directory ({error.strerror})", str(options.output)) from None
    with closing(Reader(settings.database)) as reader:
        stored = {(series.key, series.interval): series for series in reader.series()}
        for record in records(reader, settings.symbols):
            for interval in options.intervals:
                series = stored.get((record.key, stored_source(interval)))
                if series is not None:
                    yield from _export(reader, record, interval, series, options, open_writer)


def _export(
    reader: Reader,
    record: ContractRecord,
    interval: Interval,
    series: SeriesSummary,
    options: ExportOptions,
    open_writer: OpenWriter,
) -> Iterator[Exported]:
    span = _closed_span(record, interval, series, options)
    if span.is_empty:
        return
    symbol = record.contract.symbol
    series_name = f"{symbol.translate(_NO_PATH)}-{_name(interval)}"
    unfinished = options.output / f"{series_name}{UNFINISHED}"
    try:
        whole, count = _write(
            reader, record, interval, span, lambda scale: open_writer(unfinished, symbol, interval, scale)
        )
        if not count:
            return
        name = f"{series_name}-{_stamp(whole.start_ms)}-{_stamp(whole.stop_ms)}.{options.format}"
        path = options.output / name
        size_bytes = unfinished.stat().st_size
        unfinished.replace(path)
    except OSError as error:
        raise ExportFailed(f"writing {unfinished}: expected a whole file, got {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    source = stored_source(interval)
    holes = sum(source.count(*hole) for hole in reader.holes(record, source, whole))
    yield Exported(path, count, holes, size_bytes)


def _write(
    reader: Reader, record: ContractRecord, interval: Interval, span: Span, open_writer: Callable[[Scale], BarWriter]
) -> tuple[Span, int]:
    """Write the bars of a span; returns what they cover and how many they are.

    All values of a file have one scale. Where it widens meanwhile, for a finer value has come, writing begins anew.
    """
    while True:
        current = reader.get(record.key) or record
        writer = open_writer(current.scale)
        first_ms, stop_ms, count = span.start_ms, span.start_ms, 0
        try:
            while written := writer.write(reader, current, Span(stop_ms, span.stop_ms)):
                first_ms = first_ms if count else written.first_ms
                stop_ms = interval.next_open(written.last_ms)
                count += written.bars
        finally:
            writer.close()
        if (reader.get(record.key) or current).scale == current.scale:
            return Span(first_ms, stop_ms), count


def _closed_span(record: ContractRecord, interval: Interval, series: SeriesSummary, options: ExportOptions) -> Span:
    """The wanted span, as far as bars of `interval` in it are closed."""
    stop_ms = series.interval.next_open(series.last_ms)
    is_over = stop_ms >= record.contract.delivery_ms
    stop_ms = interval.ceil(stop_ms) if is_over else interval.floor(stop_ms)
    start_ms = interval.floor(series.first_ms) if options.start_ms is None else options.start_ms
    return Span(start_ms, stop_ms if options.stop_ms is None else min(stop_ms, options.stop_ms))


def _parquet() -> OpenWriter:
    try:
        from actors.commands.export_parquet import ParquetWriter  # noqa: PLC0415 - needs a library that is optional
    except ImportError:
        raise BadOption("--format", "csv, or pyarrow installed: pip install pyarrow", "parquet") from None
    return ParquetWriter


WRITERS: Mapping[str, Callable[[], OpenWriter]] = MappingProxyType({"csv": lambda: CsvWriter, "parquet": _parquet})


def _name(interval: Interval) -> str:
    """As the archive writes it: on many file systems `1M` and `1m` are one name."""
    return "1mo" if interval.is_calendar else interval.name


def _stamp(time_ms: int) -> str:
    return time_text(time_ms).replace(":", "")
