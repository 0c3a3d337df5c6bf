"""Aggregation on made-up bars; the recorded ones have a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import (
    FIVE_MINUTES,
    INTERVALS,
    MINUTE_MS,
    Bar,
    Interval,
    Scale,
    UnitsOverflow,
    aggregate,
    aggregate_all,
    checked,
    combine,
)
from bars.decimals import UNITS_MAX
from bars.errors import InvalidBar
from tests.support.builders import MONDAY_MS, SCALE, a_bar, an_empty_bar, bars, minutes

scales = st.builds(Scale, st.integers(0, 4), st.integers(0, 3), st.integers(0, 5))
larger = st.sampled_from([interval for interval in INTERVALS.values() if interval.name != "1m"])


def values(bar: Bar) -> tuple[Decimal | int, ...]:
    """The fields as the numbers they stand for."""
    price, volume, quote = (Decimal(1).scaleb(-places) for places in bar.scale)
    prices = (bar.open * price, bar.high * price, bar.low * price, bar.close * price)
    sums = (bar.volume * volume, bar.quote_volume * quote, bar.trades)
    return (bar.open_ms, *prices, *sums, bar.taker_buy_volume * volume, bar.taker_buy_quote_volume * quote)


@given(scales.flatmap(lambda s: bars(0, s)), scales.flatmap(lambda s: bars(1, s)), scales.flatmap(lambda s: bars(2, s)))
def test_the_grouping_makes_no_difference(one: Bar, two: Bar, three: Bar) -> None:
    assert combine(combine(one, two), three) == combine(one, combine(two, three))


@given(scales.flatmap(lambda s: bars(0, s)), scales)
def test_a_wider_scale_changes_no_value(bar: Bar, other: Scale) -> None:
    wider = bar.rescaled(bar.scale.widened(other))
    assert values(wider) == values(bar)
    assert wider.scale == bar.scale.widened(other) == other.widened(bar.scale)


@given(minutes(MONDAY_MS, size_max=20))
def test_a_larger_bar_has_the_first_open_the_last_close_the_extremes_and_the_sums_of_what_was_traded(
    smaller: Sequence[Bar],
) -> None:
    bar = aggregate(smaller, MONDAY_MS)
    traded = [minute for minute in smaller if not minute.is_empty]
    assert bar.open_ms == MONDAY_MS
    if not traded:
        assert bar == smaller[-1]._replace(open_ms=MONDAY_MS)
        return
    assert (bar.open, bar.close) == (traded[0].open, traded[-1].close)
    assert (bar.high, bar.low) == (max(b.high for b in traded), min(b.low for b in traded))
    assert (bar.volume, bar.trades) == (sum(b.volume for b in smaller), sum(b.trades for b in smaller))
    assert bar.quote_volume == sum(b.quote_volume for b in smaller)
    assert bar.taker_buy_volume == sum(b.taker_buy_volume for b in smaller)
    assert bar.taker_buy_quote_volume == sum(b.taker_buy_quote_volume for b in smaller)
    assert checked(bar) is bar


@given(st.integers(0, 50_000), larger, st.data())
def test_each_bucket_is_the_aggregate_of_its_bars(offset_minutes: int, interval: Interval, data: st.DataObject) -> None:
    smaller = data.draw(minutes(MONDAY_MS + offset_minutes * MINUTE_MS, size_max=20))
    kept = [bar for bar in smaller if data.draw(st.booleans())]
    buckets: dict[int, list[Bar]] = {}
    for bar in kept:
        buckets.setdefault(interval.floor(bar.open_ms), []).append(bar)
    assert list(aggregate_all(kept, interval)) == [aggregate(inside, open_ms) for open_ms, inside in buckets.items()]


@settings(max_examples=40)
@given(minutes(MONDAY_MS, size_min=12, size_max=40))
def test_two_steps_give_the_same_as_one(smaller: Sequence[Bar]) -> None:
    quarters = list(aggregate_all(smaller, INTERVALS["15m"]))
    assert list(aggregate_all(aggregate_all(smaller, FIVE_MINUTES), INTERVALS["15m"])) == quarters


def test_no_bars_make_no_bars() -> None:
    assert list(aggregate_all([], FIVE_MINUTES)) == []


def test_empty_minutes_at_another_price_do_not_shape_the_bar() -> None:
    traded = a_bar(2 * MINUTE_MS)
    halted = [an_empty_bar(0, price=50), an_empty_bar(MINUTE_MS, price=50)]
    after = an_empty_bar(3 * MINUTE_MS, price=9_999)
    assert aggregate([*halted, traded, after], 0) == traded._replace(open_ms=0)


def test_nothing_but_empty_minutes_is_flat_at_the_last_close() -> None:
    assert aggregate([an_empty_bar(0, price=50), an_empty_bar(MINUTE_MS, price=60)], 0) == an_empty_bar(0, price=60)


def test_a_flat_minute_with_trades_is_not_empty() -> None:
    flat = a_bar(0, prices=(50, 50, 50, 50), volume=1, trades=1)
    assert not flat.is_empty
    assert combine(flat, a_bar(MINUTE_MS)).open == 50


def test_trades_too_small_for_the_volume_decimals_still_count() -> None:
    dust = a_bar(0, volume=0, trades=1)
    assert not dust.is_empty
    assert combine(an_empty_bar(0), dust).trades == 1


def test_a_precision_that_changes_within_the_bucket_widens_the_whole_bar() -> None:
    before = a_bar(0, volume=3, scale=Scale(2, 0, 2))
    after = a_bar(MINUTE_MS, volume=125, scale=Scale(2, 2, 4))
    bar = combine(before, after)
    assert bar.scale == Scale(2, 2, 4)
    assert bar.volume == 425
    assert combine(after, before).volume == 425


def test_a_sum_beyond_63_bits_is_an_error_and_never_wraps() -> None:
    half = a_bar(0)._replace(quote_volume=UNITS_MAX // 2 + 1)
    with pytest.raises(UnitsOverflow, match="at most 63 bits, got 64"):
        combine(half, half)
    many = a_bar(0)._replace(trades=UNITS_MAX)
    with pytest.raises(UnitsOverflow):
        combine(many, many)
    with pytest.raises(UnitsOverflow):
        combine(half, a_bar(MINUTE_MS, scale=Scale(2, 1, 4)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"high": 999},
        {"low": 1_001},
        {"open": 1_300},
        {"close": 1},
        {"taker_buy_volume": 71},
        {"taker_buy_quote_volume": 7_001},
        {"trades": -1},
    ],
)
def test_fields_that_contradict_each_other_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidBar, match="checking a bar"):
        checked(a_bar()._replace(**wrong))  # type: ignore[arg-type]


@given(bars(scale=SCALE))
def test_a_sound_bar_passes_the_check_as_it_is(bar: Bar) -> None:
    assert checked(bar) is bar


@pytest.mark.parametrize("field", ["high", "volume", "quote_volume", "trades"])
def test_the_greatest_value_fits_and_one_more_is_refused_by_its_number(field: str) -> None:
    greatest: dict[str, Any] = {field: UNITS_MAX}
    fitting = a_bar()._replace(**greatest)
    assert checked(fitting) == fitting
    beyond: dict[str, Any] = {field: UNITS_MAX + 1}
    with pytest.raises(UnitsOverflow, match=str(UNITS_MAX + 1)):
        checked(a_bar()._replace(**beyond))
