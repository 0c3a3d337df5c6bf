"""Why bars are not there: one table of facts and what follows, and how often a hole is asked for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import Span
from bars.interval import HOUR_MS
from bars.ledger import (
    ASKED_MAX,
    Facts,
    Noted,
    Reason,
    State,
    asked_again,
    decide,
    kept_within,
    noted_again,
    rest_ms,
    without,
)


@pytest.mark.parametrize(
    ("facts", "reason", "state"),
    [
        (Facts(), "being filled", "being filled"),
        (Facts(asked=ASKED_MAX - 1), "being filled", "being filled"),
        (Facts(asked=ASKED_MAX), "unfillable", "unfillable"),
        (Facts(in_downtime=True), "our downtime", "being filled"),
        (Facts(in_downtime=True, asked=ASKED_MAX), "unfillable", "unfillable"),
        (Facts(noted=Reason.ARCHIVE), "archive hole", "being filled"),
        (Facts(noted=Reason.ARCHIVE, in_downtime=True), "archive hole", "being filled"),
        (Facts(noted=Reason.ARCHIVE, asked=ASKED_MAX), "archive hole", "unfillable"),
        (Facts(noted=Reason.ARCHIVE, exchange_has_none=True), "archive hole", "explained"),
        (Facts(noted=Reason.UNFILLABLE), "unfillable", "unfillable"),
        (Facts(noted=Reason.UNFILLABLE, exchange_has_none=True), "no trades", "explained"),
        (Facts(exchange_has_none=True), "no trades", "explained"),
        (Facts(exchange_has_none=True, asked=ASKED_MAX), "no trades", "explained"),
        (Facts(is_pause=True), "exchange pause", "explained"),
        (Facts(is_pause=True, exchange_has_none=True), "exchange pause", "explained"),
        (Facts(before_listing=True), "not listed yet", "explained"),
        (Facts(before_listing=True, of_another_contract=True), "relisted", "explained"),
        (Facts(before_listing=True, asked=ASKED_MAX), "not listed yet", "explained"),
        (Facts(after_delivery=True), "delisted", "explained"),
        (Facts(after_delivery=True, of_another_contract=True), "relisted", "explained"),
        (Facts(after_delivery=True, is_pause=True, in_downtime=True), "delisted", "explained"),
    ],
)
def test_facts_make_a_reason_and_a_state(facts: Facts, reason: str, state: str) -> None:
    assert decide(facts) == (Reason(reason), State(state))


def test_a_hole_is_asked_for_with_growing_distance_and_in_the_end_no_more() -> None:
    known: list[Noted] = []
    asked_ms, now_ms = [], 0
    for _ in range(1_000):
        if not any(one.is_resting(now_ms) for one in known):
            asked_ms.append(now_ms)
            known = asked_again(known, Span(0, 60_000), now_ms)
        now_ms += HOUR_MS
    assert [ms // HOUR_MS for ms in asked_ms] == [0, 1, 2, 6, 22, 86]
    assert len(asked_ms) == ASKED_MAX
    assert [rest_ms(asked) for asked in range(7)] == [hours * HOUR_MS for hours in (0, 0, 1, 4, 16, 64, 256)]


def test_what_is_asked_for_twice_at_once_counts_once() -> None:
    known: list[Noted] = []
    now_ms = 1_000 * HOUR_MS
    for hours in (0, 0, 1, 1, 5, 5, 21, 21, 85, 85):
        assert not any(decide(Facts(asked=one.asked))[1] is State.UNFILLABLE for one in known) or hours == 85
        known = asked_again(known, Span(0, 60_000), now_ms + hours * HOUR_MS)
    assert [one.asked for one in known] == [ASKED_MAX]


def test_what_overlaps_is_counted_apart() -> None:
    known = asked_again([], Span(0, 10), 1)
    known = asked_again(known, Span(5, 20), 2)
    assert known == [
        Noted(Span(0, 5), None, 1, 1, 1),
        Noted(Span(5, 10), None, 1, 2, 2),
        Noted(Span(10, 20), None, 2, 1, 2),
    ]
    known = noted_again(known, Span(8, 12), Reason.ARCHIVE, 3)
    assert [(one.span, one.reason, one.asked) for one in known] == [
        (Span(0, 5), None, 1),
        (Span(5, 8), None, 2),
        (Span(8, 10), Reason.ARCHIVE, 2),
        (Span(10, 12), Reason.ARCHIVE, 1),
        (Span(12, 20), None, 1),
    ]
    assert kept_within(known, [Span(0, 2), Span(9, 11)]) == [
        Noted(Span(0, 2), None, 1, 1, 1),
        Noted(Span(9, 10), Reason.ARCHIVE, 1, 2, 2),
        Noted(Span(10, 11), Reason.ARCHIVE, 2, 1, 2),
    ]


def test_neighbours_of_which_the_same_is_known_become_one() -> None:
    known = noted_again(noted_again([], Span(0, 10), Reason.PAUSE, 5), Span(10, 20), Reason.PAUSE, 7)
    assert known == [Noted(Span(0, 20), Reason.PAUSE, 5)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=12))
def test_spans_never_overlap_and_each_point_counts_how_often_it_was_asked_for(asks: list[tuple[int, int]]) -> None:
    known: list[Noted] = []
    for at_ms, (start, length) in enumerate(asks):
        known = asked_again(known, Span(start, start + length), at_ms * 100 * HOUR_MS)
    assert all(one.span.stop_ms <= other.span.start_ms for one, other in pairwise(known))
    for point in range(45):
        counted = [one.asked for one in known if one.span.start_ms <= point < one.span.stop_ms]
        expected = sum(start <= point < start + length for start, length in asks)
        assert counted == ([min(expected, ASKED_MAX)] if expected else [])


def test_what_is_left_of_a_hole_is_known_as_before() -> None:
    noted = Noted(Span(0, 10), Reason.ARCHIVE, 3, 2, 7)
    spans = [Span(2, 4), Span(6, 20)]
    left = [Noted(span, Reason.ARCHIVE, 3, 2, 7) for span in (Span(0, 2), Span(4, 6))]
    assert without(noted, spans) == left
    assert without(noted, []) == [noted]
    assert without(noted, [Span(0, 10)]) == []
