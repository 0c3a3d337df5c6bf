"""Spending: what is asked of the exchange next, by which fetcher, and what keeps it back. No actor in here."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from actors.filling.jobs import InfoJob, Job, JobQueue, PageId, PageJob, Plan, Priority, TimeJob
from actors.messages import Hello
from actors.runtime.cell import Address
from bars import MINUTE_MS
from exchange import Backoff, Charge, ExchangeError, WeightBudget, wait_s
from wire.requests import PAGE_BARS, klines_weight

logger = logging.getLogger(__name__)

COMPLAIN_EVERY_S = 60.0
ASK_TIME_EVERY_S = 1.0
LEAP_MS = 5 * MINUTE_MS
"""When the estimate stays so far behind what /time has named, it is asked again: after this machine has slept the clock
does not believe the first answer, and without frames there would be no second."""
READS_SHARE = 16
"""One part in this many of a minute's weight is kept for what clients ask for, while the next minute is too far
away for them to wait."""
READS_WAIT_S = 8.0
READS_RETRY_S = 3.0
"""Clients wait for further attempts only if the first one failed no longer ago than this."""


class Spending:
    """The queue of jobs, the fetchers that are free, and what keeps the next job from being sent.

    Args:
        budget: it may be that of a former life, which knows what was spent, what the exchange allows, and of bans.
        next_page: the next page of a plan whose turn has come; None when the plan has no more.
    """

    def __init__(
        self,
        budget: WeightBudget,
        backoff: Backoff,
        settle_ms: int,
        next_page: Callable[[Plan], PageJob | None],
    ) -> None:
        self.budget = budget
        self.queue = JobQueue()
        self.now_ms: int | None = None
        self.observed_ms: int | None = None
        self.now_s = -math.inf  # until the first tick nothing is asked
        self.unreachable_since_s: float | None = None
        self.unreachable = ""
        self._backoff = backoff
        self._settle_ms = settle_ms
        self._next_page = next_page
        self._idle: list[Address] = []
        self._in_flight: dict[str, tuple[Job, Charge]] = {}
        self._greeted: dict[str, Hello] = {}
        self._former: set[str] = set()
        self._lost: dict[str, list[Charge]] = {}
        self._unproved: list[PageJob] = []
        self._speed = 1.0
        self._hold_off_s = 0.0
        self._asked_time_s = 0.0
        self._complained_s = -COMPLAIN_EVERY_S

    # --- time

    def tick(self, now_ms: int | None, observed_ms: int | None, now_s: float) -> None:
        """Take in what time it is there and here."""
        if now_ms is not None and self.now_ms is not None and now_s > self.now_s:
            self._speed = max(1.0, (now_ms - self.now_ms) / 1_000 / (now_s - self.now_s))
        self.now_ms, self.now_s = now_ms, now_s
        self.budget.tick(now_s)
        if observed_ms is not None:
            self.observe(observed_ms)

    def observe(self, exchange_ms: int) -> None:
        """The exchange named its time: bars that waited for that proof may be asked for."""
        self.observed_ms = max(self.observed_ms or 0, exchange_ms)
        unproved, self._unproved = self._unproved, []
        for job in unproved:
            if self.is_settled(job.span.stop_ms):
                self.queue.push(job)
            else:
                self._unproved.append(job)

    def is_settled(self, stop_ms: int) -> bool:
        """Whether the exchange has named a time at which bars that end at `stop_ms` no longer move."""
        return self.observed_ms is not None and stop_ms + self._settle_ms <= self.observed_ms

    # --- sending

    def dispatch(self, *, may_store: bool = True) -> None:
        """Hand jobs to free fetchers, as far as everything allows.

        Args:
            may_store: whether what is fetched can be stored soon; if not, only the present is asked for.
        """
        if self._former:
            return
        while self._idle and self._hold_off_s <= self.now_s:
            job = self._next_job(may_store)
            if job is None:
                return
            if isinstance(job, TimeJob):
                charge = self.budget.take_proof(self.now_ms, self.observed_ms)
            else:
                charge = self.budget.take(job.weight, self.now_ms, self.observed_ms, keep=self._kept_from(job))
            if charge is None:
                self._put_back(job)
                return
            fetcher = self._idle.pop()
            if isinstance(job, TimeJob):
                self._asked_time_s = self.now_s
            self._in_flight[fetcher.name] = (job, charge)
            fetcher.tell(job)

    def under_way(self) -> set[PageJob]:
        """The pages that were sent for and will be stored."""
        return {job for job, _ in self._in_flight.values() if isinstance(job, PageJob) and job.reply_to is None}

    def discard_reads(self, pages: AbstractSet[PageId]) -> None:
        """Forget pages that no client waits for any more."""
        self.queue.discard_reads(pages)
        self._unproved = [job for job in self._unproved if job.priority is not Priority.READ or job.page not in pages]

    def _next_job(self, may_store: bool) -> Job | None:
        if self._needs_time():
            return TimeJob()
        if self.now_ms is None or self.observed_ms is None:
            return None
        while (may_store or self.queue.is_urgent) and (item := self.queue.pop()) is not None:
            if isinstance(item, Plan):
                job = self._next_page(item)
                if job is not None:
                    return job
            elif isinstance(item, PageJob) and not self.is_settled(item.span.stop_ms):
                self._unproved.append(item)
            else:
                return item
        return None

    def _put_back(self, job: Job) -> None:
        if not isinstance(job, TimeJob):
            self.queue.push(job, -1)

    def _needs_time(self) -> bool:
        if any(isinstance(job, TimeJob) for job, _ in self._in_flight.values()):
            return False
        if self.observed_ms is None:
            return True
        if self.now_ms is None:
            return False  # the next tick brings it
        is_needed = self._is_unproved_due(self.now_ms) or self.observed_ms - self.now_ms >= LEAP_MS
        if is_needed and self.now_s - self._asked_time_s >= ASK_TIME_EVERY_S:
            return True
        return self.budget.needs_proof(self.now_ms, self.observed_ms)

    def _is_unproved_due(self, now_ms: int) -> bool:
        """Whether by the estimate some bars no longer move, and only the exchange's word for it is missing."""
        return any(job.span.stop_ms + self._settle_ms <= now_ms for job in self._unproved)

    def _kept_from(self, job: InfoJob | PageJob) -> int:
        """The weight that this job has to leave to clients."""
        if job.priority <= Priority.READ or self.now_ms is None or self._minute_left_s(self.now_ms) <= READS_WAIT_S:
            return 0
        return self.budget.allowed // READS_SHARE

    # --- what came of it

    def begin(self, fetchers: Sequence[Address]) -> None:
        """Ask nothing before these have done what a former life had told them: only then nothing of it is in flight."""
        self._former = {fetcher.name for fetcher in fetchers}
        for fetcher in fetchers:
            self._greet(fetcher)

    def ready(self, fetcher: Address, hello: Hello | None) -> None:
        """A fetcher began (`hello` is None): what it was at is lost, or still to come. Or it answers our greeting, so
        that neither is: then it is free."""
        if hello is not None:
            if self._greeted.get(fetcher.name) is hello:
                del self._greeted[fetcher.name]
                self._done_with_former(fetcher.name)
                for over in self._lost.pop(fetcher.name, ()):
                    self.budget.lost(over)
                self._idle.append(fetcher)
            return
        if fetcher in self._idle:
            self._idle.remove(fetcher)
        lost, charge = self._in_flight.pop(fetcher.name, (None, None))
        if lost is not None and charge is not None:
            self._lost.setdefault(fetcher.name, []).append(charge)
            self._put_back(replace(lost, attempts=lost.attempts + 1) if isinstance(lost, PageJob) else replace(lost))
        self._greet(fetcher)

    def _done_with_former(self, name: str) -> None:
        if name in self._former:
            self._former.discard(name)
            if not self._former:
                self.budget.all_lost()

    def _greet(self, fetcher: Address) -> None:
        self._greeted[fetcher.name] = hello = Hello()
        fetcher.tell(hello)

    def answered(self, fetcher: Address, job: Job, used_weight: int | None, named_ms: int | None) -> bool:
        """A job was answered; False when it was given up before, or is of a former life.

        Args:
            named_ms: the answer of /time.
        """
        charge = self._landed(fetcher, job)
        if charge is None:
            return False
        self.budget.answered(charge, used_weight, named_ms, self.now_ms)
        self._backoff.succeeded(self.now_s)
        if self.unreachable_since_s is not None:
            logger.info("the exchange can be reached again")
        self.unreachable_since_s, self.unreachable = None, ""
        return True

    def failed(self, fetcher: Address, job: Job, error: ExchangeError) -> bool:
        """A job failed; False as for `answered`."""
        charge = self._landed(fetcher, job)
        if charge is None:
            return False
        self.budget.failed(charge, error, self.now_ms)
        return True

    def hold_off(self, error: ExchangeError) -> None:
        """After a failure nothing is asked for a while; limits and bans the budget waits out by itself."""
        delay_s = wait_s(error, self._backoff.failed(self.now_s), knows_time=self.now_ms is not None)
        self._hold_off_s = max(self._hold_off_s, self.now_s + delay_s)
        if self.unreachable_since_s is None:
            self.unreachable_since_s = self.now_s
        self.unreachable = str(error)
        if self.now_s - self._complained_s >= COMPLAIN_EVERY_S:
            self._complained_s = self.now_s
            logger.warning("%s; trying again in %.0f s (`python run.py demo` works offline)", error, delay_s)

    def reads_delay(self) -> tuple[float, str]:
        """For how long no page can be sent for, in real time, and why. The next look comes with the next tick."""
        if self.now_s < self._hold_off_s:
            is_blip = self.unreachable_since_s is None or self.now_s - self.unreachable_since_s < READS_RETRY_S
            why = f"the exchange does not answer: {self.unreachable}" if self.unreachable else "the exchange failed"
            return self._hold_off_s - self.now_s if is_blip else math.inf, why
        if self.now_ms is None:
            return 0.0, ""
        pause_ms = self.budget.pause_until_ms - self.now_ms
        if pause_ms > 0:
            return pause_ms / 1_000 / self._speed, "the exchange has refused further requests for now"
        if not self.budget.has_room(klines_weight(PAGE_BARS), self.observed_ms):
            return self._minute_left_s(self.now_ms), "this minute's share of the exchange's request weight is used up"
        return 0.0, ""

    def _landed(self, fetcher: Address, job: Job) -> Charge | None:
        """Take note that a fetcher is free; None when the job was given up before, or is of a former life."""
        known, charge = self._in_flight.get(fetcher.name, (None, None))
        if known is not job:
            return None
        del self._in_flight[fetcher.name]
        self._idle.append(fetcher)
        return charge

    def _minute_left_s(self, now_ms: int) -> float:
        """Real time until the exchange's next minute, which opens with its proof."""
        return (MINUTE_MS - now_ms % MINUTE_MS) / 1_000 / self._speed
