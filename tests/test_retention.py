"""Which bars are old enough to go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import DAY, FIVE_MINUTES, FOUR_HOURS, HALF_HOUR, INTERVALS, MINUTE, MINUTE_MS, STORED, WEEK, Interval
from bars.history import ALL, Depth
from bars.interval import DAY_MS
from bars.retention import larger_stored, removable_before_ms
from bars.times import parse_time

NOW_MS = parse_time("2026-10-07T14:23:12.723")  # a Wednesday
NEEDED_BY = {MINUTE: "4h", FIVE_MINUTES: "4h", HALF_HOUR: "1d", FOUR_HOURS: "1w", DAY: "1M", WEEK: "1w"}
"""The largest bar that is made of these alone."""


@pytest.mark.parametrize("interval", STORED, ids=str)
def test_of_bars_that_are_kept_for_ever_none_may_go(interval: Interval) -> None:
    assert removable_before_ms(interval, ALL, NOW_MS) == 0


@pytest.mark.parametrize(
    ("interval", "first_kept"),
    [
        (MINUTE, "2026-10-07T08:00"),
        (FIVE_MINUTES, "2026-10-07T08:00"),
        (HALF_HOUR, "2026-10-06"),
        (FOUR_HOURS, "2026-09-28"),
        (DAY, "2026-08-31"),  # the week that holds the first of September
        (WEEK, "2026-09-28"),
    ],
    ids=str,
)
def test_what_a_larger_bar_in_progress_and_the_one_before_are_made_of_stays_however_short_the_depth(
    interval: Interval, first_kept: str
) -> None:
    assert removable_before_ms(interval, Depth(MINUTE_MS), NOW_MS) == parse_time(first_kept)


@pytest.mark.parametrize(
    ("interval", "keep", "first_kept"),
    [
        (MINUTE, "20h", "2026-10-06T18:00"),  # by half hours
        (MINUTE, "40h", "2026-10-05T20:00"),  # by 4 hours from ten times that long on
        (MINUTE, "7d", "2026-09-30T12:00"),
        (MINUTE, "10d", "2026-09-27"),  # by days
        (MINUTE, "90d", "2026-07-06"),  # by weeks
        (FIVE_MINUTES, "90d", "2026-07-06"),
        (DAY, "30d", "2026-08-31"),
        (DAY, "2y", "2024-10-07"),
        (WEEK, "2y", "2024-10-07"),
    ],
    ids=str,
)
def test_whole_buckets_of_a_larger_interval_go_at_once(interval: Interval, keep: str, first_kept: str) -> None:
    assert removable_before_ms(interval, Depth.parse(keep), NOW_MS) == parse_time(first_kept)


@given(st.sampled_from(STORED), st.integers(0, 4_000_000_000_000), st.integers(1, 4_000 * 1_440))
def test_bars_stay_as_long_as_they_should_and_no_more_than_a_tenth_or_one_larger_bucket_longer(
    interval: Interval, now_ms: int, minutes: int
) -> None:
    keep_ms = minutes * MINUTE_MS
    before_ms = removable_before_ms(interval, Depth(keep_ms), now_ms)
    needed_ms = INTERVALS[NEEDED_BY[interval]].back(now_ms, 1)
    assert 0 <= before_ms <= max(0, min(now_ms - keep_ms, needed_ms))
    larger = larger_stored(interval) or interval
    assert min(now_ms - keep_ms, needed_ms) - before_ms < max(keep_ms // 10, larger.span_ms)
    assert interval.floor(before_ms) == before_ms or before_ms == 0


def test_before_the_epoch_there_is_nothing_to_remove() -> None:
    assert removable_before_ms(MINUTE, Depth(DAY_MS), DAY_MS) == 0


def test_each_stored_interval_makes_the_next_one_and_weeks_make_none() -> None:
    assert [larger_stored(interval) for interval in STORED] == [*STORED[1:], None]
