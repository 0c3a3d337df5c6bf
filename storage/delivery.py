"""The end of a contract: no bar opens at or after its delivery, though the exchange goes on with flat ones.

That a contract ends may be learned late, when some of those are stored already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bars import MINUTE, MINUTE_MS, STORED, Bar, Interval
from storage import bar_reads, bar_rows, bar_writes, in_progress, series, unverified


def before(bars: Sequence[Bar], delivery_ms: int) -> Sequence[Bar]:
    """The bars that open before a contract's end: usually all."""
    if all(bar.open_ms < delivery_ms for bar in bars):
        return bars
    return [bar for bar in bars if bar.open_ms < delivery_ms]


def cut(connection: sqlite3.Connection, contract_id: int, delivery_ms: int) -> None:
    """Remove what is stored of a contract from its end on.

    Where somebody has traded after it, that was in another contract, to which the symbol went: the larger bars that
    reach beyond the end hold those trades too.
    """
    is_mixed = bar_reads.has_traded_from(connection, contract_id, -(-delivery_ms // MINUTE_MS))
    for interval in STORED:
        end_ms = interval.floor(delivery_ms) if is_mixed else interval.ceil(delivery_ms)
        summary = series.get(connection, contract_id, interval)
        if summary is not None and summary.last_ms >= end_ms:
            _cut(connection, contract_id, interval, end_ms, summary)
    in_progress.delete_from(connection, contract_id, -(-delivery_ms // MINUTE_MS))


def _cut(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, end_ms: int, summary: series.Series
) -> None:
    count = bar_writes.delete_from(connection, contract_id, interval, end_ms // MINUTE_MS)
    key = (contract_id, bar_rows.minutes(interval))
    (last,) = connection.execute(
        "SELECT max(open_minute) FROM bar WHERE contract_id = ? AND interval = ?", key
    ).fetchone()
    if last is None:
        connection.execute("DELETE FROM series WHERE contract_id = ? AND interval = ?", key)
        return
    connection.execute(
        "UPDATE series SET last_ms = ?, bars = bars - ? WHERE contract_id = ? AND interval = ?",
        (last * MINUTE_MS, count, *key),
    )
    if interval is MINUTE:
        unverified.recount(connection, contract_id, summary.first_ms)
