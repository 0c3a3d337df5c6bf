"""Compares stored bars with the exchange's over REST, and mends them on request. No actor: it runs and ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

from actors.commands.asking import Asking, Question
from actors.commands.audit.report import AuditReport, SeriesReport
from actors.commands.audit.scope import AuditOptions, Scope, Window
from actors.commands.pauses import found_pauses
from actors.selection import expect_order, records
from actors.settings import Settings
from bars import STORED, Bar, ContractKey, Interval, Patience, Span
from bars.comparison import Verdict, judge
from bars.coverage import absences
from bars.gaps import merge, pages
from exchange import ExchangeError, RestClient, proxy_for, trusting_context
from storage import BarStore, Change, ContractRecord, Reader, bars_of_rest
from wire.exchange_info import ExchangeInfo
from wire.requests import PAGE_BARS, klines_weight, page_request

ANOTHER_CONTRACT = "the exchange serves the contract that has this symbol now, and not this one"

Progress = Callable[[Callable[[], Mapping[str, Any]]], None]


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
        self._reader = reader
        self._store = store
        self._asking = asking
        self._records = chosen
        newest = {record.contract.symbol: record.key for record in chosen}
        settled_ms = asking.observed_ms - Patience().settle_ms
        self._scope = Scope(options, reader.series(), newest | dict(served), settled_ms)
        self._report = AuditReport(repaired=store is not None)
        self._bars_done = 0
        self._started_s = time.monotonic()

    def run(self, progress: Progress) -> AuditReport:
        windows = [(record, spans) for record in self._records for spans in self._scope.groups(record)]
        for record, (spans, counted) in windows:
            for interval in (one for one in spans if one in counted):
                self._report.add(SeriesReport(record.key, interval, spans[interval]))
        for record, group in windows:
            if not self._scope.is_served(record):
                self._judge_alone(record, *group)
        windows = [window for window in windows if self._scope.is_served(window[0])]
        bars_total = sum(interval.count(*span) for _, (spans, _) in windows for interval, span in spans.items())
        questions = (question for record, group in windows for question in self._questions(record, *group))
        for question, answer in self._asking.answers(questions):
            window, interval, page = question.ticket
            self._take(window, interval, page, answer)
            progress(lambda: self._facts(bars_total))
        for pause in self._pauses():
            self._report.paused(pause)
        return self._report

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

    def _judge_alone(self, record: ContractRecord, spans: dict[Interval, Span], counted: frozenset[Interval]) -> None:
        """Compare with sums only."""
        for window in self._scope.windows(record, spans, counted):
            window.unanswered = dict.fromkeys(window.spans, ANOTHER_CONTRACT)
            self._judge(window)

    def _questions(
        self, record: ContractRecord, spans: dict[Interval, Span], counted: frozenset[Interval]
    ) -> Iterator[Question]:
        for window in self._scope.windows(record, spans, counted):
            spans_of = window.spans.items()
            asked = [(interval, page) for interval, span in spans_of for page in pages(span, interval, PAGE_BARS)]
            window.pages_left = len(asked)
            for interval, page in asked:
                yield self._question(window, interval, page)

    def _question(self, window: Window, interval: Interval, page: Span) -> Question:
        request = page_request(window.record.contract.symbol, interval, page)
        scale = window.record.scale
        return Question(
            lambda client: client.klines(request, scale), klines_weight(request.limit), (window, interval, page)
        )

    # --- what came of it

    def _take(self, window: Window, interval: Interval, page: Span, answer: Any) -> None:
        if isinstance(answer, ExchangeError):
            window.unanswered[interval] = str(answer)
        else:
            window.theirs.setdefault(interval, []).extend(answer)
        self._bars_done += interval.count(*page)
        window.pages_left -= 1
        if not window.pages_left:
            self._judge(window)

    def _judge(self, window: Window) -> None:
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
                is_over = window.record.contract.delivery_ms <= self._scope.settled_ms or error == ANOTHER_CONTRACT
                series.unanswered(window.spans[interval], error, is_fault=not is_over)
            series.take(verdicts[interval], left[interval])

    def _verdicts(self, window: Window) -> dict[Interval, Verdict]:
        ours = {interval: self._held(window.record, interval, span) for interval, span in window.spans.items()}
        summed = [interval for interval in STORED if interval in window.spans]
        return judge(ours, window.theirs, summed)

    def _held(self, record: ContractRecord, interval: Interval, span: Span) -> list[Bar]:
        limit = interval.count(*span) + 1
        page = self._reader.bars(record, interval, start_ms=span.start_ms, end_ms=span.stop_ms - 1, limit=limit)
        return [stored.bar for stored in page if stored.closed]

    def _mend(self, store: BarStore, window: Window, verdicts: Mapping[Interval, Verdict]) -> bool:
        """Store the exchange's bars where ours differ or are missing and are no better; whether there was anything."""
        changes: list[Change] = []
        for interval in (interval for interval in STORED if interval in window.theirs):
            verdict = verdicts[interval]
            bars = [one.theirs for one in (*verdict.different, *verdict.disputed) if not one.is_better_here]
            bars += verdict.missing_here
            absent = self._absences(window, interval)
            if bars or absent:
                changes += bars_of_rest(window.record.key, interval, bars, self._scope.settled_ms, absent=absent)
        if changes:
            store.commit(changes, durable=True)
        return bool(changes)

    def _absences(self, window: Window, interval: Interval) -> list[Span]:
        record, now_ms = window.record, self._asking.observed_ms
        in_vain = self._reader.in_vain(record.key, interval, now_ms)
        onboard_ms = record.contract.onboard_ms
        return absences(window.spans[interval], window.theirs[interval], interval, onboard_ms, now_ms, in_vain)
