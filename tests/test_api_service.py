"""All pages of a running service over the simulated exchange: a fuzzer that reads the document, and a chart."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from actors import BarSystem
from bars import INTERVALS, MINUTE, MINUTE_MS, Bar, to_text, volume_text
from exchange.simulated import SimulatedExchange, default_plan
from storage import Reader
from tests.support.service import wait_until
from tests.support.udf import Candle, UdfChart
from web import Sources, WebServer, make_app
from web.openapi import document

HOST = "127.0.0.1"
SPEED = 60
PATIENCE_S = 60
EXAMPLES_MAX = 12
"""Of each page, beside those at the bounds of its parameters: seconds for all of them together."""
WAIT_S = "0.05"
WATCHED_MINUTES = 4
POLLED = 30
"""Bars that a chart looks at each time: a busy machine may hold it up for half an hour of its exchange's time."""

load_all_checks()
schema = schemathesis.openapi.from_dict(document())
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Service(NamedTuple):
    exchange: SimulatedExchange
    reader: Reader
    base: str

    def get(self, target: str) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.base}{target}", timeout=PATIENCE_S) as answer:
            body: bytes = answer.read()
        return body


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that is healthy; an hour of its exchange lasts a minute."""
    database = tmp_path_factory.mktemp("api") / "bars.db"
    plan = default_plan(seed=5, count=6, history_days=3, frames_per_minute=20, changes=False)
    with SimulatedExchange(plan, speed=SPEED) as exchange:
        system = BarSystem(
            database=str(database),
            symbols="all",
            rest_url=exchange.rest_url,
            ws_url=exchange.ws_url,
            history="1m=6h,5m=12h,30m=2d,4h=3d,1d=3d,1w=3d",
        )
        with system, closing(Reader(database)) as reader:
            sources = Sources(reader, system.now_ms, system.health, system.status, fetch=system.fetch)
            server = WebServer(make_app(sources), HOST, 0)
            server.start()
            try:
                wait_until(lambda: system.health() is None, PATIENCE_S, "the service is healthy")
                yield Service(exchange, reader, f"http://{HOST}:{server.port}")
            finally:
                system.stop_fetching()
                server.stop()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@schema.parametrize()
@settings(max_examples=EXAMPLES_MAX, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_is_a_fault_of_ours_and_answers_are_as_told(
    case: schemathesis.Case[Any], service: Service, session: requests.Session
) -> None:
    if case.query and "wait" in case.query:
        case.query["wait"] = WAIT_S
    case.call_and_validate(base_url=service.base, session=session, checks=CHECKS, timeout=PATIENCE_S)


def candle(bar: Bar) -> Candle:
    price, volume, _ = bar.scale
    o, h, l, c = (Decimal(to_text(value, price)) for value in (bar.open, bar.high, bar.low, bar.close))  # noqa: E741
    return o, h, l, c, Decimal(volume_text(bar.volume, volume))


@pytest.mark.parametrize("resolution", ["1", "3"])
def test_a_chart_of_a_running_service_shows_history_and_live_bars_as_the_exchange_made_them(
    service: Service, resolution: str
) -> None:
    interval = INTERVALS[f"{resolution}m"]
    chart = UdfChart(service.get, resolution, interval.span_ms // 1000, polled=POLLED)
    assert chart.open("btc/usdt")["ticker"] == "BTCUSDT"
    for _ in range(3):
        chart.scroll_back(120)
    record = service.reader.find("BTCUSDT")
    assert record is not None
    stop_ms = interval.next_open(service.exchange.now_ms()) + WATCHED_MINUTES * MINUTE_MS

    def is_over() -> bool:
        chart.poll()
        return (service.reader.last_open_ms(record, MINUTE) or 0) >= stop_ms

    wait_until(is_over, PATIENCE_S, "minutes are closed that began after the chart was opened")
    chart.poll()
    times = sorted(chart.candles)
    assert times == list(range(times[0], times[-1] + 1, chart.seconds))
    last_ms = interval.floor(stop_ms)
    truth = service.exchange.world.bars("BTCUSDT", interval, times[0] * 1000, last_ms)
    assert {time_s: shown for time_s, shown in chart.candles.items() if time_s * 1000 < last_ms} == {
        bar.open_ms // 1000: candle(bar) for bar in truth
    }
