"""A running service as clients see it, and the truth to hold their bars against."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bars import INTERVALS, MINUTE, MINUTE_MS
from bars.interval import STORED
from exchange.simulated import SimulatedExchange
from storage import Reader
from tests.support.service import wait_until
from wire.rows import row_from_bar

SYMBOL, PAIR = "BTCUSDT", "BTC/USDT:USDT"
OTHER, OTHER_PAIR = "ETHUSDT", "ETH/USDT:USDT"
PATIENCE_S = 40.0

Row = list[Any]
Frame = dict[str, Any]


@dataclass(frozen=True)
class Served:
    """`python run.py serve` on a simulated exchange, on which a minute takes some seconds."""

    port: int
    exchange: SimulatedExchange
    reader: Reader

    def has_bars_in_progress(self) -> bool:
        """Whether the bars that began before the service did are there: until then answers end with closed ones."""
        records = [self.reader.find(symbol) for symbol in (SYMBOL, OTHER)]
        return all(
            record is not None and any(not stored.closed for stored in self.reader.bars(record, interval, limit=1))
            for record in records
            for interval in STORED
        )

    def truth(self, rows: Sequence[Sequence[Any]], interval: str = "1m", symbol: str = SYMBOL) -> list[Row]:
        """The exchange's rows from the first of `rows` to the last but one: the last may be in progress."""
        assert len(rows) > 2
        bars = self.exchange.world.bars(symbol, INTERVALS[interval], rows[0][0], rows[-1][0])
        return [list(row_from_bar(bar, INTERVALS[interval])) for bar in bars]

    def expect_live(self, frames: Sequence[Frame], symbol: str = SYMBOL) -> None:
        """That a bar was told of in progress and then as closed, and that the closed one is the exchange's, and stored.

        Args:
            frames: the `k` of every event so far.
        """
        assert any(not frame["x"] for frame in frames)
        final = next(frame for frame in frames if frame["x"])
        row = [final[name] for name in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")]
        assert row == self._minute(final["t"], symbol)
        self._expect_stored(row, symbol)

    def expect_live_candles(self, candles: Sequence[Sequence[float]], symbol: str = SYMBOL) -> None:
        """The same of candles that do not say whether they are closed: the last but one must be.

        Args:
            candles: open time and five values, as floats; the newest state of each.
        """
        row = self._minute(int(candles[-2][0]), symbol)
        assert list(candles[-2]) == as_floats([row])[0]
        self._expect_stored(row, symbol)

    def _minute(self, open_ms: int, symbol: str) -> Row:
        (bar,) = self.exchange.world.bars(symbol, MINUTE, open_ms, open_ms + MINUTE_MS)
        return list(row_from_bar(bar, MINUTE))

    def _expect_stored(self, row: Row, symbol: str) -> None:
        record = self.reader.find(symbol)
        assert record is not None

        def is_stored() -> bool:
            stored = self.reader.rows_json(record, MINUTE, start_ms=row[0], end_ms=row[0], limit=1)
            return bool(json.loads(stored) == [row])

        wait_until(is_stored, PATIENCE_S, f"{row} is stored")


def as_floats(rows: Sequence[Sequence[Any]]) -> list[list[float]]:
    """What ccxt makes of rows: it knows floats only."""
    return [[row[0], *(float(text) for text in row[1:6])] for row in rows]


def has_final(frames: Sequence[Frame]) -> bool:
    return any(frame["x"] for frame in frames) and any(not frame["x"] for frame in frames)


def until_final(receive: Callable[[], Frame | None]) -> list[Frame]:
    """What `receive` gives until a bar was told of in progress and another or the same as closed.

    Args:
        receive: waits for the `k` of the next event; None for a message that is none.
    """
    frames: list[Frame] = []
    while not has_final(frames):
        if (frame := receive()) is not None:
            frames.append(frame)
    return frames
