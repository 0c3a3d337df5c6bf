"""What an audit looks at: which spans, with whose help, and in which windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from actors.commands.audit.scope import WINDOW_BARS, AuditOptions, Scope
from bars import DAY, FIVE_MINUTES, INTERVALS, MINUTE, MINUTE_MS, WEEK, Interval, Span
from bars.interval import DAY_MS
from storage import ContractRecord, SeriesSummary
from tests.support.market import MONDAY_MS, SCALE, a_contract

MONTH = INTERVALS["1M"]
JANUARY_MS = MONTH.floor(MONDAY_MS)
RECORD = ContractRecord(1, a_contract(onboard_ms=JANUARY_MS - 90 * DAY_MS), SCALE)
KEY = RECORD.key
LATE_MS = MONDAY_MS + 400 * DAY_MS
Groups = list[tuple[dict[Interval, Span], frozenset[Interval]]]


def held(interval: Interval, start_ms: int, stop_ms: int) -> SeriesSummary:
    return SeriesSummary(KEY, interval, start_ms, stop_ms - interval.span_ms, interval.count(start_ms, stop_ms), 0)


def a_scope(
    intervals: Sequence[Interval],
    *stored: SeriesSummary,
    start_ms: int | None = None,
    stop_ms: int | None = None,
    settled_ms: int = LATE_MS,
    is_served: bool = True,
) -> Scope:
    options = AuditOptions(tuple(intervals), start_ms, stop_ms)
    owner = KEY if is_served else replace(RECORD.contract, onboard_ms=LATE_MS).key
    return Scope(options, stored, {KEY.symbol: owner}, settled_ms)


def groups(scope: Scope) -> Groups:
    return list(scope.groups(RECORD))


def test_without_bounds_it_is_what_is_stored() -> None:
    span = Span(MONDAY_MS, MONDAY_MS + DAY_MS)
    assert groups(a_scope([MINUTE], held(MINUTE, *span))) == [({MINUTE: span}, frozenset({MINUTE}))]


def test_what_is_not_stored_is_looked_at_only_where_a_start_is_given() -> None:
    assert groups(a_scope([MINUTE])) == []
    assert groups(a_scope([MINUTE], stop_ms=MONDAY_MS)) == []
    to_the_settled = Span(MONDAY_MS, MONDAY_MS + DAY_MS)
    assert groups(a_scope([MINUTE], start_ms=MONDAY_MS, settled_ms=to_the_settled.stop_ms + 1)) == [
        ({MINUTE: to_the_settled}, frozenset({MINUTE}))
    ]
    stop_ms = MONDAY_MS + 5 * MINUTE_MS
    assert groups(a_scope([MINUTE], start_ms=MONDAY_MS, stop_ms=stop_ms)) == [
        ({MINUTE: Span(MONDAY_MS, stop_ms)}, frozenset({MINUTE}))
    ]


def test_bounds_go_to_whole_bars_and_never_before_the_listing_or_beyond_what_has_settled() -> None:
    listed = RECORD.contract.onboard_ms
    ((spans, _),) = groups(a_scope([DAY], start_ms=0, stop_ms=MONDAY_MS + DAY_MS - 1))
    assert spans == {DAY: Span(DAY.floor(listed), MONDAY_MS)}
    ((spans, _),) = groups(a_scope([DAY], start_ms=MONDAY_MS + 1, settled_ms=MONDAY_MS + 3 * DAY_MS - 1))
    assert spans == {DAY: Span(MONDAY_MS + DAY_MS, MONDAY_MS + 2 * DAY_MS)}


def test_what_a_larger_bar_is_made_of_is_compared_too() -> None:
    ((spans, counted),) = groups(a_scope([INTERVALS["15m"]], start_ms=MONDAY_MS, stop_ms=MONDAY_MS + DAY_MS))
    assert counted == spans.keys() == {FIVE_MINUTES, INTERVALS["15m"]}


def test_months_are_judged_apart_with_the_days_that_they_are_made_of() -> None:
    scope = a_scope([WEEK, DAY, MONTH], start_ms=JANUARY_MS, stop_ms=JANUARY_MS + 70 * DAY_MS)
    (weekly, weekly_counted), (monthly, monthly_counted) = groups(scope)
    assert weekly_counted == weekly.keys() == {DAY, WEEK}
    assert (set(monthly_counted), set(monthly)) == ({MONTH}, {DAY, MONTH})
    assert monthly[MONTH] == Span(JANUARY_MS, MONTH.next_open(MONTH.next_open(JANUARY_MS)))
    (window,) = scope.windows(RECORD, monthly, monthly_counted)
    assert (window.spans, window.counted) == (monthly, monthly_counted)


def test_of_a_contract_whose_symbol_is_another_ones_now_only_what_is_stored_is_looked_at() -> None:
    span = Span(MONDAY_MS, MONDAY_MS + DAY_MS)
    scope = a_scope([MINUTE, DAY], held(MINUTE, *span), start_ms=span.start_ms, stop_ms=span.stop_ms, is_served=False)
    assert not scope.is_served(RECORD)
    assert groups(scope) == [({MINUTE: span}, frozenset({MINUTE}))]


@pytest.mark.parametrize("days", [1, 7, 30, 200])
def test_windows_are_whole_weeks_that_tile_the_time_and_bound_the_smallest_bars(days: int) -> None:
    start_ms = MONDAY_MS + 2 * DAY_MS
    spans = {
        MINUTE: Span(start_ms + days * DAY_MS // 2, start_ms + days * DAY_MS),
        DAY: Span(start_ms, start_ms + days * DAY_MS),
    }
    windows = list(a_scope([]).windows(RECORD, spans, frozenset(spans)))
    for interval, whole in spans.items():
        parts = [window.spans[interval] for window in windows if interval in window.spans]
        assert (parts[0].start_ms, parts[-1].stop_ms) == whole
        assert all(one.stop_ms == other.start_ms for one, other in pairwise(parts))
        assert all(part.stop_ms == WEEK.floor(part.stop_ms) for part in parts[:-1])
    minutes = [MINUTE.count(*window.spans[MINUTE]) for window in windows if MINUTE in window.spans]
    assert max(minutes) <= max(WINDOW_BARS, WEEK.span_ms // MINUTE_MS)
