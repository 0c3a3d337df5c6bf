"""Parquet files with exact decimals. Importing this needs pyarrow, an optional extra."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from actors.commands.export_csv import PAGE_BARS, Written
from bars import Bar, Interval, Scale, Span
from storage import ContractRecord, Reader
from wire.rows import FIELDS

UNITS_DIGITS = 19
"""A value fits 63 bits."""
_DECIMAL_BYTES = 16
_NAMES = tuple(FIELDS.split(","))[:-1]


class ParquetWriter:
    """The archive's columns but the last, which says nothing: times and the count as int64, the rest as decimal128."""

    def __init__(self, path: Path, symbol: str, interval: Interval, scale: Scale) -> None:
        self._path = path
        self._interval = interval
        self._scale = scale
        decimals = (scale.price, scale.price, scale.price, scale.price, scale.volume, scale.quote)
        opened, high, low, closed, volume, quote = (_decimal(digits) for digits in decimals)
        types = (pa.int64(), opened, high, low, closed, volume, pa.int64(), quote, pa.int64(), volume, quote)
        fields = [pa.field(name, kind, nullable=False) for name, kind in zip(_NAMES, types, strict=True)]
        self._schema = pa.schema(fields, metadata={"symbol": symbol, "interval": interval.name})
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, reader: Reader, record: ContractRecord, span: Span) -> Written | None:
        if span.is_empty:
            return None
        start_ms, end_ms = span.start_ms, span.stop_ms - 1
        page = reader.bars(record, self._interval, start_ms=start_ms, end_ms=end_ms, limit=PAGE_BARS)
        if not page:
            return None
        if page[0].bar.scale == self._scale:  # else the file is written anew
            self._add([stored.bar for stored in page])
        return Written(len(page), page[0].bar.open_ms, page[-1].bar.open_ms)

    def close(self) -> None:
        self._writer.close()
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())

    def _add(self, bars: Sequence[Bar]) -> None:
        opens, *values, _ = zip(*bars, strict=True)
        op, high, low, close, volume, quote, trades, taker, taker_quote = values
        closes = [self._interval.close_ms(open_ms) for open_ms in opens]
        columns = (opens, op, high, low, close, volume, closes, quote, trades, taker, taker_quote)
        arrays = [_array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def _decimal(decimals: int) -> Any:
    return pa.decimal128(max(UNITS_DIGITS, decimals), decimals)


def _array(column: Sequence[int], kind: Any) -> Any:
    """Units as they are: a decimal128 is a 16-byte integer, little end first."""
    if not pa.types.is_decimal(kind):
        return pa.array(column, kind)
    units = b"".join(value.to_bytes(_DECIMAL_BYTES, "little") for value in column)
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(units)])
