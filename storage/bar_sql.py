"""The hot paths in plain SQL: many bars in, a page of bars out.

An object-relational query is ten times slower here than the database itself. A row is a tuple of integers in
the order of `_COLUMNS`; times in it are minutes since the epoch, an interval is its length in minutes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from bars import MINUTE_MS, Bar, Interval, Scale
from storage.changes import Origin
from storage.json_sql import row_json
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

Row = tuple[int, ...]

VERIFIED = 8
"""The bit of a mark beside its origin."""
DISPUTED = 16
"""The bit of a bar that the exchange was asked for and does not confirm; it stays as it is."""
COMPARED = VERIFIED | DISPUTED
ORIGIN_BITS = 7

TABLES = ("bar", "partial", "partial_minute")
"""Those that hold values in a contract's scale."""

ROWS_AT_ONCE = 25
"""More rows with one statement gain nothing; SQLite before 3.32 takes at most 999 values."""

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
_READ = f"open_minute, {', '.join(VALUES)}"
_KEY = "contract_id, interval, open_minute"
_COLUMNS = f"{_KEY}, {', '.join(VALUES)}, mark"

_INSERT = f"INSERT INTO bar ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_DIFFERS = f"({', '.join('bar.' + name for name in VALUES)}) <> ({', '.join('excluded.' + name for name in VALUES)})"
_WAS, _IS = f"(bar.mark & {ORIGIN_BITS})", f"(excluded.mark & {ORIGIN_BITS})"

# A verified bar is what REST said minutes after the end: only another word of REST may differ from it, not a final
# that comes late, nor the archive. The archive has holes that it fills with empty bars where REST has trades
# (2025-01-29, 2024-10-28), and what we aggregated knows no better than the exchange's own bar.
_REFUSED = f"""(
    bar.mark & {VERIFIED} AND {_IS} <> {Origin.REST:d}
    OR {_IS} = {Origin.ARCHIVE:d} AND excluded.trades = 0 AND excluded.volume = 0 AND bar.trades > 0
    OR {_IS} = {Origin.AGGREGATED:d} AND {_WAS} <> {Origin.AGGREGATED:d})"""

# Of equal bars: the exchange's word counts more than our sum, and REST saying the same verifies.
_BETTER_MARK = f"""(
    ((bar.mark | excluded.mark) & {VERIFIED})
    | (CASE WHEN {_IS} = {Origin.REST:d} AND {_WAS} <> {Origin.REST:d} THEN {VERIFIED} ELSE 0 END)
    | (CASE WHEN {_WAS} = {Origin.AGGREGATED:d} THEN {_IS} ELSE {_WAS} END))"""

_REVISE = f"""
    {_INSERT} ON CONFLICT ({_KEY}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in VALUES)},
        mark = CASE WHEN {_DIFFERS} THEN excluded.mark ELSE {_BETTER_MARK} END
    WHERE CASE WHEN {_DIFFERS} THEN NOT {_REFUSED} ELSE bar.mark <> {_BETTER_MARK} END"""


def minutes(interval: Interval) -> int:
    """How an interval is stored."""
    return interval.span_ms // MINUTE_MS


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
    """The bar of what a query on `_READ` returns; further columns are not looked at."""
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
    return f"INSERT INTO bar ({_COLUMNS}) VALUES {', '.join(rows)} ON CONFLICT DO NOTHING"


def aggregated_opens_ms(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, start_ms: int, stop_ms: int
) -> set[int]:
    """Open times in the half-open span of bars that were aggregated here."""
    rows = connection.execute(
        f"""SELECT open_minute * {MINUTE_MS} FROM bar WHERE contract_id = ? AND interval = ? AND open_minute >= ?
            AND open_minute < ? AND (mark & {ORIGIN_BITS}) = {Origin.AGGREGATED:d}""",
        (contract_id, minutes(interval), start_ms // MINUTE_MS, -(-stop_ms // MINUTE_MS)),
    )
    return {open_ms for (open_ms,) in rows}


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


def unverified(
    connection: sqlite3.Connection, contract_id: int, start_minute: int, stop_minute: int, limit: int = -1
) -> list[int]:
    """The open minutes, ascending, of the first `limit` minute bars of a half-open span that were not compared yet."""
    rows = connection.execute(
        f"""SELECT open_minute FROM bar WHERE contract_id = ? AND interval = 1 AND open_minute >= ?
            AND open_minute < ? AND mark & {COMPARED} = 0 ORDER BY open_minute LIMIT ?""",
        (contract_id, start_minute, stop_minute, limit),
    )
    return [open_minute for (open_minute,) in rows]


def nth_oldest_ms(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, stop_minute: int, count: int
) -> int | None:
    """The open time of the last of the oldest `count` bars that open before a minute; None when there are none."""
    last = connection.execute(
        """SELECT max(open_minute) FROM (SELECT open_minute FROM bar
            WHERE contract_id = ? AND interval = ? AND open_minute < ? ORDER BY open_minute LIMIT ?)""",
        (contract_id, minutes(interval), stop_minute, count),
    ).fetchone()[0]
    return None if last is None else last * MINUTE_MS


def delete(connection: sqlite3.Connection, contract_id: int, interval: Interval, last_minute: int) -> int:
    """Remove the bars that open up to a minute; returns how many."""
    query = "DELETE FROM bar WHERE contract_id = ? AND interval = ? AND open_minute <= ?"
    return connection.execute(query, (contract_id, minutes(interval), last_minute)).rowcount


def has_traded_from(connection: sqlite3.Connection, contract_id: int, first_minute: int) -> bool:
    """Whether any minute bar that opens at a minute or later has trades."""
    query = "SELECT 1 FROM bar WHERE contract_id = ? AND interval = 1 AND open_minute >= ? AND trades > 0 LIMIT 1"
    return connection.execute(query, (contract_id, first_minute)).fetchone() is not None


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


def select(
    connection: sqlite3.Connection,
    contract_id: int,
    interval: Interval,
    start_minute: int,
    stop_minute: int,
    *,
    newest_first: bool = False,
    limit: int = -1,
) -> Iterator[Row]:
    """Closed bars that open in a half-open span, read only as they are asked for.

    Each is the values as for `bar_of`, then the mark.
    """
    return connection.execute(
        f"""SELECT {_READ}, mark FROM bar
            WHERE contract_id = ? AND interval = ? AND open_minute >= ? AND open_minute < ?
            ORDER BY open_minute {"DESC" if newest_first else "ASC"} LIMIT ?""",
        (contract_id, minutes(interval), start_minute, stop_minute, limit),
    )


def select_one(connection: sqlite3.Connection, contract_id: int, interval: Interval, open_minute: int) -> Row | None:
    """The closed bar that opens at a minute: values as for `bar_of`, then the mark."""
    row: Row | None = connection.execute(
        f"SELECT {_READ}, mark FROM bar WHERE contract_id = ? AND interval = ? AND open_minute = ?",
        (contract_id, minutes(interval), open_minute),
    ).fetchone()
    return row


def page_json(
    connection: sqlite3.Connection,
    contract_id: int,
    interval: Interval,
    scale: Scale,
    span_minutes: tuple[int, int],
    *,
    newest: bool,
    limit: int,
) -> tuple[int, str]:
    """The first or the newest `limit` closed bars of a half-open span, as the exchange's rows.

    Returns how many, and their JSON arrays with commas between.
    """
    start_minute, stop_minute = span_minutes
    if newest:
        start_minute = _nth_newest(connection, contract_id, interval, span_minutes, limit)
    count, text = connection.execute(
        f"""SELECT count(*), group_concat(line, ',') FROM (
            SELECT {row_json(interval, scale)} AS line FROM bar
            WHERE contract_id = ? AND interval = ? AND open_minute >= ? AND open_minute < ?
            ORDER BY open_minute LIMIT ?)""",
        (contract_id, minutes(interval), start_minute, stop_minute, limit),
    ).fetchone()
    return count, text or ""


def _nth_newest(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, span_minutes: tuple[int, int], limit: int
) -> int:
    start_minute, stop_minute = span_minutes
    found = connection.execute(
        """SELECT open_minute FROM bar WHERE contract_id = ? AND interval = ? AND open_minute >= ? AND open_minute < ?
            ORDER BY open_minute DESC LIMIT 1 OFFSET ?""",
        (contract_id, minutes(interval), start_minute, stop_minute, max(limit - 1, 0)),
    ).fetchone()
    return found[0] if found else start_minute
