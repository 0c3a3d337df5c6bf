"""Comparing bars: what counts as different, as missing, and as the exchange's own contradiction."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bars import (
    DAY,
    FIVE_MINUTES,
    HALF_HOUR,
    INTERVALS,
    MINUTE,
    MINUTE_MS,
    WEEK,
    Bar,
    Interval,
    Scale,
    Span,
    aggregate_all,
)
from bars.comparison import FIELD_NAMES, Difference, Series, Verdict, differing, judge
from bars.interval import DAY_MS
from tests.support.builders import MONDAY_MS, SCALE, a_bar, an_empty_bar, minutes

HOUR = INTERVALS["1h"]
LEVELS = (MINUTE, FIVE_MINUTES, HALF_HOUR, HOUR)
STORED_LEVELS = (MINUTE, FIVE_MINUTES, HALF_HOUR)


def levels(of: Sequence[Bar], intervals: Sequence[Interval] = LEVELS) -> dict[Interval, list[Bar]]:
    """Minutes and what they add up to."""
    return {interval: list(aggregate_all(of, interval)) for interval in intervals}


def hours(count: int = 2) -> list[Bar]:
    """Minutes that tell each other apart, from Monday on."""
    return [a_bar(MONDAY_MS + n * MINUTE_MS, volume=100 + n) for n in range(count * 60)]


def replaced(bars: Sequence[Bar], bar: Bar) -> list[Bar]:
    return sorted([*(one for one in bars if one.open_ms != bar.open_ms), bar])


def counts(verdict: Verdict) -> tuple[int, ...]:
    """Equal, different, missing here, missing there, disputed, contradictions."""
    missing = len(verdict.missing_here), len(verdict.missing_there)
    disputed = len(verdict.disputed), len(verdict.contradictions)
    return len(verdict.equal), len(verdict.different), *missing, *disputed


@given(minutes(MONDAY_MS, size_min=1, size_max=130))
def test_bars_that_add_up_and_are_the_same_on_both_sides_are_all_equal(bars: list[Bar]) -> None:
    verdicts = judge(levels(bars), levels(bars), STORED_LEVELS)
    for interval, verdict in verdicts.items():
        assert counts(verdict) == (len(levels(bars)[interval]), 0, 0, 0, 0, 0)
        assert verdict.is_clean
        assert verdict.compared == len(verdict.equal)
        assert (verdict.inconsistent, verdict.falsely_empty) == ([], [])


@given(minutes(MONDAY_MS, size_min=1, size_max=40), st.data())
def test_a_change_of_one_field_of_one_bar_is_found_at_that_bar_and_nowhere_else(
    bars: list[Bar], data: st.DataObject
) -> None:
    interval = data.draw(st.sampled_from(STORED_LEVELS))
    ours = levels(bars, STORED_LEVELS)
    index = data.draw(st.integers(0, len(ours[interval]) - 1))
    name = data.draw(st.sampled_from(FIELD_NAMES))
    right = ours[interval][index]
    wrong = right._replace(**{name: getattr(right, name) + data.draw(st.integers(1, 5))})
    ours[interval][index] = wrong
    verdicts = judge(ours, levels(bars), STORED_LEVELS)
    assert [(one.ours, one.theirs) for one in verdicts[interval].different] == [(wrong, right)]
    assert differing(wrong, right) == (name,)
    for other in STORED_LEVELS:
        assert len(verdicts[other].different) == (other is interval)
        assert (verdicts[other].inconsistent, verdicts[other].disputed, verdicts[other].contradictions) == ([], [], [])


@given(minutes(MONDAY_MS, size_min=2, size_max=40), st.data())
def test_every_open_time_is_equal_different_or_missing_on_one_side(bars: list[Bar], data: st.DataObject) -> None:
    ours, theirs = ([bar for bar in bars if data.draw(st.booleans())] for _ in range(2))
    verdict = judge({MINUTE: ours}, {MINUTE: theirs})[MINUTE]
    held, there = {bar.open_ms for bar in ours}, {bar.open_ms for bar in theirs}
    assert {bar.open_ms for bar in verdict.missing_here} == there - held
    assert {bar.open_ms for bar in verdict.missing_there} == held - there
    assert {bar.open_ms for bar in verdict.equal} == there & held
    assert verdict.compared == len(there | held)


@given(minutes(MONDAY_MS, size_max=3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_the_scale_of_a_bar_makes_no_difference(bars: list[Bar], price: int, volume: int, quote: int) -> None:
    wide = Scale(SCALE.price + price, SCALE.volume + volume, SCALE.quote + quote)
    assert [differing(bar, bar.rescaled(wide)) for bar in bars] == [()] * len(bars)
    assert judge({MINUTE: bars}, {MINUTE: [bar.rescaled(wide) for bar in bars]})[MINUTE].is_clean


def test_values_beyond_sixty_three_bits_are_compared_too() -> None:
    huge = a_bar(volume=2**62)
    assert differing(huge, huge._replace(scale=Scale(2, 9, 3))) == ("volume", "taker_buy_volume")


def test_a_sum_that_does_not_fit_is_not_compared() -> None:
    huge = [a_bar(MONDAY_MS + n * MINUTE_MS, volume=2**56) for n in range(5)]
    ours = {MINUTE: huge, FIVE_MINUTES: [a_bar(MONDAY_MS)]}
    assert judge(ours, ours, (MINUTE, FIVE_MINUTES))[FIVE_MINUTES].sums == 0


@given(minutes(MONDAY_MS, size_min=5, size_max=60), st.data())
def test_without_the_exchange_a_sum_that_differs_is_inconsistent(bars: list[Bar], data: st.DataObject) -> None:
    ours = levels(bars, (MINUTE, FIVE_MINUTES))
    whole = [bar for bar in ours[FIVE_MINUTES] if bar.open_ms + 5 * MINUTE_MS <= bars[-1].open_ms + MINUTE_MS]
    assume(whole)
    right = data.draw(st.sampled_from(whole))
    wrong = right._replace(trades=right.trades + 1)
    ours[FIVE_MINUTES] = replaced(ours[FIVE_MINUTES], wrong)
    verdict = judge(ours, {}, (MINUTE, FIVE_MINUTES))[FIVE_MINUTES]
    assert verdict.sums == len(whole)
    assert [(one.bar, one.parts, one.total) for one in verdict.inconsistent] == [(wrong, MINUTE, right)]
    assert not verdict.is_clean


def test_a_sum_of_other_minutes_than_the_exchanges_is_reported_once_at_the_minute() -> None:
    ours, theirs = levels(hours(), STORED_LEVELS), levels(hours())
    ours[MINUTE][7] = ours[MINUTE][7]._replace(volume=1)
    verdicts = judge(ours, theirs, STORED_LEVELS)
    assert len(verdicts[MINUTE].different) == 1
    assert [verdicts[interval].inconsistent for interval in STORED_LEVELS] == [[], [], []]


class TestContradictions:
    """An hour of the exchange that its own smaller bars do not add up to."""

    @pytest.fixture
    def theirs(self) -> dict[Interval, list[Bar]]:
        """Minutes 20 to 74 are falsely empty there: the first hour has what they lack; later minutes are quiet, too."""
        bars = hours(3)
        for n in (*range(20, 75), 100, 150):
            bars[n] = an_empty_bar(bars[n].open_ms, price=bars[19].close)
        found = levels(bars)
        found[HOUR][0] = next(aggregate_all(hours(3), HOUR))
        return found

    def test_it_is_named_with_the_largest_parts_and_is_no_fault(self, theirs: dict[Interval, list[Bar]]) -> None:
        ours = {interval: theirs[interval] for interval in LEVELS}
        verdicts = judge(ours, theirs, STORED_LEVELS)
        (found,) = verdicts[HOUR].contradictions
        assert (found.bar, found.parts) == (theirs[HOUR][0], HALF_HOUR)
        assert found.total.volume < found.bar.volume
        assert all(verdict.is_clean for verdict in verdicts.values())

    def test_what_our_sum_of_the_same_minutes_gives_instead_is_disputed(
        self, theirs: dict[Interval, list[Bar]]
    ) -> None:
        verdicts = judge(levels(theirs[MINUTE]), theirs, STORED_LEVELS)
        assert counts(verdicts[HOUR]) == (2, 0, 0, 0, 1, 1)
        assert not verdicts[HOUR].disputed[0].is_better_here
        assert verdicts[HOUR].is_clean

    def test_the_run_of_empty_minutes_that_reaches_into_it_is_falsely_empty(
        self, theirs: dict[Interval, list[Bar]]
    ) -> None:
        verdicts = judge({}, theirs)
        run = Span(MONDAY_MS + 20 * MINUTE_MS, MONDAY_MS + 75 * MINUTE_MS)
        assert verdicts[MINUTE].falsely_empty == [run]

    def test_a_larger_bar_that_differs_because_of_it_makes_no_further_minutes_suspect(
        self, theirs: dict[Interval, list[Bar]]
    ) -> None:
        two_hours = INTERVALS["2h"]
        theirs[two_hours] = list(aggregate_all(theirs[HOUR], two_hours))
        verdicts = judge({}, theirs)
        assert len(verdicts[two_hours].contradictions) == 1
        assert verdicts[MINUTE].falsely_empty == [Span(MONDAY_MS + 20 * MINUTE_MS, MONDAY_MS + 75 * MINUTE_MS)]

    def test_a_larger_bar_with_less_than_its_minutes_makes_none_suspect(
        self, theirs: dict[Interval, list[Bar]]
    ) -> None:
        theirs[HOUR][0] = theirs[HOUR][1]._replace(open_ms=theirs[HOUR][0].open_ms, volume=1)
        verdicts = judge({}, theirs)
        assert len(verdicts[HOUR].contradictions) == 1
        assert verdicts[MINUTE].falsely_empty == []

    def test_trades_held_here_are_better_than_falsely_empty_minutes(self, theirs: dict[Interval, list[Bar]]) -> None:
        verdicts = judge(levels(hours(3)), theirs, STORED_LEVELS)
        minute, five = verdicts[MINUTE], verdicts[FIVE_MINUTES]
        assert (len(minute.disputed), len(minute.different)) == (55, 2)  # the two elsewhere are not falsely empty
        assert all(difference.is_better_here for difference in (*minute.disputed, *five.disputed))
        assert len(five.disputed) == 11

    def test_a_bar_that_is_neither_the_exchanges_nor_its_sum_is_different(
        self, theirs: dict[Interval, list[Bar]]
    ) -> None:
        ours: Series = {HOUR: [theirs[HOUR][0]._replace(trades=1)]}
        verdict = judge(ours, theirs)[HOUR]
        assert counts(verdict) == (0, 1, 2, 0, 0, 1)

    def test_every_row_that_its_parts_contradict_is_named(self, theirs: dict[Interval, list[Bar]]) -> None:
        theirs[HOUR][2] = theirs[HOUR][2]._replace(trades=1)
        found = judge({}, theirs)[HOUR].contradictions
        assert [one.bar for one in found] == [theirs[HOUR][0], theirs[HOUR][2]]

    def test_what_the_exchanges_own_parts_give_is_disputed_where_we_hold_none(
        self, theirs: dict[Interval, list[Bar]]
    ) -> None:
        sums = levels(theirs[MINUTE])
        verdict = judge({HOUR: sums[HOUR]}, theirs)[HOUR]
        assert verdict.disputed == [Difference(sums[HOUR][0], theirs[HOUR][0])]
        assert verdict.is_clean

    def test_what_our_better_parts_give_is_disputed_too(self, theirs: dict[Interval, list[Bar]]) -> None:
        """Some of the trades that are missing over there are held here: more than its minutes, less than its hour."""
        held = list(theirs[MINUTE])
        held[30] = hours()[30]
        ours = {interval: bars for interval, bars in levels(held).items() if interval in (MINUTE, HOUR)}
        verdicts = judge(ours, theirs)
        assert [one.ours for one in verdicts[MINUTE].disputed] == [held[30]]
        assert verdicts[HOUR].disputed == [Difference(ours[HOUR][0], theirs[HOUR][0])]
        assert verdicts[HOUR].is_clean

    @pytest.mark.parametrize(("wrong", "is_explained"), [(59, False), (60, True)])
    def test_our_parts_explain_nothing_where_one_of_them_is_wrong(
        self, theirs: dict[Interval, list[Bar]], wrong: int, is_explained: bool
    ) -> None:
        held = list(theirs[MINUTE])
        held[30] = hours()[30]
        held[wrong] = held[wrong]._replace(close=held[wrong].open, trades=held[wrong].trades + 1)
        ours = {interval: bars for interval, bars in levels(held).items() if interval in (MINUTE, HOUR)}
        first = judge(ours, theirs)[HOUR]
        assert (ours[HOUR][0] in [one.ours for one in first.disputed]) is is_explained
        assert (ours[HOUR][0] in [one.ours for one in first.different]) is not is_explained


def test_larger_bars_alone_are_compared_without_minutes() -> None:
    bars = levels(hours(), (FIVE_MINUTES, HALF_HOUR))
    wrong = bars[HALF_HOUR][1]._replace(trades=1)
    theirs = {**bars, HALF_HOUR: replaced(bars[HALF_HOUR], wrong)}
    verdicts = judge(bars, theirs)
    assert verdicts[HALF_HOUR].disputed == [Difference(bars[HALF_HOUR][1], wrong)]
    assert [one.bar for one in verdicts[HALF_HOUR].contradictions] == [wrong]
    assert verdicts[FIVE_MINUTES].falsely_empty == []


def test_a_month_is_the_sum_of_its_days_though_weeks_lie_between_them() -> None:
    month = INTERVALS["1M"]
    start_ms = month.floor(MONDAY_MS)
    days = [a_bar(start_ms + n * DAY_MS, volume=100 + n) for n in range(60)]
    series = levels(days, (DAY, WEEK, month))
    assert judge(series, series)[month].contradictions == []
    wrong = series[month][0]._replace(trades=1)
    verdict = judge({month: series[month]}, {**series, month: replaced(series[month], wrong)})[month]
    assert [(one.bar, one.parts, one.total) for one in verdict.contradictions] == [(wrong, DAY, series[month][0])]
    assert verdict.disputed == [Difference(series[month][0], wrong)]


@pytest.mark.parametrize("held", [(), (MINUTE,), (FIVE_MINUTES,)], ids=["nothing", "parts", "sums"])
def test_where_one_side_of_a_sum_is_not_held_there_is_nothing_to_compare(held: tuple[Interval, ...]) -> None:
    ours = levels(hours(), held)
    verdicts = judge(ours, {}, (MINUTE, FIVE_MINUTES))
    assert set(verdicts) == set(held)
    assert all(verdict.sums == 0 and verdict.is_clean for verdict in verdicts.values())


def test_a_sum_that_holds_a_minute_the_exchange_does_not_have_is_reported_at_the_minute() -> None:
    bars = hours()
    ours = levels(bars, (MINUTE, FIVE_MINUTES))
    ours[FIVE_MINUTES][1] = ours[FIVE_MINUTES][1]._replace(trades=1)
    verdicts = judge(ours, {MINUTE: [bar for bar in bars if bar != bars[7]]}, (MINUTE, FIVE_MINUTES))
    assert verdicts[MINUTE].missing_there == [bars[7]]
    assert verdicts[FIVE_MINUTES].inconsistent == []


def test_sums_behind_one_that_lacks_a_part_are_compared_as_well() -> None:
    ours = levels(hours(), (MINUTE, FIVE_MINUTES))
    del ours[MINUTE][2]
    wrong = ours[FIVE_MINUTES][3] = ours[FIVE_MINUTES][3]._replace(trades=1)
    verdict = judge(ours, {}, (MINUTE, FIVE_MINUTES))[FIVE_MINUTES]
    assert verdict.sums == 23
    assert [one.bar for one in verdict.inconsistent] == [wrong]
