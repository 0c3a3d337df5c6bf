"""The market at a glance: /api/overview, and the query behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import (
    FIVE_MINUTES,
    FOUR_HOURS,
    HALF_HOUR,
    MINUTE,
    MINUTE_MS,
    IntervalBar,
    Span,
    aggregate_all,
    to_text,
)
from bars.interval import DAY_MS, HOUR_MS
from storage import ClosedBars, ContractsSeen, Glance, Origin, PartialBars, Reader
from tests.support.market import MONDAY_MS, a_bar, a_contract, a_reader
from tests.support.wsgi import Answered, WsgiApp, call
from web import Sources, make_app

TIMES = st.integers(MONDAY_MS + 2 * DAY_MS, MONDAY_MS + 3 * DAY_MS)
LADDER = FIVE_MINUTES, HALF_HOUR, FOUR_HOURS


def stored_until(path: Path, now_ms: int, start_ms: int = MONDAY_MS) -> Reader:
    """A contract with all its bars from a day's start to a time, those in progress too, and one with none."""
    contract, open_ms = a_contract(), MINUTE.floor(now_ms)
    minutes = [a_bar(at_ms) for at_ms in range(start_ms, open_ms + 1, MINUTE_MS)]
    changes: list[Any] = [ContractsSeen([contract, a_contract("EMPTYUSDT")])]
    in_progress = [IntervalBar(MINUTE, minutes[-1])]
    for interval in (MINUTE, *LADDER):
        bars = minutes if interval is MINUTE else list(aggregate_all(minutes, interval))
        closed = [bar for bar in bars if interval.next_open(bar.open_ms) <= open_ms]
        if closed:
            changes.append(ClosedBars(contract.key, interval, closed, Origin.REST))
        if interval is not MINUTE:
            in_progress.append(IntervalBar(interval, bars[-1]))
    changes.append(PartialBars(contract.key, in_progress))
    return a_reader(path, changes)


def expected(now_ms: int, start_ms: int = MONDAY_MS) -> dict[str, Any]:
    """The same from minutes alone."""
    first_ms = max(start_ms, MINUTE.floor(now_ms) - DAY_MS)
    bars = [a_bar(at_ms) for at_ms in range(first_ms, MINUTE.floor(now_ms) + 1, MINUTE_MS)]
    return {
        "last": bars[-1].close,
        "open": bars[0].open,
        "high": max(bar.high for bar in bars),
        "low": min(bar.low for bar in bars),
        "volume": sum(bar.volume for bar in bars),
        "quote_volume": sum(bar.quote_volume for bar in bars),
        "trades": sum(bar.trades for bar in bars),
        "minutes": len(bars),
    }


def glance(reader: Reader, now_ms: int, symbol: str = "BTCUSDT") -> Glance:
    return next(glance for record, glance in reader.overview(now_ms) if record.contract.symbol == symbol)


def chosen(found: Glance) -> dict[str, Any]:
    return {name: getattr(found, name) for name in expected(MONDAY_MS + DAY_MS)}


@settings(max_examples=20)
@given(TIMES)
def test_a_glance_is_the_sum_of_a_day_of_minutes_whenever_it_is_asked_for(
    tmp_path_factory: pytest.TempPathFactory, now_ms: int
) -> None:
    reader = stored_until(Path(tmp_path_factory.mktemp("glance")) / "bars.db", now_ms, MONDAY_MS + DAY_MS // 2)
    try:
        assert chosen(glance(reader, now_ms)) == expected(now_ms, MONDAY_MS + DAY_MS // 2)
    finally:
        reader.close()


def test_a_new_contract_has_as_much_of_a_day_as_there_is(tmp_path: Path) -> None:
    start_ms = MONDAY_MS + 2 * DAY_MS + 8 * HOUR_MS
    now_ms = start_ms + 3 * HOUR_MS + 12_345
    found = glance(stored_until(tmp_path / "bars.db", now_ms, start_ms), now_ms)
    assert found.minutes == 181
    assert chosen(found) == expected(now_ms, start_ms)


def test_a_contract_that_has_ended_keeps_its_last_price_and_nothing_else(tmp_path: Path) -> None:
    ended_ms = MONDAY_MS + 5 * HOUR_MS
    contract = a_contract()
    bars = [a_bar(at_ms) for at_ms in range(MONDAY_MS, ended_ms, MINUTE_MS)]
    reader = a_reader(
        tmp_path / "bars.db",
        [ContractsSeen([contract]), ClosedBars(contract.key, MINUTE, bars, Origin.REST)],
    )
    found = glance(reader, ended_ms + 40 * DAY_MS)
    assert (found.last, found.open, found.high, found.volume, found.minutes) == (bars[-1].close, None, None, 0, 0)


def test_closes_are_those_of_whole_steps_within_a_day(tmp_path: Path) -> None:
    now_ms = MONDAY_MS + 2 * DAY_MS + 10 * HOUR_MS + 17 * MINUTE_MS
    reader = stored_until(tmp_path / "bars.db", now_ms)
    hours_ms = range(MONDAY_MS + DAY_MS + 11 * HOUR_MS, now_ms, HOUR_MS)
    assert reader.closes(now_ms, HOUR_MS)[a_contract().key] == [a_bar(at_ms - MINUTE_MS).close for at_ms in hours_ms]


# --- the page

NOW_MS = MONDAY_MS + 2 * DAY_MS + 3 * HOUR_MS + 90_000


class Clock:
    def __init__(self) -> None:
        self.exchange_ms: int | None = NOW_MS
        self.monotonic_s = 0.0


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return stored_until(Path(tmp_path_factory.mktemp("overview")) / "bars.db", NOW_MS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(reader: Reader, clock: Clock) -> WsgiApp:
    sources = Sources(reader, lambda: clock.exchange_ms, lambda: None, dict, monotonic_s=lambda: clock.monotonic_s)
    app: WsgiApp = make_app(sources)
    return app


def only_row(answered: Answered) -> dict[str, Any]:
    (row,) = answered.json["symbols"]
    assert isinstance(row, dict)
    return row


def test_the_overview_tells_exact_text_of_each_perpetual_that_has_a_price(app: WsgiApp) -> None:
    answered, day = call(app, "/api/overview"), expected(NOW_MS)
    assert answered.json["time"] == NOW_MS
    row = only_row(answered)
    closes = row.pop("closes")
    assert closes[-1] == to_text(a_bar(MONDAY_MS + 2 * DAY_MS + 3 * HOUR_MS - MINUTE_MS).close, 2)
    assert len(closes) == 24
    change = round(abs(day["last"] - day["open"]) / day["open"] * 100, 2)
    assert row == {
        "symbol": "BTCUSDT",
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "contract_type": "PERPETUAL",
        "status": "TRADING",
        "price_decimals": 2,
        **{name: to_text(day[name], 2) for name in ("last", "open", "high", "low")},
        "change_percent": f"{'-' if day['last'] < day['open'] else ''}{change:.2f}",
        "volume": to_text(day["volume"], 3),
        "quote_volume": to_text(day["quote_volume"], 5),
        "trades": day["trades"],
        "minutes": 1441,
    }


def test_closes_may_be_left_out(app: WsgiApp) -> None:
    assert "closes" not in only_row(call(app, "/api/overview?closes=0"))


@pytest.mark.parametrize("query", ["closes=2", "closes=", "closes=yes", "closes=1&closes=0"])
def test_a_bad_parameter_is_refused(app: WsgiApp, query: str) -> None:
    answered = call(app, f"/api/overview?{query}")
    assert answered.status == 400
    assert answered.json["error"]["code"] == "invalid_parameter"


def test_the_overview_is_put_together_once_a_second_at_most(app: WsgiApp, clock: Clock) -> None:
    first = call(app, "/api/overview").body
    clock.exchange_ms = NOW_MS + 60_000
    clock.monotonic_s = 0.9
    assert call(app, "/api/overview").body == first
    clock.monotonic_s = 1.1
    assert call(app, "/api/overview").json["time"] == NOW_MS + 60_000


def test_without_the_exchange_s_time_the_end_of_what_is_stored_counts(app: WsgiApp, clock: Clock) -> None:
    clock.exchange_ms = None
    assert call(app, "/api/overview").json["time"] == MINUTE.floor(NOW_MS)


def test_of_two_contracts_with_one_symbol_the_newer_one_is_told(tmp_path: Path) -> None:
    old = a_contract(delivery_ms=MONDAY_MS + DAY_MS)
    new = a_contract(onboard_ms=MONDAY_MS + 2 * DAY_MS)
    dated = a_contract("BTCUSDT_260327", contract_type="NEXT_QUARTER")

    def minute(contract: Any, at_ms: int) -> ClosedBars:
        return ClosedBars(contract.key, MINUTE, [a_bar(at_ms)], Origin.REST, absent=[Span(0, at_ms)])

    reader = a_reader(
        tmp_path / "bars.db",
        [
            ContractsSeen([old, new, dated]),
            minute(old, MONDAY_MS),
            minute(new, NOW_MS - 90_000),
            minute(dated, NOW_MS - 90_000),
        ],
    )
    app: WsgiApp = make_app(Sources(reader, lambda: NOW_MS, lambda: None, dict))
    assert only_row(call(app, "/api/overview"))["last"] == to_text(a_bar(NOW_MS - 90_000).close, 2)
