"""Buckets of all intervals, at every time whatever."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import DAY, INTERVALS, LARGER, MINUTE, STORED, WEEK, Interval, stored_source
from bars.interval import DAY_MS, MINUTE_MS, TIME_MAX_MS

MONTH = INTERVALS["1M"]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

intervals = st.sampled_from(list(INTERVALS.values()))
times_ms = st.integers(-(10**18), 10**18) | st.integers(-(10**13), 10**13)
calendar_times = st.datetimes(datetime(1, 2, 1), datetime(9999, 11, 30), timezones=st.just(timezone.utc))


def ms(*moment: int) -> int:
    return to_ms(datetime(*moment, tzinfo=timezone.utc))  # type: ignore[misc, arg-type]


def to_ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


@given(intervals, times_ms)
def test_every_time_lies_in_one_bucket_that_ends_where_the_next_opens(interval: Interval, time_ms: int) -> None:
    open_ms, next_ms = interval.floor(time_ms), interval.next_open(time_ms)
    assert open_ms <= time_ms < next_ms
    assert interval.floor(open_ms) == open_ms
    assert interval.floor(next_ms - 1) == open_ms
    assert interval.floor(next_ms) == next_ms
    assert interval.close_ms(open_ms) == next_ms - 1
    assert interval.ceil(time_ms) == (open_ms if time_ms == open_ms else next_ms)


@given(intervals, times_ms, st.integers(0, 5_000))
def test_counting_back_and_counting_agree(interval: Interval, time_ms: int, count: int) -> None:
    open_ms = interval.floor(time_ms)
    earlier_ms = interval.back(time_ms, count)
    assert interval.count(earlier_ms, open_ms) == count
    assert interval.floor(earlier_ms) == earlier_ms
    assert interval.back(open_ms, 0) == open_ms


@given(intervals, times_ms, st.integers(-(10**12), 10**12))
def test_a_count_is_the_number_of_opens_in_the_half_open_span(
    interval: Interval, start_ms: int, length_ms: int
) -> None:
    count = interval.count(start_ms, start_ms + length_ms)
    assert isinstance(count, int)
    if length_ms <= 0:
        assert count == 0
        return
    stop_ms = start_ms + length_ms
    last_ms = interval.floor(stop_ms - 1)
    assert count == 0 or interval.back(last_ms, count - 1) == interval.ceil(start_ms)
    assert (count == 0) == (interval.ceil(start_ms) >= stop_ms)


@given(calendar_times)
def test_weeks_open_on_monday_and_months_on_their_first_day(moment: datetime) -> None:
    day = datetime(moment.year, moment.month, moment.day, tzinfo=timezone.utc)
    if moment.year > 1:
        assert WEEK.floor(to_ms(moment)) == to_ms(day - timedelta(days=day.weekday()))
    assert MONTH.floor(to_ms(moment)) == to_ms(day.replace(day=1))
    assert MONTH.next_open(to_ms(moment)) == to_ms((day.replace(day=1) + timedelta(days=32)).replace(day=1))


@pytest.mark.parametrize(
    ("interval", "time_ms", "open_ms", "next_ms"),
    [
        (WEEK, 1_567_965_420_000, 1_567_382_400_000, 1_567_987_200_000),  # the first BTCUSDT week, recorded
        (WEEK, ms(2024, 12, 31, 23, 59), ms(2024, 12, 30), ms(2025, 1, 6)),
        (WEEK, 0, ms(1969, 12, 29), ms(1970, 1, 5)),
        (WEEK, ms(1970, 1, 5) - 1, ms(1969, 12, 29), ms(1970, 1, 5)),
        (MONTH, ms(2024, 2, 29, 23, 59, 59), ms(2024, 2, 1), ms(2024, 3, 1)),
        (MONTH, ms(2023, 2, 28), ms(2023, 2, 1), ms(2023, 3, 1)),
        (MONTH, ms(2000, 2, 29), ms(2000, 2, 1), ms(2000, 3, 1)),
        (MONTH, ms(2100, 2, 28), ms(2100, 2, 1), ms(2100, 3, 1)),
        (MONTH, ms(2024, 12, 31), ms(2024, 12, 1), ms(2025, 1, 1)),
        (MONTH, -1, ms(1969, 12, 1), 0),
        (MONTH, 0, 0, ms(1970, 2, 1)),
        (DAY, -1, -DAY_MS, 0),
    ],
)
def test_buckets_at_the_edges_of_the_calendar(interval: Interval, time_ms: int, open_ms: int, next_ms: int) -> None:
    assert (interval.floor(time_ms), interval.next_open(time_ms)) == (open_ms, next_ms)


@pytest.mark.parametrize("time_ms", [-(10**17), 10**14, 10**17, 2**63 - 1, -(2**63), 10**30])
def test_months_go_on_where_the_librarys_calendar_ends(time_ms: int) -> None:
    assert MONTH.floor(time_ms) <= time_ms < MONTH.next_open(time_ms)
    assert 28 <= (MONTH.next_open(time_ms) - MONTH.floor(time_ms)) // DAY_MS <= 31


@given(intervals, times_ms)
def test_a_bucket_is_known_by_both_its_times(interval: Interval, time_ms: int) -> None:
    open_ms = interval.floor(time_ms)
    assert interval.is_bucket(open_ms, interval.close_ms(open_ms)) == (0 <= open_ms <= TIME_MAX_MS)
    assert not interval.is_bucket(open_ms, interval.close_ms(open_ms) + 1)
    assert not interval.is_bucket(open_ms + 1, interval.close_ms(open_ms))


def test_microseconds_are_no_times() -> None:
    assert not MINUTE.is_bucket(1_735_689_600_000_000, 1_735_689_600_000_000 + MINUTE_MS - 1)


@given(intervals, times_ms)
def test_bars_of_the_stored_source_tile_every_bucket(interval: Interval, time_ms: int) -> None:
    source = stored_source(interval)
    assert source in STORED
    assert source.floor(interval.floor(time_ms)) == interval.floor(time_ms)
    assert source.floor(interval.next_open(time_ms)) == interval.next_open(time_ms)


def test_stored_intervals_are_their_own_source_and_the_others_take_the_largest() -> None:
    assert all(stored_source(interval) is interval for interval in STORED)
    names = {name: stored_source(interval).name for name, interval in INTERVALS.items() if interval not in STORED}
    assert names == {
        "3m": "1m",
        "15m": "5m",
        "1h": "30m",
        "2h": "30m",
        "6h": "30m",
        "8h": "4h",
        "12h": "4h",
        "1M": "1d",
    }


def test_neither_weeks_tile_months_nor_months_anything() -> None:
    assert not WEEK.nests_in(MONTH)
    assert not any(MONTH.nests_in(interval) for interval in INTERVALS.values() if interval is not MONTH)
    assert MONTH.nests_in(MONTH)


def test_intervals_are_the_exchanges_fourteen_without_3d() -> None:
    assert list(INTERVALS) == ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M"]
    assert all(str(interval) == name for name, interval in INTERVALS.items())
    assert (MINUTE, *LARGER) == STORED
    assert all(smaller.nests_in(larger) for smaller, larger in zip(STORED, LARGER, strict=False))


def test_a_span_that_runs_backwards_holds_no_opens() -> None:
    for interval in INTERVALS.values():
        assert interval.count(interval.next_open(0), 0) == interval.count(5, 4) == 0
