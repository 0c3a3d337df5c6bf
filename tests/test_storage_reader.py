"""What is read: pages of bars of every interval, holes, seeds, summaries."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import (
    DAY,
    FIVE_MINUTES,
    FOUR_HOURS,
    HALF_HOUR,
    INTERVALS,
    MINUTE,
    MINUTE_MS,
    STORED,
    WEEK,
    Bar,
    Interval,
    IntervalBar,
    Scale,
    Span,
    aggregate,
    aggregate_all,
)
from bars.gaps import Hole
from bars.interval import DAY_MS, HOUR_MS
from storage import ClosedBars, ContractsSeen, Origin, PartialBars, Reader, StoredBar
from tests.support.builders import bars as any_bar
from tests.support.market import MONDAY_MS, SCALE, a_bar, a_contract, some_bars
from tests.support.stored import ALL, Stored, a_store
from wire.rows import row_from_bar

HOUR = INTERVALS["1h"]


@pytest.fixture
def db() -> Iterator[Stored]:
    with a_store() as stored:
        yield stored


@pytest.fixture(scope="module")
def shared() -> Iterator[Stored]:
    with a_store() as stored:
        yield stored


@pytest.fixture(scope="module")
def day() -> Iterator[Stored]:
    """A week and a day and some minutes of some made-up market, one in five minutes empty; the last in progress."""
    chance = random.Random(11)
    minutes, price = [], 10_000
    for index in range(8 * 24 * 60 + 100):
        bar = a_bar(MONDAY_MS + index * MINUTE_MS)
        if chance.random() < 0.2:
            bar = Bar(bar.open_ms, price, price, price, price, 0, 0, 0, 0, 0, SCALE)
        elif chance.random() < 0.2:
            bar = bar._replace(taker_buy_volume=0, taker_buy_quote_volume=0)
        minutes.append(bar)
        price = bar.close
    with a_store() as stored:
        stored.put(minutes[:-1])
        partials = [IntervalBar(i, list(aggregate_all(minutes, i))[-1]) for i in STORED]
        stored.store.commit([PartialBars(stored.contract.key, partials)])
        yield stored


def minute_ms(number: int) -> int:
    return MONDAY_MS + number * MINUTE_MS


def opens(bars: list[StoredBar]) -> list[int]:
    return [(stored.bar.open_ms - MONDAY_MS) // MINUTE_MS for stored in bars]


def put_partial(db: Stored, bar: Bar, interval: Interval = MINUTE) -> None:
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(interval, bar)])])


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=str)
def test_bars_of_every_interval_equal_the_sum_of_the_minutes(day: Stored, interval: Interval) -> None:
    expected = list(aggregate_all(day.held(), interval))
    bars = day.stored(interval)
    if expected[0].open_ms < MONDAY_MS:  # the month began before the first minute
        assert bars == []
        return
    assert [stored.bar for stored in bars] == expected
    assert [stored.closed for stored in bars] == [True] * (len(bars) - 1) + [False]


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=str)
def test_the_page_as_json_is_the_rows_of_its_bars_within_its_bounds(day: Stored, interval: Interval) -> None:
    every = day.stored(interval)
    starts_ms = (None, 0, MONDAY_MS, MONDAY_MS + 1, MONDAY_MS + 7 * DAY_MS, MONDAY_MS + 99 * DAY_MS)
    ends_ms = (None, 0, MONDAY_MS, MONDAY_MS + 8 * DAY_MS - 1, 10**18 - 1)
    for start_ms, end_ms, limit in product(starts_ms, ends_ms, (1, 7, 500)):
        bars = day.reader.bars(day.record, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)
        text = day.reader.rows_json(day.record, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)
        assert text == json.dumps([row_from_bar(stored.bar, interval) for stored in bars], separators=(",", ":"))
        low_ms, high_ms = start_ms or 0, 10**18 if end_ms is None else end_ms
        inside = [stored for stored in every if low_ms <= stored.bar.open_ms <= high_ms]
        assert bars == (inside[-limit:] if start_ms is None else inside[:limit])


@settings(max_examples=60)
@given(
    st.lists(any_bar(), min_size=1, max_size=4),
    st.builds(Scale, st.integers(0, 9), st.integers(0, 9), st.integers(0, 12)),
    st.sampled_from(STORED),
)
def test_json_made_by_sqlite_is_what_the_exchange_would_write(
    shared: Stored, bars: list[Bar], scale: Scale, interval: Interval
) -> None:
    db = shared.another(replace(a_contract(), price_decimals=0, quantity_decimals=0))
    placed = [bar._replace(open_ms=MONDAY_MS + index * interval.span_ms, scale=scale) for index, bar in enumerate(bars)]
    db.put(placed[:-1], interval)
    put_partial(db, placed[-1], interval)
    text = db.reader.rows_json(db.record, interval, limit=ALL)
    assert json.loads(text) == [row_from_bar(bar, interval) for bar in placed]


def test_nothing_stored_is_an_empty_page(db: Stored) -> None:
    for interval in INTERVALS.values():
        assert db.stored(interval) == []
        assert db.reader.rows_json(db.record, interval, limit=5) == "[]"


def test_the_bar_in_progress_shows_only_while_it_is_the_newest_and_inside_the_bounds(db: Stored) -> None:
    put_partial(db, a_bar(minute_ms(2)))
    assert [(stored.closed, stored.bar.open_ms) for stored in db.stored()] == [(False, minute_ms(2))]
    db.put(some_bars(MINUTE, minute_ms(0), 2))
    assert opens(db.stored()) == [0, 1, 2]
    assert opens(db.reader.bars(db.record, MINUTE, limit=2)) == [1, 2]
    assert opens(db.reader.bars(db.record, MINUTE, start_ms=MONDAY_MS, limit=2)) == [0, 1]
    assert opens(db.reader.bars(db.record, MINUTE, end_ms=minute_ms(2) - 1, limit=9)) == [0, 1]
    assert opens(db.reader.bars(db.record, MINUTE, start_ms=minute_ms(3), limit=9)) == []
    db.put([a_bar(minute_ms(2))])
    assert [stored.closed for stored in db.stored()] == [True, True, True]


def test_a_derived_bar_in_progress_has_everything_up_to_now(db: Stored) -> None:
    minutes = some_bars(MINUTE, minute_ms(0), 8)
    three = INTERVALS["3m"]
    db.put(minutes[:7])
    assert [(stored.bar, stored.closed) for stored in db.stored(three)] == [
        (aggregate(minutes[0:3], minute_ms(0)), True),
        (aggregate(minutes[3:6], minute_ms(3)), True),
        (aggregate(minutes[6:7], minute_ms(6)), False),
    ]
    put_partial(db, minutes[7])
    assert db.stored(three)[-1][:2] == (aggregate(minutes[6:8], minute_ms(6)), False)


def test_a_derived_bar_with_parts_missing_is_left_out(db: Stored) -> None:
    three = INTERVALS["3m"]
    minutes = some_bars(MINUTE, minute_ms(0), 20)
    db.put(minutes[1:4] + minutes[5:12])
    put_partial(db, minutes[14])
    assert opens(db.stored(three)) == [6, 9]
    put_partial(db, minutes[12])
    assert opens(db.stored(three)) == [6, 9, 12]


@pytest.mark.parametrize(
    ("name", "source", "held", "missing"),
    [
        ("3m", MINUTE, 2, 0),
        ("3m", MINUTE, 2, 1),
        ("15m", FIVE_MINUTES, 2, 0),
        ("1h", HALF_HOUR, 1, 0),
        ("1M", DAY, 9, 4),
    ],
)
def test_a_part_in_progress_does_not_make_up_for_a_closed_one_that_is_missing(
    db: Stored, name: str, source: Interval, held: int, missing: int
) -> None:
    larger = INTERVALS[name]
    start_ms = larger.next_open(MONDAY_MS)
    parts = some_bars(source, start_ms, held + 1)
    db.put(parts[:missing] + parts[missing + 1 : held], source)
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(source, parts[held])])])
    assert db.held(larger) == []
    assert db.reader.rows_json(db.record, larger, limit=9) == "[]"
    db.put(parts[missing : missing + 1], source)
    assert db.held(larger) == [aggregate(parts, start_ms)]


def test_a_derived_bar_takes_parts_before_the_listing_and_holes_of_the_exchange_for_what_they_are(db: Stored) -> None:
    three = INTERVALS["3m"]
    minutes = some_bars(MINUTE, minute_ms(0), 12)
    held = minutes[1:4] + minutes[5:9]
    db.put(held, absent=[Span(0, minute_ms(1)), Span(minute_ms(4), minute_ms(5))])
    assert db.held(three) == list(aggregate_all(held, three))
    assert all(stored.closed for stored in db.stored(three))


def test_the_last_derived_bar_of_a_contract_that_ended_is_closed() -> None:
    contract = a_contract(delivery_ms=MONDAY_MS + 9 * HOUR_MS)
    with a_store(contract) as db:
        db.put(some_bars(HALF_HOUR, MONDAY_MS, 18), HALF_HOUR)
        six = INTERVALS["6h"]
        assert [(stored.bar.open_ms, stored.closed) for stored in db.stored(six)] == [
            (MONDAY_MS, True),
            (MONDAY_MS + 6 * HOUR_MS, True),
        ]


def test_a_derived_bar_is_verified_when_all_its_parts_are(db: Stored) -> None:
    minutes = some_bars(MINUTE, minute_ms(0), 6)
    db.put(minutes[:4], verified=True)
    db.put(minutes[4:])
    marks = [(stored.origin, stored.verified) for stored in db.stored(INTERVALS["3m"])]
    assert marks == [(Origin.AGGREGATED, True), (Origin.AGGREGATED, False)]


def test_a_reader_that_keeps_an_old_record_reads_right_values_after_rescaling(db: Stored) -> None:
    record = db.record
    db.put([a_bar(minute_ms(0))])
    wide = Scale(SCALE.price + 1, SCALE.volume + 1, SCALE.quote + 1)
    db.put([a_bar(minute_ms(1))._replace(scale=wide)])
    [first, _] = db.reader.bars(record, MINUTE, limit=2)
    assert first.bar == a_bar(minute_ms(0)).rescaled(wide)
    assert json.loads(db.reader.rows_json(record, MINUTE, limit=2))[0] == row_from_bar(first.bar, MINUTE)


def test_two_contracts_of_one_symbol_keep_their_bars_apart(db: Stored) -> None:
    relisted = a_contract(onboard_ms=MONDAY_MS + DAY_MS)
    db.put([a_bar(minute_ms(0))])
    db.store.commit([ContractsSeen([relisted]), ClosedBars(relisted.key, MINUTE, [a_bar(minute_ms(1))], Origin.REST)])
    found = db.reader.find(relisted.symbol)
    assert found is not None
    assert found.key == relisted.key
    assert opens(db.reader.bars(found, MINUTE, limit=9)) == [1]
    assert opens(db.stored()) == [0]


@settings(max_examples=60)
@given(
    st.sets(st.integers(0, 40)), st.integers(-2, 42), st.integers(0, 45), st.lists(st.tuples(*[st.integers(0, 42)] * 2))
)
def test_holes_are_the_buckets_that_are_neither_stored_nor_absent(
    shared: Stored, held: set[int], start: int, length: int, absent: list[tuple[int, int]]
) -> None:
    db = shared.another()
    spans = [Span(minute_ms(low), minute_ms(high)) for low, high in absent if low < high]
    db.put([a_bar(minute_ms(number)) for number in held], completes=False, absent=spans)
    holes = db.reader.holes(db.record, MINUTE, Span(minute_ms(start), minute_ms(start + length)))
    gaps = [summary.gaps for summary in db.reader.series() if summary.key == db.contract.key]
    gone = {number for low, high in absent for number in range(low, high)}
    missing = [minute_ms(number) for number in range(start, start + length) if number not in held | gone]
    assert [open_ms for hole in holes for open_ms in range(*hole, MINUTE_MS)] == missing
    assert all(one.stop_ms < other.start_ms for one, other in pairwise(holes))
    assert gaps == ([len(set(range(min(held), max(held))) - held - gone)] if held else [])


def test_holes_of_weeks_and_months_back_are_whole_buckets(db: Stored) -> None:
    db.put([a_bar(MONDAY_MS)], WEEK)
    holes = db.reader.holes(db.record, WEEK, Span(MONDAY_MS - 8 * DAY_MS, MONDAY_MS + 8 * DAY_MS))
    assert holes == [Span(MONDAY_MS - 7 * DAY_MS, MONDAY_MS), Span(MONDAY_MS + 7 * DAY_MS, MONDAY_MS + 14 * DAY_MS)]


def test_before_the_listing_no_interval_has_holes(db: Stored) -> None:
    first_ms = MONDAY_MS + 5 * HOUR_MS + 7 * MINUTE_MS
    db.put([a_bar(first_ms)], absent=[Span(0, first_ms)])
    span = Span(MONDAY_MS - DAY_MS, MONDAY_MS + DAY_MS)
    assert db.reader.holes(db.record, MINUTE, Span(0, first_ms + MINUTE_MS)) == []
    assert db.reader.holes(db.record, FIVE_MINUTES, Span(0, first_ms)) == [
        Span(first_ms - 2 * MINUTE_MS, first_ms + 3 * MINUTE_MS)
    ]
    assert db.reader.holes(db.record, FOUR_HOURS, span) == [Span(MONDAY_MS + 4 * HOUR_MS, MONDAY_MS + DAY_MS)]
    assert db.reader.holes(db.record, DAY, span) == [Span(MONDAY_MS, MONDAY_MS + DAY_MS)]


def test_a_seed_tiles_the_week_with_the_largest_bars_and_names_what_is_missing(db: Stored) -> None:
    stop_ms = MONDAY_MS + 2 * DAY_MS + 5 * HOUR_MS + 37 * MINUTE_MS
    minutes = some_bars(MINUTE, MONDAY_MS, (stop_ms - MONDAY_MS) // MINUTE_MS)
    db.put(minutes)
    seed = db.reader.seed(db.record, stop_ms)
    assert seed.holes == []
    assert len(seed.bars) == 2 + 1 + 3 + 1 + 2
    assert aggregate(seed.bars, MONDAY_MS) == aggregate(minutes, MONDAY_MS)
    later = db.reader.seed(db.record, stop_ms + 2 * MINUTE_MS)
    assert later.holes == [Hole(MINUTE, Span(stop_ms, stop_ms + 2 * MINUTE_MS))]


def test_a_seed_of_a_contract_listed_this_week_begins_with_its_first_bars(db: Stored) -> None:
    first_ms = MONDAY_MS + DAY_MS + 3 * HOUR_MS
    minutes = some_bars(MINUTE, first_ms, 100)
    db.put(minutes, absent=[Span(0, first_ms)])
    seed = db.reader.seed(db.record, first_ms + 100 * MINUTE_MS)
    assert seed.holes == []
    assert aggregate(seed.bars, MONDAY_MS) == aggregate(minutes, MONDAY_MS)


def test_a_seed_without_anything_stored_is_one_hole_per_interval_to_ask_for(db: Stored) -> None:
    seed = db.reader.seed(db.record, MONDAY_MS + DAY_MS + 4 * HOUR_MS)
    assert seed.bars == []
    assert seed.holes == [
        Hole(DAY, Span(MONDAY_MS, MONDAY_MS + DAY_MS)),
        Hole(FOUR_HOURS, Span(MONDAY_MS + DAY_MS, MONDAY_MS + DAY_MS + 4 * HOUR_MS)),
    ]


def test_the_view_for_people_shows_closed_and_newer_partial_bars_in_real_numbers(db: Stored) -> None:
    bars = some_bars(MINUTE, minute_ms(0), 3)
    db.put(bars[:2])
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(MINUTE, bars[2]), IntervalBar(DAY, a_bar(MONDAY_MS))])])
    connection = sqlite3.connect(f"file:{db.path}?mode=ro", uri=True)
    query = "SELECT open_time, open, high, low, close, volume, quote_volume, trades, closed FROM klines "
    rows = connection.execute(query + "WHERE symbol = 'BTCUSDT' AND interval = '1m' ORDER BY open_time").fetchall()
    assert [(row[0], row[-1]) for row in rows] == [(minute_ms(0), 1), (minute_ms(1), 1), (minute_ms(2), 0)]
    bar = bars[0]
    numbers = tuple(price / 10**SCALE.price for price in (bar.open, bar.high, bar.low, bar.close))
    assert rows[0][1:5] == numbers
    assert rows[0][5:8] == (bar.volume / 10**SCALE.volume, bar.quote_volume / 10**SCALE.quote, bar.trades)
    plan = " ".join(
        str(step) for step in connection.execute("EXPLAIN QUERY PLAN " + query + "WHERE symbol='X' AND interval='1m'")
    )
    assert "SEARCH b USING PRIMARY KEY (contract_id=? AND interval=?)" in plan
    assert "SCAN b" not in plan
    put_partial(db, bars[1])
    assert len(connection.execute(query + "WHERE interval = '1m'").fetchall()) == 2
    connection.close()


def test_many_threads_read_while_the_writer_writes_and_see_whole_commits(db: Stored) -> None:
    record, problems = db.record, []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            bars = db.reader.bars(record, MINUTE, limit=ALL)
            if len(bars) % 5 or opens(bars) != list(range(len(bars))):
                problems.append(opens(bars))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(0, 200, 5):
        db.put(some_bars(MINUTE, minute_ms(number), 5))
        assert db.reader.last_open_ms(record, MINUTE) == minute_ms(number + 4)
    stop.set()
    for thread in threads:
        thread.join(timeout=30)
    assert problems == []


def test_a_second_reader_sees_a_commit_at_once(db: Stored) -> None:
    other = Reader(db.path)
    assert other.bars(db.record, MINUTE, limit=9) == []
    db.put([a_bar(minute_ms(0))])
    assert opens(other.bars(db.record, MINUTE, limit=9)) == [0]
    other.close()
