"""Removing what is older than it is to be kept, a little at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from bars import MINUTE, MINUTE_MS, Interval, Span
from bars.gaps import subtract
from bars.interval import DAY_MS
from bars.retention import larger_stored
from storage import bar_reads, bar_rows, bar_writes, gap_rows, holes, series, unverified

HELD_MS = 7 * DAY_MS
"""How much longer minutes stay that could not be compared because the exchange does not answer."""


def remove(connection: sqlite3.Connection, before_ms: Mapping[Interval, int], rows_max: int, now_ms: int) -> int:
    """Remove at most `rows_max` of the oldest bars that open before their interval's time; returns how many.

    Where larger bars of the same time may still come, the smaller ones stay: they may have to be made of them.
    Minutes that were not compared with the exchange stay for a week, and with them what else their larger bars were
    made of: these follow when a minute turns out to be wrong, and nobody compares them otherwise.
    """
    removed = 0
    for interval, limit_ms in before_ms.items():
        for contract_id, first_ms in _series(connection, interval, limit_ms):
            stop_ms = _stop_ms(connection, contract_id, interval, Span(first_ms, limit_ms), before_ms, now_ms)
            if stop_ms > first_ms:
                removed += _remove(connection, contract_id, interval, stop_ms, rows_max - removed)
            if removed >= rows_max:
                return removed
    return removed


def _series(connection: sqlite3.Connection, interval: Interval, limit_ms: int) -> list[tuple[int, int]]:
    return connection.execute(
        "SELECT contract_id, first_ms FROM series WHERE interval = ? AND first_ms < ?",
        (bar_rows.minutes(interval), limit_ms),
    ).fetchall()


def _stop_ms(
    connection: sqlite3.Connection,
    contract_id: int,
    interval: Interval,
    span: Span,
    before_ms: Mapping[Interval, int],
    now_ms: int,
) -> int:
    """Until when bars may go: to the first larger bar that is not there, may come, and is not to go itself."""
    larger = larger_stored(interval)
    if larger is None:
        return span.stop_ms
    doubtful_ms = unverified.first_live_ms(connection, contract_id, Span(now_ms - HELD_MS, span.stop_ms))
    if doubtful_ms is not None:  # all that its larger bar is made of is needed when it turns out to be wrong
        span = Span(span.start_ms, larger.floor(doubtful_ms))
        if span.is_empty:
            return span.stop_ms
    held = series.get(connection, contract_id, larger)
    gone_ms = before_ms.get(larger, 0) if held is None else min(before_ms.get(larger, 0), held.first_ms)
    lacking = holes.find(connection, contract_id, larger, Span(max(larger.floor(span.start_ms), gone_ms), span.stop_ms))
    lacking = list(subtract(lacking, gap_rows.resting(connection, contract_id, larger, now_ms)))
    return min(span.stop_ms, lacking[0].start_ms) if lacking else span.stop_ms


def _remove(connection: sqlite3.Connection, contract_id: int, interval: Interval, stop_ms: int, rows_max: int) -> int:
    key = (contract_id, bar_rows.minutes(interval))
    was_ms = connection.execute("SELECT first_ms FROM series WHERE contract_id = ? AND interval = ?", key).fetchone()[0]
    last_ms = bar_reads.nth_oldest_ms(connection, contract_id, interval, stop_ms // MINUTE_MS, rows_max)
    if last_ms is None:
        return 0
    lost = unverified.count_between(connection, contract_id, [was_ms, last_ms]) if interval is MINUTE else 0
    count = bar_writes.delete(connection, contract_id, interval, last_ms // MINUTE_MS)
    (first,) = connection.execute(
        "SELECT min(open_minute) FROM bar WHERE contract_id = ? AND interval = ?", key
    ).fetchone()
    if first is None:
        connection.execute("DELETE FROM series WHERE contract_id = ? AND interval = ?", key)
    elif count:
        gap_rows.forget_before(connection, contract_id, interval, first * MINUTE_MS)
        connection.execute(
            "UPDATE series SET first_ms = ?, bars = bars - ? WHERE contract_id = ? AND interval = ?",
            (first * MINUTE_MS, count, *key),
        )
        if interval is MINUTE:
            unverified.removed(connection, contract_id, first * MINUTE_MS, lost)
    return count
