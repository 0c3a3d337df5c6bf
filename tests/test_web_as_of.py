"""`/api/klines?as_of=`: which minute it stands for, what it refuses, and what is fetched for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bars import DAY, INTERVALS, MINUTE, MINUTE_MS, ContractKey, Interval, Span
from bars.interval import DAY_MS, HOUR_MS
from storage import BarStore, ClosedBars, ContractsSeen, Origin, Reader
from tests.support.market import MONDAY_MS, a_contract, some_bars
from tests.support.wsgi import Answered, call
from web import Sources, make_app
from web.through import SETTLE_MS

INCOMPLETE = "x-barkeep-incomplete"
CONTRACT = a_contract()
LIFE = 3 * 24 * 60
NOW_MS = MONDAY_MS + LIFE * MINUTE_MS + 30_000


class Exchange:
    """A database and an exchange that has every bar since Monday."""

    def __init__(self, folder: Path) -> None:
        self.store = BarStore.open(folder / "bars.db")
        self.store.commit([ContractsSeen([CONTRACT])])
        self.reader = Reader(folder / "bars.db")
        self.asked: list[tuple[str, Span]] = []
        self.refusal: str | None = None
        self.fetches = True

    def put(self, interval: Interval, span: Span) -> None:
        there = span.intersect(Span(MONDAY_MS, NOW_MS))
        bars = some_bars(interval, there.start_ms, interval.count(*there))
        self.store.commit([ClosedBars(CONTRACT.key, interval, bars, Origin.REST, absent=[Span(0, MONDAY_MS)])])

    def fetch(self, _key: ContractKey, interval: Interval, spans: Sequence[Span], _timeout_s: float) -> str | None:
        self.asked += ((interval.name, span) for span in spans)
        if self.refusal is None:
            for span in spans:
                self.put(interval, span)
        return self.refusal

    def klines(self, interval: str, as_of: object, more: str = "", now_ms: int | None = NOW_MS) -> Answered:
        fetch = self.fetch if self.fetches else None
        app = make_app(Sources(self.reader, lambda: now_ms, lambda: None, dict, monotonic_s=lambda: 0.0, fetch=fetch))
        return call(app, f"/api/klines?symbol=BTCUSDT&interval={interval}&as_of={as_of}{more}")

    def close(self) -> None:
        self.reader.close()
        self.store.close()


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    with closing(Exchange(tmp_path)) as exchange:
        yield exchange


def shown(answered: Answered) -> list[tuple[int, bool]]:
    """Minutes since Monday at which bars open, and whether they are closed."""
    assert answered.status == 200
    return [((bar["open_time"] - MONDAY_MS) // MINUTE_MS, bar["closed"]) for bar in answered.json["klines"]]


@pytest.mark.parametrize("late_ms", [-1, 0, 1, 30_000, 59_998])
def test_it_stands_for_the_last_minute_whose_close_time_is_not_later(exchange: Exchange, late_ms: int) -> None:
    exchange.put(MINUTE, Span(MONDAY_MS, NOW_MS))
    edge_ms = MONDAY_MS + 7 * MINUTE_MS
    answered = exchange.klines("5m", edge_ms + late_ms)
    assert shown(answered) == [(0, True), (5, False)]
    assert answered.json["as_of"] == edge_ms
    assert answered.json["klines"][-1]["trades"] == 2 * 3
    assert INCOMPLETE not in answered.headers


def test_just_after_a_bars_end_it_is_the_newest_and_closed(exchange: Exchange) -> None:
    exchange.put(MINUTE, Span(MONDAY_MS, NOW_MS))
    for interval in ("1m", "3m", "5m", "15m", "30m", "1h"):
        assert shown(exchange.klines(interval, MONDAY_MS + HOUR_MS, "&limit=1"))[-1][1] is True


@pytest.mark.parametrize("as_of", ["", "x", "-1", "1e3", "9" * 19, NOW_MS + MINUTE_MS, 10**17])
def test_what_is_no_past_time_is_refused(exchange: Exchange, as_of: object) -> None:
    answered = exchange.klines("5m", as_of)
    assert answered.status == 400
    assert answered.json["error"]["code"] == "invalid_parameter"
    assert answered.json["error"]["message"].startswith("as_of: expected ")


def test_now_is_past_enough(exchange: Exchange) -> None:
    exchange.put(MINUTE, Span(MONDAY_MS, NOW_MS))
    assert shown(exchange.klines("1m", NOW_MS, "&limit=1")) == [(LIFE - 1, True)]


def test_the_parts_of_the_bar_in_progress_are_fetched_largest_first(exchange: Exchange) -> None:
    edge_ms = MONDAY_MS + 2 * DAY_MS + 4 * HOUR_MS + 36 * MINUTE_MS
    answered = exchange.klines("1w", edge_ms, "&limit=1")
    assert shown(answered) == [(0, False)]
    assert INCOMPLETE not in answered.headers
    assert [interval for interval, _ in exchange.asked] == ["1d", "4h", "30m", "5m", "1m"]
    assert exchange.asked[0] == ("1d", Span(MONDAY_MS, MONDAY_MS + 2 * DAY_MS))
    assert exchange.asked[-1] == ("1m", Span(edge_ms - MINUTE_MS, edge_ms))
    again = exchange.klines("1w", edge_ms, "&limit=1")
    assert again.body == answered.body
    assert len(exchange.asked) == 5


@pytest.mark.parametrize("interval", [name for name in INTERVALS if name not in ("1w", "1M")])
def test_closed_bars_that_are_not_held_are_fetched_too(exchange: Exchange, interval: str) -> None:
    edge_ms = MONDAY_MS + 2 * DAY_MS + 61 * MINUTE_MS
    answered = exchange.klines(interval, edge_ms, "&limit=3")
    assert INCOMPLETE not in answered.headers
    opens = [minute for minute, _ in shown(answered)]
    last_ms = INTERVALS[interval].floor(edge_ms - 1)
    expected = [INTERVALS[interval].back(last_ms, count) for count in (2, 1, 0)]
    assert opens == [(open_ms - MONDAY_MS) // MINUTE_MS for open_ms in expected if open_ms >= MONDAY_MS]


def test_why_a_part_is_not_there_is_said(exchange: Exchange) -> None:
    exchange.put(DAY, Span(MONDAY_MS, MONDAY_MS + DAY_MS))
    exchange.refusal = "the weight is used up"
    answered = exchange.klines("1d", MONDAY_MS + DAY_MS + 61 * MINUTE_MS)
    assert shown(answered) == [(0, True)]
    assert answered.headers[INCOMPLETE] == (
        "the bar in progress at 2026-01-06T01:01:00Z lacks bars of 30m from 2026-01-06T00:00:00Z to "
        "2026-01-06T01:00:00Z and 1 more spans: the weight is used up"
    )


def test_a_web_side_alone_says_what_it_does_not_hold(exchange: Exchange) -> None:
    exchange.fetches = False
    exchange.put(MINUTE, Span(MONDAY_MS, MONDAY_MS + HOUR_MS))
    answered = exchange.klines("15m", MONDAY_MS + HOUR_MS + 3 * MINUTE_MS, "&limit=2")
    assert shown(answered) == [(45, True)]
    assert "2026-01-05T01:03:00Z lacks bars of 1m from 2026-01-05T01:00:00Z" in answered.headers[INCOMPLETE]
    assert exchange.asked == []


def test_a_minute_that_has_only_just_ended_is_not_fetched(exchange: Exchange) -> None:
    edge_ms = MINUTE.floor(NOW_MS) + MINUTE_MS
    exchange.put(MINUTE, Span(MONDAY_MS, edge_ms - MINUTE_MS))
    answered = exchange.klines("5m", edge_ms, now_ms=edge_ms + SETTLE_MS - 1)
    assert INCOMPLETE in answered.headers
    assert all(span.stop_ms <= edge_ms - MINUTE_MS for _, span in exchange.asked)


def test_bounds_and_limit_hold(exchange: Exchange) -> None:
    exchange.put(MINUTE, Span(MONDAY_MS, NOW_MS))
    edge_ms = MONDAY_MS + 62 * MINUTE_MS
    assert shown(exchange.klines("5m", edge_ms, "&limit=1")) == [(60, False)]
    assert shown(exchange.klines("5m", edge_ms, f"&start={MONDAY_MS}&limit=2")) == [(0, True), (5, True)]
    assert shown(exchange.klines("5m", edge_ms, f"&end={edge_ms - 3 * MINUTE_MS}&limit=1")) == [(55, True)]
    assert shown(exchange.klines("5m", edge_ms, f"&start={edge_ms + 1}")) == []
    assert shown(exchange.klines("5m", edge_ms, f"&start={edge_ms - 2 * MINUTE_MS}")) == [(60, False)]


def test_before_the_listing_there_is_nothing_and_nothing_missing(exchange: Exchange) -> None:
    exchange.put(MINUTE, Span(MONDAY_MS, NOW_MS))
    for as_of in (0, 59_999, MONDAY_MS - 1):
        answered = exchange.klines("1M", as_of)
        assert shown(answered) == []
        assert INCOMPLETE not in answered.headers
