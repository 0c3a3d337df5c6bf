"""Backfill: spends the weight budget, on whatever matters most."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from actors.cell import Actor, Address
from actors.history import plan_pages, plans_for
from actors.jobs import Fetched, FetchFailed, InfoJob, Job, JobQueue, PageJob, Plan, Priority, TimeJob
from actors.messages import (
    ContractsFailed,
    ContractsFetched,
    ContractsWanted,
    FetcherReady,
    FillHole,
    Hello,
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
from actors.reads import Reads
from actors.seeds import Seeds
from bars import COMPARED_AFTER_MS, MINUTE, MINUTE_MS, Bar, Contract, ContractKey, Interval, Patience, Span
from bars.coverage import absences
from bars.gaps import missing, pages, subtract
from bars.history import Depth, history_text
from bars.interval import HOUR_MS
from exchange import Backoff, Banned, Charge, ExchangeError, InvalidAnswer, Refused, WeightBudget
from storage import Change, ClosedBars, ContractsSeen, GapsAsked, Origin, Reader
from wire.requests import CATCH_UP_BARS, PAGE_BARS, klines_weight

logger = logging.getLogger(__name__)

RESUME_WITHIN_MS = CATCH_UP_BARS * MINUTE_MS
"""A stream goes on where its stored minutes end if one request of weight 1 brings what lies between."""
LOOK_SOON_MS = 10 * MINUTE_MS
LOOK_AGAIN_MS = HOUR_MS
"""A contract's history is looked at soon after its start, when live bars have joined on, and every hour then."""
ATTEMPTS_MAX = 5
COMPLAIN_EVERY_S = 60.0
WITHOUT_A_CLOCK_S = 120.0
"""A ban is waited out on the exchange's clock; so long when that is not known yet. Bans start at two minutes."""
ASK_TIME_EVERY_S = 1.0
REPORT_EVERY_S = 1.0
READS_SHARE = 16
"""One part in so many of a minute's weight is kept for what clients ask for, while the next minute is too far
away for them to wait."""
READS_WAIT_S = 8.0
READS_RETRY_S = 3.0
"""Clients wait for further attempts only when the first one that failed was so short a time ago."""


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
        fetchers: Callable[[], list[Address]],
    ) -> None:
        self._open_reader = open_reader
        self._held = ExitStack()
        self._budget = budget
        self._backoff = backoff
        self._depths = depths
        self._settle_ms = patience.settle_ms
        self._writer = writer
        self._supervisor = supervisor
        self._fetchers = fetchers
        self._queue = JobQueue()
        self._idle: list[Address] = []
        self._in_flight: dict[str, tuple[Job, Charge]] = {}
        self._storing: set[PageJob] = set()
        self._live_gaps: set[ContractKey] = set()
        self._unproved: list[PageJob] = []
        self._next_look_ms: dict[ContractKey, int] = {}
        self._open_plans: dict[ContractKey, set[Plan]] = {}
        self._now_ms: int | None = None
        self._observed_ms: int | None = None
        self._now_s = -math.inf  # until the first tick nothing is asked
        self._speed = 1.0
        self._hold_off_s = 0.0
        self._asked_time_s = 0.0
        self._reported_s = 0.0
        self._unreachable_since_s: float | None = None
        self._unreachable = ""
        self._complained_s = -COMPLAIN_EVERY_S
        self._pages_done = 0

    def begin(self) -> None:
        self._reader = self._open_reader()
        self._held.callback(self._reader.close)
        self._seeds = Seeds(self._reader, self._settle_ms)
        self._reads = Reads()
        self._held.callback(self._reads.end, "the data service is beginning anew or ending")
        for fetcher in self._fetchers():
            fetcher.tell(Hello())

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
            case ResumeWanted(key, reply_to):
                reply_to.tell(Resume(self._resume_ms(key)))
            case FillHole(contract, span):
                for page in pages(span, MINUTE, PAGE_BARS):
                    self._queue.push(PageJob(contract, MINUTE, page, contract.scale, Priority.SEED))
            case RowsWanted(contract, span, reply_to):
                self._queue.push(PageJob(contract, MINUTE, span, contract.scale, Priority.VERIFY, reply_to))
            case KeepHistory(contract):
                self._keep_history(contract)
            case ContractsWanted(reply_to):
                self._queue.push(InfoJob(reply_to))
            case FetcherReady(fetcher):
                self._ready(fetcher)
            case _:
                super().receive(message)
        self._dispatch()
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

    def _want_span(self, wanted: SpanWanted) -> None:
        record = self._reader.get(wanted.key)
        if record is None or self._now_s == -math.inf:
            wanted.reply("the contract is not known" if record is None else "the data service is only just beginning")
            return
        for job in self._reads.want(wanted, record.contract, self._moving(), self._now_s):
            self._queue.push(job)

    def _resume_ms(self, key: ContractKey) -> int | None:
        """The first hole after the oldest of the recent minutes; None when the recent minutes are not stored."""
        record = self._reader.get(key)
        last_ms = None if record is None else self._reader.last_open_ms(record, MINUTE)
        if record is None or last_ms is None:
            return None
        if self._now_ms is not None and self._now_ms - last_ms > RESUME_WITHIN_MS:
            return None
        recent = Span(last_ms - RESUME_WITHIN_MS, last_ms + MINUTE_MS)
        holes = self._reader.holes(record, MINUTE, recent)
        inner = [hole for hole in holes if hole.start_ms > recent.start_ms]
        return inner[0].start_ms if inner else recent.stop_ms

    def _keep_history(self, contract: Contract) -> None:
        """Plan what is missing; again from time to time, for what may have been left behind."""
        now_ms = self._observed_ms or 0
        if contract.onboard_ms > now_ms:
            return  # the directory tells again, once it is launched
        look_ms = self._next_look_ms.get(contract.key)
        if look_ms is not None and now_ms < look_ms:
            return
        if self._open_plans.get(contract.key):
            return
        arrival = len(self._next_look_ms)
        self._next_look_ms[contract.key] = now_ms + (LOOK_SOON_MS if look_ms is None else LOOK_AGAIN_MS)
        for plan in plans_for(contract, self._depths, arrival):
            self._open_plans.setdefault(contract.key, set()).add(plan)
            if plan.rank < 1_000_000 and plan.priority is Priority.SCREEN:
                self._seeds.expect(contract.key, plan.interval)
            self._queue.push(plan, plan.rank)

    # --- what is spent

    def _dispatch(self) -> None:
        while self._idle and self._hold_off_s <= self._now_s:
            job = self._next_job()
            if job is None:
                return
            if isinstance(job, TimeJob):
                charge = self._budget.take_proof(self._now_ms, self._observed_ms)
            else:
                charge = self._budget.take(job.weight, self._now_ms, self._observed_ms, keep=self._kept_from(job))
            if charge is None:
                self._put_back(job)
                return
            fetcher = self._idle.pop()
            if isinstance(job, TimeJob):
                self._asked_time_s = self._now_s
            self._in_flight[fetcher.name] = (job, charge)
            fetcher.tell(job)

    def _next_job(self) -> Job | None:
        if self._needs_time():
            return TimeJob()
        if self._now_ms is None or self._observed_ms is None:
            return None
        while (item := self._queue.pop()) is not None:
            if isinstance(item, Plan):
                job: Job | None = self._next_page(item)
                if job is None:
                    continue
                return job
            if isinstance(item, PageJob) and not self._is_settled(item.span.stop_ms):
                self._unproved.append(item)
                continue
            return item
        return None

    def _next_page(self, plan: Plan) -> PageJob | None:
        contract = plan.contract
        if plan.pages is None:
            settled_ms = (self._observed_ms or 0) - self._settle_ms
            plan.pages = deque(plan_pages(plan, self._depths[plan.interval], self._reader, settled_ms))
        record = self._reader.get(contract.key)
        while plan.pages:
            page = plan.pages.popleft()
            if record is None or self._reader.holes(record, plan.interval, page):  # a client may have been first
                return PageJob(contract, plan.interval, page, contract.scale, plan.priority, plan=plan)
        self._finish(plan)
        return None

    def _put_back(self, job: Job) -> None:
        if not isinstance(job, TimeJob):
            self._queue.push(job, -1)

    def _needs_time(self) -> bool:
        if self._is_asking_time():
            return False
        if self._observed_ms is None:
            return True
        if self._now_ms is None:
            return False  # the next tick brings it
        if self._is_unproved_due() and self._now_s - self._asked_time_s >= ASK_TIME_EVERY_S:
            return True
        return self._budget.needs_proof(self._now_ms, self._observed_ms)

    def _is_unproved_due(self) -> bool:
        """Whether by the estimate some bars no longer move, and only the exchange's word for it is missing."""
        now_ms = self._now_ms or 0
        return any(job.span.stop_ms + self._settle_ms <= now_ms for job in self._unproved)

    def _is_asking_time(self) -> bool:
        return any(isinstance(job, TimeJob) for job, _ in self._in_flight.values())

    def _is_settled(self, stop_ms: int) -> bool:
        """Whether the exchange has named a time at which bars that end at `stop_ms` no longer move."""
        return self._observed_ms is not None and stop_ms + self._settle_ms <= self._observed_ms

    def _look_at_unproved(self) -> None:
        """Put back what waited for the exchange to name a time at which its bars no longer move."""
        unproved, self._unproved = self._unproved, []
        for job in unproved:
            if self._is_settled(job.span.stop_ms):
                self._queue.push(job)
            else:
                self._unproved.append(job)

    # --- what came of it

    def _fetched(self, fetcher: Address, job: Job, value: Any, used_weight: int | None) -> None:
        charge = self._landed(fetcher, job)
        if charge is None:
            return
        self._budget.answered(charge, used_weight, value if isinstance(job, TimeJob) else None)
        self._backoff.succeeded(self._now_s)
        if self._unreachable_since_s is not None:
            logger.info("the exchange can be reached again")
        self._unreachable_since_s, self._unreachable = None, ""
        match job:
            case InfoJob(reply_to):
                self._budget.set_limit(value.weight_per_minute)
                reply_to.tell(ContractsFetched(value))
            case TimeJob():
                self._observed_ms = max(self._observed_ms or 0, value)
                self._look_at_unproved()
            case PageJob():
                self._page(job, value)

    def _page(self, job: PageJob, bars: list[Bar]) -> None:
        observed_ms = self._observed_ms or 0
        closed = [bar for bar in bars if self._is_settled(job.interval.next_open(bar.open_ms))]
        key = job.contract.key
        if job.reply_to is not None and job.priority is Priority.VERIFY:
            job.reply_to.tell(RowsFetched(key, closed, job.span, self._budget.limit))
            return
        if job.reply_to is not None:
            self._live_gaps.discard(key)
            job.reply_to.tell(MinutesFetched(closed, job.span))
            return
        absent = absences(job.span, closed, job.interval, job.contract.onboard_ms, observed_ms)
        final = [bar for bar in closed if job.interval is not MINUTE or _is_final(bar, observed_ms)]
        changes: list[Change] = [] if job.priority is Priority.READ else [ContractsSeen([job.contract])]
        changes.append(ClosedBars(key, job.interval, final, Origin.REST, verified=True, absent=absent))
        if len(final) < len(closed):  # the reconciler looks at these again
            changes.append(ClosedBars(key, job.interval, closed[len(final) :], Origin.REST))
        lacking = _lacking(job, closed, absent)
        if lacking and job.priority is not Priority.READ and job.span.stop_ms <= observed_ms - LOOK_AGAIN_MS:
            changes.append(GapsAsked(key, job.interval, lacking, observed_ms))
        at_once = self._reads.is_waited_for(job)
        self._storing.add(job)
        self._writer.tell(Store(changes, acknowledge=self.me, ticket=job, at_once=at_once))

    def _stored(self, job: PageJob) -> None:
        self._pages_done += 1
        self._storing.discard(job)
        self._reads.stored(job, self._now_s)
        plan = job.plan
        if plan is None:
            self._seeds.stored(job)
            return
        if plan not in self._open_plans.get(plan.contract.key, ()):
            return  # of a former life
        if not plan.pages or job.span.start_ms <= job.interval.floor(job.contract.onboard_ms):
            self._finish(plan)  # the exchange has nothing from before the launch
            return
        plan.rank += 1
        self._queue.push(plan, plan.rank)

    def _finish(self, plan: Plan) -> None:
        key = plan.contract.key
        self._open_plans[key].discard(plan)
        if plan.priority is Priority.SCREEN:
            self._seeds.arrived(key, plan.interval)

    def _failed(self, fetcher: Address, job: Job, error: ExchangeError) -> None:
        charge = self._landed(fetcher, job)
        if charge is None:
            return
        self._budget.failed(charge, error, self._now_ms)
        if not isinstance(error, Refused):
            self._hold_off(error)
        if isinstance(job, TimeJob):
            for info in self._queue.take_infos():
                self._info_failed(info, error)
        elif isinstance(job, InfoJob):
            self._info_failed(job, error)
        elif job.priority is Priority.LIVE_GAP:
            self._live_gaps.discard(job.contract.key)  # the stream asks again by itself
        elif job.priority is Priority.VERIFY and job.reply_to is not None:
            job.reply_to.tell(RowsFailed(job.contract.key, isinstance(error, Refused)))  # it asks again by itself
        elif isinstance(error, Refused) or job.attempts >= ATTEMPTS_MAX:
            logger.warning("%s %s: %s; left out", job.contract.symbol, job.interval, error)
            self._reads.refused(job, self._now_s, str(error))
            self._seeds.refused(job, self._now_s)
            if job.priority is not Priority.READ:  # a client's asking often says nothing of the hole
                asked = GapsAsked(job.contract.key, job.interval, [job.span], self._observed_ms or 0)
                self._writer.tell(Store([ContractsSeen([job.contract]), asked]))
            if job.plan is not None:
                self._finish(job.plan)
        else:
            attempts, is_waited_for = job.attempts + isinstance(error, InvalidAnswer), self._reads.failed(job)
            if is_waited_for or job.priority is not Priority.READ:
                priority = min(job.priority, Priority.READ) if is_waited_for else job.priority
                self._queue.push(replace(job, attempts=attempts, priority=priority))

    def _info_failed(self, job: InfoJob, error: ExchangeError) -> None:
        stored = [record.contract for record in self._reader.contracts()]
        job.reply_to.tell(ContractsFailed(str(error), stored))

    def _hold_off(self, error: ExchangeError) -> None:
        """After a failure nothing is asked for a while; limits and bans the budget waits out by itself."""
        backoff_s = self._backoff.failed(self._now_s)
        delay_s = backoff_s if error.retry_after_s is None else error.retry_after_s
        if self._now_ms is None and isinstance(error, Banned):
            delay_s = max(delay_s, WITHOUT_A_CLOCK_S)
        self._hold_off_s = max(self._hold_off_s, self._now_s + delay_s)
        if self._unreachable_since_s is None:
            self._unreachable_since_s = self._now_s
        self._unreachable = str(error)
        if self._now_s - self._complained_s >= COMPLAIN_EVERY_S:
            self._complained_s = self._now_s
            logger.warning("%s; trying again in %.0f s (`python run.py demo` works offline)", error, delay_s)

    def _landed(self, fetcher: Address, job: Job) -> Charge | None:
        """Take note that a fetcher is free; None when the job was given up before, or is of a former life."""
        known, charge = self._in_flight.get(fetcher.name, (None, None))
        if known is not job:
            return None
        del self._in_flight[fetcher.name]
        self._idle.append(fetcher)
        return charge

    def _ready(self, fetcher: Address) -> None:
        """A fetcher began: what it was at was lost with its former life."""
        lost, charge = self._in_flight.pop(fetcher.name, (None, None))
        if lost is not None and charge is not None:
            self._budget.answered(charge, None)
            self._put_back(replace(lost, attempts=lost.attempts + 1) if isinstance(lost, PageJob) else lost)
        if fetcher not in self._idle:
            self._idle.append(fetcher)

    # --- what clients wait for

    def _moving(self) -> set[PageJob]:
        """The pages that were sent for and will be stored."""
        in_flight = {job for job, _ in self._in_flight.values() if isinstance(job, PageJob) and job.reply_to is None}
        return in_flight | self._storing

    def _look_at_reads(self) -> None:
        wait_s, why = self._reads_delay()
        dropped = self._reads.give_up(self._now_s, wait_s, why, {job.page for job in self._moving()})
        if dropped:
            self._queue.discard_reads(dropped)
            self._unproved = [
                job for job in self._unproved if job.priority is not Priority.READ or job.page not in dropped
            ]

    def _reads_delay(self) -> tuple[float, str]:
        """For how long no page can be sent for, in real time, and why. The next look comes with the next tick."""
        if self._now_s < self._hold_off_s:
            is_blip = self._unreachable_since_s is None or self._now_s - self._unreachable_since_s < READS_RETRY_S
            why = f"the exchange does not answer: {self._unreachable}" if self._unreachable else "the exchange failed"
            return self._hold_off_s - self._now_s if is_blip else math.inf, why
        if self._now_ms is None:
            return 0.0, ""
        pause_ms = self._budget.pause_until_ms - self._now_ms
        if pause_ms > 0:
            return pause_ms / 1_000 / self._speed, "the exchange has refused further requests for now"
        if not self._budget.has_room(klines_weight(PAGE_BARS), self._observed_ms):
            return self._minute_left_s(), "this minute's share of the exchange's request weight is used up"
        return 0.0, ""

    def _minute_left_s(self) -> float:
        """Real time until the exchange's next minute, which opens with its proof."""
        assert self._now_ms is not None
        return (MINUTE_MS - self._now_ms % MINUTE_MS) / 1_000 / self._speed

    def _kept_from(self, job: InfoJob | PageJob) -> int:
        """The weight that this job has to leave to clients."""
        if job.priority <= Priority.READ or self._now_ms is None or self._minute_left_s() <= READS_WAIT_S:
            return 0
        return self._budget.allowed // READS_SHARE

    # --- time

    def _on_tick(self, now_ms: int | None, observed_ms: int | None, monotonic_s: float) -> None:
        if now_ms is not None and self._now_ms is not None and monotonic_s > self._now_s:
            self._speed = max(1.0, (now_ms - self._now_ms) / 1_000 / (monotonic_s - self._now_s))
        self._now_ms, self._now_s = now_ms, monotonic_s
        if observed_ms is not None:
            self._observed_ms = max(self._observed_ms or 0, observed_ms)
        self._look_at_unproved()
        ready, jobs = self._seeds.made(monotonic_s, self._observed_ms or 0)
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
            "weight_used": self._budget.used,
            "weight_allowed": self._budget.allowed,
            "paused_until_ms": self._budget.pause_until_ms,
            "seeds_wanted": len(self._seeds),
            "gaps": len(self._live_gaps),
            "size_bytes": self._reader.size_bytes(),
            "unreachable_since_s": self._unreachable_since_s,
            "unreachable": self._unreachable,
        }
        self._supervisor.tell(Report("backfill", facts))


def _is_final(minute: Bar, observed_ms: int) -> bool:
    """Whether a minute is so old that what REST says of it now counts as compared."""
    return minute.open_ms + MINUTE_MS + COMPARED_AFTER_MS <= observed_ms


def _lacking(job: PageJob, bars: list[Bar], absent: list[Span]) -> list[Span]:
    """What was asked for, did not come, and is not known not to exist either."""
    return list(subtract(missing((bar.open_ms for bar in bars), job.span, job.interval), absent))
