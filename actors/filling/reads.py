"""Reads: the spans that clients wait for, and the pages that bring them. No actor in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from actors.filling.jobs import PageId, PageJob, Priority
from actors.messages import SpanWanted
from bars import Contract
from bars.gaps import merge, pages, subtract
from wire.requests import PAGE_BARS

BARS_MAX = 10_000
"""The most bars that one request may have fetched: 1,500 of 2h come from 6,000 of 30m."""
REMEMBERED_S = 30.0
"""How long what was fetched or refused is not asked for again: what was fetched and is not stored, the exchange does
not have."""
NOT_IN_TIME = "they were not fetched in time"


@dataclass(slots=True, eq=False)
class _Want:
    until_s: float
    reply: Callable[[str | None], object]
    left: set[PageId]


class Reads:
    """Who waits for which pages. Clients that want the same or overlapping spans wait for the same pages.

    Every `reply` is called once: with None when all is stored, else with the reason why not. Times are local
    monotonic seconds.
    """

    def __init__(self) -> None:
        self._wants: list[_Want] = []
        self._own: set[PageId] = set()
        self._fetched: dict[PageId, float] = {}
        self._refused: dict[PageId, tuple[float, str]] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def want(self, wanted: SpanWanted, contract: Contract, under_way: Iterable[PageJob], now_s: float) -> list[PageJob]:
        """The pages that are to be asked for because of `wanted`.

        Args:
            under_way: pages that will be stored soon, whatever they were asked for.
        """
        interval, spans = wanted.interval, merge(wanted.spans)
        if sum(interval.count(*span) for span in spans) > BARS_MAX:
            wanted.reply(f"more than {BARS_MAX} bars are not fetched on request")
            return []
        self._fetched = {page: at_s for page, at_s in self._fetched.items() if now_s - at_s < REMEMBERED_S}
        self._refused = {
            page: (at_s, why) for page, (at_s, why) in self._refused.items() if now_s - at_s < REMEMBERED_S
        }
        series = (contract.key, interval)
        for page, (_, why) in self._refused.items():
            if page[:2] == series and any(not page.span.intersect(span).is_empty for span in spans):
                wanted.reply(why)
                return []
        coming = {page for page in {job.page for job in under_way} | self._own if page[:2] == series}
        known = [page.span for page in (*coming, *self._fetched) if page[:2] == series]
        lacking = list(subtract(spans, merge(known)))
        jobs = [
            PageJob(contract, interval, page, contract.scale, Priority.READ)
            for span in lacking
            for page in pages(span, interval, PAGE_BARS)
        ]
        new = {job.page for job in jobs}
        shared = {page for page in coming if any(not page.span.intersect(span).is_empty for span in spans)}
        self._own |= new
        if new or shared:
            self._wants.append(_Want(now_s + wanted.patience_s, wanted.reply, new | shared))
        else:
            wanted.reply(None)
        return jobs

    def is_waited_for(self, job: PageJob) -> bool:
        """Whether somebody waits for this page."""
        return any(job.page in want.left for want in self._wants)

    def stored(self, job: PageJob, now_s: float) -> None:
        """A page is stored, whatever it was asked for."""
        if job.page in self._own:
            self._own.discard(job.page)
            self._fetched[job.page] = now_s
        for want in [want for want in self._wants if job.page in want.left]:
            want.left.discard(job.page)
            if not want.left:
                self._answer(want, None)

    def refused(self, job: PageJob, now_s: float, reason: str) -> None:
        """A page will not come, and asking again soon makes no sense."""
        if job.page in self._own:
            self._own.discard(job.page)
            self._refused[job.page] = (now_s, reason)
        for want in [want for want in self._wants if job.page in want.left]:
            self._answer(want, reason)

    def failed(self, job: PageJob) -> bool:
        """An attempt failed that may be repeated; whether anybody waits for that."""
        if self.is_waited_for(job):
            return True
        self._own.discard(job.page)
        return False

    def give_up(self, now_s: float, wait_s: float, why: str, moving: AbstractSet[PageId]) -> set[PageId]:
        """Tell those who would wait in vain; returns the pages that nobody waits for any more.

        Args:
            wait_s: how long nothing can be sent, because of `why`.
            moving: the pages that have been sent for already, which that does not concern.
        """
        for want in list(self._wants):
            is_held_up = wait_s > 0 and not want.left <= moving
            if now_s >= want.until_s or (is_held_up and now_s + wait_s > want.until_s):
                self._answer(want, why if is_held_up else NOT_IN_TIME)
        left = set().union(*(want.left for want in self._wants))
        dropped = self._own - left - moving
        self._own -= dropped
        return dropped

    def end(self, reason: str) -> None:
        """Tell everybody that nothing comes any more."""
        for want in list(self._wants):
            self._answer(want, reason)

    def _answer(self, want: _Want, reason: str | None) -> None:
        self._wants.remove(want)
        want.reply(reason)
