"""Bars of intervals that are not stored, from the bars of one that is. Pure.

A bucket yields a bar when none of its parts is missing, or, being in progress, none up to now. Parts that
the exchange does not have, or that would open after the contract's end, are not missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

from bars import Interval, Span, aggregate
from bars.gaps import missing, subtract
from storage.changes import Origin
from storage.records import StoredBar


class Derivation:
    """How bars of `interval` come from those of `source`.

    Args:
        absent: spans of open times in which `source` has no bars, ascending.
        newest_ms: the newest bar's open time, closed or not.
        edge_ms: the newest bar's open time if it is in progress, else its end: what opens later cannot be held yet.
    """

    def __init__(
        self, interval: Interval, source: Interval, absent: Sequence[Span], newest_ms: int, edge_ms: int
    ) -> None:
        self._interval = interval
        self._source = source
        self._absent = absent
        self._edge_ms = edge_ms
        self._newest_bucket_ms = interval.floor(newest_ms)

    def bars(self, parts: Iterable[StoredBar], *, descending: bool, limit: int) -> list[StoredBar]:
        """The first `limit` bars that `parts` yield, read no further than needed; ascending.

        With `descending`, parts come newest first, and the newest bars are taken.
        """
        taken = list(islice(self._all(parts, descending), limit))
        return taken[::-1] if descending else taken

    def _all(self, parts: Iterable[StoredBar], descending: bool) -> Iterator[StoredBar]:
        for open_ms, group in groupby(parts, lambda part: self._interval.floor(part.bar.open_ms)):
            bucket = list(group)
            bar = self._bar(open_ms, bucket[::-1] if descending else bucket)
            if bar is not None:
                yield bar

    def _bar(self, open_ms: int, parts: Sequence[StoredBar]) -> StoredBar | None:
        whole = Span(open_ms, self._interval.next_open(open_ms))
        closed = parts[-1].closed and not self._lacks(parts, whole)
        if not closed:
            held = Span(open_ms, min(self._edge_ms, whole.stop_ms))
            if open_ms != self._newest_bucket_ms or self._lacks(parts, held):
                return None
        bar = aggregate([part.bar for part in parts], open_ms)
        return StoredBar(bar, closed, Origin.AGGREGATED, all(part.verified for part in parts))

    def _lacks(self, parts: Sequence[StoredBar], span: Span) -> bool:
        opens_ms = [part.bar.open_ms for part in parts if part.bar.open_ms < span.stop_ms]
        if len(opens_ms) == self._source.count(*span):
            return False
        holes = missing(opens_ms, span, self._source)
        return any(True for _ in subtract(holes, self._absent))
