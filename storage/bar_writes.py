"""The write paths in plain SQL: many bars in with one statement, and what becomes of those that are there.

An object-relational query is ten times slower here than the database itself. Rows are as `bar_rows` has them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from bars import MINUTE_MS, Interval, Scale
from storage.bar_rows import COLUMNS, DISPUTED, KEY, ORIGIN_BITS, VALUES, VERIFIED, Row, minutes
from storage.changes import Origin
from wire.table import (
    CLOSE,
    FIELD_COUNT,
    HIGH,
    LOW,
    OPEN,
    OPEN_TIME,
    QUOTE,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    BarTable,
)

TABLES = ("bar", "partial", "partial_minute")
"""Those that hold values in a contract's scale."""

ROWS_AT_ONCE = 25
"""More rows with one statement gain nothing; SQLite before 3.32 takes at most 999 values."""

_INSERT = f"INSERT INTO bar ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_DIFFERS = f"({', '.join('bar.' + name for name in VALUES)}) <> ({', '.join('excluded.' + name for name in VALUES)})"
_WAS, _IS = f"(bar.mark & {ORIGIN_BITS})", f"(excluded.mark & {ORIGIN_BITS})"

# A verified bar is what REST said minutes after the end: only another word of REST may differ from it, not a final
# that comes late, nor the archive. The archive has holes that it fills with empty bars where REST has trades
# (2025-01-29, 2024-10-28), and what we aggregated knows no better than the exchange's own bar, unless REST told of that
# one right after its end, when it may still have moved.
_REFUSED = f"""(
    bar.mark & {VERIFIED} AND {_IS} <> {Origin.REST:d}
    OR {_IS} = {Origin.ARCHIVE:d} AND excluded.trades = 0 AND excluded.volume = 0 AND bar.trades > 0
    OR {_IS} = {Origin.AGGREGATED:d} AND bar.mark NOT IN ({Origin.AGGREGATED:d}, {Origin.REST:d}))"""

# Of equal bars: the exchange's word counts more than our sum. That REST says the same verifies nothing by itself: it
# may say so seconds after the end, when it still shows what the stream did and is going to be revised.
_BETTER_MARK = f"""(
    ((bar.mark | excluded.mark) & {VERIFIED})
    | (CASE WHEN {_WAS} = {Origin.AGGREGATED:d} THEN {_IS} ELSE {_WAS} END))"""

_REVISE = f"""
    {_INSERT} ON CONFLICT ({KEY}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in VALUES)},
        mark = CASE WHEN {_DIFFERS} THEN excluded.mark ELSE {_BETTER_MARK} END
    WHERE CASE WHEN {_DIFFERS} THEN NOT {_REFUSED} ELSE bar.mark <> {_BETTER_MARK} END"""


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Add the rows whose bars are not there; returns how many those were."""
    return connection.executemany(f"{_INSERT} ON CONFLICT DO NOTHING", rows).rowcount


def insert_table(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, table: BarTable, mark: int
) -> int:
    """Add the bars that are not there, twice as fast as `insert`; returns how many those were.

    SQLite works the columns out from the table's numbers, and takes many rows with each statement.
    """
    values, at_once = table.values, ROWS_AT_ONCE * FIELD_COUNT
    bulk = len(values) // at_once * at_once
    series = contract_id, minutes(interval), mark
    statements = (
        (_insert_many(*series, ROWS_AT_ONCE), range(0, bulk, at_once)),
        (
            _insert_many(*series, 1),
            range(bulk, len(values), FIELD_COUNT),
        ),
    )
    added = 0
    for statement, starts in statements:
        # The last row's last value has no place in the statement.
        rows = (list(values[start : start + (starts.step - 1)]) for start in starts)
        added += max(0, connection.executemany(statement, rows).rowcount)
    return added


def _insert_many(contract_id: int, length: int, mark: int, count: int) -> str:
    """The statement that inserts `count` rows of a `BarTable`."""
    rows = []
    for first in range(1, count * FIELD_COUNT, FIELD_COUNT):
        at = [f"?{first + field}" for field in range(FIELD_COUNT)]
        price = at[OPEN]
        values = [
            *(f"{at[OPEN_TIME]} / {MINUTE_MS}", price),
            *(f"{at[HIGH]} - {price}", f"{price} - {at[LOW]}", f"{at[CLOSE]} - {price}"),
            *(at[field] for field in (VOLUME, QUOTE, TRADES, TAKER, TAKER_QUOTE)),
        ]
        rows.append(f"({contract_id}, {length}, {', '.join(values)}, {mark})")
    return f"INSERT INTO bar ({COLUMNS}) VALUES {', '.join(rows)} ON CONFLICT DO NOTHING"


def revise(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Bring stored bars up to what `rows` say, as far as they may; returns how many changed, marks included."""
    return connection.executemany(_REVISE, rows).rowcount


def dispute(connection: sqlite3.Connection, contract_id: int, interval: Interval, open_minutes: Iterable[int]) -> None:
    """Note of closed bars that the exchange does not confirm them."""
    connection.executemany(
        f"UPDATE bar SET mark = (mark | {DISPUTED}) & ~{VERIFIED}"
        " WHERE contract_id = ? AND interval = ? AND open_minute = ?",
        [(contract_id, minutes(interval), open_minute) for open_minute in open_minutes],
    )


def delete(connection: sqlite3.Connection, contract_id: int, interval: Interval, last_minute: int) -> int:
    """Remove the bars that open up to a minute; returns how many."""
    query = "DELETE FROM bar WHERE contract_id = ? AND interval = ? AND open_minute <= ?"
    return connection.execute(query, (contract_id, minutes(interval), last_minute)).rowcount


def delete_from(connection: sqlite3.Connection, contract_id: int, interval: Interval, first_minute: int) -> int:
    """Remove the bars that open at a minute or later; returns how many."""
    query = "DELETE FROM bar WHERE contract_id = ? AND interval = ? AND open_minute >= ?"
    return connection.execute(query, (contract_id, minutes(interval), first_minute)).rowcount


def largest_units(connection: sqlite3.Connection, contract_id: int) -> Scale:
    """The largest price, volume and quote volume stored of a contract, in units; 0 where there is none."""
    found = [
        connection.execute(
            f"SELECT max(open + rise), max(volume), max(quote_volume) FROM {table} WHERE contract_id = ?",
            (contract_id,),
        ).fetchone()
        for table in TABLES
    ]
    return Scale(*(max(column or 0 for column in columns) for columns in zip(*found, strict=True)))


def rescale(connection: sqlite3.Connection, contract_id: int, price: int, volume: int, quote: int) -> None:
    """Multiply all stored values of a contract. SQLite would turn what does not fit into REAL: look first."""
    for table in TABLES:
        connection.execute(
            f"""UPDATE {table} SET open = open * :price, rise = rise * :price, fall = fall * :price,
                move = move * :price, volume = volume * :volume, taker_buy_volume = taker_buy_volume * :volume,
                quote_volume = quote_volume * :quote, taker_buy_quote_volume = taker_buy_quote_volume * :quote
                WHERE contract_id = :contract_id""",
            {"price": price, "volume": volume, "quote": quote, "contract_id": contract_id},
        )
