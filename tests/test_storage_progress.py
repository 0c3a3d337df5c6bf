"""Larger bars in progress: written once a minute, read as whole at every moment."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest

from bars import FIVE_MINUTES, LARGER, MINUTE, MINUTE_MS, STORED, WEEK, Bar, Cascade, IntervalBar, Scale
from storage import PartialBars
from tests.support.market import MONDAY_MS, SCALE, a_bar
from tests.support.stored import Stored, a_store
from wire.rows import row_from_bar

FINER = Scale(SCALE.price + 1, SCALE.volume + 1, SCALE.quote + 2)


@pytest.fixture
def db() -> Iterator[Stored]:
    with a_store() as stored:
        yield stored


def minute(number: int, random: Random, price: int) -> Bar:
    """One in three without trades."""
    open_ms = MONDAY_MS + number * MINUTE_MS
    if random.random() < 1 / 3:
        return Bar(open_ms, price, price, price, price, 0, 0, 0, 0, 0, SCALE)
    values = sorted(price + random.randint(-9, 9) for _ in range(4))
    low, opened, closed, high = values if random.random() < 0.5 else (values[0], values[2], values[1], values[3])
    volume = random.randint(1, 99)
    return Bar(open_ms, opened, high, low, closed, volume, volume * price, 3, volume // 2, volume // 2 * price, SCALE)


def in_progress(db: Stored) -> list[IntervalBar]:
    return [IntervalBar(interval, one.bar) for interval in STORED for one in db.stored(interval)[-1:] if not one.closed]


def as_text(db: Stored) -> list[list[object]]:
    return [json.loads(db.reader.rows_json(db.record, interval, limit=1))[0] for interval in STORED]


def in_view(db: Stored) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(db.path)) as connection:
        query = "SELECT interval, open_time / 60000, trades, open, close FROM klines WHERE closed = 0"
        return connection.execute(query).fetchall()


def viewed(bars: list[IntervalBar]) -> set[tuple[object, ...]]:
    unit = 10**SCALE.price
    return {
        (interval.name, bar.open_ms // MINUTE_MS, bar.trades, bar.open / unit, bar.close / unit)
        for interval, bar in bars
    }


def test_at_every_moment_bars_in_progress_are_read_as_the_aggregator_knows_them(db: Stored) -> None:
    random, cascade, begun_stored = Random(7), Cascade(), -1
    cascade.begin_at(MONDAY_MS)
    unclosed: list[Bar] = []
    for number in range(12):
        bar = minute(number, random, 1_000)
        states = [bar._replace(open=bar.low, high=bar.low, close=bar.low), bar] if bar.trades else [bar]
        for state in states:
            cascade.progress(state)
            begun = cascade.begun() if cascade.begun_changes != begun_stored else []
            begun_stored = cascade.begun_changes
            db.store.commit([PartialBars(db.contract.key, [IntervalBar(MINUTE, state)], begun)])
            expected = cascade.partials()
            assert in_progress(db) == expected
            assert as_text(db) == [row_from_bar(bar, interval) for interval, bar in expected]
            assert set(in_view(db)) == viewed(expected)
            assert len(expected) == len(STORED)
        unclosed.append(bar)
        while unclosed and random.random() < 0.7:  # a final may come after the next minute's first event
            cascade.close(unclosed.pop(0))


def test_what_began_before_another_minute_is_shown_no_more(db: Stored) -> None:
    first, second = a_bar(MONDAY_MS), a_bar(MONDAY_MS + MINUTE_MS)
    begun = [IntervalBar(interval, a_bar(MONDAY_MS)) for interval in LARGER]
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(MINUTE, first)], begun)])
    assert len(in_progress(db)) == len(STORED)
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(MINUTE, second)])])
    assert in_progress(db) == [IntervalBar(MINUTE, second)]


def test_a_finer_minute_rescales_what_began_before_it(db: Stored) -> None:
    cascade = Cascade()
    cascade.begin_at(MONDAY_MS)
    cascade.close(a_bar(MONDAY_MS))
    coarse = a_bar(MONDAY_MS + MINUTE_MS)
    cascade.progress(coarse)
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(MINUTE, coarse)], cascade.begun())])
    fine = coarse._replace(scale=FINER)
    cascade.progress(fine)
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(MINUTE, fine)])])
    assert in_progress(db) == cascade.partials()


def test_a_sum_that_does_not_fit_is_left_out(db: Stored) -> None:
    huge = a_bar(MONDAY_MS)._replace(volume=2**62, quote_volume=2**62)
    begun = [IntervalBar(FIVE_MINUTES, huge), IntervalBar(WEEK, a_bar(MONDAY_MS))]
    minute = huge._replace(open_ms=MONDAY_MS + MINUTE_MS)
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(MINUTE, minute)], begun)])
    assert [interval for interval, _ in in_progress(db)] == [MINUTE, WEEK]
    assert {interval for interval, *_ in in_view(db)} == {"1m", "1w"}
