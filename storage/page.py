"""A page of bars: which bars a request asks for, of stored intervals and of all others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain

from bars import MINUTE_MS, Interval, Span, stored_source
from bars.gaps import merge
from storage import absent, bar_reads, bar_rows, contracts, in_progress, series
from storage.changes import Origin
from storage.derived import Derivation
from storage.records import ContractRecord, StoredBar

TIME_MS_MAX = 253_370_764_800_000
"""The year 9999: no bar opens later, and no calendar reaches further."""


class Page:
    """The bars of one series that open from `start_ms` to `end_ms`, both inclusive, at most `limit`.

    The first ones where there is a start, else the newest ones. Good for one read transaction: the scale, the
    closed bars and the bar in progress must be of the same moment.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        record: ContractRecord,
        interval: Interval,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> None:
        self._connection = connection
        self._record = record
        self._interval = interval
        self._newest = start_ms is None
        self._start_ms = min(max(start_ms or 0, 0), TIME_MS_MAX)
        self._end_ms = TIME_MS_MAX if end_ms is None else min(end_ms, TIME_MS_MAX)
        self._limit = limit
        self._scale = contracts.scale_of(connection, record.id)

    def stored(self) -> list[StoredBar]:
        """The bars of a stored interval."""
        partial = self._partial()
        rows = bar_reads.select(
            self._connection,
            self._record.id,
            self._interval,
            *self._span_minutes(),
            newest_first=self._newest,
            limit=self._room(partial),
        )
        closed = [self._closed(row) for row in rows]
        if self._newest:
            closed.reverse()
        return closed + ([self._in_progress(partial)] if partial and len(closed) < self._limit else [])

    def stored_json(self) -> str:
        """The bars of a stored interval as the exchange's array of rows."""
        partial = self._partial()
        count, rows = bar_reads.page_json(
            self._connection,
            self._record.id,
            self._interval,
            self._scale,
            self._span_minutes(),
            newest=self._newest,
            limit=self._room(partial),
        )
        if not partial or count >= self._limit:
            return f"[{rows}]"
        last = in_progress.row_text(self._connection, self._record.id, self._interval, self._scale)
        return f"[{rows},{last}]" if rows else f"[{last}]"

    def derived(self) -> list[StoredBar]:
        """The bars of an interval that is not stored."""
        source = stored_source(self._interval)
        summary = series.get(self._connection, self._record.id, source)
        partial = in_progress.select(self._connection, self._record.id, source)
        if summary is None and partial is None:
            return []
        newest_ms = partial[0] * MINUTE_MS if partial else summary.last_ms if summary else 0
        edge_ms = newest_ms if partial else source.next_open(newest_ms)
        if self._start_ms > newest_ms or self._end_ms < 0:
            return []
        span = Span(
            self._interval.ceil(self._start_ms) if self._start_ms else 0,
            self._interval.next_open(min(self._end_ms, newest_ms)),
        )
        never = [
            *absent.effective(self._connection, self._record.id, source),
            Span(self._record.contract.delivery_ms, TIME_MS_MAX),
        ]
        derivation = Derivation(self._interval, source, merge(never), newest_ms, edge_ms)
        parts = self._parts(source, span, partial)
        return derivation.bars(parts, descending=self._newest, limit=self._limit)

    def _parts(self, source: Interval, span: Span, partial: bar_rows.Row | None) -> Iterator[StoredBar]:
        rows = bar_reads.select(
            self._connection,
            self._record.id,
            source,
            span.start_ms // MINUTE_MS,
            span.stop_ms // MINUTE_MS,
            newest_first=self._newest,
        )
        closed = map(self._closed, rows)
        inside = partial is not None and span.start_ms <= partial[0] * MINUTE_MS < span.stop_ms
        last = [self._in_progress(partial)] if partial and inside else []
        return chain(last, closed) if self._newest else chain(closed, last)

    def _span_minutes(self) -> tuple[int, int]:
        return -(-self._start_ms // MINUTE_MS), self._end_ms // MINUTE_MS + 1

    def _partial(self) -> bar_rows.Row | None:
        partial = in_progress.select(self._connection, self._record.id, self._interval)
        if partial is None or not self._start_ms <= partial[0] * MINUTE_MS <= self._end_ms:
            return None
        return partial

    def _room(self, partial: bar_rows.Row | None) -> int:
        """How many closed bars to take: of the newest, the one in progress is one."""
        return self._limit - 1 if partial and self._newest else self._limit

    def _closed(self, row: Sequence[int]) -> StoredBar:
        mark = row[-1]
        origin = Origin(mark & bar_rows.ORIGIN_BITS)
        return StoredBar(bar_rows.bar_of(row, self._scale), True, origin, bool(mark & bar_rows.VERIFIED))

    def _in_progress(self, row: Sequence[int]) -> StoredBar:
        return StoredBar(bar_rows.bar_of(row, self._scale), False, Origin.STREAM, False)
