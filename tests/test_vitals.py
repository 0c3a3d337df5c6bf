"""What a system last said of itself, and what may be concluded from that."""

from __future__ import annotations

import time
from typing import Any

from actors.messages import Tick
from actors.runtime.status import SILENCE_S
from actors.vitals import Vitals
from bars import MINUTE_MS
from tests.support.market import MONDAY_MS

WELL: dict[str, Any] = {"state": "live", "reason": None}


def said(seconds_ago: float, now_ms: int | None = MONDAY_MS) -> Tick:
    return Tick(now_ms, now_ms, time.monotonic() - seconds_ago)


def test_before_a_run_there_is_no_time_and_the_state_is_stopped() -> None:
    vitals = Vitals()
    assert vitals.status == {"state": "stopped"}
    assert vitals.now_ms() is None
    assert not vitals.wait(0.0)


def test_a_run_of_which_nothing_was_heard_is_starting() -> None:
    vitals = Vitals()
    vitals.begin()
    assert vitals.ill() == "starting"


def test_it_is_as_well_as_it_says_until_it_says_nothing_any_more() -> None:
    vitals = Vitals()
    vitals.begin()
    vitals.publish(WELL, said(0))
    assert vitals.ill() is None
    vitals.publish({"state": "degraded", "reason": "no feed delivers"}, said(0))
    assert vitals.ill() == "no feed delivers"
    vitals.publish(WELL, said(SILENCE_S + 1))
    assert vitals.ill() == "the supervisor has not been heard of for more than 30 s"


def test_one_that_gave_up_is_ill_for_that_reason_until_the_next_run() -> None:
    vitals = Vitals()
    vitals.begin()
    vitals.publish(WELL, said(0))
    vitals.give_up("it crashed too often")
    assert vitals.wait(0.0)
    assert [vitals.failure, vitals.ill()] == 2 * ["it crashed too often"]
    vitals.begin()
    assert not vitals.wait(0.0)
    assert [vitals.failure, vitals.ill()] == [None, "starting"]


def test_after_the_end_the_last_status_stays_but_for_the_state() -> None:
    vitals = Vitals()
    vitals.begin()
    vitals.publish({**WELL, "gaps": 3}, said(0))
    vitals.end()
    assert vitals.status == {"state": "stopped", "reason": None, "gaps": 3}


def test_the_exchanges_time_goes_on_with_ours_for_a_minute_at_most() -> None:
    vitals = Vitals()
    vitals.publish(WELL, said(0, None))
    assert vitals.now_ms() is None
    vitals.publish(WELL, said(7))
    now_ms = vitals.now_ms()
    assert now_ms is not None
    assert MONDAY_MS + 7_000 <= now_ms <= MONDAY_MS + MINUTE_MS
    vitals.publish(WELL, said(3_600))
    assert vitals.now_ms() == MONDAY_MS + MINUTE_MS
    vitals.publish(WELL, said(0, None))  # which names no time: the last one named stays
    assert vitals.now_ms() == MONDAY_MS + MINUTE_MS
