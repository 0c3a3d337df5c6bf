"""Which minutes were not compared with the exchange yet.

Each series knows the first of them. A partial index on the mark would know all, but halves the speed of a bulk
load (measured: 154,000 instead of 334,000 rows/s) for what a look at one page of a series tells in 0.05 ms.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bars import MINUTE_MS, Bar, Span
from storage import bar_sql, contracts
from storage.records import UnverifiedMinutes

_END_MINUTE = 1 << 62


def changed(connection: sqlite3.Connection, contract_id: int, bars: Sequence[Bar], *, is_compared: bool) -> None:
    """Take in that minutes were stored or revised, with marks that say that they were compared, or do not."""
    changed_at(connection, contract_id, [bar.open_ms for bar in bars], is_compared=is_compared)


def changed_at(connection: sqlite3.Connection, contract_id: int, opens_ms: Sequence[int], *, is_compared: bool) -> None:
    """The same for minutes by their open times, at least one."""
    first_ms, last_ms, known_ms = min(opens_ms), max(opens_ms), _known_ms(connection, contract_id)
    is_before = known_ms is None or last_ms < known_ms
    if (is_before and not is_compared) or (known_ms is not None and first_ms <= known_ms <= last_ms):
        _look_from(connection, contract_id, first_ms)


def removed(connection: sqlite3.Connection, contract_id: int, before_ms: int) -> None:
    """Take in that minutes before a time are gone."""
    known_ms = _known_ms(connection, contract_id)
    if known_ms is not None and known_ms < before_ms:
        _look_from(connection, contract_id, before_ms)


def every(connection: sqlite3.Connection) -> list[UnverifiedMinutes]:
    """The series that hold minutes which were not compared, by contract."""
    found = connection.execute(
        "SELECT contract_id, unverified_ms, last_ms FROM series WHERE interval = 1 AND unverified_ms IS NOT NULL"
    ).fetchall()
    records = {record.id: record for record in contracts.every(connection)} if found else {}
    return [UnverifiedMinutes(records[contract_id], first_ms, last_ms) for contract_id, first_ms, last_ms in found]


def count(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many minutes were compared, of how many. Reads only where some were not."""
    total: int = connection.execute("SELECT coalesce(sum(bars), 0) FROM series WHERE interval = 1").fetchone()[0]
    lacking: int = connection.execute(
        f"""SELECT coalesce(sum((SELECT count(*) FROM bar AS b WHERE b.contract_id = s.contract_id AND b.interval = 1
            AND b.open_minute >= s.unverified_ms / {MINUTE_MS} AND b.mark & {bar_sql.COMPARED} = 0)), 0)
            FROM series AS s WHERE s.interval = 1 AND s.unverified_ms IS NOT NULL"""
    ).fetchone()[0]
    return total - lacking, total


def opens_ms(connection: sqlite3.Connection, contract_id: int, span: Span, limit: int) -> list[int]:
    """The first of them in a half-open span, ascending, by open time."""
    start, stop = span.start_ms // MINUTE_MS, -(-span.stop_ms // MINUTE_MS)
    return [at * MINUTE_MS for at in bar_sql.unverified(connection, contract_id, start, stop, limit)]


def _known_ms(connection: sqlite3.Connection, contract_id: int) -> int | None:
    row = connection.execute(
        "SELECT unverified_ms FROM series WHERE contract_id = ? AND interval = 1", (contract_id,)
    ).fetchone()
    return row[0] if row else None


def _look_from(connection: sqlite3.Connection, contract_id: int, start_ms: int) -> None:
    found = bar_sql.unverified(connection, contract_id, start_ms // MINUTE_MS, _END_MINUTE, 1)
    connection.execute(
        "UPDATE series SET unverified_ms = ? WHERE contract_id = ? AND interval = 1",
        (found[0] * MINUTE_MS if found else None, contract_id),
    )
