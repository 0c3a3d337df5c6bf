"""Which minutes were not compared with the exchange yet.

Each series knows the first of them. A partial index on the mark would know all, but halves the speed of a bulk
load (measured: 154,000 instead of 334,000 rows/s) for what a look at one page of a series tells in 0.05 ms.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bars import MINUTE_MS, Span
from storage import bar_reads, bar_rows, contracts
from storage.changes import Origin
from storage.records import UnverifiedMinutes

_END_MINUTE = 1 << 62


def count_between(connection: sqlite3.Connection, contract_id: int, opens_ms: Sequence[int]) -> int:
    """How many there are from the first to the last of some minutes, by open time; at least one."""
    found: int = connection.execute(
        f"""SELECT count(*) FROM bar WHERE contract_id = ? AND interval = 1 AND open_minute BETWEEN ? AND ?
            AND mark & {bar_rows.COMPARED} = 0""",
        (contract_id, min(opens_ms) // MINUTE_MS, max(opens_ms) // MINUTE_MS),
    ).fetchone()[0]
    return found


def changed(
    connection: sqlite3.Connection, contract_id: int, opens_ms: Sequence[int], *, more: int, is_compared: bool
) -> None:
    """Take in that minutes, at least one, by open time, were stored or revised.

    Args:
        more: how many more were not compared since; below 0 for fewer.
        is_compared: whether those that changed were.
    """
    if more:
        connection.execute(
            "UPDATE series SET unverified = unverified + ? WHERE contract_id = ? AND interval = 1", (more, contract_id)
        )
    first_ms, last_ms, known_ms = min(opens_ms), max(opens_ms), _known_ms(connection, contract_id)
    is_before = known_ms is None or last_ms < known_ms
    if (is_before and not is_compared) or (known_ms is not None and first_ms <= known_ms <= last_ms):
        _look_from(connection, contract_id, first_ms)


def removed(connection: sqlite3.Connection, contract_id: int, before_ms: int, count: int) -> None:
    """Take in that the minutes before a time are gone, `count` of which had not been compared."""
    known_ms = _known_ms(connection, contract_id)
    if known_ms is not None and known_ms < before_ms:
        connection.execute(
            "UPDATE series SET unverified = unverified - ? WHERE contract_id = ? AND interval = 1", (count, contract_id)
        )
        _look_from(connection, contract_id, before_ms)


def recount(connection: sqlite3.Connection, contract_id: int, first_ms: int) -> None:
    """Take in that minutes are gone of which nobody knows how many had not been compared."""
    left = len(bar_reads.unverified(connection, contract_id, first_ms // MINUTE_MS, _END_MINUTE))
    connection.execute("UPDATE series SET unverified = ? WHERE contract_id = ? AND interval = 1", (left, contract_id))
    _look_from(connection, contract_id, first_ms)


def every(connection: sqlite3.Connection) -> list[UnverifiedMinutes]:
    """The series that hold minutes which were not compared, by contract."""
    found = connection.execute(
        "SELECT contract_id, unverified_ms, last_ms FROM series WHERE interval = 1 AND unverified_ms IS NOT NULL"
    ).fetchall()
    records = {record.id: record for record in contracts.every(connection)} if found else {}
    return [UnverifiedMinutes(records[contract_id], first_ms, last_ms) for contract_id, first_ms, last_ms in found]


def count(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many minutes were compared, of how many."""
    compared, total = connection.execute(
        "SELECT coalesce(sum(bars - unverified), 0), coalesce(sum(bars), 0) FROM series WHERE interval = 1"
    ).fetchone()
    return compared, total


def opens_ms(connection: sqlite3.Connection, contract_id: int, span: Span, limit: int) -> list[int]:
    """The first of them in a half-open span, ascending, by open time."""
    start, stop = span.start_ms // MINUTE_MS, -(-span.stop_ms // MINUTE_MS)
    return [at * MINUTE_MS for at in bar_reads.unverified(connection, contract_id, start, stop, limit)]


def first_live_ms(connection: sqlite3.Connection, contract_id: int, span: Span) -> int | None:
    """The open time of the first of them in a half-open span that is not the archive's, which nobody has to doubt."""
    known_ms = _known_ms(connection, contract_id)
    if known_ms is None or known_ms >= span.stop_ms:
        return None
    start, stop = max(known_ms, span.start_ms) // MINUTE_MS, -(-span.stop_ms // MINUTE_MS)
    found = bar_reads.unverified(connection, contract_id, start, stop, 1, but=Origin.ARCHIVE)
    return found[0] * MINUTE_MS if found else None


def _known_ms(connection: sqlite3.Connection, contract_id: int) -> int | None:
    row = connection.execute(
        "SELECT unverified_ms FROM series WHERE contract_id = ? AND interval = 1", (contract_id,)
    ).fetchone()
    return row[0] if row else None


def _look_from(connection: sqlite3.Connection, contract_id: int, start_ms: int) -> None:
    found = bar_reads.unverified(connection, contract_id, start_ms // MINUTE_MS, _END_MINUTE, 1)
    connection.execute(
        "UPDATE series SET unverified_ms = ? WHERE contract_id = ? AND interval = 1",
        (found[0] * MINUTE_MS if found else None, contract_id),
    )
