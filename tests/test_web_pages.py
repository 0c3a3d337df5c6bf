"""The promise about missing bars: an answer is the exchange's, or says that it is not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import DAY, INTERVALS, MINUTE, MINUTE_MS, Interval, IntervalBar, Span
from bars.contract import NO_DELIVERY_MS
from storage import ClosedBars, ContractsSeen, Origin, PartialBars
from tests.support.market import MONDAY_MS, a_bar, a_contract, a_reader
from web.pages import Held, asked_span, completeness, held_in_bars, held_in_rows, within_time
from wire.requests import KlinesRequest

LISTED = 7
LAST = 40
"""The minute in progress."""
NOW_MS = MONDAY_MS + LAST * MINUTE_MS + 20_000


class Situation(NamedTuple):
    """Minutes since Monday that the exchange does not have, and those that it has and we lack."""

    absent: frozenset[int]
    lacking: frozenset[int]


minutes = st.integers(LISTED, LAST)
situations = st.builds(Situation, st.frozensets(minutes, max_size=6), st.frozensets(minutes, max_size=4))
times = st.none() | st.integers(-2 * MINUTE_MS, (LAST + 3) * MINUTE_MS).map(lambda ms: MONDAY_MS + ms)


@st.composite
def requests(draw: st.DrawFn) -> KlinesRequest:
    interval = INTERVALS[draw(st.sampled_from(["1m", "3m"]))]
    start_ms, end_ms = draw(times), draw(times)
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        start_ms, end_ms = end_ms, start_ms
    return KlinesRequest("BTCUSDT", interval, draw(st.integers(1, 50)), start_ms, end_ms)


def of_the_exchange(request: KlinesRequest, absent: frozenset[int]) -> list[int]:
    """The open times that the exchange would answer with."""
    existing = [minute for minute in range(LISTED, LAST + 1) if minute not in absent or minute == LAST]
    opened = sorted({request.interval.floor(MONDAY_MS + minute * MINUTE_MS) for minute in existing})
    in_bounds = [
        open_ms
        for open_ms in opened
        if (request.start_ms is None or open_ms >= request.start_ms)
        and (request.end_ms is None or open_ms <= request.end_ms)
    ]
    return in_bounds[-request.limit :] if request.start_ms is None else in_bounds[: request.limit]


@settings(max_examples=250)
@given(situations, requests())
def test_an_answer_is_the_exchanges_or_says_that_it_is_not(situation: Situation, request: KlinesRequest) -> None:
    contract = a_contract(onboard_ms=MONDAY_MS + LISTED * MINUTE_MS)
    held = [
        a_bar(MONDAY_MS + minute * MINUTE_MS)
        for minute in range(LISTED, LAST)
        if minute not in situation.absent | situation.lacking
    ]
    absent = [
        Span(MONDAY_MS + minute * MINUTE_MS, MONDAY_MS + (minute + 1) * MINUTE_MS)
        for minute in situation.absent
        if minute < LAST
    ]
    in_progress = [] if LAST in situation.lacking else [IntervalBar(MINUTE, a_bar(MONDAY_MS + LAST * MINUTE_MS))]
    with tempfile.TemporaryDirectory() as folder:
        reader = a_reader(
            Path(folder) / "bars.db",
            [
                ContractsSeen([contract]),
                ClosedBars(contract.key, MINUTE, held, Origin.REST, absent=[Span(0, contract.onboard_ms), *absent]),
                PartialBars(contract.key, in_progress),
            ],
        )
        record = reader.find("BTCUSDT")
        assert record is not None
        stored = reader.bars(
            record, request.interval, start_ms=request.start_ms, end_ms=request.end_ms, limit=request.limit
        )
        said = completeness(reader, record, request, held_in_bars(stored), NOW_MS)
        reader.close()
    is_the_exchanges = [bar.bar.open_ms for bar in stored] == of_the_exchange(request, situation.absent)
    assert (said.reason is None) == is_the_exchanges
    assert (said.missing == []) == is_the_exchanges


def test_held_in_rows_reads_the_ends_of_the_text() -> None:
    assert held_in_rows("[]") is None
    assert held_in_rows('[[60000,"1.0","0"]]') == Held(60_000, 60_000, 1)
    assert held_in_rows('[[60000,"1.0","0"],[120000,"1.0","0"],[180000,"2.0","0"]]') == Held(60_000, 180_000, 3)


def test_text_that_holds_no_rows_is_a_fault() -> None:
    with pytest.raises(ValueError, match="expected \\[\\[open time"):
        held_in_rows('{"code":-1}')


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=str)
def test_the_newest_buckets_end_with_the_one_in_progress(interval: Interval) -> None:
    contract = a_contract(onboard_ms=0)
    span = asked_span(KlinesRequest("BTCUSDT", interval, limit=10), contract, NOW_MS)
    assert span.start_ms < NOW_MS - 9 * DAY.span_ms * (interval.span_ms // DAY.span_ms)
    assert interval.floor(NOW_MS) < span.stop_ms == interval.next_open(NOW_MS)
    assert interval.count(*span) == 10


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=str)
def test_a_start_is_followed_by_limit_buckets(interval: Interval) -> None:
    contract = a_contract(onboard_ms=0)
    span = asked_span(KlinesRequest("BTCUSDT", interval, limit=10, start_ms=1), contract, NOW_MS)
    assert span.start_ms == interval.ceil(1)
    assert interval.count(*span) == 10


def test_the_bucket_in_which_a_contract_was_listed_is_asked_for_and_none_before() -> None:
    week = INTERVALS["1w"]
    contract = a_contract(onboard_ms=MONDAY_MS + 3 * DAY.span_ms)
    span = asked_span(KlinesRequest("BTCUSDT", week, limit=10, start_ms=0), contract, MONDAY_MS + 20 * DAY.span_ms)
    assert span == Span(MONDAY_MS, MONDAY_MS + 3 * week.span_ms)


def test_times_are_brought_within_those_of_bars() -> None:
    far_ms = 999_999_999_999_999_999
    request = within_time(KlinesRequest("BTCUSDT", MINUTE, start_ms=far_ms, end_ms=far_ms))
    assert (request.start_ms, request.end_ms) == (NO_DELIVERY_MS, NO_DELIVERY_MS)
    assert within_time(KlinesRequest("BTCUSDT", MINUTE, start_ms=5)) == KlinesRequest("BTCUSDT", MINUTE, start_ms=5)
