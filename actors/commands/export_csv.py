"""What writes the bars of one series to a file: as CSV in the archive's format here, as Parquet next door."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Protocol

from bars import Interval, Scale, Span
from storage import ContractRecord, Reader
from wire.rows import FIELDS

PAGE_BARS = 10_000


class Written(NamedTuple):
    """Some bars: how many, the open times of the first and the last."""

    bars: int
    first_ms: int
    last_ms: int


class BarWriter(Protocol):
    """Writes the bars of one series, all of one scale, to a file."""

    def write(self, reader: Reader, record: ContractRecord, span: Span) -> Written | None:
        """Write the first page of what is stored in a span of closed bars; None where there is nothing more."""

    def close(self) -> None:
        """Finish the file, and bring it to the disk."""


class CsvWriter:
    """The archive's format: a header line, then the exchange's own decimals."""

    def __init__(self, path: Path, _symbol: str, interval: Interval, _scale: Scale) -> None:
        self._interval = interval
        self._file = path.open("w", encoding="ascii", newline="\n")
        self._file.write(f"{FIELDS}\n")

    def write(self, reader: Reader, record: ContractRecord, span: Span) -> Written | None:
        """SQLite makes the text, four times faster than Python can."""
        if span.is_empty:
            return None
        start_ms, end_ms = span.start_ms, span.stop_ms - 1
        rows = reader.rows_json(record, self._interval, start_ms=start_ms, end_ms=end_ms, limit=PAGE_BARS)
        if rows == "[]":
            return None
        lines = rows[2:-2].replace('"', "").split("],[")
        self._file.writelines(f"{line}\n" for line in lines)
        first_ms, last_ms = (int(line.partition(",")[0]) for line in (lines[0], lines[-1]))
        return Written(len(lines), first_ms, last_ms)

    def close(self) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
