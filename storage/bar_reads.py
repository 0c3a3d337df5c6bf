"""The read paths in plain SQL: a page of bars out, and the questions that writing asks.

An object-relational query is ten times slower here than the database itself. Rows are as `bar_rows` has them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from bars import MINUTE_MS, Interval, Scale
from storage.bar_rows import COMPARED, ORIGIN_BITS, READ, Row, minutes
from storage.changes import Origin
from storage.json_sql import row_json


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
        f"""SELECT {READ}, mark FROM bar
            WHERE contract_id = ? AND interval = ? AND open_minute >= ? AND open_minute < ?
            ORDER BY open_minute {"DESC" if newest_first else "ASC"} LIMIT ?""",
        (contract_id, minutes(interval), start_minute, stop_minute, limit),
    )


def select_one(connection: sqlite3.Connection, contract_id: int, interval: Interval, open_minute: int) -> Row | None:
    """The closed bar that opens at a minute: values as for `bar_of`, then the mark."""
    row: Row | None = connection.execute(
        f"SELECT {READ}, mark FROM bar WHERE contract_id = ? AND interval = ? AND open_minute = ?",
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


def unverified(
    connection: sqlite3.Connection,
    contract_id: int,
    start_minute: int,
    stop_minute: int,
    limit: int = -1,
    *,
    but: Origin | None = None,
) -> list[int]:
    """The open minutes, ascending, of the first `limit` minute bars of a half-open span that were not compared yet,
    those of one origin left aside."""
    rows = connection.execute(
        f"""SELECT open_minute FROM bar WHERE contract_id = ? AND interval = 1 AND open_minute >= ?
            AND open_minute < ? AND mark & {COMPARED} = 0 AND mark & {ORIGIN_BITS} <> ? ORDER BY open_minute LIMIT ?""",
        (contract_id, start_minute, stop_minute, -1 if but is None else but, limit),
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


def has_traded_from(connection: sqlite3.Connection, contract_id: int, first_minute: int) -> bool:
    """Whether any minute bar that opens at a minute or later has trades."""
    query = "SELECT 1 FROM bar WHERE contract_id = ? AND interval = 1 AND open_minute >= ? AND trades > 0 LIMIT 1"
    return connection.execute(query, (contract_id, first_minute)).fetchone() is not None
