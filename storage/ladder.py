"""Smaller closed bars that make up a whole larger one yield it: 1m, 5m, 30m, 4h, 1d, 1w.

So a backfill of minutes alone answers every interval, and what restarts finds the larger bars made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from bars import MINUTE_MS, STORED, Bar, Interval, Scale, Span, aggregate
from bars.gaps import missing, subtract
from storage import absent, bar_reads, bar_rows
from storage.changes import Origin

Store = Callable[[Interval, Sequence[Bar]], None]


class Ladder:
    """The larger bars of one contract that one commit completes.

    Times in here are minutes since the epoch.
    """

    def __init__(self) -> None:
        self._touched: dict[Interval, set[int]] = {interval: set() for interval in STORED}
        self._fresh: dict[Interval, dict[int, Bar]] = {interval: {} for interval in STORED}

    def arrived(self, interval: Interval, bars: Iterable[Bar], *, as_given: bool) -> None:
        """Note bars that were stored; `as_given` when all of them are in the database just so."""
        by_minute = {bar.open_ms // MINUTE_MS: bar for bar in bars}
        self._touched[interval].update(by_minute)
        if as_given:
            self._fresh[interval].update(by_minute)
        else:
            self.read_again(interval, by_minute)

    def look_at(self, interval: Interval, span: Span) -> None:
        """Note all bars that may be stored in a half-open span of open times."""
        start, stop = interval.ceil(span.start_ms) // MINUTE_MS, span.stop_ms // MINUTE_MS
        self._touched[interval].update(range(start, stop, bar_rows.minutes(interval)))

    def read_again(self, interval: Interval, open_minutes: Iterable[int]) -> None:
        """Trust only the database for bars that may differ there from what was noted before."""
        for open_minute in open_minutes:
            self._fresh[interval].pop(open_minute, None)

    def revised(self, bars: Iterable[Bar]) -> None:
        """Note bars that came in the place of others: whatever was made of those, at any level, is looked at.

        Between two bars that were made here there may be one of the exchange's own, which stays.
        """
        times = {bar.open_ms // MINUTE_MS for bar in bars}
        for touched in self._touched.values():
            touched.update(times)

    def listed(self, listing_ms: int) -> None:
        """Note when the contract was listed: bars around that time may now be whole."""
        for interval in STORED:
            self._touched[interval].add(interval.floor(listing_ms) // MINUTE_MS)

    def climb(
        self,
        connection: sqlite3.Connection,
        contract_id: int,
        scale: Scale,
        listing_ms: int,
        delivery_ms: int,
        store: Store,
    ) -> Iterator[tuple[Interval, Bar]]:
        """Make the larger bars, from the smallest interval up; `store` is called with those of each interval.

        A bar is made when all its parts are stored, or all since the listing, and when there is none, or one that
        was made from parts that have changed since, or one of REST that is not verified. One that is there is made
        anew also when it lacks only parts from the delivery on, for it was made before that was known, or such as the
        exchange does not have.

        Raises:
            UnitsOverflow: a sum does not fit 63 bits.
        """
        for smaller, larger in pairwise(STORED):
            made: list[Bar] = []
            for first, last in _runs(_buckets(larger, self._touched[smaller]), bar_rows.minutes(larger)):
                stored = _stored(connection, contract_id, larger, first, last, scale)
                wanted = [at for at in range(first, last + 1, bar_rows.minutes(larger)) if _may_be_made(stored.get(at))]
                parts = self._parts(connection, contract_id, smaller, larger, wanted, scale)
                for at in wanted:
                    start, stop = max(at, smaller.floor(listing_ms) // MINUTE_MS), at + bar_rows.minutes(larger)
                    if at in stored:
                        stop = min(stop, smaller.ceil(delivery_ms) // MINUTE_MS)
                    is_whole = _is_whole(parts[at], smaller, start, stop)
                    if not is_whole and at in stored and parts[at]:
                        never = absent.recorded(connection, contract_id, smaller)
                        is_whole = _lacks_only(never, parts[at], smaller, Span(start * MINUTE_MS, stop * MINUTE_MS))
                    if is_whole:
                        bar = aggregate(parts[at], at * MINUTE_MS)
                        if at not in stored or stored[at][0] != bar:
                            made.append(bar)
            if made:
                store(larger, made)
                self.arrived(larger, made, as_given=True)
                yield from ((larger, bar) for bar in made)

    def _parts(
        self,
        connection: sqlite3.Connection,
        contract_id: int,
        smaller: Interval,
        larger: Interval,
        wanted: Sequence[int],
        scale: Scale,
    ) -> dict[int, list[Bar]]:
        """The stored parts of each wanted bar; those that this commit brought whole are not read again."""
        length, step, fresh = bar_rows.minutes(larger), bar_rows.minutes(smaller), self._fresh[smaller]
        parts = {at: [fresh[part] for part in range(at, at + length, step) if part in fresh] for at in wanted}
        lacking = [at for at in wanted if len(parts[at]) * step < length]
        for first, last in _runs(lacking, length):
            for at in range(first, last + 1, length):
                parts[at] = []
            for row in bar_reads.select(connection, contract_id, smaller, first, last + length):
                parts[row[0] - (row[0] - first) % length].append(bar_rows.bar_of(row, scale))
        return parts


_Stored = tuple[Bar, int]
"""A bar and its mark."""


def _stored(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, first: int, last: int, scale: Scale
) -> dict[int, _Stored]:
    rows = bar_reads.select(connection, contract_id, interval, first, last + 1)
    return {row[0]: (bar_rows.bar_of(row, scale), row[-1]) for row in rows}


def _may_be_made(stored: _Stored | None) -> bool:
    """Whether it is not there, was made here, or is what REST told right after its end, when it may have moved."""
    return stored is None or stored[1] in (Origin.AGGREGATED, Origin.REST)


def _is_whole(parts: Sequence[Bar], smaller: Interval, start: int, stop: int) -> bool:
    """Whether there are parts, and all that open from `start` on and before `stop`."""
    return bool(parts) and len(parts) >= (stop - start) // bar_rows.minutes(smaller)


def _lacks_only(never: Sequence[Span], parts: Sequence[Bar], smaller: Interval, span: Span) -> bool:
    """Whether all parts that are missing in a span are such as the exchange does not have."""
    return not any(True for _ in subtract(missing((bar.open_ms for bar in parts), span, smaller), never))


def _buckets(interval: Interval, times: Iterable[int]) -> set[int]:
    """The starts of the buckets that hold these times."""
    anchor, length = interval.anchor_ms // MINUTE_MS, bar_rows.minutes(interval)
    return {at - (at - anchor) % length for at in times}


def _runs(starts: Iterable[int], length: int) -> Iterator[tuple[int, int]]:
    """Bucket starts as runs of neighbours: the first and the last start of each, ascending."""
    first = last = None
    for start in sorted(starts):
        if first is None or last is None:
            first = last = start
        elif start == last + length:
            last = start
        else:
            yield first, last
            first = last = start
    if first is not None and last is not None:
        yield first, last
