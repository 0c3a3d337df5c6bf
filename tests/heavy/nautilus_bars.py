"""nautilus_trader's data client: history on request, then live closed bars; each of them the exchange's.

    python3.12 -m venv /tmp/nautilus && /tmp/nautilus/bin/pip install nautilus_trader
    python -m tests.heavy.nautilus_bars /tmp/nautilus/bin/python

No keys: with keys its data client asks for the account, which Barkeep does not have, and does not connect.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
from typing import IO, Any

from bars import MINUTE
from tests.clients.readme import snippet
from tests.heavy.served import Service, serving
from wire.rows import row_from_bar

SYMBOL = "ETHUSDT"
LIVE_BARS = 2
HISTORY_BARS = 600
PATIENCE_S = 240.0
PROGRAM = """
import json, sys
from datetime import timedelta
from nautilus_trader.adapters.binance import BINANCE, BinanceLiveDataClientFactory
from nautilus_trader.common.actor import Actor
from nautilus_trader.config import LoggingConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.data import BarType

symbol, count = sys.argv[1:]

class Watcher(Actor):
    def on_start(self):
        bar_type = BarType.from_str(f"{symbol}-PERP.BINANCE-1-MINUTE-LAST-EXTERNAL")
        self.request_bars(bar_type, start=self.clock.utc_now() - timedelta(minutes=int(count)))
        self.subscribe_bars(bar_type)

    def on_historical_data(self, data):
        self.tell("history", data)

    def on_bar(self, bar):
        self.tell("live", bar)

    def tell(self, kind, bar):
        values = [str(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
        print("BAR " + json.dumps([kind, bar.ts_event // 1_000_000, *values]), flush=True)

node = TradingNode(config=TradingNodeConfig(
    trader_id="WATCHER-001", logging=LoggingConfig(log_level="INFO"), data_clients={BINANCE: client}))
node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
node.build()
node.trader.add_actor(Watcher())
node.run()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="of the environment that nautilus_trader is installed in")
    chosen = parser.parse_args()
    with serving(history_days=3) as service:
        return watched(chosen.python, service)


def watched(python: str, service: Service) -> int:
    """Let a node run until it has been given live bars; returns the exit status."""
    program = snippet("nautilus_trader", service.port) + PROGRAM
    command = [python, "-c", program, SYMBOL, str(HISTORY_BARS)]
    bars: dict[str, list[list[Any]]] = {"history": [], "live": []}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BINANCE_")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as node:
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        reading = threading.Thread(target=read, args=(node.stdout, lines))
        reading.start()
        try:
            while len(bars["live"]) < LIVE_BARS:
                line = lines.get(timeout=PATIENCE_S)
                if line.startswith("BAR "):
                    kind, *bar = json.loads(line.removeprefix("BAR "))
                    bars[kind].append(bar)
                else:
                    print(line, end="")
        except queue.Empty:
            print(f"waited {PATIENCE_S} s in vain")
        finally:
            node.terminate()
            reading.join()
    wrong = [text for these in bars.values() for text in differences(service, these)]
    print("\n".join(wrong[:20]) or f"{len(bars['history'])} bars of history and {len(bars['live'])} live are equal")
    return 0 if bars["history"] and len(bars["live"]) >= LIVE_BARS and not wrong else 1


def read(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    for line in stream:
        lines.put(line)


def differences(service: Service, bars: list[list[Any]]) -> list[str]:
    """What differs from the exchange, a hole between two bars included."""
    if not bars:
        return []
    world = service.exchange.world
    end_ms = bars[-1][0]
    first_ms = MINUTE.floor(bars[0][0] - 1)  # it is told of by its end
    rows = [row_from_bar(bar, MINUTE) for bar in world.bars(SYMBOL, MINUTE, first_ms, MINUTE.floor(end_ms - 1) + 1)]
    expected = [list(row[1:6]) for row in rows]
    if len(expected) != len(bars):
        return [f"expected {len(expected)} bars, got {len(bars)}"]
    return [f"expected {one}, got {other}" for one, other in zip(expected, bars, strict=True) if one != other[1:]]


if __name__ == "__main__":
    sys.exit(main())
