"""The end of a series: what has been closed since somebody last looked, and what is in progress."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from bars import MINUTE_MS, Bar, Interval
from storage import bar_reads, bar_rows, contracts, in_progress, series
from storage.records import ContractRecord

CLOSED_MAX = 1_500


class Newest(NamedTuple):
    """The newest bars of one series."""

    last_ms: int | None
    """The open time of the newest closed bar; None while there is none."""
    closed: list[Bar]
    """Those that open after the time asked for, ascending, the first 1,500 of them."""
    in_progress: Bar | None


def find(connection: sqlite3.Connection, record: ContractRecord, interval: Interval, after_ms: int | None) -> Newest:
    """The newest bars of a stored interval; without `after_ms` no closed ones."""
    summary = series.get(connection, record.id, interval)
    partial = in_progress.select(connection, record.id, interval)
    last_ms = summary.last_ms if summary else None
    is_more = after_ms is not None and last_ms is not None and last_ms > after_ms
    if partial is None and not is_more:
        return Newest(last_ms, [], None)
    scale = contracts.scale_of(connection, record.id)
    newest = bar_rows.bar_of(partial, scale) if partial else None
    if after_ms is None or last_ms is None or not is_more:
        return Newest(last_ms, [], newest)
    between = after_ms // MINUTE_MS + 1, last_ms // MINUTE_MS + 1
    rows = bar_reads.select(connection, record.id, interval, *between, limit=CLOSED_MAX)
    return Newest(last_ms, [bar_rows.bar_of(row, scale) for row in rows], newest)
