"""What the heavy checks have in common: a service on a simulated exchange, and a record of what it was asked."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from actors import BarSystem
from exchange.simulated import SimulatedExchange, default_plan
from storage import Reader
from tests.support.service import wait_until
from web import PushServer, Sources, WebServer, make_app

HOST = "127.0.0.1"
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@dataclass
class Service:
    """A running service, on the exchange's time of this moment, at its natural speed."""

    exchange: SimulatedExchange
    folder: Path
    port: int = 0
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often each path was asked for, by the status it was answered with."""

    def recording(self, app: Callable[..., Iterable[bytes]], prefix: str = "") -> Callable[..., Iterable[bytes]]:
        def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            def start(status: str, *rest: Any) -> Any:
                self.asked[prefix + environ["PATH_INFO"], status.partition(" ")[0]] += 1
                return start_response(status, *rest)

            return app(environ, start)

        return call

    def report(self) -> None:
        for (path, status), count in sorted(self.asked.items()):
            print(f"asked {count:5} times, {status}: {path}")


@contextmanager
def serving(history_days: int) -> Iterator[Service]:
    """The service for as long as the block runs."""
    plan = default_plan(
        seed=3,
        count=len(SYMBOLS),
        start_ms=time.time_ns() // 1_000_000,  # these clients compare the exchange's time with their own
        history_days=history_days,
        changes=False,
    )
    with tempfile.TemporaryDirectory() as name, SimulatedExchange(replace(plan, halts=())) as exchange:
        folder = Path(name)
        system = BarSystem(
            database=str(folder / "bars.db"),
            symbols=list(SYMBOLS),
            rest_url=exchange.rest_url,
            ws_url=exchange.ws_url,
            history="1m=2h,5m=none,30m=none,4h=none,1d=none,1w=none",
        )
        with system, closing(Reader(folder / "bars.db")) as reader:
            sources = Sources(
                reader, system.now_ms, system.health, system.status, fetch=system.fetch, watch=system.watch
            )
            service = Service(exchange, folder)
            server = WebServer(service.recording(make_app(sources)), HOST, 0, PushServer(sources))
            service.port = server.port
            server.start()
            try:
                wait_until(lambda: system.health() is None, 30, "the service is healthy")
                yield service
            finally:
                system.stop_fetching()
                server.stop()
                service.report()
