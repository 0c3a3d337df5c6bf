"""What an answer of the exchange says about the bars that it does not contain."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import MINUTE, MINUTE_MS, WEEK, Bar, Span
from bars.coverage import LATE_ROWS_MS, absences, lacking
from bars.gaps import merge
from bars.interval import HOUR_MS, WEEK_MS
from bars.ledger import Noted, asked_again
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


def absent(
    asked: Span, *numbers: int, now_ms: int = at(OLD), in_vain: Sequence[Span] = (minutes(0, OLD),)
) -> list[Span]:
    """What an answer leaves out, where all of it was asked for in vain before."""
    return absences(asked, bars(numbers), MINUTE, at(ONBOARD) + 30_000, now_ms, in_vain)


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
def test_what_was_not_in_answers_long_ago_and_is_not_in_this_one_does_not_exist(
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
    long_ago = MONDAY_MS + 9 * WEEK_MS
    assert absences(asked, [week], WEEK, at(ONBOARD), long_ago) == [Span(0, week.open_ms)]


@pytest.mark.parametrize("start", [5, 20], ids=["from before the launch", "later"])
@pytest.mark.parametrize("numbers", [(), (23,)], ids=["nothing", "a beginning"])
def test_a_missing_end_may_only_be_late_until_it_is_a_day_old(start: int, numbers: tuple[int, ...]) -> None:
    asked, enough_ms = minutes(start, 30), at(30) + LATE_ROWS_MS
    ended = absent(asked, *numbers, now_ms=enough_ms)
    assert ended[-1].stop_ms == at(30)
    is_before_launch = start < ONBOARD and not numbers
    early = absent(asked, *numbers, now_ms=enough_ms - 1)
    assert early == ([Span(0, at(ONBOARD))] if is_before_launch else ended[:-1])


@pytest.mark.parametrize(
    ("stop", "expected"), [(9, [Span(0, at(9))]), (10, [Span(0, at(10))]), (11, [Span(0, at(10))])]
)
def test_nothing_from_before_the_launch_can_be_late(stop: int, expected: list[Span]) -> None:
    assert absent(minutes(5, stop), now_ms=at(12)) == expected


def test_a_hole_before_the_end_of_a_new_answer_does_not_exist() -> None:
    assert absent(minutes(20, 30), *range(25, 30), now_ms=at(31)) == [minutes(20, 25)]


@pytest.mark.parametrize(
    ("asked", "numbers", "expected"),
    [
        (minutes(20, 30), (), []),
        (minutes(5, 30), (), [Span(0, at(10))]),
        (minutes(20, 30), (22, 23, 26, 27), [minutes(20, 22), minutes(24, 26)]),
        (minutes(5, 30), (12,), [Span(0, at(12))]),
        (minutes(5, 10), (), [Span(0, at(10))]),
    ],
    ids=["nothing", "nothing since the launch", "some", "the first", "before the launch"],
)
def test_of_what_was_never_asked_for_before_only_what_has_bars_behind_it_is_believed(
    asked: Span, numbers: Sequence[int], expected: list[Span]
) -> None:
    assert absent(asked, *numbers, in_vain=()) == expected


@pytest.mark.parametrize(
    ("asked", "numbers", "expected"),
    [
        (minutes(20, 30), (30,), [minutes(20, 30)]),
        (minutes(20, 30), (22, 31), [minutes(20, 22), minutes(23, 30)]),
        (minutes(10, 12), (12,), [Span(0, at(12))]),
        (minutes(20, 30), (*range(20, 30), 30), []),
    ],
    ids=["a hole before a bar", "an end", "the launch", "nothing lacks"],
)
def test_a_closed_bar_behind_what_was_asked_for_tells_that_the_rest_does_not_exist(
    asked: Span, numbers: Sequence[int], expected: list[Span]
) -> None:
    assert absent(asked, *numbers, now_ms=at(40), in_vain=()) == expected


def test_a_bar_behind_what_was_asked_for_counts_from_its_end_on() -> None:
    asked = minutes(20, 30)
    assert absent(asked, 30, now_ms=at(31), in_vain=()) == [asked]
    assert absent(asked, 30, now_ms=at(31) - 1, in_vain=()) == []


def test_a_bar_in_progress_behind_what_was_asked_for_tells_that_only_of_what_is_a_day_old() -> None:
    launch_ms = MONDAY_MS + WEEK_MS - 1_000
    asked, behind = Span(MONDAY_MS, MONDAY_MS + WEEK_MS), [a_bar(MONDAY_MS + WEEK_MS)]
    enough_ms = asked.stop_ms + LATE_ROWS_MS
    assert absences(asked, behind, WEEK, launch_ms, enough_ms - 1) == []
    assert absences(asked, behind, WEEK, launch_ms, enough_ms) == [Span(0, asked.stop_ms)]
    assert absences(asked, behind, WEEK, launch_ms, asked.stop_ms + WEEK_MS) == [Span(0, asked.stop_ms)]


def test_of_an_end_that_is_missing_the_parts_are_believed_that_were_asked_for_in_vain() -> None:
    known = [minutes(18, 21), minutes(24, 26), minutes(29, 40)]
    assert absent(minutes(20, 30), 20, in_vain=known) == [minutes(24, 26), minutes(29, 30)]
    assert absent(minutes(5, 30), in_vain=[minutes(0, 12)]) == [Span(0, at(12))]


Answered = tuple[Span, set[int], list[Span]]
"""What was asked for, the minutes that came, and what was asked for in vain before."""


@st.composite
def answers(draw: st.DrawFn) -> Answered:
    asked = minutes(start := draw(st.integers(0, 30)), start + draw(st.integers(1, 30)))
    came = draw(st.sets(st.integers(max(ONBOARD, start), 60)))
    known = st.builds(lambda at, length: minutes(at, at + length), st.integers(0, 60), st.integers(1, 30))
    return (
        asked,
        {number for number in came if asked.start_ms <= at(number) < asked.stop_ms},
        merge(draw(st.lists(known))),
    )


def numbers_in(spans: Sequence[Span]) -> set[int]:
    return {number for number in range(60) for span in spans if span.start_ms <= at(number) < span.stop_ms}


@given(answers(), st.sampled_from([at(OLD), at(60)]))
def test_what_is_called_absent_did_not_come_and_has_a_witness(answer: Answered, now_ms: int) -> None:
    asked, came, known = answer
    found = absent(asked, *sorted(came), now_ms=now_ms, in_vain=known)
    assert found == merge(found)
    assert not numbers_in(found) & came
    has_bars_behind = set(range(max(came, default=0)))
    before_launch = set(range(ONBOARD)) if not came else set()
    witnessed = numbers_in(known) if now_ms == at(OLD) else set()
    begins = found[:1] if found and found[0].start_ms == 0 else []  # tells of the time before, too
    told = numbers_in([span.intersect(asked) for span in found])
    assert told <= has_bars_behind | before_launch | witnessed
    assert not begins or asked.start_ms <= at(ONBOARD)


@given(answers())
def test_after_answers_enough_every_old_minute_is_there_or_absent(answer: Answered) -> None:
    asked, came, _ = answer
    found = absent(asked, *sorted(came), in_vain=[asked])
    assert numbers_in([asked]) == came | numbers_in([span.intersect(asked) for span in found])
    assert lacking(asked, bars(sorted(came)), MINUTE, found) == []


@given(answers())
def test_more_vain_answers_never_make_less_absent(answer: Answered) -> None:
    asked, came, known = answer
    fewer, more = (numbers_in(absent(asked, *sorted(came), in_vain=spans)) for spans in (known, merge([*known, asked])))
    assert fewer <= more


@given(st.lists(st.integers(0, HOUR_MS - 1), max_size=30))
def test_however_often_it_is_asked_within_an_hour_an_empty_answer_is_not_believed(times_ms: list[int]) -> None:
    asked, noted = minutes(20, 30), list[Noted]()
    for time_ms in sorted(times_ms):
        now_ms = at(OLD) + time_ms
        in_vain = [one.span for one in noted if one.is_believed(now_ms)]
        assert absent(asked, now_ms=now_ms, in_vain=in_vain) == []
        noted = asked_again(noted, asked, now_ms)


def test_a_third_empty_answer_an_hour_after_the_second_is_believed() -> None:
    asked, noted = minutes(20, 30), list[Noted]()
    for time_ms in (0, 60_000, 2 * 60_000, 30 * 60_000):
        noted = asked_again(noted, asked, at(OLD) + time_ms)
    (known,) = noted
    assert not known.is_believed(at(OLD) + HOUR_MS + 60_000 - 1)
    assert known.is_believed(at(OLD) + HOUR_MS + 60_000)


@given(st.sets(st.integers(0, 40)), st.integers(0, 40), st.integers(1, 10))
def test_what_is_neither_there_nor_known_not_to_exist_is_lacking(numbers: set[int], start: int, length: int) -> None:
    asked, there = minutes(0, 41), bars(sorted(numbers))
    known = minutes(start, start + length)
    left = lacking(asked, there, MINUTE, [known])
    expected = set(range(41)) - numbers - set(range(start, start + length))
    assert {(ms - MONDAY_MS) // MINUTE_MS for span in left for ms in range(*span, MINUTE_MS)} == expected
    assert left == sorted(left)
