"""Bars in progress: how they are written every second at little cost, and read as whole.

With every event of a contract six bars change, and five of them only by what the newest minute adds. So that minute
alone is written, and with each new minute once how far the larger bars had come before it; reading adds the two up.
Written whole, a thousand contracts would cost 33 GB of log a day.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bars import MINUTE, MINUTE_MS, Interval, Scale
from bars.decimals import UNITS_MAX
from storage.bar_rows import VALUES, Row, minutes
from storage.json_sql import row_json

_EMPTY = "{0}.trades = 0 AND {0}.volume = 0"
_ADDED = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")

_COLUMNS = f"contract_id, interval, open_minute, {', '.join(VALUES)}"
_PLACES = ", ".join("?" * (3 + len(VALUES)))

MINUTE_SELECT = f"SELECT {_COLUMNS} FROM partial_minute"
WHOLE_SELECT = f"SELECT {_COLUMNS} FROM partial WHERE until_minute IS NULL"


def _shaped(begun: str, minute: str, both: str) -> str:
    """As `bars.combine`: a bar without trades shapes no other."""
    return f"CASE WHEN {_EMPTY.format('b')} THEN {minute} WHEN {_EMPTY.format('m')} THEN {begun} ELSE {both} END"


_OPEN = _shaped("b.open", "m.open", "b.open")
_HIGH = _shaped("b.open + b.rise", "m.open + m.rise", "max(b.open + b.rise, m.open + m.rise)")
_LOW = _shaped("b.open - b.fall", "m.open - m.fall", "min(b.open - b.fall, m.open - m.fall)")
_CLOSE = _shaped("b.open + b.move", "m.open + m.move", "m.open + m.move")

GROWN_SELECT = f"""
    SELECT b.contract_id AS contract_id, b.interval AS interval, b.open_minute AS open_minute, {_OPEN} AS open,
        {_HIGH} - {_OPEN} AS rise, {_OPEN} - {_LOW} AS fall, {_CLOSE} - {_OPEN} AS move,
        {", ".join(f"b.{name} + m.{name} AS {name}" for name in _ADDED)}
    FROM partial AS b JOIN partial_minute AS m ON m.contract_id = b.contract_id AND m.open_minute = b.until_minute
    WHERE b.volume <= {UNITS_MAX} - m.volume AND b.quote_volume <= {UNITS_MAX} - m.quote_volume"""
"""A sum that does not fit is left out, as everywhere; SQLite would turn it into REAL."""

LARGER_SELECT = f"{WHOLE_SELECT} UNION ALL {GROWN_SELECT}"


def set_minutes(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Put newest minutes in the place of those before."""
    connection.executemany(f"REPLACE INTO partial_minute ({_COLUMNS}) VALUES ({_PLACES})", rows)


def set_larger(connection: sqlite3.Connection, rows: Sequence[tuple[int | None, ...]]) -> None:
    """Put larger bars in the place of those before. After its values a row has the open minute of the newest minute,
    up to which it reaches; None where that is part of it."""
    connection.executemany(f"REPLACE INTO partial ({_COLUMNS}, until_minute) VALUES ({_PLACES}, ?)", rows)


def forget_larger(connection: sqlite3.Connection, keys: Sequence[tuple[int, int]]) -> None:
    """Remove larger bars by contract and interval, whatever they reach up to."""
    connection.executemany("DELETE FROM partial WHERE contract_id = ? AND interval = ?", keys)


def delete_from(connection: sqlite3.Connection, contract_id: int, first_minute: int) -> None:
    """Remove what opens at a minute or later."""
    for table in ("partial", "partial_minute"):
        connection.execute(
            f"DELETE FROM {table} WHERE contract_id = ? AND open_minute >= ?", (contract_id, first_minute)
        )


def select(connection: sqlite3.Connection, contract_id: int, interval: Interval) -> Row | None:
    """The bar in progress, if it is newer than the newest closed one: values as for `bar_of`."""
    row: Row | None = connection.execute(
        f"""SELECT open_minute, {", ".join(VALUES)} FROM ({_select(interval)}) AS p
            WHERE contract_id = ? AND interval = ? AND NOT EXISTS (
            SELECT 1 FROM series AS s WHERE s.contract_id = p.contract_id AND s.interval = p.interval
            AND s.last_ms >= p.open_minute * {MINUTE_MS})""",
        (contract_id, minutes(interval)),
    ).fetchone()
    return row


def row_text(connection: sqlite3.Connection, contract_id: int, interval: Interval, scale: Scale) -> str:
    """The bar in progress, which is there, as the exchange's row."""
    row: tuple[str] = connection.execute(
        f"SELECT {row_json(interval, scale)} FROM ({_select(interval)}) WHERE contract_id = ? AND interval = ?",
        (contract_id, minutes(interval)),
    ).fetchone()
    return row[0]


def _select(interval: Interval) -> str:
    return MINUTE_SELECT if interval is MINUTE else LARGER_SELECT
