"""Work that costs weight, and the order it is done in. No actor in here."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from actors.runtime.cell import Address
from bars import Contract, ContractKey, Interval, Scale, Span
from bars.gaps import pages
from exchange import ExchangeError
from wire.requests import PAGE_BARS, klines_weight, with_next


class Priority(IntEnum):
    """What goes first: the present before the past."""

    CONTROL = 0
    LIVE_GAP = 1
    SEED = 2
    READ = 3
    SCREEN = 4
    VERIFY = 5
    """Before depth, which may take days: it keeps itself to a small part of the weight."""
    DEPTH = 6


@dataclass(frozen=True, slots=True, eq=False)
class InfoJob:
    """Fetch exchangeInfo."""

    reply_to: Address
    priority: Priority = Priority.CONTROL
    weight: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class TimeJob:
    """Fetch the exchange's time."""

    priority: Priority = Priority.CONTROL
    weight: int = 1


class PageId(NamedTuple):
    """Which page it is, whatever it was asked for and however often."""

    key: ContractKey
    interval: Interval
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class PageJob:
    """Fetch the bars of one interval that open within `span`. Those of a live gap, and those to compare,
    go to `reply_to`, others to the disk."""

    contract: Contract
    interval: Interval
    span: Span
    scale: Scale
    priority: Priority
    reply_to: Address | None = None
    plan: Plan | None = None
    attempts: int = 0

    @property
    def page(self) -> PageId:
        return PageId(self.contract.key, self.interval, self.span)

    @property
    def asked(self) -> Span:
        """What the exchange is asked for: for the disk also the bar after it, where that costs nothing. Without that
        one nobody knows whether bars that are missing at the end exist."""
        return with_next(self.interval, self.span) if self.reply_to is None else self.span

    @property
    def weight(self) -> int:
        return klines_weight(self.interval.count(*self.span))


Job = InfoJob | TimeJob | PageJob


@dataclass(slots=True, eq=False)
class Plan:
    """What is still to be fetched of one series, in pages, newest first.

    `holes`, ascending, are worked out only when the plan's turn comes, from what is stored by then. Pages are cut off
    them one by one: those of all history would take hundreds of megabytes. A plan is either in the queue or has a page
    on its way.
    """

    contract: Contract
    interval: Interval
    priority: Priority
    holes: list[Span] | None = None
    rank: int = 0

    def next_page(self) -> Span | None:
        """Take the next page off; None if there is none."""
        while self.holes:
            hole = self.holes.pop()
            page = next(pages(hole, self.interval, PAGE_BARS), None)
            if page is None:
                continue
            if hole.start_ms < page.start_ms:
                self.holes.append(Span(hole.start_ms, page.start_ms))
            return page
        return None

    @property
    def pages_left(self) -> int:
        """How many pages it has, as far as known."""
        if self.holes is None:
            return 1
        return sum(math.ceil(self.interval.count(*hole) / PAGE_BARS) for hole in self.holes)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A job's answer. `used_weight` is what the exchange says was spent this minute by everyone on this IP."""

    fetcher: Address
    job: Job
    value: Any
    used_weight: int | None


@dataclass(frozen=True, slots=True)
class FetchFailed:
    fetcher: Address
    job: Job
    error: ExchangeError


@dataclass(slots=True)
class JobQueue:
    """Jobs and plans by priority, then rank, then arrival."""

    _heap: list[tuple[int, int, int, Job | Plan]] = field(default_factory=list)
    _arrivals: Iterator[int] = field(default_factory=itertools.count)

    def push(self, item: Job | Plan, rank: int = 0) -> None:
        heapq.heappush(self._heap, (item.priority, rank, next(self._arrivals), item))

    def pop(self) -> Job | Plan | None:
        return heapq.heappop(self._heap)[3] if self._heap else None

    @property
    def is_urgent(self) -> bool:
        """Whether what comes next concerns the present, and asks nothing of the disk."""
        return bool(self._heap) and self._heap[0][0] <= Priority.LIVE_GAP

    def take_infos(self) -> list[InfoJob]:
        """Remove and return the jobs that wait for exchangeInfo."""
        infos = [entry[3] for entry in self._heap if isinstance(entry[3], InfoJob)]
        self._heap = [entry for entry in self._heap if not isinstance(entry[3], InfoJob)]
        heapq.heapify(self._heap)
        return infos

    def discard_reads(self, unwanted: AbstractSet[PageId]) -> None:
        """Remove pages that clients no longer wait for."""
        self._heap = [entry for entry in self._heap if not _is_read_of(entry[3], unwanted)]
        heapq.heapify(self._heap)

    @property
    def pages_left(self) -> int:
        return sum(
            entry[3].pages_left if isinstance(entry[3], Plan) else isinstance(entry[3], PageJob) for entry in self._heap
        )

    def __len__(self) -> int:
        return len(self._heap)


def _is_read_of(item: Job | Plan, pages: AbstractSet[PageId]) -> bool:
    return isinstance(item, PageJob) and item.priority is Priority.READ and item.page in pages
