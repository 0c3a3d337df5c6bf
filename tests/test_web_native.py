"""The native API: /api/klines, /api/symbols, /api/status, /healthz, and what is said where there is no page."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bars import MINUTE, MINUTE_MS, IntervalBar, Span, to_text
from bars.contract import NO_DELIVERY_MS
from storage import ClosedBars, ContractsSeen, Origin, PartialBars, Reader
from tests.support.market import MONDAY_MS, a_bar, a_contract, a_reader, some_bars
from tests.support.wsgi import Answered, WsgiApp, call
from web import Sources, make_app

HELD = 700
NOW_MS = MONDAY_MS + HELD * MINUTE_MS + 30_000
INCOMPLETE = "x-barkeep-incomplete"
FOREIGN = "币安人生USDT"


class Service:
    """What a running service would say; tests change it."""

    def __init__(self) -> None:
        self.unhealthy_because: str | None = None
        self.state: dict[str, Any] = {"state": "running", "version": "0.1.0"}
        self.monotonic_s = 0.0


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """700 minutes, ten of them missing and five verified, and one in progress; another contract without bars."""
    contract, bars = a_contract(), some_bars(MINUTE, MONDAY_MS, HELD + 1)
    return a_reader(
        Path(tmp_path_factory.mktemp("native")) / "bars.db",
        [
            ContractsSeen([contract, a_contract(FOREIGN), a_contract("BTCUSDT_260327", contract_type="NEXT_QUARTER")]),
            ClosedBars(contract.key, MINUTE, bars[:5], Origin.ARCHIVE, verified=True, absent=[Span(0, MONDAY_MS)]),
            ClosedBars(contract.key, MINUTE, bars[5:100], Origin.STREAM),
            ClosedBars(contract.key, MINUTE, bars[110:HELD], Origin.REST),
            PartialBars(contract.key, [IntervalBar(MINUTE, bars[HELD])]),
        ],
    )


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def app(reader: Reader, service: Service) -> WsgiApp:
    sources = Sources(
        reader,
        now_ms=lambda: NOW_MS,
        health=lambda: service.unhealthy_because,
        status=lambda: service.state,
        monotonic_s=lambda: service.monotonic_s,
    )
    app: WsgiApp = make_app(sources)
    return app


def klines(app: WsgiApp, query: str = "") -> Answered:
    return call(app, f"/api/klines?symbol=BTCUSDT&interval=1m{query}")


def open_times(answered: Answered) -> list[int]:
    assert answered.status == 200
    return [kline["open_time"] for kline in answered.json["klines"]]


def minutes(start: int, stop: int) -> list[int]:
    return [MONDAY_MS + minute * MINUTE_MS for minute in range(start, stop)]


def test_a_kline_says_all_that_is_known_of_it(app: WsgiApp) -> None:
    answered = klines(app, f"&start={MONDAY_MS}&limit=1")
    bar = a_bar(MONDAY_MS)
    assert answered.json == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "klines": [
            {
                "open_time": MONDAY_MS,
                "close_time": MONDAY_MS + MINUTE_MS - 1,
                "open": to_text(bar.open, 2),
                "high": to_text(bar.high, 2),
                "low": to_text(bar.low, 2),
                "close": to_text(bar.close, 2),
                "volume": to_text(bar.volume, 3),
                "quote_volume": to_text(bar.quote_volume, 5),
                "trades": 3,
                "taker_buy_volume": "0.400",
                "taker_buy_quote_volume": to_text(bar.taker_buy_quote_volume, 5),
                "closed": True,
                "origin": "archive",
                "verified": True,
            }
        ],
    }


def test_without_a_start_the_newest_500_come_oldest_first_and_the_last_is_in_progress(app: WsgiApp) -> None:
    answered = klines(app)
    assert open_times(answered) == minutes(HELD - 499, HELD + 1)
    assert [kline["closed"] for kline in answered.json["klines"][-2:]] == [True, False]
    assert INCOMPLETE not in answered.headers


def test_both_bounds_are_inclusive_on_open_time(app: WsgiApp) -> None:
    first, *_, last = minutes(5, 9)
    assert open_times(klines(app, f"&start={first}&end={last}")) == minutes(5, 9)
    assert open_times(klines(app, f"&start={first + 1}&end={last - 1}")) == minutes(6, 8)
    assert open_times(klines(app, f"&end={last}&limit=2")) == minutes(7, 9)


def test_what_is_missing_is_said_here_too(app: WsgiApp) -> None:
    answered = klines(app, f"&start={MONDAY_MS}&limit=200")
    assert answered.headers[INCOMPLETE] == "bars of 1m from 2026-01-05T01:40:00Z to 2026-01-05T01:50:00Z are not held"


def test_derived_intervals_are_served_with_their_origin(app: WsgiApp) -> None:
    answered = call(app, f"/api/klines?symbol=btcusdt&interval=15m&end={MONDAY_MS + 15 * MINUTE_MS}")
    assert open_times(answered) == minutes(0, 30)[::15]
    assert {kline["origin"] for kline in answered.json["klines"]} == {"aggregated"}
    assert answered.json["symbol"] == "BTCUSDT"


def test_a_contract_without_bars_has_an_empty_list_and_says_so(app: WsgiApp) -> None:
    answered = call(app, f"/api/klines?symbol={quote(FOREIGN)}&interval=1m")
    assert answered.json == {"symbol": FOREIGN, "interval": "1m", "klines": []}
    assert INCOMPLETE in answered.headers


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "missing_parameter"),
        ("symbol=BTCUSDT", 400, "missing_parameter"),
        ("symbol=&interval=1m", 400, "missing_parameter"),
        ("symbol=BTCUSDT&interval=3d", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=%00", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&limit=0", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&limit=1501", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&limit=", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&start=-1", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&start=1e3", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&start=%D9%A1", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&end=9999999999999999999", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&start=2&end=1", 400, "invalid_parameter"),
        ("symbol=BTCUSDT&interval=1m&interval=1m", 400, "invalid_parameter"),
        ("symbol=NOPEUSDT&interval=1m", 404, "unknown_symbol"),
        ("symbol=BTCUSDT_260327&interval=1m", 404, "unknown_symbol"),
        ("symbol=%FF&interval=1m", 404, "unknown_symbol"),
        ("symbol=BTCUSDT%00&interval=1m", 404, "unknown_symbol"),
    ],
)
def test_bad_requests_are_refused_by_code_and_sentence(app: WsgiApp, query: str, status: int, code: str) -> None:
    answered = call(app, f"/api/klines?{query}")
    assert answered.status == status
    assert answered.json["error"]["code"] == code
    assert answered.json["error"]["message"]
    assert answered.headers["access-control-allow-origin"] == "*"
    assert answered.headers["content-type"] == "application/json"


def test_symbols_tell_contracts_and_what_is_held_of_each(app: WsgiApp) -> None:
    listed = {row["symbol"]: row for row in call(app, "/api/symbols").json["symbols"]}
    intervals = listed["BTCUSDT"].pop("intervals")
    assert listed["BTCUSDT"] == {
        "symbol": "BTCUSDT",
        "contract_type": "PERPETUAL",
        "status": "TRADING",
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "onboard_time": MONDAY_MS,
        "delivery_time": NO_DELIVERY_MS,
        "price_decimals": 2,
        "quantity_decimals": 3,
    }
    assert intervals["1m"] == {"first": MONDAY_MS, "last": minutes(0, HELD)[-1], "count": HELD - 10, "gaps": 10}
    assert intervals["5m"]["count"] == HELD // 5 - 2
    assert listed[FOREIGN]["intervals"] == {}


def test_symbols_are_listed_anew_after_a_second(tmp_path: Path, service: Service) -> None:
    path = tmp_path / "bars.db"
    reader = a_reader(path, [ContractsSeen([a_contract()])])
    sources = Sources(
        reader, lambda: NOW_MS, lambda: None, lambda: service.state, monotonic_s=lambda: service.monotonic_s
    )
    app: WsgiApp = make_app(sources)

    def symbols() -> int:
        return len(call(app, "/api/symbols").json["symbols"])

    assert symbols() == 1
    a_reader(path, [ContractsSeen([a_contract("ETHUSDT")])])
    service.monotonic_s = 0.9
    assert symbols() == 1
    service.monotonic_s = 1.0
    assert symbols() == 2


def test_status_is_what_the_service_says(app: WsgiApp, service: Service) -> None:
    assert call(app, "/api/status").json == service.state


def test_health_is_200_or_503_with_the_reason(app: WsgiApp, service: Service) -> None:
    assert call(app, "/healthz").status == 200
    service.unhealthy_because = "no commit for 31 s"
    answered = call(app, "/healthz")
    assert answered.status == 503
    assert answered.json == {"status": "unhealthy", "reason": "no commit for 31 s"}


def test_the_index_names_the_pages(app: WsgiApp) -> None:
    pages = call(app, "/api").json["pages"]
    assert {"/api/klines", "/api/overview"} <= set(pages)
    for path in pages:
        assert call(app, path).status != 404


@pytest.mark.parametrize("path", ["/nowhere", "/apis", "/api/klines/", "/%00", "/\xef\xbf\xbd", "//", "/api/v3x"])
def test_an_unknown_path_is_a_404_in_json(app: WsgiApp, path: str) -> None:
    answered = call(app, path)
    assert answered.status == 404
    assert answered.json["error"]["code"] == "not_found"
    assert answered.headers["access-control-allow-origin"] == "*"
    assert answered.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_a_405_in_json(app: WsgiApp, method: str) -> None:
    answered = call(app, "/api/klines?symbol=BTCUSDT&interval=1m", method=method)
    assert answered.status == 405
    assert answered.json["error"]["code"] == "method_not_allowed"


def test_a_file_that_cannot_be_read_is_a_503_in_either_form_and_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bars.db"
    reader = a_reader(path, [ContractsSeen([a_contract()])])
    app: WsgiApp = make_app(Sources(reader, lambda: NOW_MS, lambda: None, dict))
    path.write_bytes(b"no database at all" * 1_000)
    assert klines(app).json["error"]["code"] == "unavailable"
    exchange_form = call(app, "/fapi/v1/klines?symbol=BTCUSDT&interval=1m")
    assert (exchange_form.status, exchange_form.json["code"]) == (503, -1001)
    assert [record.exc_info for record in caplog.records] == [None, None]


def test_a_fault_of_ours_is_logged_and_answered_without_details(
    app: WsgiApp, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.state = {"state": object()}
    answered = call(app, "/api/status")
    assert answered.status == 500
    assert answered.json["error"]["code"] == "internal_error"
    assert [record.exc_info is not None for record in caplog.records] == [True]


PATHS = ["/api/klines", "/fapi/v1/klines", "/fapi/v1/continuousKlines", "/api/symbols", "/healthz", "/fapi/v1/time"]
NAMES = ["symbol", "pair", "interval", "start", "end", "startTime", "endTime", "limit", "contractType", "%00", "a[]"]
VALUES = ["BTCUSDT", "1m", "1M", "3d", "-1", "0", "1500", "99999999999999999999", "%FF", "%00", "%", "1.5", "NaN", "'"]
WORDS = st.one_of(st.sampled_from(VALUES), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.sampled_from(PATHS), st.lists(st.tuples(st.sampled_from(NAMES), WORDS), max_size=6))
def test_no_query_whatever_is_a_fault_of_ours(app: WsgiApp, path: str, pairs: list[tuple[str, str]]) -> None:
    answered = call(app, f"{path}?{'&'.join('='.join(pair) for pair in pairs)}")
    assert answered.status in (200, 400, 404)
    assert answered.json is not None
