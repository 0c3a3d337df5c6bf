"""What an answer of the exchange says about the bars that it does not contain."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import MINUTE, MINUTE_MS, WEEK, Bar, Span
from bars.coverage import LATE_ROWS_MS, absences, lacking
from bars.interval import WEEK_MS
from tests.support.builders import MONDAY_MS, a_bar

ONBOARD = 10
"""The minute of the launch; it does not begin with its first second."""
OLD = 10_000


def at(minute: int) -> int:
    return MONDAY_MS + minute * MINUTE_MS


def minutes(start: int, stop: int) -> Span:
    return Span(at(start), at(stop))


def bars(numbers: Sequence[int]) -> list[Bar]:
    return [a_bar(at(number)) for number in numbers]


def absent(asked: Span, *numbers: int, now_ms: int = at(OLD)) -> list[Span]:
    return absences(asked, bars(numbers), MINUTE, at(ONBOARD) + 30_000, now_ms)


@pytest.mark.parametrize(
    ("asked", "numbers", "expected"),
    [
        (minutes(20, 30), range(20, 30), []),
        (minutes(20, 30), (), [minutes(20, 30)]),
        (minutes(20, 30), (22, 23, 26, 27), [minutes(20, 22), minutes(24, 26), minutes(28, 30)]),
        (minutes(11, 14), (12, 13), [minutes(11, 12)]),
    ],
    ids=["all", "nothing", "some", "right behind the launch"],
)
def test_long_ago_what_is_not_in_an_answer_does_not_exist(
    asked: Span, numbers: Sequence[int], expected: list[Span]
) -> None:
    assert absent(asked, *numbers) == expected


@pytest.mark.parametrize("start", [10, 5], ids=["at the launch", "before it"])
def test_a_beginning_without_bars_that_reaches_back_to_the_launch_reaches_back_to_the_beginning_of_time(
    start: int,
) -> None:
    assert absent(minutes(start, 14), 12, 13) == [Span(0, at(12))]
    assert absent(minutes(start, 14)) == [Span(0, at(14))]
    assert absent(minutes(start, 14), 12) == [Span(0, at(12)), minutes(13, 14)]


def test_where_the_first_bar_is_there_time_before_it_is_not_spoken_of() -> None:
    assert absent(minutes(10, 14), 10, 13) == [minutes(11, 13)]
    assert absent(minutes(11, 14)) == [minutes(11, 14)]


def test_a_week_is_asked_for_from_the_monday_before_the_launch_on() -> None:
    asked = Span(MONDAY_MS, MONDAY_MS + 2 * WEEK_MS)
    week = a_bar(MONDAY_MS + WEEK_MS)
    assert absences(asked, [week], WEEK, at(ONBOARD), MONDAY_MS + 9 * WEEK_MS) == [Span(0, week.open_ms)]


@pytest.mark.parametrize("start", [5, 20], ids=["from before the launch", "later"])
@pytest.mark.parametrize("numbers", [(), (23,)], ids=["nothing", "a beginning"])
def test_a_missing_end_may_only_be_late_until_it_is_a_day_old(start: int, numbers: tuple[int, ...]) -> None:
    asked, enough_ms = minutes(start, 30), at(30) + LATE_ROWS_MS
    ended = absent(asked, *numbers, now_ms=enough_ms)
    assert ended[-1].stop_ms == at(30)
    assert absent(asked, *numbers, now_ms=enough_ms - 1) == ended[:-1]


@pytest.mark.parametrize(("stop", "expected"), [(9, [Span(0, at(9))]), (10, [Span(0, at(10))]), (11, [])])
def test_nothing_from_before_the_launch_can_be_late(stop: int, expected: list[Span]) -> None:
    assert absent(minutes(5, stop), now_ms=at(12)) == expected


def test_a_hole_before_the_end_of_a_new_answer_does_not_exist() -> None:
    assert absent(minutes(20, 30), *range(25, 30), now_ms=at(31)) == [minutes(20, 25)]


@given(st.sets(st.integers(0, 40)), st.integers(0, 40), st.integers(1, 10))
def test_what_is_neither_there_nor_known_not_to_exist_is_lacking(numbers: set[int], start: int, length: int) -> None:
    asked, there = minutes(0, 41), bars(sorted(numbers))
    known = minutes(start, start + length)
    left = lacking(asked, there, MINUTE, [known])
    expected = set(range(41)) - numbers - set(range(start, start + length))
    assert {(ms - MONDAY_MS) // MINUTE_MS for span in left for ms in range(*span, MINUTE_MS)} == expected
    assert left == sorted(left)
