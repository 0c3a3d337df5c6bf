"""One service for all clients."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
import requests

from exchange.simulated import SimulatedExchange, default_plan
from storage import Reader
from tests.clients.served import OTHER, PATIENCE_S, SYMBOL, Served
from tests.support.service import start_service, stop_service, wait_until

SPEED = 20
"""A minute takes three seconds."""


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    database = tmp_path_factory.mktemp("clients") / "bars.db"
    now_ms = int(time.time()) * 1_000  # clients reckon "2 days ago" from this machine's clock
    plan = replace(default_plan(seed=5, count=3, start_ms=now_ms, history_days=4, changes=False), halts=())
    with SimulatedExchange(plan, speed=SPEED) as exchange:
        process = start_service(exchange, database, "--port", "0", "--symbols", f"{SYMBOL},{OTHER}", command="serve")
        try:
            log = database.with_suffix(".log")
            wait_until(lambda: "serving on" in log.read_text("utf-8"), PATIENCE_S, "it serves")
            found = re.search(r"serving on http://[\d.]+:(\d+)", log.read_text("utf-8"))
            assert found is not None
            port = int(found[1])
            wait_until(lambda: is_healthy(port), PATIENCE_S, "live bars arrive")
            with closing(Reader(database)) as reader:
                served = Served(port, exchange, reader)
                wait_until(served.has_bars_in_progress, PATIENCE_S, "the bars in progress are there as well")
                yield served
        finally:
            stop_service(process)


def is_healthy(port: int) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://127.0.0.1:{port}/healthz", timeout=10).ok


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
