"""A bar as a row: its columns, its mark, and both ways between.

A row is a tuple of integers in the order of `COLUMNS`; times in it are minutes since the epoch, an interval is its
length in minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType

from bars import MINUTE_MS, STORED, Bar, Interval, Scale

Row = tuple[int, ...]

VERIFIED = 8
"""The bit of a mark beside its origin."""
DISPUTED = 16
"""The bit of a bar that the exchange was asked for and does not confirm; it stays as it is."""
COMPARED = VERIFIED | DISPUTED
ORIGIN_BITS = 7

VALUES = (
    "open",
    "rise",
    "fall",
    "move",
    "volume",
    "quote_volume",
    "trades",
    "taker_buy_volume",
    "taker_buy_quote_volume",
)
READ = f"open_minute, {', '.join(VALUES)}"
KEY = "contract_id, interval, open_minute"
COLUMNS = f"{KEY}, {', '.join(VALUES)}, mark"


def minutes(interval: Interval) -> int:
    """How an interval is stored."""
    return interval.span_ms // MINUTE_MS


STORED_BY_MINUTES = MappingProxyType({minutes(interval): interval for interval in STORED})
"""The interval of a row, by how it is stored."""


def rows_of(contract_id: int, interval: Interval, bars: Iterable[Bar], mark: int) -> list[Row]:
    """The rows of bars, which all have the contract's scale."""
    length = minutes(interval)
    return [
        (
            contract_id,
            length,
            open_ms // MINUTE_MS,
            price,
            high - price,
            price - low,
            close - price,
            v,
            q,
            n,
            tv,
            tq,
            mark,
        )
        for open_ms, price, high, low, close, v, q, n, tv, tq, _ in bars
    ]


def values_of(bar: Bar) -> Row:
    """A bar's columns in the order of `VALUES`."""
    _, price, high, low, close, v, q, n, tv, tq, _ = bar
    return price, high - price, price - low, close - price, v, q, n, tv, tq


def bar_of(row: Sequence[int], scale: Scale) -> Bar:
    """The bar of what a query on `READ` returns; further columns are not looked at."""
    open_minute, price, rise, fall, move, volume, quote_volume, trades, taker_volume, taker_quote_volume = row[:10]
    return Bar(
        open_minute * MINUTE_MS,
        price,
        price + rise,
        price - fall,
        price + move,
        volume,
        quote_volume,
        trades,
        taker_volume,
        taker_quote_volume,
        scale,
    )
