"""Smaller bars that make up a larger one yield it, however they arrive."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import (
    DAY,
    FIVE_MINUTES,
    FOUR_HOURS,
    HALF_HOUR,
    LARGER,
    MINUTE,
    MINUTE_MS,
    WEEK,
    Bar,
    Interval,
    Span,
    aggregate,
    aggregate_all,
)
from bars.interval import DAY_MS
from storage import ArchivedBars, ClosedBars, CommitReport, Origin
from tests.support.builders import bars as any_bar
from tests.support.market import MONDAY_MS, SCALE, a_bar, some_bars
from tests.support.stored import Stored, a_store
from wire.table import BarTable


@pytest.fixture
def db() -> Iterator[Stored]:
    with a_store() as stored:
        yield stored


def whole(minutes: Sequence[Bar], interval: Interval) -> list[Bar]:
    """The larger bars that contiguous minutes make up in full."""
    stop_ms = minutes[-1].open_ms + MINUTE_MS
    return [
        bar
        for bar in aggregate_all(minutes, interval)
        if bar.open_ms >= minutes[0].open_ms and interval.next_open(bar.open_ms) <= stop_ms
    ]


def test_a_week_of_minutes_yields_every_larger_bar_in_one_commit(db: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 7 * 24 * 60)
    report = db.put(minutes)
    assert report.inserted == len(minutes)
    for interval in LARGER:
        expected = whole(minutes, interval)
        assert db.held(interval) == expected
        assert {stored.origin for stored in db.stored(interval)} == {Origin.AGGREGATED}
        made = [bar for key, (made_of, bar) in report.completed if made_of is interval and key == db.contract.key]
        assert made == expected
    assert len(db.held(WEEK)) == 1


@pytest.fixture(scope="module")
def shared() -> Iterator[Stored]:
    with a_store() as stored:
        yield stored


@settings(max_examples=30)
@given(data=st.data())
def test_any_order_of_arrival_gives_the_same_database(shared: Stored, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 60), "minutes")
    start_ms = MONDAY_MS + data.draw(st.integers(0, 40), "start") * MINUTE_MS
    minutes = [data.draw(any_bar(start_ms + index * MINUTE_MS, SCALE)) for index in range(count)]
    arrival = data.draw(st.permutations(minutes), "arrival")
    arrival += data.draw(st.lists(st.sampled_from(minutes), max_size=10), "again")
    db = shared.another()
    while arrival:
        size = data.draw(st.integers(1, len(arrival)), "size")
        pieces, arrival = arrival[:size], arrival[size:]
        half = data.draw(st.integers(0, size), "half")
        db.store.commit(
            [ClosedBars(db.contract.key, MINUTE, part, Origin.REST) for part in (pieces[:half], pieces[half:])]
        )
    assert db.held() == minutes
    for interval in LARGER:
        assert db.held(interval) == whole(minutes, interval)
    counts = {summary.interval: summary.bars for summary in db.reader.series() if summary.key == db.contract.key}
    assert counts == {i: len(db.held(i)) for i in (MINUTE, *LARGER) if db.held(i)}


def test_bars_of_every_interval_complete_the_next_larger_one(db: Stored) -> None:
    db.put(some_bars(FOUR_HOURS, MONDAY_MS, 6), FOUR_HOURS)
    assert len(db.held(DAY)) == 1
    db.put(some_bars(DAY, MONDAY_MS + DAY_MS, 6), DAY)
    assert db.held(WEEK) == list(aggregate_all(db.held(DAY), WEEK))


def test_without_completing_only_the_given_bars_are_stored(db: Stored) -> None:
    report = db.put(some_bars(MINUTE, MONDAY_MS, 30), completes=False)
    assert report.completed == []
    assert db.held(FIVE_MINUTES) == []


def test_a_minute_that_is_revised_revises_the_aggregated_bars_above_it(db: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 30)
    db.put(minutes, origin=Origin.STREAM)
    minutes[7] = minutes[7]._replace(volume=99_999)
    report = db.put([minutes[7]])
    assert report.changed == 1
    assert [interval for _, (interval, _) in report.completed] == [FIVE_MINUTES, HALF_HOUR]
    assert db.held(FIVE_MINUTES) == whole(minutes, FIVE_MINUTES)
    assert db.held(HALF_HOUR) == whole(minutes, HALF_HOUR)


def test_a_bar_that_is_revised_later_in_the_same_commit_counts_as_revised(db: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 5)
    revised = minutes[2]._replace(volume=99_999)
    db.store.commit(
        [
            ClosedBars(db.contract.key, MINUTE, minutes, Origin.STREAM),
            ClosedBars(db.contract.key, MINUTE, [revised], Origin.REST, completes=False),
        ]
    )
    minutes[2] = revised
    assert db.held(FIVE_MINUTES) == whole(minutes, FIVE_MINUTES)


def test_a_minute_that_is_revised_without_completing_revises_what_was_made_of_it_all_the_same(db: Stored) -> None:
    """As a download does, whose page goes over minutes that were stored wrong: nobody compares them again."""
    minutes = some_bars(MINUTE, MONDAY_MS, 30)
    wrong = minutes[7]._replace(high=minutes[7].high + 900)
    db.put([*minutes[:7], wrong, *minutes[8:]], origin=Origin.STREAM)
    db.put(minutes[5:10], verified=True, completes=False)
    for interval in (FIVE_MINUTES, HALF_HOUR):
        assert db.held(interval) == whole(minutes, interval)


def test_what_was_made_of_an_aggregated_bar_follows_when_the_archives_takes_its_place(db: Stored) -> None:
    db.put(some_bars(MINUTE, MONDAY_MS, 30))
    fives = db.held(FIVE_MINUTES)
    fives[2] = fives[2]._replace(high=fives[2].high + 900)
    table = BarTable.of(fives, FIVE_MINUTES, SCALE)
    db.store.commit([ArchivedBars(db.contract.key, FIVE_MINUTES, table)])
    assert db.held(FIVE_MINUTES) == fives
    assert db.held(HALF_HOUR) == [aggregate(fives, MONDAY_MS)]


def test_the_exchanges_own_larger_bar_is_never_replaced_by_a_sum(db: Stored) -> None:
    own = a_bar(MONDAY_MS)._replace(volume=123_456)
    db.put([own], FIVE_MINUTES, verified=True)
    report = db.put(some_bars(MINUTE, MONDAY_MS, 5))
    assert report.completed == []
    assert db.held(FIVE_MINUTES) == [own]


def test_a_larger_bar_that_rest_told_right_after_its_end_follows_its_minutes_when_they_are_compared(db: Stored) -> None:
    """Nobody asks for it again, and at first its last minute may look the same there."""
    minutes = some_bars(MINUTE, MONDAY_MS, 30)
    early = [*minutes[:29], minutes[29]._replace(volume=minutes[29].volume + 9)]
    db.put([aggregate(early[25:], minutes[25].open_ms)], FIVE_MINUTES)
    db.put([aggregate(early, MONDAY_MS)], HALF_HOUR)
    db.put(early)
    assert db.held(HALF_HOUR) == [aggregate(early, MONDAY_MS)]
    db.put(minutes, verified=True)
    for interval in (FIVE_MINUTES, HALF_HOUR):
        assert db.held(interval) == whole(minutes, interval)


def test_equal_bars_again_complete_nothing_again(db: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 30)
    db.put(minutes)
    assert db.put(minutes) == CommitReport(0, 0, [])


def test_larger_bars_that_were_left_out_are_made_when_a_minute_comes_again(db: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 5)
    db.put(minutes, completes=False)
    assert len(db.put(minutes[:1]).completed) == 1


def test_the_buckets_of_the_listing_are_whole_once_it_is_known(db: Stored) -> None:
    first_ms = MONDAY_MS + 2 * 60 * MINUTE_MS + 7 * MINUTE_MS
    minutes = some_bars(MINUTE, first_ms, 7 * 24 * 60 - 127)
    db.put(minutes)
    assert db.held(WEEK) == []
    assert db.held(FIVE_MINUTES)[0].open_ms == first_ms + 3 * MINUTE_MS
    report = db.put([], absent=[Span(0, first_ms)])
    assert [interval for _, (interval, _) in report.completed] == list(LARGER)
    for interval in LARGER:
        assert db.held(interval) == list(aggregate_all(minutes, interval))


def test_a_hole_of_the_exchange_in_the_middle_completes_nothing(db: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 5)
    db.put(minutes[:2] + minutes[3:], absent=[Span(minutes[2].open_ms, minutes[3].open_ms)])
    assert db.held(FIVE_MINUTES) == []


def test_minutes_far_apart_are_not_read_across(db: Stored) -> None:
    early, late = some_bars(MINUTE, MONDAY_MS, 5), some_bars(MINUTE, MONDAY_MS + 3_000 * DAY_MS, 5)
    both = early + late
    random.Random(7).shuffle(both)
    db.put(both)
    assert db.held(FIVE_MINUTES) == whole(early, FIVE_MINUTES) + whole(late, FIVE_MINUTES)


def test_a_bar_that_was_made_without_a_minute_that_the_exchange_lacks_follows_the_others(db: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 5)
    here = [minutes[0], minutes[1], minutes[3], minutes[4]]
    hole = Span(minutes[2].open_ms, minutes[3].open_ms)
    key = db.contract.key
    db.store.commit([ClosedBars(key, MINUTE, here, Origin.STREAM, absent=[hole])])
    db.put(list(aggregate_all(here, FIVE_MINUTES)), FIVE_MINUTES, Origin.AGGREGATED)
    different = minutes[3]._replace(trades=minutes[3].trades + 7)
    db.store.commit([ClosedBars(key, MINUTE, [different], Origin.REST, verified=True)])
    (five,) = db.held(FIVE_MINUTES)
    assert five.trades == sum(bar.trades for bar in here) + 7
