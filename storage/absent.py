"""What the exchange does not have: spans of open times for which it was asked and has no bars.

A span that starts at 0 says that the contract was not listed before. That holds for every interval: where no
minute opens, nothing larger opens that is over before the first minute.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from bars import MINUTE_MS, Interval, Span
from bars.gaps import merge, missing, subtract
from storage import bar_reads, bar_rows

LISTING_START_MS = 0
"""Where a span starts that tells of the time before listing."""
_NEVER_MS = 1 << 62


def note(connection: sqlite3.Connection, contract_id: int, interval: Interval, spans: Iterable[Span]) -> None:
    """Remember spans without bars; what is stored in them all the same is left out of them."""
    told = merge(_in_buckets(span, interval) for span in spans)
    if not told:
        return
    held = [hole for span in told for hole in _not_stored(connection, contract_id, interval, span)]
    known = recorded(connection, contract_id, interval)
    _replace(connection, contract_id, interval, merge([*known, *held]))


def forget(connection: sqlite3.Connection, contract_id: int, interval: Interval, opens_ms: Sequence[int]) -> None:
    """Bars came where there were none: they are absent no longer."""
    known = recorded(connection, contract_id, interval)
    if not any(span.start_ms <= max(opens_ms) and span.stop_ms > min(opens_ms) for span in known):
        return
    came = merge(Span(open_ms, interval.next_open(open_ms)) for open_ms in opens_ms)
    left = list(subtract(known, came))
    if left != known:
        _replace(connection, contract_id, interval, left)


def recorded(connection: sqlite3.Connection, contract_id: int, interval: Interval) -> list[Span]:
    """The spans remembered of one series, ascending, never touching."""
    return [
        Span(*row)
        for row in connection.execute(
            "SELECT start_ms, stop_ms FROM absent WHERE contract_id = ? AND interval = ? ORDER BY start_ms",
            (contract_id, bar_rows.minutes(interval)),
        )
    ]


def listing_ms(connection: sqlite3.Connection, contract_id: int) -> int:
    """Before when the contract is known to have had no bars; 0 when that is not known.

    What one interval lacks at its beginning says nothing where another has a bar that was over before.
    """
    (stop_ms,) = connection.execute(
        f"""SELECT max(stop_ms) FROM absent WHERE contract_id = :contract_id AND start_ms = {LISTING_START_MS}
            AND stop_ms < (SELECT coalesce(min(first_ms + interval * {MINUTE_MS}), {_NEVER_MS})
                FROM series WHERE contract_id = :contract_id)""",
        {"contract_id": contract_id},
    ).fetchone()
    return stop_ms or 0


def effective(connection: sqlite3.Connection, contract_id: int, interval: Interval) -> list[Span]:
    """All spans in which no bar of an interval opens, by its own record and by the contract's listing."""
    before = Span(LISTING_START_MS, interval.floor(listing_ms(connection, contract_id)))
    return merge([*recorded(connection, contract_id, interval), before])


def _in_buckets(span: Span, interval: Interval) -> Span:
    start_ms = span.start_ms if span.start_ms <= LISTING_START_MS else interval.ceil(span.start_ms)
    return Span(max(start_ms, LISTING_START_MS), interval.ceil(span.stop_ms))


def _not_stored(connection: sqlite3.Connection, contract_id: int, interval: Interval, span: Span) -> list[Span]:
    rows = bar_reads.select(
        connection, contract_id, interval, span.start_ms // MINUTE_MS, -(-span.stop_ms // MINUTE_MS)
    )
    return list(missing((row[0] * MINUTE_MS for row in rows), span, interval))


def _replace(connection: sqlite3.Connection, contract_id: int, interval: Interval, spans: Sequence[Span]) -> None:
    length = bar_rows.minutes(interval)
    connection.execute("DELETE FROM absent WHERE contract_id = ? AND interval = ?", (contract_id, length))
    connection.executemany(
        "INSERT INTO absent (contract_id, interval, start_ms, stop_ms) VALUES (?, ?, ?, ?)",
        [(contract_id, length, *span) for span in spans],
    )
