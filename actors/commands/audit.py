"""Compares stored bars with the exchange's over REST, and mends them on request. No actor: it runs and ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actors.commands.asking import Asking, Question
from actors.commands.audit_report import AuditReport, SeriesReport
from actors.commands.pauses import found_pauses
from actors.selection import expect_order, records
from actors.settings import Settings
from bars import STORED, WEEK, Bar, ContractKey, Interval, Patience, Span, stored_source
from bars.comparison import Verdict, judge
from bars.coverage import absences
from bars.gaps import merge, pages
from exchange import ExchangeError, RestClient, proxy_for, trusting_context
from storage import BarStore, ClosedBars, ContractRecord, Origin, Reader, SeriesSummary
from wire.exchange_info import ExchangeInfo
from wire.requests import PAGE_BARS, klines_weight, page_request

WINDOW_BARS = 20 * PAGE_BARS
"""So many of the smallest bars are judged at once: enough for whole pages, little enough for memory."""

ANOTHER_CONTRACT = "the exchange serves the contract that has this symbol now, and not this one"

Progress = Callable[[Callable[[], Mapping[str, Any]]], None]


class AuditOptions(NamedTuple):
    """What to compare: bars that lie wholly within [start_ms, stop_ms); None: from the first, up to the last stored."""

    intervals: tuple[Interval, ...]
    start_ms: int | None = None
    stop_ms: int | None = None
    repair: bool = False


def run_audit(settings: Settings, options: AuditOptions, progress: Progress) -> AuditReport:
    """Compare, and with `repair` mend; `progress` is called often with a way to learn how far it is.

    Raises:
        BadOption: a symbol that is not stored, or a span the wrong way round.
        DatabaseInUse: `repair` while a service writes to the same file.
        DatabaseUnusable, DatabaseNewer
        ExchangeError: the exchange cannot be reached, or not from here.
    """
    expect_order(options.start_ms, options.stop_ms)
    rest_proxy = proxy_for(settings.rest_url, settings.proxy, os.environ)
    with ExitStack() as parts:
        reader = parts.enter_context(closing(Reader(settings.database)))
        store = parts.enter_context(closing(BarStore.open(settings.database))) if options.repair else None
        chosen = records(reader, settings.symbols)
        tls = trusting_context()
        asking = Asking(lambda: RestClient(settings.rest_url, rest_proxy, tls=tls), settings.weight_share)
        parts.enter_context(asking)
        info: ExchangeInfo = asking.answer(Question(RestClient.exchange_info, weight=1))
        asking.set_limit(info.weight_per_minute)
        served = {contract.symbol: contract.key for contract in info.contracts}
        return _Audit(options, reader, store, asking, chosen, served).run(progress)


@dataclass(slots=True, eq=False)
class _Window:
    """A part of one contract's time that is judged at once."""

    record: ContractRecord
    spans: dict[Interval, Span]
    counted: frozenset[Interval]
    """The others only help to judge."""
    theirs: dict[Interval, list[Bar]] = field(default_factory=dict)
    unanswered: dict[Interval, str] = field(default_factory=dict)
    pages_left: int = 0


class _Audit:
    def __init__(
        self,
        options: AuditOptions,
        reader: Reader,
        store: BarStore | None,
        asking: Asking,
        chosen: list[ContractRecord],
        served: Mapping[str, ContractKey],
    ) -> None:
        self._options = options
        self._reader = reader
        self._store = store
        self._asking = asking
        self._settled_ms = asking.observed_ms - Patience().settle_ms
        self._records = chosen
        newest = {record.contract.symbol: record.key for record in chosen}
        self._served = newest | dict(served)
        self._stored = {(series.key, series.interval): series for series in reader.series()}
        self._report = AuditReport(repaired=store is not None)
        self._bars_done = 0
        self._started_s = time.monotonic()

    def run(self, progress: Progress) -> AuditReport:
        windows = [(record, spans) for record in self._records for spans in self._groups(record)]
        for record, (spans, counted) in windows:
            for interval in (one for one in spans if one in counted):
                self._report.add(SeriesReport(record.key, interval, spans[interval]))
        for record, group in windows:
            if not self._is_served(record):
                self._judge_alone(record, *group)
        windows = [window for window in windows if self._is_served(window[0])]
        bars_total = sum(interval.count(*span) for _, (spans, _) in windows for interval, span in spans.items())
        questions = (question for record, group in windows for question in self._questions(record, *group))
        for question, answer in self._asking.answers(questions):
            window, interval, page = question.ticket
            self._take(window, interval, page, answer)
            progress(lambda: self._facts(bars_total))
        for pause in self._pauses():
            self._report.paused(pause)
        return self._report

    def _is_served(self, record: ContractRecord) -> bool:
        """Whether the exchange's answers for the symbol are about this contract: a symbol may be used again."""
        return self._served[record.contract.symbol] == record.key

    def _pauses(self) -> list[Span]:
        spans = self._report.spans()
        if not spans:
            return []
        whole = Span(min(span.start_ms for span in spans), max(span.stop_ms for span in spans))
        return merge(pause for _, found in found_pauses(self._reader, whole) for pause in found)

    def _facts(self, bars_total: int) -> dict[str, Any]:
        seconds = time.monotonic() - self._started_s
        left = seconds * (bars_total - self._bars_done) / max(self._bars_done, 1)
        return {"bars_done": self._bars_done, "bars_total": bars_total, "seconds_left": left}

    # --- what to ask

    def _groups(self, record: ContractRecord) -> Iterator[tuple[dict[Interval, Span], frozenset[Interval]]]:
        """Spans by interval, and which of them are counted. Months nest nothing and in nothing but days: apart.

        Of a contract that the exchange does not serve, only what is stored.
        """
        wanted = set(self._options.intervals)
        wanted |= {stored_source(interval) for interval in wanted}
        if not self._is_served(record):
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
        stop_ms = min(interval.floor(min(stop_ms, self._settled_ms)), interval.ceil(record.contract.delivery_ms))
        return Span(interval.ceil(start_ms), stop_ms)

    def _bounds(self, stored: SeriesSummary | None) -> tuple[int, int]:
        start_ms, stop_ms = self._options.start_ms, self._options.stop_ms
        if stored is None:
            return (0, 0) if start_ms is None else (start_ms, self._settled_ms if stop_ms is None else stop_ms)
        last_ms = stored.interval.next_open(stored.last_ms)
        return stored.first_ms if start_ms is None else start_ms, last_ms if stop_ms is None else stop_ms

    def _windows(
        self, record: ContractRecord, spans: dict[Interval, Span], counted: frozenset[Interval]
    ) -> Iterator[_Window]:
        for window_span in _windows(spans):
            inside = {interval: span.intersect(window_span) for interval, span in spans.items()}
            yield _Window(record, {one: span for one, span in inside.items() if not span.is_empty}, counted)

    def _judge_alone(self, record: ContractRecord, spans: dict[Interval, Span], counted: frozenset[Interval]) -> None:
        """Compare with sums only."""
        for window in self._windows(record, spans, counted):
            window.unanswered = dict.fromkeys(window.spans, ANOTHER_CONTRACT)
            self._judge(window)

    def _questions(
        self, record: ContractRecord, spans: dict[Interval, Span], counted: frozenset[Interval]
    ) -> Iterator[Question]:
        for window in self._windows(record, spans, counted):
            spans_of = window.spans.items()
            asked = [(interval, page) for interval, span in spans_of for page in pages(span, interval, PAGE_BARS)]
            window.pages_left = len(asked)
            for interval, page in asked:
                yield self._question(window, interval, page)

    def _question(self, window: _Window, interval: Interval, page: Span) -> Question:
        request = page_request(window.record.contract.symbol, interval, page)
        scale = window.record.scale
        return Question(
            lambda client: client.klines(request, scale), klines_weight(request.limit), (window, interval, page)
        )

    # --- what came of it

    def _take(self, window: _Window, interval: Interval, page: Span, answer: Any) -> None:
        if isinstance(answer, ExchangeError):
            window.unanswered[interval] = str(answer)
        else:
            window.theirs.setdefault(interval, []).extend(answer)
        self._bars_done += interval.count(*page)
        window.pages_left -= 1
        if not window.pages_left:
            self._judge(window)

    def _judge(self, window: _Window) -> None:
        for interval in window.unanswered:
            window.theirs.pop(interval, None)
        for bars in window.theirs.values():
            bars.sort()
        verdicts = self._verdicts(window)
        left = verdicts
        if self._store is not None and self._mend(self._store, window, verdicts):
            left = self._verdicts(window)
        for interval in (one for one in window.spans if one in window.counted):
            series = self._report.series(window.record.key, interval)
            error = window.unanswered.get(interval)
            if error is not None:
                is_over = window.record.contract.delivery_ms <= self._settled_ms or error == ANOTHER_CONTRACT
                series.unanswered(window.spans[interval], error, is_fault=not is_over)
            series.take(verdicts[interval], left[interval])

    def _verdicts(self, window: _Window) -> dict[Interval, Verdict]:
        ours = {interval: self._held(window.record, interval, span) for interval, span in window.spans.items()}
        summed = [interval for interval in STORED if interval in window.spans]
        return judge(ours, window.theirs, summed)

    def _held(self, record: ContractRecord, interval: Interval, span: Span) -> list[Bar]:
        limit = interval.count(*span) + 1
        page = self._reader.bars(record, interval, start_ms=span.start_ms, end_ms=span.stop_ms - 1, limit=limit)
        return [stored.bar for stored in page if stored.closed]

    def _mend(self, store: BarStore, window: _Window, verdicts: Mapping[Interval, Verdict]) -> bool:
        """Store the exchange's bars where ours differ or are missing and are no better; whether there was anything."""
        changes = []
        for interval in (interval for interval in STORED if interval in window.theirs):
            verdict, theirs = verdicts[interval], window.theirs[interval]
            bars = [one.theirs for one in (*verdict.different, *verdict.disputed) if not one.is_better_here]
            bars += verdict.missing_here
            absent = absences(
                window.spans[interval], theirs, interval, window.record.contract.onboard_ms, self._asking.observed_ms
            )
            if bars or absent:
                key = window.record.key
                changes.append(ClosedBars(key, interval, bars, Origin.REST, verified=True, absent=absent))
        if changes:
            store.commit(changes, durable=True)
        return bool(changes)


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
