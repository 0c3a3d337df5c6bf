"""Bars as they stood at the close of a past minute, from what is stored now.

Every bar of a bucket that had ended by then is its closed bar. The bucket that was in progress is put together from
the largest stored bars that had ended by then, down to single minutes: nothing later has a part in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bars import MINUTE, MINUTE_MS, STORED, Interval, Span, aggregate, stored_source
from bars.gaps import Hole, Tile, tile
from storage import absent, bar_reads, bar_rows, contracts
from storage.changes import Origin
from storage.page import Page
from storage.records import BarsAsOf, ContractRecord, StoredBar


def bars_as_of(
    connection: sqlite3.Connection,
    record: ContractRecord,
    interval: Interval,
    edge_ms: int,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    lacking: Sequence[Hole],
) -> BarsAsOf:
    """The bars that open from `start_ms` to `end_ms`, both inclusive, as they stood at `edge_ms`.

    Args:
        edge_ms: a minute's end: the minutes before it were over, and no other.
        limit: at most so many: the first ones where there is a start, else the newest ones.
        lacking: what the exchange was found not to have.
    """
    open_ms = interval.floor(edge_ms)
    stop_ms = min(edge_ms, MINUTE.ceil(record.contract.delivery_ms))
    in_bounds = (start_ms or 0) <= open_ms < stop_ms and (end_ms is None or open_ms <= end_ms)
    partial, holes = None, list[Hole]()
    if in_bounds:
        partial, holes = _in_progress(connection, record, interval, Span(open_ms, stop_ms), lacking)
    room = limit - 1 if start_ms is None and (partial is not None or holes) else limit
    last_ms = open_ms - 1 if end_ms is None else min(end_ms, open_ms - 1)
    closed = _closed(connection, record, interval, start_ms, last_ms, room)
    return BarsAsOf(closed, partial, holes) if len(closed) < limit else BarsAsOf(closed, None, [])


def _closed(
    connection: sqlite3.Connection,
    record: ContractRecord,
    interval: Interval,
    start_ms: int | None,
    last_ms: int,
    limit: int,
) -> list[StoredBar]:
    # While the newest closed bars are not stored yet, one that was over then may still be in progress here.
    page = Page(connection, record, interval, start_ms, last_ms, limit + 1)
    bars = [stored for stored in (page.stored() if interval in STORED else page.derived()) if stored.closed]
    return bars[:limit] if start_ms is not None else bars[max(0, len(bars) - limit) :]


def _in_progress(
    connection: sqlite3.Connection,
    record: ContractRecord,
    interval: Interval,
    span: Span,
    lacking: Sequence[Hole],
) -> tuple[StoredBar | None, list[Hole]]:
    """The bar of a span that begins a bucket and does not end it; without one, what of it is not held, if anything."""
    source = stored_source(interval)
    never = {
        smaller: [
            *absent.effective(connection, record.id, smaller),
            *(hole.span for hole in lacking if hole.interval is smaller),
        ]
        for smaller in STORED
    }
    scale = contracts.scale_of(connection, record.id)
    held: dict[Tile, bar_rows.Row] = {}

    def is_held(smaller: Interval, open_ms: int) -> bool:
        row = bar_reads.select_one(connection, record.id, smaller, open_ms // MINUTE_MS)
        if row is not None:
            held[Tile(smaller, open_ms)] = row
        return row is not None

    def absent_at(smaller: Interval, time_ms: int) -> Span | None:
        return next((span for span in never[smaller] if span.start_ms <= time_ms < span.stop_ms), None)

    tiles, holes = tile(span, is_held, absent_at, largest=source)
    if holes or not tiles:
        return None, holes
    rows = [held[one] for one in tiles]
    bars = [bar_rows.bar_of(row, scale) for row in rows]
    verified = all(row[-1] & bar_rows.VERIFIED for row in rows)
    return StoredBar(aggregate(bars, span.start_ms), False, Origin.AGGREGATED, verified), []
