"""Bars as they stood at the close of a past minute: the aggregate of the minutes until then, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
    Bar,
    Interval,
    Span,
    aggregate,
    aggregate_all,
    combine,
)
from bars.gaps import Hole
from bars.interval import DAY_MS, HOUR_MS
from storage import BarsAsOf, Origin
from tests.support.builders import SCALE, minutes
from tests.support.market import MONDAY_MS, a_contract, some_bars
from tests.support.recorded import Recorded
from tests.support.stored import Stored, a_store

ALL = 100_000
intervals = st.sampled_from(list(INTERVALS.values()))


@dataclass
class Market:
    """Minutes without a hole since listing, as the database has them."""

    db: Stored
    minutes: Sequence[Bar]

    @property
    def start_ms(self) -> int:
        return self.minutes[0].open_ms

    def as_of(
        self, interval: Interval, edge_ms: int, limit: int = ALL, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[tuple[Bar, bool]]:
        """Bars and whether they were closed."""
        reader, record = self.db.reader, self.db.record
        return flat(reader.bars_as_of(record, interval, edge_ms, start_ms=start_ms, end_ms=end_ms, limit=limit))

    def truth(self, interval: Interval, edge_ms: int) -> list[tuple[Bar, bool]]:
        """What the minutes until then yield."""
        prefix = self.minutes[: max(0, edge_ms - self.start_ms) // MINUTE_MS]
        return [(bar, interval.next_open(bar.open_ms) <= edge_ms) for bar in aggregate_all(prefix, interval)]


def flat(found: BarsAsOf) -> list[tuple[Bar, bool]]:
    assert found.holes == []
    stored = [*found.closed, *([] if found.partial is None else [found.partial])]
    return [(one.bar, one.closed) for one in stored]


@pytest.fixture(scope="module")
def market(recorded: Recorded) -> Iterator[Market]:
    """September 2023 and the first days of October, as the archive has them."""
    september = recorded.archive_bars("NEARUSDT", "1m", "2023-09")
    scale = september[0].scale
    bars = [*september, *recorded.archive_bars("NEARUSDT", "1m", "2023-10", scale)[: 3 * 24 * 60]]
    contract = replace(
        a_contract("NEARUSDT", onboard_ms=bars[0].open_ms), price_decimals=scale.price, quantity_decimals=scale.volume
    )
    with a_store(contract) as db:
        db.put(bars[:1], origin=Origin.ARCHIVE, absent=[Span(0, bars[0].open_ms)])
        db.put(bars[1:], origin=Origin.ARCHIVE)
        stored_scale = db.record.scale
        yield Market(db, [bar.rescaled(stored_scale) for bar in bars])


@settings(max_examples=60)
@given(intervals, st.integers(-5, 33 * 24 * 60))
def test_any_minute_of_a_real_month_shows_the_aggregate_of_its_past(
    market: Market, interval: Interval, minute: int
) -> None:
    edge_ms = market.start_ms + minute * MINUTE_MS
    assert market.as_of(interval, edge_ms) == market.truth(interval, edge_ms)


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=str)
def test_every_minute_around_the_end_of_a_month_shows_the_newest_bar_of_its_past(
    market: Market, interval: Interval
) -> None:
    october_ms = market.start_ms + 30 * DAY_MS
    expected: Bar | None = None
    for edge_ms in range(october_ms - HOUR_MS, october_ms + HOUR_MS, MINUTE_MS):
        minute = (edge_ms - market.start_ms) // MINUTE_MS - 1
        newest_ms = interval.floor(market.minutes[minute].open_ms)
        if expected is not None and expected.open_ms == newest_ms:
            expected = combine(expected, market.minutes[minute])
        else:
            first = max(0, newest_ms - market.start_ms) // MINUTE_MS
            expected = aggregate(market.minutes[first : minute + 1], newest_ms)
        assert market.as_of(interval, edge_ms, limit=1) == [(expected, interval.next_open(newest_ms) == edge_ms)]


@settings(max_examples=40)
@given(intervals, st.integers(1, 400), st.integers(1, 12), st.data())
def test_bounds_and_limit_choose_from_what_stood_there(
    market: Market, interval: Interval, minute: int, limit: int, data: st.DataObject
) -> None:
    edge_ms = market.start_ms + minute * 37 * MINUTE_MS
    whole = market.truth(interval, edge_ms)
    times = st.integers(market.start_ms - DAY_MS, edge_ms + DAY_MS)
    start_ms, end_ms = data.draw(times), data.draw(times)

    def opens_from(bars: Sequence[tuple[Bar, bool]], first_ms: int, last_ms: int) -> list[tuple[Bar, bool]]:
        return [pair for pair in bars if first_ms <= pair[0].open_ms <= last_ms]

    assert market.as_of(interval, edge_ms, limit) == whole[-limit:]
    assert market.as_of(interval, edge_ms, limit, end_ms=end_ms) == opens_from(whole, 0, end_ms)[-limit:]
    assert market.as_of(interval, edge_ms, limit, start_ms=start_ms) == opens_from(whole, start_ms, edge_ms)[:limit]
    bounded = opens_from(whole, start_ms, end_ms)[:limit]
    assert market.as_of(interval, edge_ms, limit, start_ms=start_ms, end_ms=end_ms) == bounded


@settings(max_examples=30)
@given(intervals, minutes(MONDAY_MS, size_min=2, size_max=40), st.data())
def test_what_comes_later_changes_nothing_of_what_stood_there(
    interval: Interval, past_and_future: Sequence[Bar], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(past_and_future) - 1))
    edge_ms = MONDAY_MS + count * MINUTE_MS
    contract = replace(a_contract(), price_decimals=SCALE.price, quantity_decimals=SCALE.volume)
    with a_store(contract) as db:
        market = Market(db, past_and_future)
        db.put(past_and_future[:count], absent=[Span(0, MONDAY_MS)])
        before = market.as_of(interval, edge_ms)
        db.put(past_and_future[count:])
        assert market.as_of(interval, edge_ms) == before == market.truth(interval, edge_ms)


def test_a_bar_in_progress_is_made_of_the_largest_bars_that_had_ended() -> None:
    edge_ms = MONDAY_MS + 2 * DAY_MS + 9 * HOUR_MS + 37 * MINUTE_MS
    with a_store() as db:
        parts: list[Bar] = []
        at_ms = MONDAY_MS
        for interval, count in ((DAY, 2), (FOUR_HOURS, 2), (HALF_HOUR, 3), (FIVE_MINUTES, 1), (MINUTE, 2)):
            bars = some_bars(interval, at_ms, count)
            db.put(bars, interval, verified=True)
            parts += bars
            at_ms = interval.next_open(bars[-1].open_ms)
        assert at_ms == edge_ms
        found = db.reader.bars_as_of(db.record, INTERVALS["1w"], edge_ms, limit=5)
    assert found.partial is not None
    assert found.partial.bar == aggregate(parts, MONDAY_MS)
    assert (found.partial.closed, found.partial.origin, found.partial.verified) == (False, Origin.AGGREGATED, True)


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=str)
def test_where_a_minute_is_not_held_no_bar_in_progress_is_shown_and_the_hole_is_named(interval: Interval) -> None:
    with a_store() as db:
        day = some_bars(MINUTE, MONDAY_MS, 24 * 60)
        db.put([*day[:100], *day[101:104]], absent=[Span(0, MONDAY_MS)])
        edge_ms = MONDAY_MS + 104 * MINUTE_MS
        found = db.reader.bars_as_of(db.record, interval, edge_ms, limit=ALL)
        hole = Hole(MINUTE, Span(MONDAY_MS + 100 * MINUTE_MS, MONDAY_MS + 101 * MINUTE_MS))
        covers = interval is not MINUTE and interval.floor(edge_ms) <= hole.span.start_ms
        assert found.holes == ([hole] if covers else [])
        if covers:
            assert found.partial is None
        known = db.reader.bars_as_of(db.record, interval, edge_ms, limit=ALL, lacking=[hole])
        assert known.holes == []
        assert (known.partial is not None) == (interval.floor(edge_ms) != edge_ms)


def test_a_bar_that_was_over_and_is_not_stored_whole_is_left_out() -> None:
    with a_store() as db:
        day = some_bars(MINUTE, MONDAY_MS, 60)
        db.put(day[:12], absent=[Span(0, MONDAY_MS)])
        found = db.reader.bars_as_of(db.record, INTERVALS["15m"], MONDAY_MS + 15 * MINUTE_MS, limit=5)
        assert found == BarsAsOf([], None, [])
        found = db.reader.bars_as_of(db.record, FIVE_MINUTES, MONDAY_MS + 15 * MINUTE_MS, limit=1)
        assert [one.bar.open_ms for one in found.closed] == [MONDAY_MS + 5 * MINUTE_MS]


def test_after_the_contracts_end_its_last_bar_stays_in_progress_until_its_interval_is_over() -> None:
    delivery_ms = MONDAY_MS + 2 * HOUR_MS
    with a_store(a_contract(delivery_ms=delivery_ms)) as db:
        bars = some_bars(MINUTE, MONDAY_MS, 120)
        db.put(bars, absent=[Span(0, MONDAY_MS)])
        for edge_ms in (delivery_ms, delivery_ms + HOUR_MS):
            found = db.reader.bars_as_of(db.record, DAY, edge_ms, limit=5)
            assert flat(found) == [(aggregate(bars, MONDAY_MS), False)]
        assert flat(db.reader.bars_as_of(db.record, MINUTE, delivery_ms + HOUR_MS, limit=1)) == [(bars[-1], True)]


def test_before_the_listing_nothing_stood_there() -> None:
    with a_store() as db:
        db.put(some_bars(MINUTE, MONDAY_MS, 5), absent=[Span(0, MONDAY_MS)])
        for interval in INTERVALS.values():
            for edge_ms in (0, MINUTE_MS, MONDAY_MS - MINUTE_MS, MONDAY_MS):
                assert db.reader.bars_as_of(db.record, interval, edge_ms, limit=5) == BarsAsOf([], None, [])
