"""What is told of a series: in order, once, and derived bars exactly as the parts add up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import FIVE_MINUTES, INTERVALS, MINUTE, MINUTE_MS, Bar, ContractKey, Interval, Span, aggregate
from tests.support.builders import MONDAY_MS, a_bar, an_empty_bar, bars
from web.live import Lack, LiveSeries
from wire.published import BarEvent

BTC = ContractKey("BTCUSDT", 1)
THREE = INTERVALS["3m"]
DERIVED = tuple(interval for interval in INTERVALS.values() if LiveSeries("X", interval).is_derived)


def at(minute: int) -> int:
    return MONDAY_MS + minute * MINUTE_MS


def event(bar: Bar, closed: bool = False, interval: Interval = MINUTE, key: ContractKey = BTC) -> BarEvent:
    return BarEvent(key, interval, bar, closed)


def told(events: Sequence[BarEvent]) -> list[tuple[int, bool]]:
    return [((one.bar.open_ms - MONDAY_MS) // MINUTE_MS, one.closed) for one in events]


def test_a_stored_interval_is_told_as_it_comes() -> None:
    series = LiveSeries("BTCUSDT", FIVE_MINUTES)
    assert series.source is FIVE_MINUTES
    first = event(a_bar(at(0)), interval=FIVE_MINUTES)
    assert series.take(first) == [first]
    final = first._replace(closed=True)
    assert series.take(final) == [final]
    assert series.lacks() == series.look_again() == []


def test_after_a_final_nothing_of_that_bar_or_an_older_one_is_told() -> None:
    series = LiveSeries("BTCUSDT", MINUTE)
    for minute, closed, expected in (
        (5, True, 1),
        (5, False, 0),
        (5, True, 0),
        (4, True, 0),
        (4, False, 0),
        (6, False, 1),
    ):
        assert len(series.take(event(a_bar(at(minute)), closed))) == expected


def test_the_bar_in_progress_is_not_told_while_nobody_trades_but_its_final_is() -> None:
    series = LiveSeries("BTCUSDT", MINUTE)
    assert series.take(event(an_empty_bar(at(0)))) == []
    assert told(series.take(event(an_empty_bar(at(0)), closed=True))) == [(0, True)]
    larger = LiveSeries("BTCUSDT", THREE)
    assert told(larger.take(event(a_bar(at(3))))) == [(3, False)]
    assert larger.take(event(a_bar(at(3)), closed=True)) == []
    assert larger.take(event(an_empty_bar(at(4)))) == []
    assert larger.take(event(an_empty_bar(at(4)), closed=True)) == []
    assert told(larger.take(event(an_empty_bar(at(5)), closed=True))) == [(3, True)]


def test_what_was_told_is_not_told_again() -> None:
    series = LiveSeries("BTCUSDT", MINUTE)
    assert len(series.take(event(a_bar(at(0))))) == 1
    assert series.take(event(a_bar(at(0)))) == []
    assert len(series.take(event(a_bar(at(0), volume=71)))) == 1


def test_a_new_contract_of_the_symbol_takes_over_and_the_old_one_is_silent() -> None:
    series, newer = LiveSeries("BTCUSDT", THREE), ContractKey("BTCUSDT", 2)
    assert told(series.take(event(a_bar(at(0))))) == [(0, False)]
    assert told(series.take(event(a_bar(at(3)), key=newer))) == [(3, False)]
    assert series.take(event(a_bar(at(6)))) == []
    assert series.fill(BTC, Lack(at(3), at(4)), [a_bar(at(3))], []) == []


def test_a_bucket_begun_before_is_looked_up_and_then_told() -> None:
    series = LiveSeries("BTCUSDT", THREE)
    assert series.take(event(a_bar(at(2), volume=5))) == []
    (lack,) = series.lacks()
    assert lack == Lack(at(0), at(2))
    parts = [a_bar(at(0)), an_empty_bar(at(1))]
    (first,) = series.fill(BTC, lack, parts, [])
    assert first.bar == aggregate([*parts, a_bar(at(2), volume=5)], at(0))
    assert series.lacks() == []
    (final,) = series.take(event(a_bar(at(2), volume=6), closed=True))
    assert (final.bar, final.closed) == (aggregate([*parts, a_bar(at(2), volume=6)], at(0)), True)


def test_parts_that_the_exchange_does_not_have_are_not_missing() -> None:
    month = INTERVALS["1M"]
    series = LiveSeries("BTCUSDT", month)
    day, start_ms = series.source, month.floor(MONDAY_MS)
    listed_ms = start_ms + 9 * day.span_ms
    today_ms = start_ms + 11 * day.span_ms
    assert series.take(event(a_bar(today_ms), interval=day)) == []
    (lack,) = series.lacks()
    parts = [a_bar(listed_ms), a_bar(listed_ms + day.span_ms)]
    (first,) = series.fill(BTC, lack, parts, [Span(0, listed_ms)])
    assert first.bar == aggregate([*parts, a_bar(today_ms)], start_ms)


def test_a_final_whose_parts_are_looked_up_later_still_comes_before_the_next_one() -> None:
    series = LiveSeries("BTCUSDT", THREE)
    assert series.take(event(a_bar(at(2)), closed=True)) == []
    assert told(series.take(event(a_bar(at(3))))) == [(3, False)]
    (lack,) = series.lacks()
    assert told(series.fill(BTC, lack, [a_bar(at(0)), a_bar(at(1))], [])) == [(0, True)]
    for minute in (3, 4):
        assert series.take(event(a_bar(at(minute)), closed=True)) == []
    assert told(series.take(event(a_bar(at(5)), closed=True))) == [(3, True)]


def test_a_bar_goes_on_while_the_final_of_its_last_minute_is_late() -> None:
    series = LiveSeries("BTCUSDT", THREE)
    series.take(event(a_bar(at(0)), closed=True))
    series.take(event(a_bar(at(1))))
    (both,) = series.take(event(a_bar(at(2))))
    assert both.bar == aggregate([a_bar(at(0)), a_bar(at(1)), a_bar(at(2))], at(0))
    assert series.lacks() == []
    assert series.take(event(a_bar(at(1), volume=90), closed=True)) == []
    (final,) = series.take(event(a_bar(at(2)), closed=True))
    assert final.bar.volume == 70 + 90 + 70


def test_looking_again_brings_revised_parts_in() -> None:
    series = LiveSeries("BTCUSDT", THREE)
    series.take(event(a_bar(at(0)), closed=True))
    series.take(event(a_bar(at(1))))
    (lack,) = series.look_again()
    assert lack == Lack(at(0), at(1))
    assert series.fill(BTC, lack, [a_bar(at(0), volume=100)], []) == []
    (revised,) = series.take(event(a_bar(at(1), volume=71)))
    assert revised.bar.volume == 171


def test_what_is_found_of_a_bar_that_is_over_is_dropped() -> None:
    series = LiveSeries("BTCUSDT", THREE)
    for minute in range(3):
        series.take(event(a_bar(at(minute)), closed=True))
    assert series.fill(BTC, Lack(at(0), at(3)), [a_bar(at(0))], []) == []


@st.composite
def minutes(draw: st.DrawFn) -> list[Bar]:
    count = draw(st.integers(1, 40))
    return [draw(bars(at(minute))) for minute in range(draw(st.integers(0, 4)), count + 4)]


def as_they_come(minutes: Sequence[Bar], progress: Sequence[bool]) -> Iterator[BarEvent]:
    for minute, is_shown in zip(minutes, progress, strict=False):
        if is_shown:
            yield event(minute._replace(trades=minute.trades + 1))
        yield event(minute, closed=True)


@given(minutes(), st.lists(st.booleans(), min_size=45, max_size=45))
@settings(max_examples=60, deadline=None)
def test_three_minutes_add_up_whatever_comes_when(minutes: list[Bar], progress: list[bool]) -> None:
    series, heard = LiveSeries("BTCUSDT", THREE), []
    stored: dict[int, Bar] = {at(number): a_bar(at(number)) for number in range(6)} | {
        one.open_ms: one for one in minutes
    }
    for one in as_they_come(minutes, progress):
        heard += series.take(one)
        for lack in series.lacks():
            parts = [stored[open_ms] for open_ms in range(lack.bucket_ms, lack.stop_ms, MINUTE_MS)]
            heard += series.fill(BTC, lack, parts, [])
        assert series.lacks() == []
    finals = [one.bar for one in heard if one.closed]
    first_ms, last_ms = THREE.floor(minutes[0].open_ms), minutes[-1].open_ms + MINUTE_MS
    whole = range(first_ms, THREE.floor(last_ms), THREE.span_ms)
    assert finals == [aggregate([stored[start + n * MINUTE_MS] for n in range(3)], start) for start in whole]
    seen: set[int] = set()
    for one in heard:
        assert one.bar.open_ms not in seen
        if one.closed:
            seen.add(one.bar.open_ms)


@pytest.mark.parametrize("interval", DERIVED, ids=str)
def test_every_derived_interval_is_made_of_a_stored_one(interval: Interval) -> None:
    series = LiveSeries("BTCUSDT", interval)
    open_ms = interval.floor(MONDAY_MS)
    parts = [a_bar(open_ms)]
    while series.source.next_open(parts[-1].open_ms) < interval.next_open(open_ms):
        parts.append(a_bar(series.source.next_open(parts[-1].open_ms)))
    heard = [one for part in parts for one in series.take(event(part, True, series.source))]
    assert [(one.interval, one.bar, one.closed) for one in heard] == [(interval, aggregate(parts, open_ms), True)]
