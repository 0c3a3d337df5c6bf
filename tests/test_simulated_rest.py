"""The simulated exchange's REST answers: bounds, limits, errors, weight."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from bars import DAY, INTERVALS, MINUTE, MINUTE_MS, Bar, Interval, Scale
from bars.interval import DAY_MS, HOUR_MS
from exchange.simulated import ContractPlan, Limits, SimulatedClock, SimulatedExchange, World, default_plan
from exchange.simulated.faults import Dice
from exchange.simulated.rest import Rest, weight
from exchange.simulated.weight import WeightMeter
from tests.support.ports import PATIENCE_S
from wire.errors import ApiError
from wire.exchange_info import parse_exchange_info
from wire.rows import bars_from_rows

PLAN = default_plan(seed=4, count=11)
WORLD = World(PLAN)
NOW_MS = PLAN.start_ms
MINUTE_NOW_MS = MINUTE.floor(NOW_MS)
REST = Rest(WORLD, Dice(1, "test"))


def planned(symbol: str) -> ContractPlan:
    return next(contract for contract in PLAN.contracts if contract.symbol == symbol)


def rows(query: str, path: str = "klines", now_ms: int = NOW_MS, view_ms: int | None = None) -> list[list[Any]]:
    answer = REST.answer(f"/fapi/v1/{path}", query.encode(), now_ms, view_ms)
    assert answer.status == 200
    found: list[list[Any]] = json.loads(answer.body)
    return found


def opens(query: str, path: str = "klines", now_ms: int = NOW_MS) -> list[int]:
    return [row[0] for row in rows(query, path, now_ms)]


def read(found: list[list[Any]], interval: Interval = MINUTE) -> list[Bar]:
    return bars_from_rows(found, interval, Scale(2, 3, 5))


def refused(query: str, path: str = "klines", now_ms: int = NOW_MS) -> int:
    with pytest.raises(ApiError) as refusal:
        REST.answer(f"/fapi/v1/{path}", query.encode(), now_ms)
    assert refusal.value.status == 400
    return refusal.value.code


def test_both_bounds_are_inclusive_on_open_times() -> None:
    start_ms = MINUTE_NOW_MS - HOUR_MS
    span = f"startTime={start_ms}&endTime={start_ms + 3 * MINUTE_MS}"
    assert opens(f"symbol=BTCUSDT&interval=1m&{span}") == [start_ms + at * MINUTE_MS for at in range(4)]
    inside = f"startTime={start_ms + 1}&endTime={start_ms + 3 * MINUTE_MS - 1}"
    assert opens(f"symbol=BTCUSDT&interval=1m&{inside}") == [start_ms + MINUTE_MS, start_ms + 2 * MINUTE_MS]


def test_with_a_start_the_first_bars_come_and_without_one_the_newest() -> None:
    start_ms = MINUTE_NOW_MS - DAY_MS
    assert opens(f"symbol=btcusdt&interval=1m&startTime={start_ms}&limit=2") == [start_ms, start_ms + MINUTE_MS]
    assert opens("symbol=BTCUSDT&interval=1m&limit=2") == [MINUTE_NOW_MS - MINUTE_MS, MINUTE_NOW_MS]
    end_ms = start_ms + 5
    assert opens(f"symbol=BTCUSDT&interval=1m&endTime={end_ms}&limit=2") == [start_ms - MINUTE_MS, start_ms]
    assert len(opens("symbol=BTCUSDT&interval=1m")) == 500
    assert len(opens("symbol=BTCUSDT&interval=1m&limit=1500")) == 1500


def test_a_start_before_listing_begins_at_the_first_bar_and_an_empty_range_is_empty() -> None:
    first_ms = planned("ETHUSDC").first_ms
    assert opens("symbol=ETHUSDC&interval=1m&startTime=0&limit=2") == [first_ms, first_ms + MINUTE_MS]
    assert opens("symbol=ETHUSDC&interval=1w&startTime=0")[0] == INTERVALS["1w"].floor(first_ms) < first_ms
    assert rows(f"symbol=ETHUSDC&interval=1m&startTime=0&endTime={first_ms - 1}") == []
    assert rows(f"symbol=ETHUSDC&interval=1M&startTime={10**17}") == []
    assert rows(f"symbol=ETHUSDC&interval=1m&startTime={NOW_MS + DAY_MS}") == []


@pytest.mark.parametrize("name", list(INTERVALS))
def test_every_interval_ends_in_its_open_bar_and_tells_the_truth(name: str) -> None:
    interval = INTERVALS[name]
    found = read(rows(f"symbol=ETHUSDT&interval={name}&limit=4"), interval)
    *closed, newest = found
    assert newest == WORLD.progress("ETHUSDT", interval, NOW_MS)
    assert newest.open_ms == interval.floor(NOW_MS)
    assert closed == WORLD.bars("ETHUSDT", interval, found[0].open_ms, newest.open_ms)


def test_an_open_bar_without_trades_is_flat_at_the_last_close() -> None:
    empty_ms = next(
        open_ms
        for open_ms in range(MINUTE_NOW_MS - DAY_MS, MINUTE_NOW_MS, MINUTE_MS)
        if (bar := WORLD.minute("42USDT", open_ms)) and bar.is_empty
    )
    before, newest = rows("symbol=42USDT&interval=1m&limit=2", now_ms=empty_ms + 30_000)
    assert newest[0] == empty_ms
    assert newest[1:6] == [before[4]] * 4 + ["0"]
    assert newest[7:12] == ["0", 0, "0", "0", "0"]


def test_a_lagging_node_shows_a_minute_just_closed_as_it_was() -> None:
    at_ms = MINUTE_NOW_MS + 1_000
    final = rows("symbol=BTCUSDT&interval=1m&limit=2", now_ms=at_ms)[0]
    moving = rows("symbol=BTCUSDT&interval=1m&limit=1", now_ms=at_ms, view_ms=MINUTE_NOW_MS - 4_000)[0]
    assert moving[0] == final[0] == MINUTE_NOW_MS - MINUTE_MS
    assert 0 < moving[8] < final[8]


def test_a_settled_contract_goes_on_with_flat_bars_or_refuses() -> None:
    later_ms = NOW_MS + 400 * DAY_MS
    found = rows("symbol=OMGUSDT&interval=1d&limit=300", now_ms=later_ms)
    assert len(found) == 300
    assert {row[5] for row in found} == {"0"}
    assert len({row[4] for row in found}) == 1
    assert refused("symbol=BTCSTUSDT&interval=1d") == -1122


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=NOSUCHUSDT&interval=1m", -1121),
        ("interval=1m", -1102),
        ("symbol=&interval=1m", -1102),
        ("symbol=BTCUSDT", -1102),
        ("symbol=BTCUSDT&interval=1s", -1120),
        ("symbol=BTCUSDT&interval=3d", -1120),
        ("symbol=BTCUSDT&interval=1m&limit=1501", -1130),
        ("symbol=BTCUSDT&interval=1m&limit=0", -1130),
        ("symbol=BTCUSDT&interval=1m&limit=ten", -1100),
        ("symbol=BTCUSDT&interval=1m&startTime=2&endTime=1", -1023),
        ("symbol=币安人生USDT&interval=1m", -1100),
    ],
)
def test_what_is_wrong_has_the_exchanges_code(query: str, code: int) -> None:
    assert refused(query) == code


def test_a_percent_encoded_symbol_is_answered() -> None:
    name = "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
    assert len(rows(f"symbol={name}&interval=1m&limit=3")) == 3


def test_a_pending_contract_has_no_rows_until_it_trades() -> None:
    launch_ms = planned("NEWUSDT").first_ms
    assert rows("symbol=NEWUSDT&interval=1m") == []
    assert opens("symbol=NEWUSDT&interval=1m", now_ms=launch_ms + MINUTE_MS) == [launch_ms, launch_ms + MINUTE_MS]


def test_continuous_klines_are_asked_for_by_pair_and_type() -> None:
    perpetual = rows("pair=BTCUSDT&contractType=PERPETUAL&interval=1m&limit=5", "continuousKlines")
    assert perpetual == rows("symbol=BTCUSDT&interval=1m&limit=5")
    quarter = rows("pair=BTCUSDT&contractType=CURRENT_QUARTER&interval=1m&limit=5", "continuousKlines")
    assert quarter == rows("symbol=BTCUSDT_261225&interval=1m&limit=5")
    gold = "pair=XAUUSDT&interval=1m&limit=5&contractType="
    assert rows(f"{gold}TRADIFI_PERPETUAL", "continuousKlines") == rows("symbol=XAUUSDT&interval=1m&limit=5")
    assert refused(f"{gold}PERPETUAL", "continuousKlines") == -1121
    assert refused(gold, "continuousKlines") == -1102
    assert refused(f"{gold}WEEKLY", "continuousKlines") == -1130


def info(now_ms: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(REST.answer("/fapi/v1/exchangeInfo", b"", now_ms).body)
    return found


def test_exchange_info_differs_in_order_and_time_but_not_in_what_it_says() -> None:
    one, other = info(NOW_MS), info(NOW_MS)
    assert [row["symbol"] for row in one["symbols"]] != [row["symbol"] for row in other["symbols"]]
    assert {row["symbol"] for row in one["symbols"]} == {row["symbol"] for row in other["symbols"]}
    assert list(one["symbols"][0]) != list(other["symbols"][0])
    assert one["serverTime"] < NOW_MS
    assert one["rateLimits"][0]["limit"] == 2400


def test_exchange_info_follows_launches_delistings_and_precision() -> None:
    def contracts(minutes: int) -> dict[str, Any]:
        body = REST.answer("/fapi/v1/exchangeInfo", b"", MINUTE_NOW_MS + minutes * MINUTE_MS).body
        parsed = parse_exchange_info(body)
        assert parsed.unreadable == []
        return {contract.symbol: contract for contract in parsed.contracts}

    at_start, later, much_later = contracts(0), contracts(16), contracts(31)
    assert at_start["NEWUSDT"].status == "PENDING_TRADING"
    assert later["NEWUSDT"].status == "TRADING"
    assert (at_start["SOLUSDT"].quantity_decimals, later["SOLUSDT"].quantity_decimals) == (0, 2)
    assert at_start["OLDUSDT"].delivery_ms == 4_133_404_800_000
    assert later["OLDUSDT"].delivery_ms == MINUTE_NOW_MS + 30 * MINUTE_MS
    assert later["OLDUSDT"].status == "TRADING"
    assert much_later["OLDUSDT"].status == "SETTLING"
    assert at_start["BTCUSDT"].price_decimals == 2


@pytest.mark.parametrize(
    ("query", "cost"),
    [("limit=99", 1), ("limit=100", 2), ("limit=499", 2), ("limit=500", 5), ("limit=1000", 5), ("limit=1001", 10),
     ("limit=1501", 10), ("", 5), ("limit=ten", 1)],
)  # fmt: skip
def test_weight_follows_the_documented_brackets(query: str, cost: int) -> None:
    assert weight("/fapi/v1/klines", query.encode()) == cost
    assert weight("/fapi/v1/exchangeInfo", query.encode()) == 1


def test_beyond_the_limit_429_then_a_ban_that_requests_prolong_and_that_grows() -> None:
    used: Counter[int] = Counter()
    codes: set[int] = set()
    meter = WeightMeter(Limits(weight_per_minute=20, refused_before_ban=2), used)

    def status(now_ms: int) -> int:
        try:
            meter.charge(now_ms, 10)
        except ApiError as error:
            codes.add(error.code)
            return error.status
        return 200

    assert [status(59_999) for _ in range(2)] == [200, 200]
    assert [status(60_000 + at) for at in range(6)] == [200, 200, 429, 429, 418, 418]
    assert status(180_000) == 418  # would have been over by now
    assert status(299_000) == 418
    assert [status(420_000) for _ in range(5)] == [200, 200, 429, 429, 418]
    assert status(420_000 + 239_999) == 418
    assert used[0] == 20
    assert codes == {-1003}
    with pytest.raises(ApiError, match="banned until"):
        meter.charge(420_000 + 240_000, 1)


def test_over_http_weight_is_charged_by_the_exchanges_minute_and_shown(frozen: SimulatedExchange) -> None:
    url = f"{frozen.rest_url}/fapi/v1"
    answer = requests.get(
        f"{url}/klines", {"symbol": "币安人生USDT", "interval": "1m", "limit": "499"}, timeout=PATIENCE_S
    )
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "2"
    assert len(answer.json()) == 499
    refusal = requests.get(f"{url}/klines?symbol=BTCUSDT&interval=1m&limit=1501", timeout=PATIENCE_S)
    assert (refusal.status_code, refusal.json()["code"]) == (400, -1130)
    assert refusal.headers["X-MBX-USED-WEIGHT-1M"] == "12"
    assert requests.get(f"{url}/ping", timeout=PATIENCE_S).json() == {}
    assert requests.get(f"{url}/time", timeout=PATIENCE_S).json() == {"serverTime": NOW_MS}
    plain = requests.get(f"{url}/exchangeInfo", headers={"Accept-Encoding": "identity"}, timeout=PATIENCE_S)
    packed = requests.get(f"{url}/exchangeInfo", timeout=PATIENCE_S)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(plain.json()["symbols"]) == len(packed.json()["symbols"])
    assert requests.get(f"{url}/depth?symbol=BTCUSDT", timeout=PATIENCE_S).status_code == 404
    assert frozen.counters.weight_max == 17
    assert frozen.counters.requests["/fapi/v1/klines", 400] == 1


@pytest.fixture
def frozen() -> Any:
    """An exchange whose clock stands still."""
    clock = SimulatedClock(NOW_MS, monotonic=lambda: 0.0)
    with SimulatedExchange(replace(PLAN), clock=clock) as exchange:
        yield exchange


def test_going_on_beyond_the_limit_over_http_brings_429_and_then_418() -> None:
    plan = replace(PLAN, limits=Limits(weight_per_minute=30, refused_before_ban=3))
    clock = SimulatedClock(NOW_MS, monotonic=lambda: 0.0)
    with SimulatedExchange(plan, clock=clock) as exchange, requests.Session() as session:
        url = f"{exchange.rest_url}/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1001"
        found = [session.get(url, timeout=PATIENCE_S) for _ in range(8)]
        assert [answer.status_code for answer in found] == [200] * 3 + [429] * 3 + [418] * 2
        assert "current limit of IP(127.0.0.1) is 30 requests per minute" in found[3].json()["msg"]
        assert f"banned until {NOW_MS + 120_000}" in found[-1].json()["msg"]
        assert exchange.counters.answers(418) == 2
        dates = {parsedate_to_datetime(answer.headers["date"]).timestamp() for answer in found}
        assert dates == {NOW_MS // 1_000}


def test_a_long_history_is_the_sum_of_its_days() -> None:
    found = read(rows("symbol=ETHUSDT&interval=1M&startTime=0"), INTERVALS["1M"])
    days = read(rows("symbol=ETHUSDT&interval=1d&startTime=0&limit=1500"), DAY)
    assert sum(bar.volume for bar in found) == sum(bar.volume for bar in days)
    assert found[-1].close == days[-1].close
