"""The ledger of gaps: every span without bars of what is kept, and why; derived where it can be.

Of what is older than the depth of history that is wanted only holes are told that somebody found; nothing is told of
buckets that ended just now.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bars import MINUTE, MINUTE_MS, STORED, Interval, Span
from bars.gaps import merge, subtract
from bars.history import Depth, worth_filling
from bars.ledger import Facts, Noted, Reason, decide
from storage import absent, bar_rows, contracts, gap_rows, holes, series
from storage.records import ContractRecord, Gap

LATE_MS = 3 * MINUTE_MS
"""How long a closed bar may take to come: its final, or the answer of REST, and a commit."""

_Held = Mapping[tuple[int, int], series.Series]
_Spans = Mapping[tuple[int, int], Sequence[Span]]


def gaps(connection: sqlite3.Connection, now_ms: int, depths: Mapping[Interval, Depth] | None) -> list[Gap]:
    """All gaps at `now_ms`, by symbol, contract, interval and time.

    Args:
        depths: how much history is wanted; None when that is not known: then from the first bar of a series on.
    """
    held: dict[tuple[int, int], series.Series] = {}
    for contract_id, minutes, *counts in connection.execute(
        "SELECT contract_id, interval, first_ms, last_ms, bars FROM series"
    ):
        held[contract_id, minutes] = series.Series(*counts)
    without: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for contract_id, minutes, start_ms, stop_ms in connection.execute(
        "SELECT contract_id, interval, start_ms, stop_ms FROM absent ORDER BY start_ms"
    ):
        without[contract_id, minutes].append(Span(start_ms, stop_ms))
    kept = {contract_id for contract_id, _ in held}
    noted = gap_rows.every(connection)
    found: list[Gap] = []
    records = contracts.every(connection)
    symbols = ["", *(record.contract.symbol for record in records), ""]
    for before, record, after in zip(symbols, records, symbols[2:], strict=False):
        if record.id not in kept:
            continue
        ledger = _OfContract(
            connection,
            record,
            held,
            without,
            noted,
            now_ms,
            absent.listing_ms(connection, record.id),
            has_older=before == record.contract.symbol,
            has_newer=after == record.contract.symbol,
        )
        for interval in STORED:
            found += ledger.of(interval, None if depths is None else depths[interval])
    return found


@dataclass(frozen=True, slots=True)
class _OfContract:
    connection: sqlite3.Connection
    record: ContractRecord
    held: _Held
    without: _Spans
    noted: Mapping[tuple[int, int], Sequence[Noted]]
    now_ms: int
    listing_ms: int
    """Before when the contract is known to have had no bars; 0 when that is not known."""
    has_older: bool
    """Whether the symbol belonged to another contract before."""
    has_newer: bool

    def of(self, interval: Interval, depth: Depth | None) -> Iterator[Gap]:
        summary = self.held.get((self.record.id, bar_rows.minutes(interval)))
        if summary is None and (depth is None or depth.length_ms == 0):
            return
        end_ms = interval.floor(self.now_ms)
        delivered_ms = interval.ceil(self.record.contract.delivery_ms)
        start_ms = summary.first_ms if summary else end_ms
        if depth is not None:
            start_ms = min(start_ms, interval.ceil(depth.start_ms(self.now_ms, interval)))
        start_ms = min([start_ms, *(span.start_ms for span in self._found(interval))])
        listing_ms = interval.floor(self.listing_ms)
        yield from self._unlisted(interval, Span(start_ms, listing_ms))
        stop_ms = min(interval.floor(self.now_ms - LATE_MS), delivered_ms)
        if not _is_whole(summary, interval, Span(max(start_ms, listing_ms), stop_ms)):
            wanted_ms = start_ms if depth is None else depth.start_ms(self.now_ms, interval)
            yield from self._holes(interval, Span(start_ms, stop_ms), wanted_ms)
        if summary is not None:
            yield from self._pauses(interval, summary)
        if delivered_ms < end_ms:
            facts = Facts(after_delivery=True, of_another_contract=self.has_newer)
            yield self._gap(interval, Span(delivered_ms, end_ms), facts, self.record.contract.delivery_ms)

    def _unlisted(self, interval: Interval, before: Span) -> Iterator[Gap]:
        own = self.without.get((self.record.id, bar_rows.minutes(interval)), ())
        if not before.is_empty:
            facts = Facts(before_listing=True, of_another_contract=self.has_older)
            yield self._gap(interval, before, facts, before.stop_ms)
        for span in subtract(own, [Span(0, max(before))]):
            yield from self._cut(interval, span, exchange_has_none=True)

    def _holes(self, interval: Interval, span: Span, wanted_ms: int) -> Iterator[Gap]:
        if span.is_empty:
            return
        for hole in holes.find(self.connection, self.record.id, interval, span):
            wanted = worth_filling(hole, interval, wanted_ms)
            for part in merge([wanted, *(span.intersect(hole) for span in self._found(interval))]):
                yield from self._cut(interval, part, exchange_has_none=False)

    def _pauses(self, interval: Interval, summary: series.Series) -> Iterator[Gap]:
        """Whole buckets of the pauses whose bars are there, empty ones."""
        held = Span(summary.first_ms, interval.next_open(summary.last_ms))
        for noted in self.market:
            inside = noted.span.intersect(held)
            whole = Span(interval.ceil(inside.start_ms), interval.floor(inside.stop_ms))
            if noted.reason is not Reason.PAUSE or whole.is_empty:
                continue
            lacking = holes.missing_within(self.connection, self.record.id, interval, whole, summary)
            for part in subtract([whole], lacking):
                yield self._gap(interval, part, Facts(is_pause=True), noted.since_ms)

    def _cut(self, interval: Interval, span: Span, *, exchange_has_none: bool) -> Iterator[Gap]:
        """A hole, cut where what is known of it changes."""
        parts = [span]
        for noted in self._own(interval):
            inside = noted.span.intersect(span)
            if inside.is_empty:
                continue
            parts = list(subtract(parts, [inside]))
            facts = Facts(exchange_has_none=exchange_has_none, noted=noted.reason, asked=noted.asked)
            yield self._gap(interval, inside, facts, noted.since_ms)
        for part in parts:
            facts = Facts(
                is_pause=any(one.reason is Reason.PAUSE and _covers(one.span, part) for one in self.market),
                exchange_has_none=exchange_has_none,
                in_downtime=any(
                    one.reason is Reason.DOWNTIME and not one.span.intersect(part).is_empty for one in self.market
                ),
            )
            yield self._gap(interval, part, facts, part.start_ms)

    @property
    def market(self) -> Sequence[Noted]:
        """What is so for all contracts."""
        return self.noted.get((gap_rows.EVERY_CONTRACT, bar_rows.minutes(MINUTE)), ())

    def _own(self, interval: Interval) -> Sequence[Noted]:
        return self.noted.get((self.record.id, bar_rows.minutes(interval)), ())

    def _found(self, interval: Interval) -> list[Span]:
        """The holes of which somebody knows why they are."""
        return [noted.span for noted in self._own(interval) if noted.reason is not None]

    def _gap(self, interval: Interval, span: Span, facts: Facts, since_ms: int) -> Gap:
        return Gap(self.record.key, interval, span, *decide(facts), since_ms)


def _is_whole(summary: series.Series | None, interval: Interval, span: Span) -> bool:
    """Whether by its summary alone a series has no hole in the span: so it is nearly always."""
    if summary is None or summary.lacking(interval):
        return span.is_empty
    return span.is_empty or (summary.first_ms <= span.start_ms and span.stop_ms <= interval.next_open(summary.last_ms))


def _covers(pause: Span, part: Span) -> bool:
    return pause.start_ms <= part.start_ms and part.stop_ms <= pause.stop_ms
