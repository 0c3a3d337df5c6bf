"""Larger bars from minutes: complete ones only, and exactly what aggregating all their minutes gives."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import (
    DAY,
    FIVE_MINUTES,
    HALF_HOUR,
    LARGER,
    MINUTE,
    MINUTE_MS,
    STORED,
    WEEK,
    Bar,
    Cascade,
    Interval,
    IntervalBar,
    Scale,
    Span,
    aggregate,
    aggregate_all,
    combine,
)
from bars.cascade import REPLAY_MINUTES
from bars.gaps import tile
from bars.interval import DAY_MS, WEEK_MS
from tests.support.builders import MONDAY_MS

WEEKS = 2
NARROW, WIDE = Scale(2, 0, 2), Scale(2, 2, 4)


def a_market(count: int) -> list[Bar]:
    """Contiguous minutes from a Monday on; a third are empty, and the precision widens in mid-day of the ninth day."""
    random = Random(20250414)
    close, bars = 5_000, []
    for minute in range(count):
        scale = NARROW if minute < 8 * 1_440 + 777 else WIDE
        first, last = close + random.randint(-3, 3), close + random.randint(-9, 9)
        if random.random() < 1 / 3:
            bar = Bar(MONDAY_MS + minute * MINUTE_MS, close, close, close, close, 0, 0, 0, 0, 0, scale)
        else:
            high, low = max(first, last) + random.randint(0, 5), min(first, last) - random.randint(0, 5)
            volume = random.randint(1, 10**6)
            sums = (volume, volume * last, random.randint(1, 99), volume // 3, volume // 3 * last)
            bar, close = Bar(MONDAY_MS + minute * MINUTE_MS, first, high, low, last, *sums, scale), last
        bars.append(bar)
    return bars


class Market:
    """The true minutes of two weeks and every true larger bar."""

    def __init__(self) -> None:
        self.minutes = a_market(WEEKS * 10_080)
        self.bars = {
            interval: {bar.open_ms: bar for bar in aggregate_all(self.minutes, interval)} for interval in STORED
        }

    def between(self, start_ms: int, stop_ms: int) -> list[Bar]:
        return self.minutes[(start_ms - MONDAY_MS) // MINUTE_MS : (stop_ms - MONDAY_MS) // MINUTE_MS]

    def seed(self, start_ms: int, stop_ms: int) -> list[Bar]:
        """The largest true bars that tile the span."""
        tiles, holes = tile(Span(start_ms, stop_ms), lambda *_: True, lambda *_: None)
        assert holes == []
        return [self.bars[interval][open_ms] for interval, open_ms in tiles]


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


class Model:
    """What a cascade ought to know, in the plainest form: the set of minutes that went in."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.cascade = Cascade()
        self.known: set[int] = set()
        self.replayable: list[int] = []
        self.open: dict[int, Bar] = {}
        self.next_ms: int | None = None
        self.begun: dict[int, list[IntervalBar]] = {}
        """By the count of changes, which must not stay the same when they change."""

    def is_whole(self, start_ms: int, stop_ms: int) -> bool:
        return self.known.issuperset(range(start_ms, stop_ms, MINUTE_MS))

    def feed(self, minute: Bar) -> None:
        if self.next_ms is not None and minute.open_ms < self.next_ms:
            assert self.cascade.close(minute) == []
            return
        if self.next_ms != minute.open_ms:
            self.replayable.clear()
        self.known.add(minute.open_ms)
        self.next_ms = minute.open_ms + MINUTE_MS
        self.open = {open_ms: bar for open_ms, bar in self.open.items() if open_ms >= self.next_ms}
        expected = [
            IntervalBar(interval, self.market.bars[interval][start_ms])
            for interval in LARGER
            if interval.next_open(start_ms := interval.floor(minute.open_ms)) == self.next_ms
            and self.is_whole(start_ms, self.next_ms)
        ]
        assert self.cascade.close(minute) == expected
        assert self.cascade.next_ms == self.next_ms
        self.replayable = [*self.replayable, minute.open_ms][-REPLAY_MINUTES:] if self.cascade.needs_seed else []

    def seed(self, stop_ms: int, start_ms: int) -> bool:
        """Seed as of `stop_ms`, from the week's start or, for a new contract, from `start_ms` on."""
        if self.next_ms is None:
            self.next_ms = stop_ms
            self.open = {open_ms: bar for open_ms, bar in self.open.items() if open_ms >= stop_ms}
        lacking = range(stop_ms, self.next_ms, MINUTE_MS)
        expected = self.cascade.needs_seed and stop_ms <= self.next_ms and set(self.replayable).issuperset(lacking)
        assert self.cascade.seed(self.market.seed(start_ms, stop_ms), stop_ms) == expected
        if expected:
            self.known.update(range(start_ms, stop_ms, MINUTE_MS))
            assert not self.cascade.needs_seed
        return expected

    def forget(self) -> None:
        self.cascade.forget()
        self.known.clear()
        self.replayable.clear()

    def progress(self, minute: Bar) -> None:
        self.cascade.progress(minute)
        if self.next_ms is None or minute.open_ms >= self.next_ms:
            self.open[minute.open_ms] = minute

    def check_partials(self) -> None:
        expected: list[IntervalBar] = []
        if self.open:
            newest_ms = max(self.open)
            expected = [IntervalBar(MINUTE, self.open[newest_ms])]
            expected += [partial for i in LARGER if (partial := self.partial(i, newest_ms)) is not None]
        assert self.cascade.partials() == expected
        newest = self.cascade.newest()
        begun = self.cascade.begun()
        assert [IntervalBar(i, combine(bar, newest)) for i, bar in begun if newest] == expected[1:]
        assert self.begun.setdefault(self.cascade.begun_changes, begun) == begun
        self.check_so_far()

    def check_so_far(self) -> None:
        if self.next_ms is None:
            assert self.cascade.so_far() == []
            return
        starts = [(interval, interval.floor(self.next_ms)) for interval in LARGER]
        assert self.cascade.so_far() == [
            IntervalBar(interval, aggregate(self.market.between(start_ms, self.next_ms), start_ms))
            for interval, start_ms in starts
            if start_ms < self.next_ms and self.is_whole(start_ms, self.next_ms)
        ]

    def partial(self, interval: Interval, newest_ms: int) -> IntervalBar | None:
        start_ms = interval.floor(newest_ms)
        closed_to_ms = start_ms if self.next_ms is None else max(start_ms, self.next_ms)
        lacking = range(closed_to_ms, newest_ms + MINUTE_MS, MINUTE_MS)
        if not self.is_whole(start_ms, closed_to_ms) or not set(self.open).issuperset(lacking):
            return None
        bars = [*self.market.between(start_ms, closed_to_ms), *(self.open[open_ms] for open_ms in lacking)]
        return IntervalBar(interval, aggregate(bars, start_ms))


def half_way(bar: Bar) -> Bar:
    return bar._replace(volume=bar.volume // 2, quote_volume=bar.quote_volume // 2, taker_buy_volume=0)


steps = st.one_of(
    st.tuples(st.just("feed"), st.integers(1, 90)),
    st.tuples(st.just("feed"), st.integers(200, 1_500)),
    st.tuples(st.just("skip"), st.sampled_from([1, 2, 4, 5, 29, 30, 60, 1_439, 1_440])),
    st.tuples(st.just("seed"), st.sampled_from([-3, 0, 0, 1, 7, 100, 239, 240, 241, 400])),
    st.tuples(st.just("progress"), st.integers(0, 3)),
    st.tuples(st.just("repeat"), st.integers(1, 20)),
    st.tuples(st.just("forget"), st.just(0)),
)
starts = st.one_of(
    st.integers(0, 9_000),
    st.sampled_from([0, 1, 4, 5, 29, 1_439, 1_440, 10_080 - 1_440, 10_080 - 7, 10_079, 8 * 1_440 + 770]),
)


@given(starts, st.lists(steps, min_size=1, max_size=12))
def test_whatever_happens_only_whole_buckets_are_shown_and_they_are_exact(
    market: Market, start: int, plan: list[tuple[str, int]]
) -> None:
    model, at = Model(market), start
    for step, size in plan:
        if step == "feed":
            for minute in market.minutes[at : at + size]:
                model.feed(minute)
        elif step == "seed":
            stop_ms = max(MONDAY_MS, MONDAY_MS + (at - size) * MINUTE_MS)
            model.seed(stop_ms, WEEK.floor(stop_ms))
        elif step == "progress":
            for minute in market.minutes[at : at + size]:
                model.progress(half_way(minute))
        elif step == "repeat":
            for minute in market.minutes[max(0, at - size) : at]:
                assert model.next_ms is None or model.next_ms <= minute.open_ms or model.cascade.close(minute) == []
        elif step == "forget":
            model.forget()
        at = min(at + (size if step in ("feed", "skip") else 0), len(market.minutes))
        model.check_partials()


def fed(market: Market, minutes: Iterable[Bar], cascade: Cascade | None = None) -> dict[Interval, list[Bar]]:
    cascade = cascade or Cascade()
    closed: dict[Interval, list[Bar]] = {interval: [] for interval in LARGER}
    for minute in minutes:
        for interval, bar in cascade.close(minute):
            assert market.bars[interval][bar.open_ms] == bar
            closed[interval].append(bar)
    return closed


def test_two_weeks_of_minutes_give_every_larger_bar_in_order(market: Market) -> None:
    closed = fed(market, market.minutes)
    assert closed == {interval: list(market.bars[interval].values()) for interval in LARGER}


def test_a_start_in_the_middle_shows_only_buckets_that_begin_later(market: Market) -> None:
    closed = fed(market, market.minutes[3:])
    assert closed[FIVE_MINUTES][0].open_ms == MONDAY_MS + 5 * MINUTE_MS
    assert closed[DAY][0].open_ms == MONDAY_MS + DAY_MS
    assert closed[WEEK] == [market.bars[WEEK][MONDAY_MS + WEEK_MS]]


def test_bars_that_close_together_come_smallest_first(market: Market) -> None:
    cascade = Cascade()
    done = [cascade.close(minute) for minute in market.minutes[:10_080]][-1]
    assert [interval for interval, _ in done] == list(LARGER)


def test_a_seed_in_mid_week_completes_this_very_week(market: Market) -> None:
    model, start = Model(market), 3 * 1_440 + 617
    for minute in market.minutes[start : start + 50]:
        model.feed(minute)
    assert model.cascade.needs_seed
    assert model.seed(MONDAY_MS + (start + 20) * MINUTE_MS, MONDAY_MS)
    closed = fed(market, market.minutes[start + 50 : 10_080], model.cascade)
    assert closed[WEEK] == [market.bars[WEEK][MONDAY_MS]]
    assert [bar.open_ms for bar in closed[DAY]] == [MONDAY_MS + day * DAY_MS for day in range(3, 7)]


def test_a_hole_spoils_what_it_touches_until_a_seed_heals_it(market: Market) -> None:
    model = Model(market)
    for minute in [*market.minutes[:33], *market.minutes[34:50]]:
        model.feed(minute)
    assert model.cascade.needs_seed
    model.progress(market.minutes[50])
    assert [interval for interval, _ in model.cascade.partials()] == [MINUTE, FIVE_MINUTES]
    assert not model.seed(MONDAY_MS + 33 * MINUTE_MS, MONDAY_MS)
    assert model.seed(MONDAY_MS + 34 * MINUTE_MS, MONDAY_MS)
    assert [interval for interval, _ in model.cascade.partials()] == list(STORED)
    model.check_partials()
    assert fed(market, market.minutes[50:60], model.cascade)[HALF_HOUR] == [
        market.bars[HALF_HOUR][MONDAY_MS + 30 * MINUTE_MS]
    ]


def test_a_seed_from_the_future_or_too_old_changes_nothing(market: Market) -> None:
    model = Model(market)
    for minute in market.minutes[2_000:2_300]:
        model.feed(minute)
    assert not model.seed(MONDAY_MS + 2_301 * MINUTE_MS, MONDAY_MS)
    assert not model.seed(MONDAY_MS + 2_059 * MINUTE_MS, MONDAY_MS)
    assert model.cascade.needs_seed
    assert model.seed(MONDAY_MS + 2_060 * MINUTE_MS, MONDAY_MS)


def test_a_new_contract_has_partials_from_its_first_frame_on(market: Market) -> None:
    start = 3 * 1_440 + 617
    cascade = Cascade()
    assert cascade.seed([], market.minutes[start].open_ms)
    cascade.progress(market.minutes[start])
    assert [interval for interval, _ in cascade.partials()] == list(STORED)
    cascade.close(market.minutes[start])
    cascade.progress(market.minutes[start + 1])
    opened_ms = {interval: bar.open_ms for interval, bar in cascade.partials()}
    assert opened_ms[WEEK] == MONDAY_MS
    assert opened_ms[DAY] == MONDAY_MS + 3 * DAY_MS


def test_a_week_that_turns_while_the_seed_is_fetched_does_not_leak_into_the_next(market: Market) -> None:
    model = Model(market)
    for minute in market.minutes[10_000:10_100]:
        model.feed(minute)
    assert not model.seed(MONDAY_MS + 10_050 * MINUTE_MS, MONDAY_MS)
    model.progress(market.minutes[10_100])
    model.check_partials()
    assert dict(model.cascade.partials())[WEEK].open_ms == MONDAY_MS + WEEK_MS


def test_a_forgotten_past_is_shown_again_only_after_a_seed(market: Market) -> None:
    model = Model(market)
    for minute in market.minutes[:23]:
        model.feed(minute)
    model.forget()
    model.progress(market.minutes[23])
    assert [interval for interval, _ in model.cascade.partials()] == [MINUTE]
    assert model.seed(MONDAY_MS + 23 * MINUTE_MS, MONDAY_MS)
    model.check_partials()
    assert len(model.cascade.partials()) == len(STORED)


def test_the_minute_in_progress_is_shown_in_its_newest_state(market: Market) -> None:
    cascade = Cascade()
    cascade.progress(half_way(market.minutes[0]))
    cascade.progress(market.minutes[0])
    assert cascade.partials() == [IntervalBar(interval, market.minutes[0]) for interval in STORED]
    cascade.close(market.minutes[0])
    assert cascade.partials() == []


def test_before_any_minute_there_is_nothing_to_show() -> None:
    cascade = Cascade()
    assert cascade.partials() == []
    assert cascade.needs_seed


def test_what_was_begun_changes_with_another_minute_and_not_with_a_further_state_of_the_newest(market: Market) -> None:
    cascade, changes = Cascade(), []
    for minute in (half_way(market.minutes[0]), market.minutes[0], market.minutes[1], market.minutes[0]):
        cascade.progress(minute)
        changes.append(cascade.begun_changes)
    assert changes[0] == changes[1] < changes[2] < changes[3]


def test_what_was_begun_changes_with_every_minute_every_seed_and_when_the_past_is_forgotten(market: Market) -> None:
    cascade, changes = Cascade(), []
    for number, minute in enumerate(market.minutes[1:10]):
        cascade.close(minute)
        changes.append(cascade.begun_changes)
        assert cascade.seed(market.minutes[: number + 2], minute.open_ms + MINUTE_MS)
        changes.append(cascade.begun_changes)
        cascade.forget()
        changes.append(cascade.begun_changes)
    assert changes == sorted(set(changes))


def test_only_bars_that_are_wanted_are_shown(market: Market) -> None:
    cascade = Cascade()
    cascade.progress(market.minutes[0])
    assert cascade.partials({FIVE_MINUTES}) == [IntervalBar(FIVE_MINUTES, market.minutes[0])]
    assert cascade.partials({MINUTE}) == [IntervalBar(MINUTE, market.minutes[0])]
    assert [one.interval for one in cascade.begun({DAY})] == [DAY]


def test_a_bucket_that_begins_with_the_newest_minute_has_a_bar_without_trades(market: Market) -> None:
    cascade = Cascade()
    minute = next(bar for bar in market.minutes if bar.trades)._replace(open_ms=MONDAY_MS)
    cascade.progress(minute)
    price = minute.open
    empty = Bar(MONDAY_MS, price, price, price, price, 0, 0, 0, 0, 0, minute.scale)
    assert cascade.begun() == [IntervalBar(interval, empty) for interval in LARGER]


def test_whoever_forgets_needs_a_seed() -> None:
    cascade = Cascade()
    assert cascade.seed([], MONDAY_MS)
    assert not cascade.needs_seed
    cascade.forget()
    assert cascade.needs_seed


def test_when_a_bucket_ends_the_next_one_lacks_nothing(market: Market) -> None:
    cascade = Cascade()
    assert cascade.seed([], MONDAY_MS)
    for minute in market.minutes[:31]:
        cascade.close(minute)
        assert not cascade.needs_seed


def test_a_contract_that_is_launched_within_a_bucket_has_a_whole_first_bar(market: Market) -> None:
    cascade = Cascade()
    assert cascade.seed([], MONDAY_MS + 2 * MINUTE_MS)
    done = [one for minute in market.minutes[2:5] for one in cascade.close(minute)]
    assert done == [IntervalBar(FIVE_MINUTES, aggregate(market.minutes[2:5], MONDAY_MS))]


def test_what_is_expected_first_is_said_once_and_what_is_older_is_not_shown(market: Market) -> None:
    cascade = Cascade()
    cascade.begin_at(MONDAY_MS + 3 * MINUTE_MS)
    cascade.begin_at(MONDAY_MS)
    assert cascade.next_ms == MONDAY_MS + 3 * MINUTE_MS
    cascade.progress(market.minutes[2])
    assert cascade.newest() is None
    cascade.progress(market.minutes[3])
    assert cascade.newest() == market.minutes[3]
