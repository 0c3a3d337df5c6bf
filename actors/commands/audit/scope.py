"""What an audit looks at: the spans of each contract, and the windows in which they are judged. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bars import WEEK, Bar, ContractKey, Interval, Span, stored_source
from storage import ContractRecord, SeriesSummary
from wire.requests import PAGE_BARS

WINDOW_BARS = 20 * PAGE_BARS
"""How many of the smallest bars are judged at once: enough for whole pages, little enough for memory."""


class AuditOptions(NamedTuple):
    """What to compare: bars that lie wholly within [start_ms, stop_ms); None: from the first, up to the last stored."""

    intervals: tuple[Interval, ...]
    start_ms: int | None = None
    stop_ms: int | None = None
    repair: bool = False


@dataclass(slots=True, eq=False)
class Window:
    """A part of one contract's time that is judged at once."""

    record: ContractRecord
    spans: dict[Interval, Span]
    counted: frozenset[Interval]
    """The others only help to judge."""
    theirs: dict[Interval, list[Bar]] = field(default_factory=dict)
    unanswered: dict[Interval, str] = field(default_factory=dict)
    pages_left: int = 0


class Scope:
    """What there is to compare, of which contracts.

    Args:
        stored: what is held.
        served: whom the exchange's answers for a symbol are about.
        settled_ms: what ended later may still change.
    """

    def __init__(
        self,
        options: AuditOptions,
        stored: Sequence[SeriesSummary],
        served: Mapping[str, ContractKey],
        settled_ms: int,
    ) -> None:
        self._options = options
        self._stored = {(series.key, series.interval): series for series in stored}
        self._served = served
        self.settled_ms = settled_ms

    def is_served(self, record: ContractRecord) -> bool:
        """Whether the exchange's answers for the symbol are about this contract: a symbol may be used again."""
        return self._served[record.contract.symbol] == record.key

    def groups(self, record: ContractRecord) -> Iterator[tuple[dict[Interval, Span], frozenset[Interval]]]:
        """Spans by interval, and which of them are counted. Months nest nothing and in nothing but days: apart.

        Of a contract that the exchange does not serve, only what is stored.
        """
        wanted = set(self._options.intervals)
        wanted |= {stored_source(interval) for interval in wanted}
        if not self.is_served(record):
            wanted = {interval for interval in wanted if (record.key, stored_source(interval)) in self._stored}
        spans = {interval: self._span(record, interval) for interval in sorted(wanted, key=lambda one: one.span_ms)}
        spans = {interval: span for interval, span in spans.items() if not span.is_empty}
        weekly = {interval: span for interval, span in spans.items() if not interval.is_calendar}
        monthly = {interval: span for interval, span in spans.items() if interval.is_calendar}
        if weekly:
            yield weekly, frozenset(weekly)
        if monthly:
            days = {interval: span for interval, span in weekly.items() if interval in map(stored_source, monthly)}
            yield days | monthly, frozenset(monthly)

    def _span(self, record: ContractRecord, interval: Interval) -> Span:
        """The open times to compare, in whole buckets whose bars have long settled."""
        stored = self._stored.get((record.key, stored_source(interval)))
        start_ms, stop_ms = self._bounds(stored)
        listed_ms = interval.floor(record.contract.onboard_ms)
        start_ms = max(start_ms, listed_ms if stored is None else min(listed_ms, stored.first_ms))
        stop_ms = min(interval.floor(min(stop_ms, self.settled_ms)), interval.ceil(record.contract.delivery_ms))
        return Span(interval.ceil(start_ms), stop_ms)

    def _bounds(self, stored: SeriesSummary | None) -> tuple[int, int]:
        start_ms, stop_ms = self._options.start_ms, self._options.stop_ms
        if stored is None:
            return (0, 0) if start_ms is None else (start_ms, self.settled_ms if stop_ms is None else stop_ms)
        last_ms = stored.interval.next_open(stored.last_ms)
        return stored.first_ms if start_ms is None else start_ms, last_ms if stop_ms is None else stop_ms

    def windows(
        self, record: ContractRecord, spans: dict[Interval, Span], counted: frozenset[Interval]
    ) -> Iterator[Window]:
        """The parts in which a group of spans is judged, one after the other."""
        for window_span in _windows(spans):
            inside = {interval: span.intersect(window_span) for interval, span in spans.items()}
            yield Window(record, {one: span for one, span in inside.items() if not span.is_empty}, counted)


def _windows(spans: Mapping[Interval, Span]) -> Iterator[Span]:
    """Whole weeks, as many as hold `WINDOW_BARS` of the smallest interval there; all at once with months among them."""
    start_ms, stop_ms = min(span.start_ms for span in spans.values()), max(span.stop_ms for span in spans.values())
    if any(interval.is_calendar for interval in spans):
        yield Span(start_ms, stop_ms)
        return
    begins_ms = {interval: WEEK.floor(span.start_ms) for interval, span in spans.items()}
    start_ms = WEEK.floor(start_ms)
    while start_ms < stop_ms:
        smallest_ms = min(one.span_ms for one, begin_ms in begins_ms.items() if begin_ms <= start_ms)
        weeks = max(1, WINDOW_BARS * smallest_ms // WEEK.span_ms)
        ends_ms = [begin_ms for one, begin_ms in begins_ms.items() if begin_ms > start_ms and one.span_ms < smallest_ms]
        yield Span(start_ms, end_ms := min([start_ms + weeks * WEEK.span_ms, *ends_ms]))
        start_ms = end_ms
