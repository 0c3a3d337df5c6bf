"""Rows of klines: the arrays of twelve that REST and the archive use.

    [open time, open, high, low, close, volume, close time, quote volume, trades,
     taker buy volume, taker buy quote volume, ignore]

In REST times and the trade count are integers and the rest is text; in the archive all is text, with a
header line in newer files only. Rows ascend. There is no sign of whether a bar is final: the last row
of an answer is usually still in progress.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec

from bars import Bar, Interval, InvalidBar, MoreDecimals, Scale, checked, to_text, to_units, volume_text
from wire.errors import UNREADABLE

FIELDS = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
"""The header line of an archive file."""

_decode_rows = msgspec.json.Decoder(list[tuple[int, str, str, str, str, str, int, str, int, str, str, Any]]).decode


def decode_rows(body: bytes) -> Sequence[Sequence[Any]]:
    """Read the body of a klines answer.

    Raises:
        InvalidBar: no JSON, or no array of rows.
    """
    try:
        return _decode_rows(body)
    except UNREADABLE as error:
        raise InvalidBar(f"reading klines: expected an array of rows, got {body!r:.120} ({error})") from None


def bar_from_row(row: Sequence[Any], interval: Interval, scale: Scale) -> Bar:
    """The bar of one row, REST or archive, in units of `scale`.

    Raises:
        BarError: a value that is no decimal, is finer than `scale`, contradicts another, or does not fit;
            times that are not those of a bucket of `interval`.
    """
    _require_fields(row)
    open_ms, close_ms, trades = _whole_number(row, 0), _whole_number(row, 6), _whole_number(row, 8)
    if not interval.is_bucket(open_ms, close_ms):
        raise InvalidBar(f"reading a row: expected a bucket of {interval}, got {open_ms} to {close_ms}")
    price, volume, quote = scale
    return checked(
        Bar(
            open_ms,
            to_units(row[1], price),
            to_units(row[2], price),
            to_units(row[3], price),
            to_units(row[4], price),
            to_units(row[5], volume),
            to_units(row[7], quote),
            trades,
            to_units(row[9], volume),
            to_units(row[10], quote),
            scale,
        )
    )


def scale_of_row(row: Sequence[Any], scale: Scale) -> Scale:
    """`scale`, widened so that it holds every value of the row.

    Raises:
        BarError: a value that is no decimal; fields missing.
    """
    _require_fields(row)
    return widened(scale, row[1:5], (row[5], row[9]), (row[7], row[10]))


def widened(scale: Scale, prices: Sequence[str], volumes: Sequence[str], quotes: Sequence[str]) -> Scale:
    """`scale`, widened so that it holds all these values.

    Raises:
        BarError: a value that is no decimal.
    """
    return Scale(
        max(_decimals_needed(text, scale.price) for text in prices),
        max(_decimals_needed(text, scale.volume) for text in volumes),
        max(_decimals_needed(text, scale.quote) for text in quotes),
    )


def _require_fields(row: Sequence[Any]) -> None:
    if len(row) < 11:
        raise InvalidBar(f"reading a row: expected 12 fields, got {row!r:.200}")


def _whole_number(row: Sequence[Any], index: int) -> int:
    value = row[index]
    if type(value) is int:
        return value
    if isinstance(value, str) and len(value) < 20 and value.isascii() and value.isdecimal():
        return int(value)
    raise InvalidBar(f"reading a row: expected a whole number as field {index}, got {row!r:.200}")


def _decimals_needed(text: str, decimals: int) -> int:
    try:
        to_units(text, decimals)
    except MoreDecimals as error:
        return error.needed
    return decimals


def bars_from_rows(rows: Sequence[Sequence[Any]], interval: Interval, scale: Scale) -> list[Bar]:
    """The bars of ascending rows, all of one scale: `scale`, widened where the rows need it.

    Raises:
        BarError: as `bar_from_row`; open times that do not ascend.
    """
    try:
        bars = [bar_from_row(row, interval, scale) for row in rows]
    except MoreDecimals:
        for row in rows:
            scale = scale_of_row(row, scale)
        bars = [bar_from_row(row, interval, scale) for row in rows]
    for earlier, later in itertools.pairwise(bars):
        if earlier.open_ms >= later.open_ms:
            raise InvalidBar(f"reading rows: expected ascending open times, got {earlier.open_ms}, {later.open_ms}")
    return bars


def row_from_bar(bar: Bar, interval: Interval) -> list[int | str]:
    """The REST row of a bar: prices padded to the scale's decimals, zero volumes as `"0"`."""
    scale = bar.scale
    return [
        bar.open_ms,
        to_text(bar.open, scale.price),
        to_text(bar.high, scale.price),
        to_text(bar.low, scale.price),
        to_text(bar.close, scale.price),
        volume_text(bar.volume, scale.volume),
        interval.close_ms(bar.open_ms),
        volume_text(bar.quote_volume, scale.quote),
        bar.trades,
        volume_text(bar.taker_buy_volume, scale.volume),
        volume_text(bar.taker_buy_quote_volume, scale.quote),
        "0",
    ]
