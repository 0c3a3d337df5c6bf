"""One browser and one service for the tests of a process here, ended when they are done.

Where no browser is, the tests are skipped; with REQUIRE_BROWSER=1 in the environment they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from actors import BarSystem
from bars import MINUTE, MINUTE_MS, Span
from exchange.simulated import SimulatedExchange, WorldPlan, default_plan
from storage import Reader
from tests.support.service import wait_until

pytest.importorskip("selenium")

from tests.browser.desk import PATIENCE_S, Desk, browser_paths, start_browser

SPEED = 24.0
"""A minute of the exchange takes two and a half seconds."""
SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT,1000PEPEUSDT,币安人生USDT,XAUUSDT,ETHUSDC,42USDT"
HISTORY = "1m=3d,5m=3d,30m=8d,4h=20d,1d=all,1w=all"
PAUSE_MINUTES = (50, 35)
"""Before the start nobody could trade for a while."""


@pytest.fixture(scope="package")
def whole_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    paths = browser_paths()
    if paths is None:
        told = "no chromium and chromedriver are installed (Debian: apt-get install chromium chromium-driver)"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(f"the tests of the pages cannot run: {told}")
        pytest.skip(told)
    folder = tmp_path_factory.mktemp("browser")
    with ExitStack() as stack:
        exchange = stack.enter_context(SimulatedExchange(_plan(), speed=SPEED))
        system = stack.enter_context(
            BarSystem(
                database=folder / "bars.db",
                symbols=SYMBOLS.split(","),
                history=HISTORY,
                rest_url=exchange.rest_url,
                ws_url=exchange.ws_url,
            )
        )
        reader = stack.enter_context(closing(Reader(folder / "bars.db")))
        driver = start_browser(*paths, folder / "profile")
        stack.callback(driver.quit)
        wait_until(lambda: _is_filled(system), 4 * PATIENCE_S, "the history is there")
        desk = Desk(driver, exchange, system, reader)
        stack.callback(desk.stop_web)
        yield desk
        driver.get("about:blank")


@pytest.fixture
def desk(whole_desk: Desk) -> Iterator[Desk]:
    """The same for every test, which must leave no complaint in the console and ask nobody but the service."""
    whole_desk.expects_errors = False
    whole_desk.errors()
    whole_desk.foreign_requests()
    yield whole_desk
    errors, foreign = whole_desk.errors(), whole_desk.foreign_requests()
    assert foreign == []
    if not whole_desk.expects_errors:
        assert errors == []


def _plan() -> WorldPlan:
    plan = default_plan(seed=4, count=9, changes=False)
    start_ms = MINUTE.floor(plan.start_ms)
    first, last = (start_ms - minutes * MINUTE_MS for minutes in PAUSE_MINUTES)
    return replace(plan, halts=(Span(first, last),))


def _is_filled(system: BarSystem) -> bool:
    status = system.status()
    backfill = status.get("backfill", {})
    return status.get("state") == "live" and backfill.get("pages_done", 0) > 0 and backfill.get("pages_left") == 0
