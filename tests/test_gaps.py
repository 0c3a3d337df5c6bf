"""Spans, what is missing in them, and how stored bars tile them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bars import DAY, FIVE_MINUTES, HALF_HOUR, INTERVALS, MINUTE, MINUTE_MS, STORED, WEEK, Interval, Span
from bars.gaps import Hole, Tile, merge, missing, pages, subtract, tile
from bars.interval import DAY_MS, WEEK_MS
from tests.support.builders import MONDAY_MS

small = st.integers(0, 40)
spans = st.builds(Span, small, small)  # empty and reversed ones too: an intersection may be such
proper_spans = st.builds(lambda start, length: Span(start, start + length), small, st.integers(1, 20))
intervals = st.sampled_from(list(INTERVALS.values()))


def points(parts: Sequence[Span]) -> list[int]:
    return [point for part in parts for point in range(part.start_ms, part.stop_ms)]


@given(intervals, st.integers(0, 2_000), st.integers(1, 60), st.data())
def test_what_is_held_and_what_is_missing_tile_the_span(
    interval: Interval, first: int, count: int, data: st.DataObject
) -> None:
    opens = [interval.floor(MONDAY_MS + first * MINUTE_MS)]
    while len(opens) < count + 6:
        opens.append(interval.next_open(opens[-1]))
    span = Span(opens[3], opens[count + 3])
    held = [open_ms for open_ms in opens if data.draw(st.booleans())]
    gaps = list(missing(held, span, interval))
    inside = [Span(open_ms, interval.next_open(open_ms)) for open_ms in held if span.start_ms <= open_ms < span.stop_ms]
    assert all(not gap.is_empty for gap in gaps)
    assert all(one.stop_ms < other.start_ms for one, other in pairwise(gaps))
    covered = sorted([*gaps, *inside])
    assert [part.start_ms for part in covered] == [span.start_ms, *(part.stop_ms for part in covered[:-1])]
    assert covered[-1].stop_ms == span.stop_ms


def test_nothing_held_is_one_gap_and_all_held_is_none() -> None:
    span = Span(0, 10 * MINUTE_MS)
    assert list(missing([], span, MINUTE)) == [span]
    assert list(missing(range(0, 10 * MINUTE_MS, MINUTE_MS), span, MINUTE)) == []
    assert list(missing([], Span(5, 5), MINUTE)) == []


@given(st.lists(spans, max_size=5), st.lists(spans, max_size=6).map(sorted))
def test_subtracting_leaves_exactly_the_points_that_are_not_removed(kept: list[Span], removed: list[Span]) -> None:
    left = list(subtract(kept, removed))
    gone = set(points(removed))
    assert points(left) == [point for point in points(kept) if point not in gone]
    assert all(not part.is_empty for part in left)


def test_an_empty_hole_does_not_cut_a_span() -> None:
    assert list(subtract([Span(0, 10)], [Span(7, 3), Span(8, 8)])) == [Span(0, 10)]


@given(st.lists(spans, max_size=8))
def test_merging_keeps_the_coverage_and_leaves_no_two_that_touch(parts: list[Span]) -> None:
    merged = merge(parts)
    assert points(merged) == sorted(set(points(parts)))
    assert all(one.stop_ms < other.start_ms for one, other in pairwise(merged))
    assert merge(merged) == merged


@given(proper_spans, proper_spans)
def test_an_intersection_holds_the_common_points(one: Span, other: Span) -> None:
    common = one.intersect(other)
    assert points([common]) == sorted(set(points([one])) & set(points([other])))
    assert common.is_empty == (not points([common]))


@given(intervals, st.integers(0, 300), st.integers(0, 40), st.integers(1, 15))
def test_pages_tile_the_span_newest_first_and_are_all_full_but_the_last(
    interval: Interval, first: int, count: int, bars_max: int
) -> None:
    start_ms = interval.floor(MONDAY_MS + first * DAY_MS)
    stop_ms = start_ms
    for _ in range(count):
        stop_ms = interval.next_open(stop_ms)
    parts = list(pages(Span(start_ms, stop_ms), interval, bars_max))
    counts = [interval.count(*part) for part in parts]
    assert sum(counts) == count
    assert counts[:-1] == [bars_max] * (len(parts) - 1)
    assert all(0 < size <= bars_max for size in counts)
    assert [part.stop_ms for part in parts] == [stop_ms, *(part.start_ms for part in parts[:-1])][: len(parts)]
    assert not parts or parts[-1].start_ms == start_ms


@given(st.integers(1, 10_079), st.randoms(use_true_random=False), st.sampled_from([0.0, 0.3, 0.8, 1.0]), st.booleans())
def test_tiles_holes_and_what_does_not_exist_cover_the_span_once(
    length: int, random: Random, share: float, some_absent: bool
) -> None:
    span = Span(MONDAY_MS, MONDAY_MS + length * MINUTE_MS)
    nothing = Span(MONDAY_MS, MONDAY_MS + 2 * DAY_MS) if some_absent else Span(0, 0)
    asked: dict[Tile, bool] = {}

    def is_held(interval: Interval, open_ms: int) -> bool:
        return asked.setdefault(Tile(interval, open_ms), random.random() < share)

    def absent(interval: Interval, open_ms: int) -> Span | None:
        inside = Span(open_ms, interval.next_open(open_ms)).intersect(nothing)
        return nothing if inside == Span(open_ms, interval.next_open(open_ms)) else None

    tiles, holes = tile(span, is_held, absent)
    parts = [Span(open_ms, interval.next_open(open_ms)) for interval, open_ms in tiles]
    assert all(asked[one] for one in tiles)
    for interval, hole in holes:
        assert interval.floor(hole.start_ms) == hole.start_ms
        assert interval.floor(hole.stop_ms) == hole.stop_ms
        assert not asked[Tile(interval, hole.start_ms)]
        parts.append(hole)
    parts.sort()
    assert all(one.stop_ms <= other.start_ms for one, other in pairwise(parts))
    assert all(gap.intersect(nothing) == gap for gap in subtract([span], parts))
    assert all(part.intersect(span) == part for part in parts)


def test_a_bar_in_progress_begins_with_the_largest_bars_that_are_there() -> None:
    stop_ms = MONDAY_MS + 2 * DAY_MS + 4 * 3_600_000 + 37 * MINUTE_MS
    tiles, holes = tile(Span(MONDAY_MS, stop_ms), lambda *_: True, lambda *_: None)
    assert [interval.name for interval, _ in tiles] == ["1d", "1d", "4h", "30m", "5m", "1m", "1m"]
    assert holes == []


def test_a_whole_week_is_one_tile_and_its_hole_is_one_request() -> None:
    week = Span(MONDAY_MS, MONDAY_MS + WEEK_MS)
    assert tile(week, lambda *_: True, lambda *_: None) == ([Tile(WEEK, MONDAY_MS)], [])
    assert tile(week, lambda *_: False, lambda *_: None) == ([], [Hole(WEEK, week)])


def test_neighbouring_holes_of_one_interval_are_one() -> None:
    span = Span(MONDAY_MS, MONDAY_MS + 3 * DAY_MS)
    assert tile(span, lambda *_: False, lambda *_: None) == ([], [Hole(DAY, span)])


def test_smaller_bars_stand_in_for_a_larger_one_that_is_not_held() -> None:
    span = Span(MONDAY_MS, MONDAY_MS + 30 * MINUTE_MS)
    tiles, holes = tile(span, lambda interval, _: interval is FIVE_MINUTES, lambda *_: None)
    assert tiles == [Tile(FIVE_MINUTES, MONDAY_MS + n * 5 * MINUTE_MS) for n in range(6)]
    assert holes == []


def test_an_interval_that_the_exchange_lacks_leaves_no_hole() -> None:
    span = Span(MONDAY_MS, MONDAY_MS + 60 * MINUTE_MS)
    first_half = Span(MONDAY_MS, MONDAY_MS + 30 * MINUTE_MS)
    tiles, holes = tile(span, lambda *_: False, lambda _, at_ms: first_half if at_ms < first_half.stop_ms else None)
    assert (tiles, holes) == ([], [Hole(HALF_HOUR, Span(first_half.stop_ms, span.stop_ms))])


def test_each_stored_interval_nests_in_the_next() -> None:
    assert all(one.nests_in(other) for one, other in pairwise(STORED))
