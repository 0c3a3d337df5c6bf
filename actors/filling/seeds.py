"""Seeds: what bars in progress begin from, made of stored bars. No actor in here."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

from actors.filling.jobs import PageJob, Priority
from actors.messages import SeedWanted
from bars import MINUTE, MINUTE_MS, ContractKey, Interval, Span
from bars.gaps import Hole, pages
from storage import Reader, Seed
from wire.requests import PAGE_BARS

LOOK_EVERY_S = 1.0
COMMIT_S = 3.0
"""The newest minutes may wait for the next commit: only after this long are they asked of REST."""
LOOKS_AT_ONCE = 40
ASK_AGAIN_S = 300.0
IN_VAIN_REST_MS = 2 * MINUTE_MS
"""A page that was stored and brought nothing is left alone for this long, on the exchange's clock."""


@dataclass(slots=True)
class _Want:
    wanted: SeedWanted
    since_s: float
    looked_s: float = -LOOK_EVERY_S
    asked: dict[tuple[Interval, Span], float] = field(default_factory=dict)
    """Pages on their way, and until when not to ask for them again."""
    stored_ms: dict[tuple[Interval, Span], int] = field(default_factory=dict)
    """When pages were stored: one that is still a hole brought nothing."""


class Seeds:
    """The seeds that aggregators wait for. Looks at what is stored, and names what is missing."""

    def __init__(self, reader: Reader, settle_ms: int) -> None:
        self._reader = reader
        self._settle_ms = settle_ms
        self._wants: dict[ContractKey, _Want] = {}
        self._expected: dict[ContractKey, set[Interval]] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def want(self, wanted: SeedWanted, now_s: float) -> None:
        """An aggregator asks; an older request of the same contract is replaced."""
        key = wanted.contract.key
        before = self._wants.get(key)
        self._wants[key] = _Want(wanted, now_s if before is None else before.since_s)
        if before is not None:
            self._wants[key].asked, self._wants[key].stored_ms = before.asked, before.stored_ms
            self._wants[key].looked_s = before.looked_s

    def expect(self, key: ContractKey, interval: Interval) -> None:
        """A first screen that seeds can be made of is on its way: nothing needs to be asked for besides."""
        self._expected.setdefault(key, set()).add(interval)

    def arrived(self, key: ContractKey, interval: Interval) -> None:
        """That first screen is stored."""
        self._expected.get(key, set()).discard(interval)

    def stored(self, job: PageJob, observed_ms: int) -> None:
        """A page that was asked for is stored."""
        want = self._wants.get(job.contract.key)
        if want is not None:
            want.asked.pop((job.interval, job.span), None)
            want.stored_ms[job.interval, job.span] = observed_ms
            want.looked_s = -LOOK_EVERY_S

    def refused(self, job: PageJob, now_s: float) -> None:
        """A page that was asked for will not come; it is asked for again, but not soon."""
        want = self._wants.get(job.contract.key)
        if want is not None:
            want.asked[job.interval, job.span] = now_s + ASK_AGAIN_S

    def made(self, now_s: float, observed_ms: int) -> tuple[list[tuple[SeedWanted, Seed]], list[PageJob]]:
        """The seeds that can be made now, and the pages that others still lack.

        Who was looked at longest ago comes first: some may lack what does not come for days.
        """
        ready: list[tuple[SeedWanted, Seed]] = []
        jobs: list[PageJob] = []
        due = [want for want in self._wants.values() if now_s - want.looked_s >= LOOK_EVERY_S]
        for want in heapq.nsmallest(LOOKS_AT_ONCE, due, key=lambda want: want.looked_s):
            want.looked_s = now_s
            wanted = want.wanted
            record = self._reader.get(wanted.contract.key)
            if record is None or self._expected.get(wanted.contract.key):
                continue
            seed = self._reader.seed(record, wanted.stop_ms)
            if seed.holes:
                jobs += self._jobs(want, seed.holes, now_s, observed_ms)
            else:
                del self._wants[wanted.contract.key]
                ready.append((wanted, seed))
        return ready, jobs

    def _jobs(self, want: _Want, holes: list[Hole], now_s: float, observed_ms: int) -> list[PageJob]:
        contract, jobs = want.wanted.contract, []
        for interval, hole in holes:
            is_fresh = interval is MINUTE and hole.stop_ms == want.wanted.stop_ms
            if (is_fresh and now_s - want.since_s < COMMIT_S) or hole.stop_ms + self._settle_ms > observed_ms:
                continue
            for span in pages(hole, interval, PAGE_BARS):
                stored_ms = want.stored_ms.get((interval, span), -IN_VAIN_REST_MS)
                if want.asked.get((interval, span), now_s) <= now_s and stored_ms + IN_VAIN_REST_MS <= observed_ms:
                    want.asked[interval, span] = math.inf
                    jobs.append(PageJob(contract, interval, span, contract.scale, Priority.SEED))
        return jobs
