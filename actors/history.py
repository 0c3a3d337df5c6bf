"""Which history is to be fetched: from the wanted depth and what is stored to pages of requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.jobs import Plan, Priority
from bars import DAY, FIVE_MINUTES, FOUR_HOURS, HALF_HOUR, MINUTE, MINUTE_MS, WEEK, Contract, Interval, Span
from bars.gaps import pages
from bars.history import NONE, Depth
from storage import Reader
from wire.requests import PAGE_BARS

FIRST_SCREENS = (MINUTE, FOUR_HOURS)
"""These two are enough to begin every bar in progress: 4h bars of this week, minutes of the last 4 hours."""
OTHER_SCREENS = (FIVE_MINUTES, HALF_HOUR, DAY, WEEK)
BEHIND_BARS_MAX = 20 * PAGE_BARS
"""How far a hole may reach behind the wanted depth to be filled all the same, in bars: a week of minutes."""
LEFT_TO_LIVE_MS = 5 * MINUTE_MS
"""So long the live feed and its gaps' requests are given to bring what is newest."""


def plans_for(contract: Contract, depths: Mapping[Interval, Depth], arrival: int) -> Iterator[Plan]:
    """Plans for a contract: first screens of all charts in two rounds over all contracts, then depth."""
    for number, intervals in enumerate((FIRST_SCREENS, OTHER_SCREENS)):
        for interval in intervals:
            if depths[interval] != NONE:
                yield Plan(contract, interval, Priority.SCREEN, rank=number * 1_000_000 + arrival)
    for interval in (*FIRST_SCREENS, *OTHER_SCREENS):
        if depths[interval] != NONE:
            yield Plan(contract, interval, Priority.DEPTH)


def plan_pages(plan: Plan, depth: Depth, reader: Reader, settled_ms: int) -> list[Span]:
    """The pages that a plan still lacks, newest first, none reaching beyond `settled_ms`.

    Depth also fills what is missing behind it, back to the oldest bar that is stored, and leaves the newest
    minutes to the live feed.
    """
    contract, interval = plan.contract, plan.interval
    record = reader.get(contract.key)
    if plan.priority is Priority.DEPTH:
        settled_ms -= LEFT_TO_LIVE_MS
    stop_ms = min(interval.floor(settled_ms), interval.ceil(contract.delivery_ms))
    start_ms = depth.start_ms(settled_ms, interval)
    if plan.priority is Priority.SCREEN:
        start_ms = max(start_ms, interval.back(stop_ms, PAGE_BARS))
    elif record is not None:
        first_ms = reader.first_open_ms(record, interval)
        start_ms = start_ms if first_ms is None else min(start_ms, first_ms)
    span = Span(max(interval.ceil(start_ms), 0), stop_ms)
    if span.is_empty:
        return []
    holes = [span] if record is None else reader.holes(record, interval, span)
    wanted_ms = depth.start_ms(settled_ms, interval)
    holes = [_worth_filling(hole, interval, wanted_ms) for hole in holes]
    return [page for hole in reversed(holes) for page in pages(hole, interval, PAGE_BARS)]


def _worth_filling(hole: Span, interval: Interval, wanted_ms: int) -> Span:
    """A hole as far as it is within the wanted depth; what is behind it too, unless that is much.

    Much is no loss of ours: clients had old spans fetched, and nobody asked for what lies between.
    """
    if interval.count(hole.start_ms, min(wanted_ms, hole.stop_ms)) <= BEHIND_BARS_MAX:
        return hole
    return Span(max(hole.start_ms, wanted_ms), hole.stop_ms)
