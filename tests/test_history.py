"""Depths of history: what `--history` says, and where each series starts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import DAY, FIVE_MINUTES, FOUR_HOURS, HALF_HOUR, MINUTE, STORED, WEEK, Interval, Span
from bars.history import (
    ALL,
    BEHIND_BARS_MAX,
    DEFAULT_HISTORY_TEXT,
    NONE,
    Depth,
    history_text,
    parse_history,
    parse_keep,
    within,
    worth_filling,
)
from bars.interval import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS

NOW_MS = 1_791_382_992_723  # 2026-10-07 14:23:12.723, a Wednesday

depths = st.one_of(
    st.sampled_from([ALL, NONE]),
    st.builds(lambda count, unit: Depth.parse(f"{count}{unit}"), st.integers(1, 999_999), st.sampled_from("mhdwy")),
)


def test_the_default_names_every_stored_interval() -> None:
    assert parse_history(DEFAULT_HISTORY_TEXT) == {
        MINUTE: Depth(7 * DAY_MS),
        FIVE_MINUTES: Depth(30 * DAY_MS),
        HALF_HOUR: Depth(180 * DAY_MS),
        FOUR_HOURS: Depth(730 * DAY_MS),
        DAY: ALL,
        WEEK: ALL,
    }


def test_intervals_that_are_not_named_keep_their_default() -> None:
    history = parse_history("1w=none, 1m = 2h")
    assert list(history) == list(STORED)
    assert (history[MINUTE], history[WEEK], history[DAY]) == (Depth(2 * HOUR_MS), NONE, ALL)


@pytest.mark.parametrize(
    ("text", "length_ms"),
    [
        ("1m", MINUTE_MS),
        ("90h", 90 * HOUR_MS),
        ("007d", 7 * DAY_MS),
        ("2w", 2 * WEEK_MS),
        ("1y", 365 * DAY_MS),
        ("none", 0),
        ("all", None),
    ],
)
def test_a_depth_is_read(text: str, length_ms: int | None) -> None:
    assert Depth.parse(text) == Depth(length_ms)


@pytest.mark.parametrize(
    "text", ["", "7", "d", "0d", "-1d", "1.5d", "7D", "7 d", "1M", "ALL", "1d1h", "٣d", "9999999y"]
)
def test_what_is_no_depth_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a depth of <n>m\|h\|d\|w\|y, all or none, got "):
        Depth.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "<interval>=<depth> pairs separated by commas (in '')"),
        ("1m", "<interval>=<depth> pairs separated by commas (in '1m')"),
        ("1m=7d,", "<interval>=<depth> pairs separated by commas (in '')"),
        ("1h=7d", "an interval of 1m, 5m, 30m, 4h, 1d, 1w (in '1h=7d')"),
        ("1M=all", "an interval of 1m, 5m, 30m, 4h, 1d, 1w (in '1M=all')"),
        ("1d=all,1m=7x", "a depth of <n>m|h|d|w|y, all or none (in '1m=7x')"),
        ("1m=", "a depth of <n>m|h|d|w|y, all or none (in '1m=')"),
        ("1m=1d=2d", "a depth of <n>m|h|d|w|y, all or none (in '1m=1d=2d')"),
        ("1m=1d,1m=2d", "each interval once (in '1m=2d')"),
    ],
)
def test_an_error_says_what_would_be_right_and_where(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the whole text is compared
        parse_history(text)
    assert str(raised.value) == message


@given(st.fixed_dictionaries(dict.fromkeys(STORED, depths)))
def test_a_history_survives_being_written_and_read(history: dict[Interval, Depth]) -> None:
    assert parse_history(history_text(history)) == history


@pytest.mark.parametrize("interval", STORED)
def test_all_starts_at_the_epoch_and_none_at_the_bucket_in_progress(interval: Interval) -> None:
    assert ALL.start_ms(NOW_MS, interval) == 0
    assert NONE.start_ms(NOW_MS, interval) == interval.floor(NOW_MS)


@given(st.sampled_from(STORED), st.integers(0, 4_000_000_000_000), st.integers(1, 400 * 24 * 60))
def test_a_length_starts_with_a_whole_bucket_and_covers_all_of_it(
    interval: Interval, now_ms: int, minutes: int
) -> None:
    start_ms = Depth(minutes * MINUTE_MS).start_ms(now_ms, interval)
    wanted_ms = now_ms - minutes * MINUTE_MS
    assert start_ms == max(0, interval.floor(wanted_ms))
    assert wanted_ms - interval.span_ms < start_ms <= max(0, wanted_ms)


def test_a_length_before_the_epoch_starts_at_the_epoch() -> None:
    assert Depth.parse("999999y").start_ms(NOW_MS, WEEK) == 0


def test_what_is_kept_is_all_unless_said_otherwise() -> None:
    assert set(parse_keep("all").values()) == {ALL}
    keep = parse_keep("1m=90d, 5m=2y")
    assert keep[MINUTE] == Depth.parse("90d")
    assert [depth for interval, depth in keep.items() if interval.span_ms > FIVE_MINUTES.span_ms] == [ALL] * 4


@pytest.mark.parametrize("text", ["1m=none", "1m", "2m=1d", "", "1m=1d,1m=2d", "none"])
def test_keeping_nothing_or_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="in "):
        parse_keep(text)


def test_no_more_history_is_fetched_than_is_kept() -> None:
    history = within(parse_history("1m=all,5m=30d,30m=none"), parse_keep("1m=7d,5m=90d,30m=1d,1d=5y"))
    assert history_text(history) == "1m=1w,5m=30d,30m=none,4h=2y,1d=5y,1w=all"


@given(depths, depths)
def test_the_shorter_of_two_depths_reaches_less_far_back_whichever_comes_first(one: Depth, other: Depth) -> None:
    both = [within({MINUTE: first}, {MINUTE: second})[MINUTE] for first, second in ((one, other), (other, one))]
    assert both[0] == both[1]
    assert both[0].start_ms(NOW_MS, MINUTE) == max(one.start_ms(NOW_MS, MINUTE), other.start_ms(NOW_MS, MINUTE))


class TestHolesBehindTheWantedDepth:
    WANTED_MS = MINUTE.floor(NOW_MS)

    def hole(self, start: int, stop: int) -> Span:
        """A hole by its minutes, counted from where the wanted depth starts."""
        return Span(self.WANTED_MS + start * MINUTE_MS, self.WANTED_MS + stop * MINUTE_MS)

    def worth(self, start: int, stop: int) -> Span:
        return worth_filling(self.hole(start, stop), MINUTE, self.WANTED_MS)

    def test_what_is_within_the_depth_is_filled(self) -> None:
        assert self.worth(0, 2 * BEHIND_BARS_MAX) == self.hole(0, 2 * BEHIND_BARS_MAX)

    def test_what_reaches_a_little_behind_it_is_filled_too(self) -> None:
        assert self.worth(-BEHIND_BARS_MAX, 2 * BEHIND_BARS_MAX) == self.hole(-BEHIND_BARS_MAX, 2 * BEHIND_BARS_MAX)
        assert self.worth(-9 * BEHIND_BARS_MAX, -8 * BEHIND_BARS_MAX) == self.hole(
            -9 * BEHIND_BARS_MAX, -8 * BEHIND_BARS_MAX
        )

    def test_what_reaches_far_behind_it_is_filled_as_far_as_it_is_wanted(self) -> None:
        assert self.worth(-BEHIND_BARS_MAX - 1, 5) == self.hole(0, 5)
        assert self.worth(-2 * BEHIND_BARS_MAX, -1).is_empty
