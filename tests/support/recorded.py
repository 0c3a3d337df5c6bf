"""Recorded market data of the exchange: kept outside the project, since its files carry no licence.

`SOURCES.md` beside the data tells where each file comes from and what was checked.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bars import INTERVALS, Bar, Interval, Scale
from wire.rows import bars_from_rows

DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data"

NO_DECIMALS = Scale(0, 0, 0)
"""Where to start from: reading rows widens it to what they need, trailing zeros left aside."""

Row = list[Any]


@dataclass
class Recorded:
    """Reads the recorded files; what was read once is kept."""

    folder: Path
    _rows: dict[str, list[Row]] = field(default_factory=dict)
    _bars: dict[tuple[str, Scale], list[Bar]] = field(default_factory=dict)

    @classmethod
    def find_or_skip(cls) -> Recorded:
        if not DATA.is_dir():
            pytest.skip(f"the recorded market data is not on this machine (looked in {DATA})")
        return cls(DATA)

    def archive_rows(self, symbol: str, interval: str, month: str) -> list[Row]:
        """The rows of one monthly archive file, as text."""
        name = f"um_{interval}/{symbol}-{interval}-{month}.csv.gz"
        if name not in self._rows:
            self._rows[name] = list(csv.reader(io.StringIO(self._text(name))))[1:]
        return self._rows[name]

    def archive_bars(self, symbol: str, interval: str, month: str, scale: Scale = NO_DECIMALS) -> list[Bar]:
        """The bars of one monthly archive file, in the narrowest scale from `scale` on that holds them all."""
        key = f"{symbol}-{interval}-{month}", scale
        if key not in self._bars:
            rows = self.archive_rows(symbol, interval, month)
            self._bars[key] = bars_from_rows(rows, INTERVALS[interval], scale)
        return self._bars[key]

    def ohlcv(self, symbol: str, interval: str, start_ms: int, stop_ms: int) -> dict[int, list[str]]:
        """Open, high, low, close, volume by open time, from files that went through float text."""
        name = f"um_1h_1d/{symbol}_{interval}.csv.gz"
        if name not in self._rows:
            self._rows[name] = list(csv.reader(io.StringIO(self._text(name))))[1:]
        return {int(row[0]): row[1:6] for row in self._rows[name] if start_ms <= int(row[0]) < stop_ms}

    def rest_rows(self, archive: str, symbol: str) -> list[Row]:
        """The rows of a klines answer, without the bar that was still running when it was fetched."""
        with tarfile.open(self.folder / "rest" / archive) as answers:
            body = answers.extractfile(f"{symbol}.json")
            assert body is not None
            rows: list[Row] = json.load(body)
        return rows[:-1]

    def rest_bars(self, archive: str, symbol: str, interval: Interval) -> list[Bar]:
        return bars_from_rows(self.rest_rows(archive, symbol), interval, NO_DECIMALS)

    def frames(self, name: str) -> list[str]:
        """The frames of one file, as they came."""
        lines = (self.folder / "ws" / name).read_text("utf-8").splitlines()
        return [json.loads(line)["raw"] for line in lines]

    def exchange_info(self, name: str) -> bytes:
        return gzip.decompress((self.folder / "rest" / name).read_bytes())

    def _text(self, name: str) -> str:
        return gzip.decompress((self.folder / name).read_bytes()).decode("utf-8")
