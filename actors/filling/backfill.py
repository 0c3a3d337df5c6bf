"""Backfill: spends the weight budget, on whatever matters most."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from actors.filling.answers import changes_from
from actors.filling.jobs import Fetched, FetchFailed, InfoJob, Job, PageJob, Plan, Priority, TimeJob
from actors.filling.plans import Plans
from actors.filling.reads import Reads
from actors.filling.resuming import resume_ms
from actors.filling.seeds import Seeds
from actors.filling.spending import Spending
from actors.messages import (
    ContractsFailed,
    ContractsFetched,
    ContractsWanted,
    FetcherReady,
    FillHole,
    GarbageSeen,
    KeepHistory,
    MinutesFetched,
    MinutesWanted,
    Report,
    Resume,
    ResumeWanted,
    RowsFailed,
    RowsFetched,
    RowsWanted,
    Seeded,
    SeedWanted,
    SpanWanted,
    Store,
    Stored,
    Tick,
)
from actors.runtime.cell import Actor, Address
from bars import MINUTE, MINUTE_MS, Bar, Contract, ContractKey, Interval, Patience, Span
from bars.gaps import pages
from bars.history import Depth, history_text
from bars.ledger import ASKED_MAX, Reason
from exchange import Backoff, ExchangeError, InvalidAnswer, Refused, WeightBudget
from storage import EXCHANGE_INFO, ContractsSeen, GapNoted, GapsAsked, Reader
from wire.exchange_info import parse_exchange_info
from wire.requests import CATCH_UP_BARS, PAGE_BARS

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 5
STORING_MAX = 100
"""While this many pages wait for the disk no more are fetched for it: 50,000 bars of 470 bytes. A minute's whole weight
brings 600 pages, and a disk that works takes each within half a second."""
REPORT_EVERY_S = 1.0


class Backfill(Actor):
    """Owns the queue of requests and the weight budget; fetchers make the requests.

    All that the service asks of REST goes through here, so that one budget counts it: exchangeInfo and the
    time, live gaps, what bars in progress begin from, first screens, depth.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        budget: WeightBudget,
        backoff: Backoff,
        depths: Mapping[Interval, Depth],
        patience: Patience,
        *,
        writer: Address,
        supervisor: Address,
        complaints: Callable[[], Address],
        fetchers: Callable[[], list[Address]],
    ) -> None:
        self._open_reader = open_reader
        self._held = ExitStack()
        self._depths = depths
        self._settle_ms = patience.settle_ms
        self._writer = writer
        self._supervisor = supervisor
        self._complaints = complaints
        self._fetchers = fetchers
        self._spending = Spending(budget, backoff, patience.settle_ms, self._next_page)
        self._queue = self._spending.queue
        self._storing: set[PageJob] = set()
        self._live_gaps: set[ContractKey] = set()
        self._reported_s = 0.0
        self._pages_done = 0

    def begin(self) -> None:
        self._reader = self._open_reader()
        self._held.callback(self._reader.close)
        stated = self._reader.document(EXCHANGE_INFO)
        if stated is not None:
            self._spending.budget.set_limit(parse_exchange_info(stated.encode()).weight_per_minute)
        self._seeds = Seeds(self._reader, self._settle_ms)
        self._plans = Plans(self._reader, self._depths, self._queue, self._seeds)
        self._reads = Reads()
        self._held.callback(self._reads.end, "the data service is beginning anew or ending")
        self._spending.begin(self._fetchers())

    def end(self) -> None:
        self._held.close()

    def receive(self, message: Any) -> None:
        match message:
            case Tick(now_ms, observed_ms, monotonic_s):
                self._on_tick(now_ms, observed_ms, monotonic_s)
            case Fetched(fetcher, job, value, used_weight):
                self._fetched(fetcher, job, value, used_weight)
            case FetchFailed(fetcher, job, error):
                self._failed(fetcher, job, error)
            case Stored(PageJob() as job):
                self._stored(job)
            case MinutesWanted():
                self._want_minutes(message)
            case SeedWanted():
                self._seeds.want(message, self._now_s)
            case SpanWanted():
                self._want_span(message)
            case ResumeWanted(key, reply_to, final_ms, life):
                reply_to.tell(Resume(resume_ms(self._reader, key, final_ms, self._spending.now_ms), life))
            case FillHole():
                self._fill_hole(message)
            case RowsWanted(contract, span, reply_to):
                self._queue.push(PageJob(contract, MINUTE, span, contract.scale, Priority.VERIFY, reply_to))
            case KeepHistory(contract):
                self._plans.keep(contract, self._spending.observed_ms or 0)
            case ContractsWanted(reply_to):
                self._queue.push(InfoJob(reply_to))
            case FetcherReady(fetcher, hello):
                self._spending.ready(fetcher, hello)
            case _:
                super().receive(message)
        self._spending.dispatch(may_store=len(self._storing) < STORING_MAX)
        if self._reads:
            self._look_at_reads()

    # --- what is wanted

    def _want_minutes(self, wanted: MinutesWanted) -> None:
        """One live gap of a contract at a time. Asking for 99 minutes costs no more, and compares the others."""
        contract, span = wanted.contract, wanted.span
        if contract.key in self._live_gaps:
            return
        self._live_gaps.add(contract.key)
        stop_ms = min(span.stop_ms, span.start_ms + PAGE_BARS * MINUTE_MS)
        start_ms = min(span.start_ms, max(MINUTE.ceil(contract.onboard_ms), stop_ms - CATCH_UP_BARS * MINUTE_MS))
        asked = Span(start_ms, stop_ms)
        self._queue.push(PageJob(contract, MINUTE, asked, contract.scale, Priority.LIVE_GAP, wanted.reply_to))

    def _fill_hole(self, left: FillHole) -> None:
        """Ask once more, unless that was done often enough: then the ledger remembers it, and history looks again."""
        contract, span = left.contract, left.span
        if left.asked < ASKED_MAX:
            for page in pages(span, MINUTE, PAGE_BARS):
                self._queue.push(PageJob(contract, MINUTE, page, contract.scale, Priority.SEED))
            return
        observed_ms = self._spending.observed_ms or 0
        noted = GapNoted(contract.key, MINUTE, span, Reason.UNFILLABLE, observed_ms)
        asked = GapsAsked(contract.key, MINUTE, [span], observed_ms)
        self._writer.tell(Store([ContractsSeen([contract], only_new=True), noted, asked]))

    def _want_span(self, wanted: SpanWanted) -> None:
        record = self._reader.get(wanted.key)
        if record is None or self._now_s == -math.inf:
            wanted.reply("the contract is not known" if record is None else "the data service is only just beginning")
            return
        for job in self._reads.want(wanted, record.contract, self._moving(), self._now_s):
            self._queue.push(job)

    # --- what comes of it

    def _next_page(self, plan: Plan) -> PageJob | None:
        return self._plans.next_page(plan, (self._spending.observed_ms or 0) - self._settle_ms)

    def _fetched(self, fetcher: Address, job: Job, value: Any, used_weight: int | None) -> None:
        named_ms = value if isinstance(job, TimeJob) else None
        if not self._spending.answered(fetcher, job, used_weight, named_ms):
            return
        match job:
            case InfoJob(reply_to):
                self._spending.budget.set_limit(value.weight_per_minute)
                reply_to.tell(ContractsFetched(value, self._stored_contracts()))
            case TimeJob():
                self._spending.observe(value)
            case PageJob():
                self._page(job, value)

    def _page(self, job: PageJob, bars: list[Bar]) -> None:
        observed_ms = self._spending.observed_ms or 0
        stop_ms, is_settled = job.span.stop_ms, self._spending.is_settled
        rows = [bar for bar in bars if bar.open_ms >= stop_ms or is_settled(job.interval.next_open(bar.open_ms))]
        key = job.contract.key
        if job.reply_to is not None and job.priority is Priority.VERIFY:
            job.reply_to.tell(RowsFetched(key, rows, job.span, self._spending.budget.limit))
            return
        if job.reply_to is not None:
            self._live_gaps.discard(key)
            job.reply_to.tell(MinutesFetched(rows, job.span))
            return
        changes = changes_from(job, rows, observed_ms, self._reader.in_vain(key, job.interval, observed_ms))
        at_once = self._reads.is_waited_for(job)
        self._storing.add(job)
        self._writer.tell(Store(changes, acknowledge=self.me, ticket=job, at_once=at_once))

    def _stored(self, job: PageJob) -> None:
        self._pages_done += 1
        self._storing.discard(job)
        self._reads.stored(job, self._now_s)
        if job.plan is None:
            self._seeds.stored(job, self._spending.observed_ms or 0)
        else:
            self._plans.stored(job.plan, job)

    def _failed(self, fetcher: Address, job: Job, error: ExchangeError) -> None:
        if isinstance(error, InvalidAnswer):
            self._complaints().tell(GarbageSeen("REST", str(error)))
        if not self._spending.failed(fetcher, job, error):
            return
        if not isinstance(error, Refused):
            self._spending.hold_off(error)
        if isinstance(job, TimeJob):
            for info in self._queue.take_infos():
                self._info_failed(info, error)
        elif isinstance(job, InfoJob):
            self._info_failed(job, error)
        elif job.priority is Priority.LIVE_GAP:
            self._live_gaps.discard(job.contract.key)  # the stream asks again by itself
            if isinstance(error, Refused) and job.reply_to is not None:  # that is an answer, and of no minutes
                job.reply_to.tell(MinutesFetched([], job.span))
        elif job.priority is Priority.VERIFY and job.reply_to is not None:
            job.reply_to.tell(RowsFailed(job.contract.key, isinstance(error, Refused)))  # it asks again by itself
        elif isinstance(error, Refused) or job.attempts >= ATTEMPTS_MAX:
            if isinstance(error, Refused):
                logger.warning("%s %s: %s; left out", job.contract.symbol, job.interval, error)
            self._reads.refused(job, self._now_s, str(error))
            self._seeds.refused(job, self._now_s)
            if job.priority is not Priority.READ:  # a client's asking often says nothing of the hole
                asked = GapsAsked(job.contract.key, job.interval, [job.span], self._spending.observed_ms or 0)
                self._writer.tell(Store([ContractsSeen([job.contract], only_new=True), asked]))
            if job.plan is not None:
                self._plans.finish(job.plan)
        else:
            attempts, is_waited_for = job.attempts + isinstance(error, InvalidAnswer), self._reads.failed(job)
            if is_waited_for or job.priority is not Priority.READ:
                priority = min(job.priority, Priority.READ) if is_waited_for else job.priority
                self._queue.push(replace(job, attempts=attempts, priority=priority))

    def _info_failed(self, job: InfoJob, error: ExchangeError) -> None:
        job.reply_to.tell(ContractsFailed(str(error), self._stored_contracts()))

    def _stored_contracts(self) -> list[Contract]:
        return [record.contract for record in self._reader.contracts()]

    # --- what clients wait for

    def _moving(self) -> set[PageJob]:
        """The pages that were sent for and will be stored."""
        return self._spending.under_way() | self._storing

    def _look_at_reads(self) -> None:
        wait_s, why = self._spending.reads_delay()
        dropped = self._reads.give_up(self._now_s, wait_s, why, {job.page for job in self._moving()})
        if dropped:
            self._spending.discard_reads(dropped)

    # --- time

    @property
    def _now_s(self) -> float:
        return self._spending.now_s

    def _on_tick(self, now_ms: int | None, observed_ms: int | None, monotonic_s: float) -> None:
        self._spending.tick(now_ms, observed_ms, monotonic_s)
        ready, jobs = self._seeds.made(monotonic_s, self._spending.observed_ms or 0)
        for wanted, seed in ready:
            wanted.reply_to.tell(Seeded(seed.bars, wanted.stop_ms))
        for job in jobs:
            self._queue.push(job)
        if monotonic_s - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = monotonic_s
            self._report()

    def _report(self) -> None:
        facts = {
            "pages_done": self._pages_done,
            "pages_left": self._queue.pages_left,
            "history": history_text(self._depths),
            "weight_used": self._spending.budget.used,
            "weight_allowed": self._spending.budget.allowed,
            "paused_until_ms": self._spending.budget.pause_until_ms,
            "seeds_wanted": len(self._seeds),
            "gaps": len(self._live_gaps),
            "size_bytes": self._reader.size_bytes(),
            "unreachable_since_s": self._spending.unreachable_since_s,
            "unreachable": self._spending.unreachable,
        }
        self._supervisor.tell(Report("backfill", facts))
