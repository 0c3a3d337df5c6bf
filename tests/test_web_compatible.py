"""The exchange's REST as we answer it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bars import DAY, FIVE_MINUTES, INTERVALS, MINUTE, MINUTE_MS, Bar, Contract, IntervalBar, Span
from storage import ClosedBars, ContractsSeen, Origin, PartialBars
from tests.support.market import MONDAY_MS, a_bar, a_contract, a_reader, some_bars
from tests.support.wsgi import Answered, WsgiApp, call
from web import Sources, make_app
from wire.rows import row_from_bar

HELD = 700
NOW_MS = MONDAY_MS + HELD * MINUTE_MS + 30_000
FRAME = json.dumps(
    {"timezone": "UTC", "serverTime": 5, "rateLimits": [], "exchangeFilters": [], "assets": [], "symbols": []}
)
INCOMPLETE = "x-barkeep-incomplete"

AppMaker = Callable[..., WsgiApp]


@pytest.fixture
def an_app(tmp_path: Path) -> AppMaker:
    def make(
        *held: Sequence[Bar],
        contract: Contract | None = None,
        interval: str = "1m",
        partial: Bar | None = None,
        absent: Sequence[Span] = (),
        now_ms: int | None = NOW_MS,
        frame: str | None = FRAME,
        others: Sequence[Contract] = (),
    ) -> WsgiApp:
        contract = contract or a_contract()
        bars = [bar for part in held for bar in part]
        reader = a_reader(
            tmp_path / "bars.db",
            [
                ContractsSeen([contract, *others], frame),
                ClosedBars(contract.key, INTERVALS[interval], bars, Origin.REST, absent=absent),
                PartialBars(contract.key, [] if partial is None else [IntervalBar(INTERVALS[interval], partial)]),
            ],
        )
        app: WsgiApp = make_app(Sources(reader, now_ms=lambda: now_ms, health=lambda: None, status=dict))
        return app

    return make


@pytest.fixture
def app(an_app: AppMaker) -> WsgiApp:
    """700 closed minutes since the contract's beginning and one in progress."""
    bars = some_bars(MINUTE, MONDAY_MS, HELD + 1)
    return an_app(bars[:HELD], partial=bars[HELD])


def klines(app: WsgiApp, **parameters: Any) -> Answered:
    query = "&".join(f"{name}={quote(str(value))}" for name, value in parameters.items())
    return call(app, f"/fapi/v1/klines?symbol=BTCUSDT&interval=1m&{query}")


def open_times(answered: Answered) -> list[int]:
    assert answered.status == 200
    return [row[0] for row in answered.json]


def minutes(start: int, stop: int) -> list[int]:
    return [MONDAY_MS + minute * MINUTE_MS for minute in range(start, stop)]


def test_without_times_the_newest_500_come_and_the_bar_in_progress_is_the_last(app: WsgiApp) -> None:
    answered = klines(app)
    assert open_times(answered) == minutes(HELD - 499, HELD + 1)
    assert INCOMPLETE not in answered.headers


def test_rows_are_the_exchanges_to_the_last_character(app: WsgiApp) -> None:
    answered = klines(app, limit=2)
    rows = [row_from_bar(a_bar(MONDAY_MS + minute * MINUTE_MS), MINUTE) for minute in (HELD - 1, HELD)]
    assert answered.body == json.dumps(rows, separators=(",", ":")).encode()
    assert answered.headers["content-type"] == "application/json"


def test_a_start_alone_goes_up_from_there(app: WsgiApp) -> None:
    answered = klines(app, startTime=MONDAY_MS + 10 * MINUTE_MS, limit=3)
    assert open_times(answered) == minutes(10, 13)
    assert INCOMPLETE not in answered.headers


def test_an_end_alone_gives_the_newest_up_to_it(app: WsgiApp) -> None:
    answered = klines(app, endTime=MONDAY_MS + 10 * MINUTE_MS, limit=3)
    assert open_times(answered) == minutes(8, 11)
    assert INCOMPLETE not in answered.headers


def test_both_bounds_are_inclusive_and_compared_with_open_times(app: WsgiApp) -> None:
    start_ms, end_ms = minutes(5, 9)[0], minutes(5, 9)[-1]
    assert open_times(klines(app, startTime=start_ms, endTime=end_ms)) == minutes(5, 9)
    assert open_times(klines(app, startTime=start_ms + 1, endTime=end_ms - 1)) == minutes(6, 8)


def test_a_start_before_the_listing_gives_the_first_bars(app: WsgiApp) -> None:
    answered = klines(app, startTime=0, limit=2)
    assert open_times(answered) == minutes(0, 2)
    assert INCOMPLETE not in answered.headers


@pytest.mark.parametrize(
    "parameters",
    [
        {"startTime": MONDAY_MS + 1, "endTime": MONDAY_MS + 2},
        {"startTime": NOW_MS + MINUTE_MS},
        {"endTime": MONDAY_MS - 1},
        {"startTime": 999_999_999_999_999_999},
        {"startTime": 0, "endTime": 0},
    ],
)
def test_a_range_without_bars_is_an_empty_list(app: WsgiApp, parameters: dict[str, int]) -> None:
    answered = klines(app, **parameters)
    assert open_times(answered) == []
    assert INCOMPLETE not in answered.headers


@pytest.mark.parametrize("interval", INTERVALS)
def test_times_that_no_calendar_reaches_are_no_fault(app: WsgiApp, interval: str) -> None:
    far = 999_999_999_999_999_999
    for times in (f"startTime={far}", f"startTime=0&endTime={far}", f"endTime={far}", f"startTime={far}&endTime={far}"):
        assert call(app, f"/fapi/v1/klines?symbol=BTCUSDT&interval={interval}&{times}").status == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", -1102),
        ("symbol=BTCUSDT", -1102),
        ("interval=1m", -1102),
        ("symbol=&interval=1m", -1102),
        ("symbol=NOPEUSDT&interval=1m", -1121),
        ("symbol=BTCUSDT_260327&interval=1m", -1121),
        ("symbol=%FF%FE&interval=1m", -1121),
        ("symbol=BTC%00USDT&interval=1m", -1121),
        ("symbol=BTCUSDT%00&interval=1m", -1121),
        ("symbol=%ED%A0%80&interval=1m", -1121),
        ("symbol=BTCUSDT&interval=3d", -1120),
        ("symbol=BTCUSDT&interval=1s", -1120),
        ("symbol=BTCUSDT&interval=1M%20", -1120),
        ("symbol=BTCUSDT&interval=1m&limit=0", -1130),
        ("symbol=BTCUSDT&interval=1m&limit=-1", -1130),
        ("symbol=BTCUSDT&interval=1m&limit=1501", -1130),
        ("symbol=BTCUSDT&interval=1m&limit=99999999999999999999999", -1130),
        ("symbol=BTCUSDT&interval=1m&limit=ten", -1100),
        ("symbol=BTCUSDT&interval=1m&limit=", -1100),
        ("symbol=BTCUSDT&interval=1m&limit=%D9%A1", -1100),
        ("symbol=BTCUSDT&interval=1m&startTime=1e3", -1100),
        ("symbol=BTCUSDT&interval=1m&startTime=9999999999999999999", -1130),
        ("symbol=BTCUSDT&interval=1m&startTime=-1", -1130),
        ("symbol=BTCUSDT&interval=1m&startTime=2&endTime=1", -1023),
        ("symbol=BTCUSDT&symbol=BTCUSDT&interval=1m", -1101),
    ],
)
def test_bad_requests_are_refused_in_the_exchanges_words(an_app: AppMaker, query: str, code: int) -> None:
    dated = a_contract("BTCUSDT_260327", contract_type="CURRENT_QUARTER", pair="BTCUSDT")
    answered = call(an_app([], others=[dated]), f"/fapi/v1/klines?{query}")
    assert answered.status == 400
    assert answered.json["code"] == code
    assert set(answered.json) == {"code", "msg"}
    assert answered.headers["access-control-allow-origin"] == "*"


def test_lower_case_and_foreign_symbols_are_found(an_app: AppMaker) -> None:
    contract = a_contract("币安人生USDT")
    app = an_app(some_bars(MINUTE, MONDAY_MS, 3), contract=contract)
    for symbol in ("币安人生USDT", "币安人生usdt"):
        answered = call(app, f"/fapi/v1/klines?symbol={quote(symbol)}&interval=1m")
        assert open_times(answered) == minutes(0, 3)


@pytest.mark.parametrize(
    ("limit", "weight"), [("&limit=99", 1), ("&limit=499", 2), ("", 5), ("&limit=1500", 10), ("&limit=1501", 10)]
)
def test_the_weight_of_a_request_is_named_refused_or_not(app: WsgiApp, limit: str, weight: int) -> None:
    answered = call(app, f"/fapi/v1/klines?symbol=BTCUSDT&interval=1m{limit}")
    assert answered.headers["x-mbx-used-weight-1m"] == str(weight)
    assert call(app, "/fapi/v1/ping").headers["x-mbx-used-weight-1m"] == "1"


def test_a_hole_in_the_span_that_was_asked_for_is_said(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD + 1)
    app = an_app(bars[:100], bars[110:HELD], partial=bars[HELD])
    holed = klines(app, startTime=MONDAY_MS, limit=200)
    assert open_times(holed) == minutes(0, 100) + minutes(110, 210)
    assert holed.headers[INCOMPLETE] == "bars of 1m from 2026-01-05T01:40:00Z to 2026-01-05T01:50:00Z are not held"
    for parameters in ({"startTime": MONDAY_MS, "limit": 100}, {"limit": 591}):
        assert INCOMPLETE not in klines(app, **parameters).headers
    assert INCOMPLETE in klines(app, limit=592).headers


def test_several_holes_are_counted(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD + 1)
    app = an_app(bars[:10], bars[11:20], bars[21:HELD], partial=bars[HELD])
    assert klines(app, limit=HELD).headers[INCOMPLETE].endswith(" and 1 more spans")


def test_history_that_is_not_held_is_said(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD + 1)
    app = an_app(bars[600:HELD], partial=bars[HELD])
    first = klines(app, startTime=0, limit=1)
    assert open_times(first) == minutes(600, 601)
    assert INCOMPLETE in first.headers
    newest = klines(app, limit=200)
    assert open_times(newest) == minutes(600, HELD + 1)
    assert INCOMPLETE in newest.headers
    assert INCOMPLETE not in klines(app, limit=101).headers
    nothing = klines(app, endTime=minutes(500, 501)[0], limit=10)
    assert open_times(nothing) == []
    assert INCOMPLETE in nothing.headers


def test_what_the_exchange_itself_does_not_have_is_not_missing(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD + 1)
    absent = [Span(0, minutes(2, 3)[0]), Span(*minutes(100, 111)[::10])]
    app = an_app(bars[2:100], bars[110:HELD], partial=bars[HELD], absent=absent)
    for parameters in ({"startTime": 0, "limit": 3}, {"startTime": 0}, {"limit": 650}, {"limit": 1500}):
        answered = klines(app, **parameters)
        assert INCOMPLETE not in answered.headers
    assert len(open_times(klines(app, limit=650))) == 650


def test_an_answer_that_reaches_past_an_absent_span_is_looked_through_as_far_as_it_reaches(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD + 1)
    absent = [Span(*minutes(600, 651)[::50])]
    app = an_app(bars[:590], bars[595:600], bars[650:HELD], partial=bars[HELD], absent=absent)
    assert INCOMPLETE not in klines(app, limit=56).headers
    assert INCOMPLETE in klines(app, limit=57).headers


def test_newer_bars_that_are_not_held_are_said(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD + 1)
    app = an_app(bars[: HELD - 5])
    stale = klines(app, limit=10)
    assert open_times(stale) == minutes(HELD - 15, HELD - 5)
    assert INCOMPLETE in stale.headers
    assert INCOMPLETE not in klines(app, endTime=minutes(600, 601)[0]).headers
    assert INCOMPLETE in klines(app, startTime=minutes(600, 601)[0]).headers


def test_a_bar_in_progress_may_be_missing_for_the_first_two_seconds(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD)
    begun_ms = MONDAY_MS + HELD * MINUTE_MS
    assert INCOMPLETE not in klines(an_app(bars, now_ms=begun_ms + 1_999)).headers


def test_a_bar_in_progress_that_is_not_held_is_said_after_two_seconds(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD)
    begun_ms = MONDAY_MS + HELD * MINUTE_MS
    assert INCOMPLETE in klines(an_app(bars, now_ms=begun_ms + 2_000)).headers


def test_a_bar_that_has_ended_but_whose_final_is_not_in_yet_is_held(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD)
    begun_ms = MONDAY_MS + HELD * MINUTE_MS
    app = an_app(bars[:-1], partial=bars[-1], now_ms=begun_ms + 1_000)
    answered = klines(app, limit=3)
    assert open_times(answered) == minutes(HELD - 3, HELD)
    assert INCOMPLETE not in answered.headers


def test_a_contract_that_has_ended_answers_its_history_and_says_what_it_leaves_out(an_app: AppMaker) -> None:
    delivery_ms = MONDAY_MS + 600 * MINUTE_MS
    contract = a_contract(delivery_ms=delivery_ms, status="SETTLING")
    app = an_app(some_bars(MINUTE, MONDAY_MS, 600), contract=contract)
    newest = klines(app, limit=10)
    assert open_times(newest) == minutes(590, 600)
    assert newest.headers[INCOMPLETE].startswith("the contract ended at 2026-01-05T10:00:00Z")
    assert INCOMPLETE not in klines(app, endTime=delivery_ms - 1).headers
    assert open_times(klines(app, startTime=delivery_ms)) == []


def test_without_the_exchanges_time_only_what_is_certainly_whole_goes_without_saying(an_app: AppMaker) -> None:
    app = an_app(some_bars(MINUTE, MONDAY_MS, HELD), now_ms=None)
    assert INCOMPLETE in klines(app).headers
    assert INCOMPLETE not in klines(app, startTime=MONDAY_MS, limit=HELD).headers
    assert INCOMPLETE not in klines(app, endTime=minutes(600, 601)[0]).headers
    assert INCOMPLETE in klines(app, startTime=MONDAY_MS, limit=HELD + 1).headers


def test_a_derived_interval_whose_parts_are_not_all_held_says_so(an_app: AppMaker) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, HELD + 1)
    app = an_app(bars[:100], bars[101:HELD], partial=bars[HELD])
    whole = call(app, f"/fapi/v1/klines?symbol=BTCUSDT&interval=3m&startTime={MONDAY_MS}&limit=33")
    assert open_times(whole) == minutes(0, 99)[::3]
    assert INCOMPLETE not in whole.headers
    holed = call(app, f"/fapi/v1/klines?symbol=BTCUSDT&interval=3m&startTime={MONDAY_MS}&limit=40")
    assert minutes(99, 100)[0] not in open_times(holed)
    assert holed.headers[INCOMPLETE] == "bars of 1m from 2026-01-05T01:40:00Z to 2026-01-05T01:41:00Z are not held"


def test_a_derived_interval_is_added_up_to_the_bar_in_progress(app: WsgiApp) -> None:
    answered = call(app, "/fapi/v1/klines?symbol=BTCUSDT&interval=3m&limit=2")
    assert open_times(answered) == minutes(696, 702)[::3]
    assert INCOMPLETE not in answered.headers


def test_months_are_answered_from_days(an_app: AppMaker) -> None:
    days = some_bars(DAY, MONDAY_MS - 4 * DAY.span_ms, 70)
    contract = a_contract(onboard_ms=days[0].open_ms)
    app = an_app(days[:-1], contract=contract, interval="1d", partial=days[-1], now_ms=days[-1].open_ms + 60_000)
    answered = call(app, "/fapi/v1/klines?symbol=BTCUSDT&interval=1M")
    assert open_times(answered) == [1_767_225_600_000, 1_769_904_000_000, 1_772_323_200_000]
    assert INCOMPLETE not in answered.headers


def test_larger_stored_intervals_are_served_too(app: WsgiApp) -> None:
    answered = call(app, f"/fapi/v1/klines?symbol=BTCUSDT&interval=5m&endTime={MONDAY_MS + FIVE_MINUTES.span_ms}")
    assert open_times(answered) == minutes(0, 10)[::5]
    assert INCOMPLETE not in answered.headers


def continuous(app: WsgiApp, **parameters: str) -> Answered:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return call(app, f"/fapi/v1/continuousKlines?interval=1m&{query}")


def test_continuous_klines_are_those_of_the_pairs_perpetual(app: WsgiApp) -> None:
    answered = continuous(app, pair="BTCUSDT", contractType="PERPETUAL")
    assert answered.body == klines(app).body


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"pair": "BTCUSDT"}, -1102),
        ({"contractType": "PERPETUAL"}, -1102),
        ({"symbol": "BTCUSDT", "contractType": "PERPETUAL"}, -1102),
        ({"pair": "NOPEUSDT", "contractType": "PERPETUAL"}, -1121),
        ({"pair": "BTCUSDT", "contractType": "TRADIFI_PERPETUAL"}, -1121),
        ({"pair": "BTCUSDT", "contractType": "CURRENT_QUARTER"}, -1121),
        ({"pair": "BTCUSDT", "contractType": "FOREVER"}, -1130),
    ],
)
def test_bad_continuous_requests_are_refused(app: WsgiApp, parameters: dict[str, str], code: int) -> None:
    answered = continuous(app, **parameters)
    assert (answered.status, answered.json["code"]) == (400, code)


def test_gold_has_continuous_klines_of_its_own_type(an_app: AppMaker) -> None:
    gold = a_contract("XAUUSDT", contract_type="TRADIFI_PERPETUAL")
    app = an_app(some_bars(MINUTE, MONDAY_MS, 3), contract=gold)
    assert open_times(continuous(app, pair="xauusdt", contractType="TRADIFI_PERPETUAL")) == minutes(0, 3)


def test_ping_and_time_answer_on_both_paths(app: WsgiApp) -> None:
    for base in ("/fapi/v1", "/api/v3"):
        assert call(app, f"{base}/ping").json == {}
        assert call(app, f"{base}/time").json == {"serverTime": NOW_MS}


def test_an_unknown_time_is_the_exchanges_own_unavailability(an_app: AppMaker) -> None:
    answered = call(an_app([], now_ms=None), "/fapi/v1/time")
    assert (answered.status, answered.json["code"]) == (503, -1001)


def test_exchange_info_is_the_frame_with_the_newest_contract_of_each_symbol(an_app: AppMaker) -> None:
    old = a_contract("BTCUSDT", onboard_ms=MONDAY_MS - DAY.span_ms, status="SETTLING")
    gold = a_contract("XAUUSDT", contract_type="TRADIFI_PERPETUAL")
    answered = call(an_app([], others=[old, gold]), "/fapi/v1/exchangeInfo")
    assert answered.json["serverTime"] == NOW_MS
    assert set(answered.json) == set(json.loads(FRAME))
    assert [(row["symbol"], row["status"]) for row in answered.json["symbols"]] == [
        ("BTCUSDT", "TRADING"),
        ("XAUUSDT", "TRADING"),
    ]
    assert b": " not in answered.body
    assert b", " not in answered.body


def test_exchange_info_goes_on_with_the_stored_time_when_now_is_not_known(an_app: AppMaker) -> None:
    assert call(an_app([], now_ms=None), "/fapi/v1/exchangeInfo").json["serverTime"] == 5


def test_exchange_info_is_unavailable_until_the_exchange_was_heard(an_app: AppMaker) -> None:
    answered = call(an_app([], frame=None), "/fapi/v1/exchangeInfo")
    assert (answered.status, answered.json["code"]) == (503, -1001)


@pytest.mark.parametrize(
    "path", ["/fapi/v1/depth", "/fapi/v1/markPriceKlines", "/fapi/v2/account", "/dapi/v1/klines", "/api/v3/klines"]
)
def test_what_is_not_ours_is_refused_in_the_exchanges_form(app: WsgiApp, path: str) -> None:
    answered = call(app, f"{path}?symbol=BTCUSDT")
    assert (answered.status, answered.json["code"]) == (404, -1020)
    assert path in answered.json["msg"]
    assert answered.headers["access-control-allow-origin"] == "*"


def test_other_methods_are_refused_in_the_exchanges_form(app: WsgiApp) -> None:
    answered = call(app, "/fapi/v1/klines?symbol=BTCUSDT&interval=1m", method="POST")
    assert (answered.status, answered.json["code"]) == (405, -1020)


def test_head_answers_like_get_without_the_body(app: WsgiApp) -> None:
    target = "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=3"
    got, head = call(app, target), call(app, target, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == got.headers
