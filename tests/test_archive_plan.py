"""What is fetched from where."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import DAY, FIVE_MINUTES, FOUR_HOURS, HALF_HOUR, MINUTE, MINUTE_MS, STORED, WEEK, Interval, Span
from bars.gaps import merge, subtract
from bars.interval import DAY_MS, HOUR_MS
from wire.archive import MONTH, Period
from wire.archive_plan import Estimate, Published, Source, Steps, duration_s, estimate, plan
from wire.requests import PAGE_BARS

JUNE_MS = 1_780_272_000_000  # 2026-06-01
JULY_MS = JUNE_MS + 30 * DAY_MS
NOW_MS = JULY_MS + 12 * DAY_MS + 10 * HOUR_MS
JUNE, JULY = Period(MONTH, JUNE_MS), Period(MONTH, JULY_MS)
PUBLISHED = Published(NOW_MS)


def day(number: int) -> Period:
    """A day of July, from 0."""
    return Period(DAY, JULY_MS + number * DAY_MS)


def days(start: float, stop: float) -> Span:
    """A span in days of July."""
    return Span(JULY_MS + round(start * DAY_MS), JULY_MS + round(stop * DAY_MS))


def texts(steps: Steps) -> list[str]:
    return [period.text for period in steps.periods]


def test_a_whole_month_is_a_monthly_file_the_days_after_it_are_daily_ones_and_the_tail_is_rest() -> None:
    steps = plan([Span(JUNE_MS, JULY_MS + 12 * DAY_MS + 9 * HOUR_MS)], MINUTE, PUBLISHED)
    assert texts(steps) == [*(f"2026-07-{number:02}" for number in range(12, 0, -1)), "2026-06"]
    tail = Span(JULY_MS + 12 * DAY_MS, JULY_MS + 12 * DAY_MS + 9 * HOUR_MS)
    assert merge(steps.pages) == [tail]
    assert all(MINUTE.count(*page) <= PAGE_BARS for page in steps.pages)
    assert list(steps.pages) == sorted(steps.pages, reverse=True)


@pytest.mark.parametrize(
    ("interval", "files"), [(MINUTE, True), (FIVE_MINUTES, True), (HALF_HOUR, True), (FOUR_HOURS, False), (DAY, False)]
)
def test_of_a_month_that_a_page_holds_nothing_comes_from_the_archive(interval: Interval, files: bool) -> None:
    steps = plan([Span(JUNE_MS, JULY_MS)], interval, PUBLISHED)
    assert (texts(steps) == ["2026-06"]) is files
    assert len(steps.pages) == (0 if files else 1)


def test_a_hole_of_days_in_a_month_is_mended_by_daily_files_and_smaller_ones_by_rest() -> None:
    hole = Span(JUNE_MS + 3 * DAY_MS, JUNE_MS + 6 * DAY_MS)
    assert texts(plan([hole], MINUTE, PUBLISHED, tried={JUNE})) == ["2026-06-06", "2026-06-05", "2026-06-04"]
    assert texts(plan([hole], MINUTE, PUBLISHED)) == ["2026-06-06", "2026-06-05", "2026-06-04"]
    assert plan([hole], FIVE_MINUTES, PUBLISHED).periods == ()
    small = Span(JUNE_MS, JUNE_MS + 499 * MINUTE_MS)
    assert plan([small], MINUTE, PUBLISHED) == Steps((), (small,))


def test_files_that_were_tried_and_pages_that_were_asked_for_are_not_named_again() -> None:
    missing = [days(0, 2)]
    first = plan(missing, MINUTE, PUBLISHED)
    second = plan(missing, MINUTE, PUBLISHED, tried=first.periods)
    assert (len(first.periods), second.periods) == (2, ())
    assert merge(second.pages) == missing
    assert plan(missing, MINUTE, PUBLISHED, tried=first.periods, asked=missing) == Steps((), ())


def test_a_missing_monthly_file_is_made_up_for_by_daily_ones() -> None:
    listed = Published(NOW_MS, (MONTH,), {})
    assert len(plan([Span(JUNE_MS, JULY_MS)], MINUTE, listed).periods) == 30
    neither = Published(NOW_MS, (MONTH, DAY), {})
    assert merge(plan([Span(JUNE_MS, JULY_MS)], MINUTE, neither).pages) == [Span(JUNE_MS, JULY_MS)]


def test_nothing_is_expected_before_it_may_be_published() -> None:
    assert not PUBLISHED.may_have(JULY)
    assert PUBLISHED.may_have(day(11))
    assert not Published(NOW_MS - 3 * HOUR_MS).may_have(day(11))
    assert Published(JULY_MS + 2 * DAY_MS).may_have(JUNE)
    assert not Published(JULY_MS + HOUR_MS).may_have(JUNE)
    late = Published(NOW_MS, (DAY,), {day(10): 5})
    assert (late.may_have(day(10)), late.may_have(day(11))) == (True, False)


def test_rest_alone_and_the_archive_alone() -> None:
    missing = [Span(JUNE_MS, JULY_MS + 2 * DAY_MS)]
    rest = plan(missing, MINUTE, PUBLISHED, Source.REST)
    assert rest.periods == ()
    assert merge(rest.pages) == missing
    archive = plan(missing, WEEK, PUBLISHED, Source.ARCHIVE)
    assert (texts(archive), archive.pages) == (["2026-06"], ())
    assert texts(plan(missing, FOUR_HOURS, PUBLISHED, Source.ARCHIVE)) == ["2026-07-02", "2026-07-01", "2026-06"]
    hole = [Span(JUNE_MS, JUNE_MS + MINUTE_MS)]
    assert texts(plan(hole, MINUTE, PUBLISHED, Source.ARCHIVE)) == ["2026-06-01"]
    assert texts(plan(hole, MINUTE, PUBLISHED, Source.ARCHIVE, tried={Period(DAY, JUNE_MS)})) == ["2026-06"]
    assert plan(hole, MINUTE, PUBLISHED, Source.ARCHIVE, tried={Period(DAY, JUNE_MS), JUNE}) == Steps((), ())


def test_small_holes_near_each_other_share_a_page() -> None:
    holes = [Span(JULY_MS + at * MINUTE_MS, JULY_MS + (at + 1) * MINUTE_MS) for at in (0, 10, 498, 499, 2_000)]
    assert plan(holes, MINUTE, PUBLISHED).pages == (
        holes[4],
        holes[3],
        Span(holes[0].start_ms, holes[2].stop_ms),
    )


@st.composite
def holes(draw: st.DrawFn, interval: Interval) -> Sequence[Span]:
    bounds = draw(st.lists(st.integers(JUNE_MS - 40 * DAY_MS, NOW_MS), min_size=2, max_size=8))
    starts = sorted({interval.floor(bound) for bound in bounds})
    return [Span(*pair) for pair in zip(starts[::2], starts[1::2], strict=False)]


@given(st.sampled_from(STORED).flatmap(lambda interval: st.tuples(st.just(interval), holes(interval))))
def test_files_and_pages_together_cover_all_that_is_missing(given_: tuple[Interval, Sequence[Span]]) -> None:
    interval, missing = given_
    steps = plan(missing, interval, PUBLISHED)
    covered = merge([*(Span(period.start_ms, period.stop_ms) for period in steps.periods), *steps.pages])
    assert list(subtract(missing, covered)) == []
    assert len(set(steps.periods)) == len(steps.periods)
    assert merge(steps.pages) == merge(sorted(steps.pages))
    assert sum(interval.count(*page) for page in steps.pages) == sum(interval.count(*s) for s in merge(steps.pages))
    again = plan(missing, interval, PUBLISHED, tried=steps.periods, asked=merge(steps.pages))
    assert not set(again.periods) & set(steps.periods)


def test_an_estimate_adds_up_and_names_the_longest_of_what_goes_on_side_by_side() -> None:
    missing = [Span(JUNE_MS, JULY_MS + DAY_MS + HOUR_MS)]
    published = Published(NOW_MS, (MONTH,), {JUNE: 1_400_000})
    estimated = estimate(plan(missing, MINUTE, published), missing, MINUTE, published)
    assert estimated == Estimate(2, 1_400_000 + 1_440 * 34, 1, 31 * 1_440 + 60)
    assert estimated.plus(Estimate(1, 1, 1, 1)).files == 3
    assert duration_s(Estimate(0, 0, 600, 0), 1_200, 2, 100_000, 1_000_000) == 60
    assert duration_s(Estimate(9, 50_000_000, 6, 0), 1_200, 2, 100_000, 1_000_000) == 50
