"""What is missing, and what a bar in progress can begin from."""

from __future__ import annotations

import sqlite3
from itertools import chain

from bars import MINUTE_MS, STORED, WEEK, Bar, Interval, Span
from bars.gaps import subtract, tile
from storage import absent, bar_reads, bar_rows, contracts, series
from storage.records import Seed

_INSIDE = "contract_id = :contract_id AND interval = :length AND open_minute >= :start AND open_minute < :stop"


def find(connection: sqlite3.Connection, contract_id: int, interval: Interval, span: Span) -> list[Span]:
    """The parts of a half-open span of open times that hold no closed bars though the exchange may have them.

    Ascending, in whole buckets of a stored interval.
    """
    span = Span(interval.ceil(span.start_ms), interval.ceil(span.stop_ms))
    if span.is_empty:
        return []
    summary = series.get(connection, contract_id, interval)
    missing = [span] if summary is None else missing_within(connection, contract_id, interval, span, summary)
    return list(subtract(missing, absent.effective(connection, contract_id, interval)))


def seed(connection: sqlite3.Connection, contract_id: int, stop_ms: int) -> Seed:
    """What tiles from the start of the week that holds `stop_ms`, the start of a minute, up to it."""
    scale = contracts.scale_of(connection, contract_id)
    never = {interval: absent.effective(connection, contract_id, interval) for interval in STORED}
    held: dict[tuple[Interval, int], Bar] = {}

    def is_held(interval: Interval, open_ms: int) -> bool:
        row = bar_reads.select_one(connection, contract_id, interval, open_ms // MINUTE_MS)
        if row is not None:
            held[interval, open_ms] = bar_rows.bar_of(row, scale)
        return row is not None

    def absent_at(interval: Interval, time_ms: int) -> Span | None:
        return next((span for span in never[interval] if span.start_ms <= time_ms < span.stop_ms), None)

    tiles, holes = tile(Span(WEEK.floor(stop_ms), stop_ms), is_held, absent_at)
    return Seed([held[tile.interval, tile.open_ms] for tile in tiles], holes)


def missing_within(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, span: Span, summary: series.Series
) -> list[Span]:
    """The parts of a span that hold no closed bars of a series, whatever the exchange has; ascending.

    The summary tells most: outside it all is missing, and inside usually nothing.
    """
    covered = Span(summary.first_ms, interval.next_open(summary.last_ms))
    inside = span.intersect(covered)
    missing = list(subtract([span], [covered]))
    if summary.lacking(interval) and not inside.is_empty:
        missing += _between(connection, contract_id, interval, inside)
    return sorted(missing)


def _between(connection: sqlite3.Connection, contract_id: int, interval: Interval, span: Span) -> list[Span]:
    length = bar_rows.minutes(interval)
    start, stop = span.start_ms // MINUTE_MS, span.stop_ms // MINUTE_MS
    inside = {"contract_id": contract_id, "length": length, "start": start, "stop": stop}
    count, first = connection.execute(f"SELECT count(*), min(open_minute) FROM bar WHERE {_INSIDE}", inside).fetchone()
    if count * length == stop - start:
        return []
    if not count:
        return [span]
    jumps = connection.execute(
        f"""SELECT expected, next FROM (
            SELECT open_minute + :length AS expected, lead(open_minute, 1, :stop) OVER (ORDER BY open_minute) AS next
            FROM bar WHERE {_INSIDE}
        ) WHERE expected < next""",
        inside,
    )
    return [
        Span(hole_start * MINUTE_MS, hole_stop * MINUTE_MS)
        for hole_start, hole_stop in chain([(start, first)], jumps)
        if hole_start < hole_stop
    ]
