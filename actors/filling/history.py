"""Which history is to be fetched: from the wanted depth and what is stored to plans, and to what they lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.filling.jobs import Plan, Priority
from bars import DAY, FIVE_MINUTES, FOUR_HOURS, HALF_HOUR, MINUTE, MINUTE_MS, WEEK, Contract, Interval, Span
from bars.gaps import subtract
from bars.history import NONE, Depth, worth_filling
from storage import Reader
from wire.requests import PAGE_BARS

FIRST_SCREENS = (MINUTE, FOUR_HOURS)
"""These two are enough to begin every bar in progress: 4h bars of this week, minutes of the last 4 hours."""
OTHER_SCREENS = (FIVE_MINUTES, HALF_HOUR, DAY, WEEK)
CONTRACTS_MAX = 1_000_000
"""More than there will ever be: the second round begins behind the first one."""
LEFT_TO_LIVE_MS = 5 * MINUTE_MS
"""How long the live feed and its requests for gaps are given to bring what is newest."""


def plans_for(contract: Contract, depths: Mapping[Interval, Depth], arrival: int) -> Iterator[Plan]:
    """Plans for a contract: first screens of all charts in two rounds over all contracts, then depth."""
    for number, intervals in enumerate((FIRST_SCREENS, OTHER_SCREENS)):
        for interval in intervals:
            if depths[interval] != NONE:
                yield Plan(contract, interval, Priority.SCREEN, rank=number * CONTRACTS_MAX + arrival)
    for interval in (*FIRST_SCREENS, *OTHER_SCREENS):
        yield Plan(contract, interval, Priority.DEPTH)  # where no depth is wanted: what is missing since the first bar


def wanted_holes(plan: Plan, depth: Depth, reader: Reader, settled_ms: int) -> list[Span]:
    """What a plan still lacks, ascending, nothing of it beyond `settled_ms`.

    Holes that were asked for in vain rest for a growing time, and for ever in the end. Depth also fills what is
    missing behind it, back to the oldest bar that is stored, and what was found missing even before; it leaves the
    newest minutes to the live feed.
    """
    contract, interval = plan.contract, plan.interval
    record = reader.get(contract.key)
    resting = [] if record is None else reader.resting(record, interval, settled_ms)
    if plan.priority is Priority.DEPTH:
        settled_ms -= LEFT_TO_LIVE_MS
    stop_ms = min(interval.floor(settled_ms), interval.ceil(contract.delivery_ms))
    start_ms = depth.start_ms(settled_ms, interval)
    if plan.priority is Priority.SCREEN:
        start_ms = max(start_ms, interval.back(stop_ms, PAGE_BARS))
    elif record is not None:
        first_ms = reader.first_open_ms(record, interval)
        start_ms = start_ms if first_ms is None else min(start_ms, first_ms)
    # That there are none is known once one bucket before the launch was asked for.
    before_launch_ms = interval.back(interval.floor(contract.onboard_ms), 1)
    span = Span(max(interval.ceil(start_ms), before_launch_ms, 0), stop_ms)
    if record is None:
        holes = [] if span.is_empty else [span]
    else:
        holes = reader.holes(record, interval, span)
        if plan.priority is Priority.DEPTH:
            earlier = Span(0, min(span.start_ms, span.stop_ms))
            holes = [*reader.told_holes(record, interval, earlier), *holes]
    wanted_ms = depth.start_ms(settled_ms, interval)
    wanted = (worth_filling(hole, interval, wanted_ms) for hole in subtract(holes, resting))
    return [hole for hole in wanted if not hole.is_empty]
