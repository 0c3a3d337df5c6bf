"""cryptofeed's closed candles; each of them the exchange's.

    python3 -m venv /tmp/cryptofeed && /tmp/cryptofeed/bin/pip install cryptofeed
    python -m tests.heavy.cryptofeed_candles /tmp/cryptofeed/bin/python

It dials a path that the exchange has retired, /stream without /market, and gets nothing there any more. The addresses
are replaced: it has no setting for them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

from bars import MINUTE, MINUTE_MS
from tests.heavy.served import Service, serving
from wire.rows import row_from_bar

SYMBOL, NAME = "ETHUSDT", "ETH-USDT-PERP"
CANDLES = 2
PATIENCE_S = 240.0
PROGRAM = """
import json, sys
from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import CANDLES
from cryptofeed.exchanges import BinanceFutures

http, ws, name, count = sys.argv[1:]
BinanceFutures.rest_endpoints = [RestEndpoint(http, routes=Routes("/fapi/v1/exchangeInfo"))]
BinanceFutures.websocket_endpoints = [WebsocketEndpoint(ws, options={"compression": None})]
seen = []

async def candle(candle, received_s):
    seen.append([round(candle.start * 1000), *map(str, (candle.open, candle.high, candle.low, candle.close, candle.volume))])
    if len(seen) == int(count):
        print("CANDLES " + json.dumps(seen), flush=True)
        handler.stop()

handler = FeedHandler()
handler.add_feed(BinanceFutures(
    symbols=[name], channels=[CANDLES], callbacks={CANDLES: candle}, candle_interval="1m", candle_closed_only=True))
handler.run()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="of the environment that cryptofeed is installed in")
    chosen = parser.parse_args()
    with serving(history_days=3) as service:
        return watched(chosen.python, service)


def watched(python: str, service: Service) -> int:
    """Let it run until it has been given candles; returns the exit status."""
    bases = f"http://127.0.0.1:{service.port}", f"ws://127.0.0.1:{service.port}"
    command = [python, "-c", PROGRAM, *bases, NAME, str(CANDLES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=service.folder) as feed:
        try:
            output, _ = feed.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            feed.kill()
            print(f"waited {PATIENCE_S} s in vain")
            return 1
    lines = [line.removeprefix("CANDLES ") for line in output.splitlines() if line.startswith("CANDLES ")]
    candles = json.loads(lines[0]) if lines else []
    wrong = [f"expected {row(service, candle[0])}, got {candle}" for candle in candles if not is_right(service, candle)]
    print("\n".join(wrong) or f"{len(candles)} closed candles are equal")
    return 0 if len(candles) == CANDLES and not wrong else 1


def is_right(service: Service, candle: list[Any]) -> bool:
    return [Decimal(text) for text in candle[1:]] == [Decimal(text) for text in row(service, candle[0])[1:6]]


def row(service: Service, open_ms: int) -> list[Any]:
    (bar,) = service.exchange.world.bars(SYMBOL, MINUTE, open_ms, open_ms + MINUTE_MS)
    return list(row_from_bar(bar, MINUTE))


if __name__ == "__main__":
    sys.exit(main())
