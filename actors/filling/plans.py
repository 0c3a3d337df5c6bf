"""The plans of all contracts: which history is still to be fetched, page by page. No actor in here."""

from __future__ import annotations

from collections.abc import Mapping

from actors.filling.history import FIRST_SCREENS, plans_for, wanted_holes
from actors.filling.jobs import JobQueue, PageJob, Plan, Priority
from actors.filling.seeds import Seeds
from bars import MINUTE_MS, Contract, ContractKey, Interval
from bars.history import Depth
from bars.interval import HOUR_MS
from storage import Reader

LOOK_SOON_MS = 10 * MINUTE_MS
LOOK_AGAIN_MS = HOUR_MS
"""A contract's history is looked at soon after its start, when live bars have joined on, and every hour then."""


class Plans:
    """Owns which plans are open, and when a contract's history is looked at again.

    An open plan is in the queue, or has a page on its way.
    """

    def __init__(self, reader: Reader, depths: Mapping[Interval, Depth], queue: JobQueue, seeds: Seeds) -> None:
        self._reader = reader
        self._depths = depths
        self._queue = queue
        self._seeds = seeds
        self._open: dict[ContractKey, set[Plan]] = {}
        self._next_look_ms: dict[ContractKey, int] = {}

    def keep(self, contract: Contract, now_ms: int) -> None:
        """Plan what is missing; again from time to time, for what may have been left behind."""
        if contract.onboard_ms > now_ms:
            return  # the directory tells again, once it is launched
        look_ms = self._next_look_ms.get(contract.key)
        if look_ms is not None and now_ms < look_ms:
            return
        if self._open.get(contract.key):
            return
        arrival = len(self._next_look_ms)
        self._next_look_ms[contract.key] = now_ms + (LOOK_SOON_MS if look_ms is None else LOOK_AGAIN_MS)
        for plan in plans_for(contract, self._depths, arrival):
            self._open.setdefault(contract.key, set()).add(plan)
            if plan.priority is Priority.SCREEN and plan.interval in FIRST_SCREENS:
                self._seeds.expect(contract.key, plan.interval)
            self._queue.push(plan, plan.rank)

    def next_page(self, plan: Plan, settled_ms: int) -> PageJob | None:
        """The next page that a plan still lacks; None, and the plan is done, when there is none."""
        contract = plan.contract
        if plan.holes is None:
            plan.holes = wanted_holes(plan, self._depths[plan.interval], self._reader, settled_ms)
        record = self._reader.get(contract.key)
        while (page := plan.next_page()) is not None:
            if record is None or self._reader.holes(record, plan.interval, page):  # a client may have been first
                return PageJob(contract, plan.interval, page, contract.scale, plan.priority, plan=plan)
        self.finish(plan)
        return None

    def stored(self, plan: Plan, job: PageJob) -> None:
        """A page of a plan is on the disk: the next one may follow."""
        if plan not in self._open.get(plan.contract.key, ()):
            return  # of a former life
        if not plan.holes or job.span.start_ms <= job.interval.floor(job.contract.onboard_ms):
            self.finish(plan)  # the exchange has nothing from before the launch
            return
        plan.rank += 1
        self._queue.push(plan, plan.rank)

    def finish(self, plan: Plan) -> None:
        """Nothing more is to be fetched for a plan, or can be."""
        key = plan.contract.key
        self._open[key].discard(plan)
        if plan.priority is Priority.SCREEN:
            self._seeds.arrived(key, plan.interval)
