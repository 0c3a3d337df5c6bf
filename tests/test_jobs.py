"""The order in which weight is spent."""

from __future__ import annotations

import pytest

from actors.filling.jobs import InfoJob, JobQueue, PageJob, Plan, Priority
from bars import MINUTE, MINUTE_MS, Interval, Span
from tests.support.actors import Stage
from tests.support.market import MONDAY_MS, a_contract
from wire.requests import PAGE_BARS


def a_page(minutes: int = 10, priority: Priority = Priority.DEPTH, interval: Interval = MINUTE) -> PageJob:
    span = Span(MONDAY_MS, MONDAY_MS + minutes * MINUTE_MS)
    return PageJob(a_contract(), interval, span, a_contract().scale, priority)


def a_plan(priority: Priority = Priority.DEPTH, pages: int | None = None) -> Plan:
    holes = None if pages is None else [Span(0, pages * PAGE_BARS * MINUTE_MS)]
    return Plan(a_contract(), MINUTE, priority, holes=holes)


def test_the_present_goes_before_the_past_then_rank_then_arrival() -> None:
    queue = JobQueue()
    depth, screen, second = a_plan(), a_plan(Priority.SCREEN), a_plan(Priority.SCREEN)
    gap, info = a_page(priority=Priority.LIVE_GAP), InfoJob(Stage().recorder("directory").address)
    queue.push(depth)
    queue.push(second, rank=2)
    queue.push(screen, rank=1)
    queue.push(gap)
    queue.push(info)
    later = a_page(priority=Priority.LIVE_GAP)
    queue.push(later)
    assert len(queue) == 6
    assert [queue.pop() for _ in range(7)] == [info, gap, later, screen, second, depth, None]


def test_what_was_put_back_goes_before_its_equals() -> None:
    queue = JobQueue()
    first, back = a_page(), a_page()
    queue.push(first)
    queue.push(back, -1)
    assert queue.pop() is back


def test_a_plan_counts_by_its_pages_or_as_one_while_they_are_not_known() -> None:
    queue = JobQueue()
    queue.push(a_plan())
    queue.push(a_plan(pages=7))
    queue.push(a_page())
    queue.push(InfoJob(Stage().recorder("directory").address))
    assert queue.pages_left == 9


def test_those_who_wait_for_exchange_info_can_be_taken_out() -> None:
    queue = JobQueue()
    infos = [InfoJob(Stage().recorder("directory").address) for _ in range(2)]
    gap, depth = a_page(priority=Priority.LIVE_GAP), a_page()
    for item in (depth, infos[0], gap, infos[1]):
        queue.push(item)
    assert queue.take_infos() == infos
    assert queue.take_infos() == []
    assert [queue.pop(), queue.pop(), queue.pop()] == [gap, depth, None]


@pytest.mark.parametrize(("minutes", "weight"), [(1, 1), (99, 1), (100, 2), (499, 2)])
def test_a_page_costs_what_its_number_of_bars_costs(minutes: int, weight: int) -> None:
    assert a_page(minutes).weight == weight
