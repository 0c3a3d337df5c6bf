"""Events from looking at the end of a series again and again: each final once, in order, none skipped."""

from __future__ import annotations

from bars import FIVE_MINUTES, MINUTE, MINUTE_MS, Bar
from tests.support.builders import MONDAY_MS, a_bar
from web.tail import HOLD_S, Tail


def minute(number: int, volume: int = 70) -> Bar:
    return a_bar(MONDAY_MS + number * MINUTE_MS, volume=volume)


def begun(last: int | None = 0, in_progress: Bar | None = None) -> Tail:
    tail = Tail(MINUTE)
    last_ms = None if last is None else minute(last).open_ms
    tail.begin(last_ms, in_progress, MONDAY_MS + MINUTE_MS + 30_000)
    return tail


def test_the_first_look_tells_nothing_and_the_next_ones_what_has_changed() -> None:
    tail = begun(0, minute(1))
    assert tail.look([], minute(1), 0.0) == []
    assert tail.look([], minute(1, 71), 0.1) == [(minute(1, 71), False)]
    assert tail.look([minute(1, 72)], None, 0.2) == [(minute(1, 72), True)]
    assert tail.last_ms == minute(1).open_ms
    assert tail.look([], minute(2), 0.3) == [(minute(2), False)]


def test_a_bar_in_progress_is_told_of_from_its_first_trade_on() -> None:
    tail = begun()
    assert tail.look([], minute(1, 0)._replace(trades=0), 0.0) == []
    assert tail.look([], minute(1), 0.1) == [(minute(1), False)]


def test_several_that_were_closed_between_two_looks_come_in_order_and_before_what_is_in_progress() -> None:
    tail = begun()
    told = tail.look([minute(1), minute(2), minute(3)], minute(4), 0.0)
    assert told == [(minute(1), True), (minute(2), True), (minute(3), True), (minute(4), False)]


def test_a_final_waits_for_those_before_it() -> None:
    tail = begun()
    assert tail.look([minute(2), minute(3)], minute(4), 0.0) == [(minute(4), False)]
    assert tail.look([minute(1), minute(2), minute(3)], minute(4), 1.0) == [(minute(n), True) for n in (1, 2, 3)]


def test_but_not_for_ever() -> None:
    tail = begun()
    assert tail.look([minute(2)], None, 5.0) == []
    assert tail.look([minute(2), minute(5)], None, 5.0 + HOLD_S) == [(minute(2), True)]
    assert tail.look([minute(5)], None, 5.0 + HOLD_S) == []
    assert tail.look([minute(5)], None, 5.0 + 2 * HOLD_S) == [(minute(5), True)]


def test_a_series_without_closed_bars_begins_with_the_one_that_ends_next() -> None:
    tail = begun(None)
    assert tail.look([minute(1)], None, 0.0) == [(minute(1), True)]
    five = Tail(FIVE_MINUTES)
    five.begin(None, None, MONDAY_MS + 7 * MINUTE_MS)
    assert five.look([minute(5)], None, 0.0) == [(minute(5), True)]
