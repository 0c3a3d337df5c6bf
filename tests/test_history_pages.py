"""Which pages of history are planned, given what is stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.filling.history import LEFT_TO_LIVE_MS, wanted_holes
from actors.filling.jobs import Plan, Priority
from bars import MINUTE, MINUTE_MS, Span
from bars.gaps import merge
from bars.history import ALL, BEHIND_BARS_MAX, Depth
from tests.support.market import MONDAY_MS, a_contract, some_bars
from tests.support.stored import Stored, a_store

DEPTH_MINUTES = 600
NOW = 20_000
SETTLED_MS = MONDAY_MS + NOW * MINUTE_MS + LEFT_TO_LIVE_MS


@pytest.fixture
def stored() -> Iterator[Stored]:
    with a_store(a_contract(onboard_ms=MONDAY_MS)) as stored:
        yield stored


def minutes(start: int, stop: int) -> Span:
    return Span(MONDAY_MS + start * MINUTE_MS, MONDAY_MS + stop * MINUTE_MS)


def planned(stored: Stored, depth: Depth | None = None) -> list[Span]:
    plan = Plan(stored.contract, MINUTE, Priority.DEPTH)
    return merge(wanted_holes(plan, depth or Depth(DEPTH_MINUTES * MINUTE_MS), stored.reader, SETTLED_MS))


def test_depth_fills_what_is_missing_behind_it_too(stored: Stored) -> None:
    stored.put(some_bars(MINUTE, minutes(18_000, 0)[0], 10))
    assert planned(stored) == [minutes(18_010, NOW)]


def test_an_old_span_that_a_client_had_fetched_does_not_make_all_since_then_history(stored: Stored) -> None:
    stored.put(some_bars(MINUTE, minutes(10, 0)[0], 10))
    stored.put(some_bars(MINUTE, minutes(1_000, 0)[0], 10))
    assert NOW - DEPTH_MINUTES - 1_010 > BEHIND_BARS_MAX
    assert planned(stored) == [minutes(20, 1_000), minutes(NOW - DEPTH_MINUTES, NOW)]


def test_all_of_history_begins_one_minute_before_the_launch_which_tells_that_there_are_none(stored: Stored) -> None:
    assert planned(stored, ALL) == [minutes(-1, NOW)]
