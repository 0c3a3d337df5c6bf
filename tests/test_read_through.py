"""Spans that are not held, asked of a running service by clients' own code, over sockets."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import binance  # type: ignore[import-untyped]
import ccxt  # type: ignore[import-untyped]
import pytest

from actors import BarSystem
from bars import FIVE_MINUTES, MINUTE, MINUTE_MS, Interval
from bars.interval import DAY_MS
from exchange.simulated import FaultPlan, Limits, SimulatedExchange, default_plan
from storage import Reader
from tests.support.service import start_service, stop_service, wait_until
from web import Sources, WebServer, make_app
from wire.requests import PAGE_BARS
from wire.rows import row_from_bar

HOST = "127.0.0.1"
PATIENCE_S = 40.0
INCOMPLETE = "x-barkeep-incomplete"
KLINES = ("/fapi/v1/klines", 200)
SHORT_HISTORY = "1m=2h,5m=none,30m=none,4h=none,1d=none,1w=none"
TWO_MONTHS_OF_5M = 17_280

Row = list[Any]


def asked(port: int, target: str) -> tuple[str | None, Any]:
    """Why the answer is incomplete, and its body."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", target)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.headers.get(INCOMPLETE), json.loads(answer.read())


class Service(NamedTuple):
    exchange: SimulatedExchange
    system: BarSystem
    reader: Reader
    server: WebServer

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self.server.port}"

    def get(self, target: str) -> tuple[str | None, Any]:
        """Why the answer is incomplete, and its body."""
        return asked(self.server.port, target)

    def klines(self, symbol: str, interval: Interval, start_ms: int, limit: int) -> tuple[str | None, list[Row]]:
        return self.get(f"/fapi/v1/klines?symbol={symbol}&interval={interval}&startTime={start_ms}&limit={limit}")

    def truth(self, symbol: str, interval: Interval, start_ms: int, count: int) -> list[Row]:
        stop_ms = interval.back(start_ms, -count)
        return [row_from_bar(bar, interval) for bar in self.exchange.world.bars(symbol, interval, start_ms, stop_ms)]

    def ago(self, days: int, interval: Interval) -> int:
        return interval.floor(self.exchange.plan.start_ms - days * DAY_MS)


@contextmanager
def a_service(exchange: SimulatedExchange, folder: Path) -> Iterator[Service]:
    database = folder / "bars.db"
    system = BarSystem(
        database=str(database),
        symbols=["BTCUSDT", "ETHUSDT"],
        rest_url=exchange.rest_url,
        ws_url=exchange.ws_url,
        history=SHORT_HISTORY,
    )
    with system, closing(Reader(database)) as reader:
        sources = Sources(reader, system.now_ms, system.health, system.status, fetch=system.fetch)
        server = WebServer(make_app(sources), HOST, 0)
        server.start()
        try:
            wait_until(lambda: system.health() is None, PATIENCE_S, "the service is healthy")
            yield Service(exchange, system, reader, server)
        finally:
            system.stop_fetching()
            server.stop()


def is_at_rest(system: BarSystem) -> bool:
    backfill = system.status().get("backfill", {})
    left = backfill.get("pages_left", 1) + backfill.get("seeds_wanted", 1)
    return not left and backfill.get("pages_done", 0) > 0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    plan = default_plan(seed=3, count=2, history_days=75, frames_per_minute=120, changes=False)
    with SimulatedExchange(plan) as exchange, a_service(exchange, tmp_path_factory.mktemp("through")) as service:
        wait_until(lambda: is_at_rest(service.system), PATIENCE_S, "it has all that it wants by itself")
        yield service


def test_python_binance_gets_two_months_of_5m_row_for_row(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance.Client, "API_URL", f"{service.base}/api")
    monkeypatch.setattr(binance.Client, "FUTURES_URL", f"{service.base}/fapi")
    monkeypatch.setenv("NO_PROXY", HOST)
    never_pausing = SimpleNamespace(time=time.time, sleep=lambda _seconds: None)  # it would, after each third request
    monkeypatch.setattr("binance.client.time", never_pausing)
    client = binance.Client()
    start_ms = service.ago(65, FIVE_MINUTES)
    end_ms = FIVE_MINUTES.back(start_ms, -TWO_MONTHS_OF_5M) - 1
    rows = client.futures_historical_klines("ETHUSDT", "5m", start_ms, end_ms)
    client.close_connection()
    assert len(rows) == TWO_MONTHS_OF_5M
    assert rows == service.truth("ETHUSDT", FIVE_MINUTES, start_ms, TWO_MONTHS_OF_5M)


def test_ccxt_pages_through_a_span_that_was_never_held(service: Service) -> None:
    client = ccxt.binanceusdm({"urls": {"api": {"fapiPublic": f"{service.base}/fapi/v1"}}})
    client.session.trust_env = False
    start_ms = since_ms = service.ago(40, MINUTE)
    got: list[list[float]] = []
    for _ in range(4):
        got += client.fetch_ohlcv("BTC/USDT:USDT", "1m", since=since_ms, limit=PAGE_BARS)
        since_ms = MINUTE.next_open(int(got[-1][0]))
    client.session.close()
    truth = service.truth("BTCUSDT", MINUTE, start_ms, 4 * PAGE_BARS)
    assert got == [[row[0], *(float(text) for text in row[1:6])] for row in truth]


def test_twenty_clients_that_want_the_same_span_have_it_fetched_once(service: Service) -> None:
    start_ms = service.ago(20, MINUTE)
    before = service.exchange.counters.requests[KLINES]
    with ThreadPoolExecutor(20) as clients:
        sent = [clients.submit(service.klines, "BTCUSDT", MINUTE, start_ms, PAGE_BARS) for _ in range(20)]
        answers = [client.result(timeout=PATIENCE_S) for client in sent]
    assert answers == [(None, service.truth("BTCUSDT", MINUTE, start_ms, PAGE_BARS))] * 20
    assert service.exchange.counters.requests[KLINES] == before + 1


def test_overlapping_spans_are_fetched_once_too(service: Service) -> None:
    first_ms, count = service.ago(25, MINUTE), 8
    before = service.exchange.counters.requests[KLINES]
    starts_ms = [MINUTE.back(first_ms, -50 * number) for number in range(count)]
    with ThreadPoolExecutor(count) as clients:
        sent = [clients.submit(service.klines, "ETHUSDT", MINUTE, start_ms, 400) for start_ms in starts_ms]
        answers = [client.result(timeout=PATIENCE_S) for client in sent]
    assert answers == [(None, service.truth("ETHUSDT", MINUTE, start_ms, 400)) for start_ms in starts_ms]
    # Whoever comes first asks for 400 minutes; each further one for what lies before and behind at most.
    assert service.exchange.counters.requests[KLINES] - before <= count


@pytest.mark.parametrize("interval", ["1h", "12h", "1M"])
def test_what_is_derived_is_fetched_in_parts(service: Service, interval: str) -> None:
    target = f"/fapi/v1/klines?symbol=BTCUSDT&interval={interval}&limit=1500"
    # On a busy machine the exchange may take longer than an answer may; the next answer has what came since.
    wait_until(lambda: service.get(target)[0] is None, PATIENCE_S, "the answer is complete")
    (_, ours), (_, theirs) = service.get(target), asked(service.exchange.port, target)
    assert len(ours) == len(theirs)
    assert ours[:-1] == theirs[:-1]


def test_the_first_bar_of_all_is_found(service: Service) -> None:
    reason, rows = service.get("/fapi/v1/klines?symbol=ETHUSDT&interval=1m&startTime=0&limit=1")
    first = service.exchange.world.bars("ETHUSDT", MINUTE, 0, service.ago(70, MINUTE))[0]
    assert (reason, rows) == (None, [row_from_bar(first, MINUTE)])


def test_an_exchange_that_cannot_be_reached_leaves_what_is_stored_and_a_reason(tmp_path: Path) -> None:
    plan = default_plan(seed=4, count=2, history_days=5, frames_per_minute=120, changes=False)
    with SimulatedExchange(plan) as exchange, a_service(exchange, tmp_path) as service:
        start_ms = service.ago(2, MINUTE)
        assert service.klines("ETHUSDT", MINUTE, start_ms, 10)[0] is None
        exchange.stop()
        reason, rows = service.klines("ETHUSDT", MINUTE, MINUTE.back(start_ms, 5), 15)
        assert rows[:10] == service.truth("ETHUSDT", MINUTE, start_ms, 10)
        assert "are not held: the exchange does not answer: " in str(reason)
        service.system.stop_fetching()
        assert str(service.klines("ETHUSDT", MINUTE, MINUTE.back(start_ms, 5), 15)[0]).endswith("is stopping")


def test_when_the_weight_is_used_up_it_is_said_and_never_exceeded(tmp_path: Path) -> None:
    limits = Limits(weight_per_minute=120)
    plan = default_plan(seed=5, count=2, history_days=30, frames_per_minute=120, changes=False, limits=limits)
    with SimulatedExchange(plan) as exchange, a_service(exchange, tmp_path) as service:
        start_ms = at_ms = service.ago(28, MINUTE)
        for _ in range(20):
            reason, rows = service.klines("ETHUSDT", MINUTE, at_ms, 1_500)
            if reason is not None:
                break
            at_ms = MINUTE.back(at_ms, -1_500)
        assert str(reason).endswith("this minute's share of the exchange's request weight is used up")
        assert at_ms > start_ms
        truth = service.truth("ETHUSDT", MINUTE, at_ms, 1_500)
        assert all(row in truth for row in rows if row[0] <= truth[-1][0])
        assert exchange.counters.weight_max <= 60


def test_serve_stops_though_a_client_waits_and_web_alone_fetches_nothing(tmp_path: Path) -> None:
    plan = default_plan(seed=6, count=2, history_days=5, frames_per_minute=120, changes=False)
    database, log = tmp_path / "bars.db", tmp_path / "bars.log"
    at_ms = MINUTE.floor(plan.start_ms - 3 * DAY_MS)
    target = f"/fapi/v1/klines?symbol=ETHUSDT&interval=1m&startTime={at_ms}&endTime={at_ms + MINUTE_MS}"
    with SimulatedExchange(plan) as exchange, ThreadPoolExecutor(1) as client:
        process = start_service(exchange, database, "--port", "0", "--symbols", "ETHUSDT", command="serve")
        wait_until(lambda: "serving on" in log.read_text(), PATIENCE_S, "it serves")
        port = int(log.read_text().partition("serving on http://127.0.0.1:")[2].split()[0])
        wait_until(lambda: asked(port, "/api/symbols")[1]["symbols"] != [], PATIENCE_S, "it knows the contract")
        exchange.faults = FaultPlan(timeouts=1.0)
        waiting = client.submit(asked, port, target)
        wait_until(lambda: exchange.counters.requests["/fapi/v1/klines", 0] > 0, PATIENCE_S, "it asks for the span")
        assert stop_service(process) == 0
        reason, rows = waiting.result(timeout=PATIENCE_S)
        assert (str(reason).endswith(": the data service is stopping"), rows) == (True, [])
        log.write_text("")
        process = start_service(exchange, database, "--port", "0", command="web")
        wait_until(lambda: "serving on" in log.read_text(), PATIENCE_S, "it serves")
        port = int(log.read_text().partition("serving on http://127.0.0.1:")[2].split()[0])
        reason, rows = asked(port, target)
        assert (str(reason).endswith(" are not held"), rows) == (True, [])
        assert stop_service(process) == 0
