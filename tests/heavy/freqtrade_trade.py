"""freqtrade's `trade` as a dry run, until its strategy has been given new candles; each of them the exchange's.

    python3 -m venv /tmp/freqtrade && /tmp/freqtrade/bin/pip install freqtrade
    python -m tests.heavy.freqtrade_trade /tmp/freqtrade/bin/freqtrade [--alone]

freqtrade gets candles and markets with its asynchronous ccxt client, and order books, orders and balances with the
other one. So the first is pointed at Barkeep and the second at the exchange, for which a stand-in is here: it has order
books, which Barkeep has not. Then a trade is entered as well. With `--alone` both are pointed at Barkeep: the bot runs
and gets its candles, and cannot enter a trade for want of an order book.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bottle  # type: ignore[import-untyped]

from bars import MINUTE, to_text
from tests.heavy.freqtrade_download import configuration
from tests.heavy.served import Service, serving
from web import WebServer
from wire.rows import row_from_bar

SYMBOL = "ETHUSDT"
CANDLES_TO_SEE = 3
PATIENCE_S = 400.0
STRATEGY = '''
import json
from pathlib import Path
from freqtrade.strategy import IStrategy

class Watcher(IStrategy):
    """Writes down what it is given, and enters a trade at once."""

    timeframe = "1m"
    minimal_roi = {"0": 10}
    stoploss = -0.5
    startup_candle_count = 30

    def populate_indicators(self, dataframe, metadata):
        rows = [[int(row.date.timestamp() * 1000), row.open, row.high, row.low, row.close, row.volume]
                for row in dataframe.itertuples()]
        with Path(__file__).with_name("seen.jsonl").open("a") as seen:
            seen.write(json.dumps(rows) + "\\n")
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe["exit_long"] = 0
        return dataframe
'''


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("freqtrade", help="its command")
    parser.add_argument("--alone", action="store_true", help="without order books from elsewhere")
    chosen = parser.parse_args()
    with serving(history_days=5) as service, order_books(service) as elsewhere:
        return traded(chosen.freqtrade, service, service.port if chosen.alone else elsewhere)


@contextmanager
def order_books(service: Service) -> Iterator[int]:
    """The exchange's stand-in: order books of one level around the price of this moment; yields its port."""
    app = bottle.Bottle()

    @app.route("/fapi/v1/depth")  # type: ignore[untyped-decorator]
    def depth() -> dict[str, Any]:
        now_ms = service.exchange.now_ms()
        bar = service.exchange.world.progress(bottle.request.query["symbol"], MINUTE, now_ms)
        assert bar is not None
        price = to_text(bar.close, bar.scale.price)
        return {"lastUpdateId": now_ms, "E": now_ms, "T": now_ms, "bids": [[price, "9"]], "asks": [[price, "9"]]}

    server = WebServer(service.recording(app, "elsewhere "), "127.0.0.1", 0)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def traded(command: str, service: Service, elsewhere: int) -> int:
    """Let freqtrade run; returns the exit status.

    Args:
        elsewhere: the port where order books are.
    """
    folder = service.folder
    (folder / "strategies").mkdir()
    (folder / "strategies" / "watcher.py").write_text(STRATEGY)
    config = folder / "config.json"
    configured = {**configuration(service.port), "bot_name": "watcher", "initial_state": "running"}
    configured["exchange"]["ccxt_config"] = configuration(elsewhere)["exchange"]["ccxt_async_config"]
    config.write_text(json.dumps(configured))
    log_path = folder / "freqtrade.log"
    arguments = [command, "trade", "--dry-run", "--config", str(config), "--userdir", str(folder), "--strategy"]
    with log_path.open("w") as output:
        bot = subprocess.Popen([*arguments, "Watcher", "--db-url", "sqlite://"], stdout=output, stderr=output)
        try:
            is_right = watched(service, bot, folder / "strategies" / "seen.jsonl")
        finally:
            bot.terminate()
            bot.wait(60)
    log = log_path.read_text()
    print(log)
    entered = "'type': entry_fill" in log
    print(f"RUNNING: {'state=' + repr('RUNNING') in log}; a trade was entered: {entered}")
    return 0 if is_right and entered == (elsewhere != service.port) else 1


def watched(service: Service, bot: subprocess.Popen[bytes], seen: Path) -> bool:
    """Wait for new candles, and compare all that were seen."""
    deadline_s = time.monotonic() + PATIENCE_S
    tables: list[list[list[Any]]] = []
    while len({table[-1][0] for table in tables}) < CANDLES_TO_SEE:
        if time.monotonic() > deadline_s or bot.poll() is not None:
            print(f"freqtrade ended with {bot.poll()}, having shown {len(tables)} tables of candles")
            return False
        time.sleep(1)
        if seen.exists():
            tables = [json.loads(line) for line in seen.read_text().splitlines()]
    wrong = [text for table in tables for text in differences(service, table)]
    print("\n".join(wrong[:20]) or f"every candle of {len(tables)} tables is the exchange's")
    return not wrong


def differences(service: Service, table: list[list[Any]]) -> list[str]:
    bars = service.exchange.world.bars(SYMBOL, MINUTE, table[0][0], table[-1][0] + 1)
    rows = [row_from_bar(bar, MINUTE) for bar in bars]
    expected = [[row[0], *map(float, row[1:6])] for row in rows]
    if len(expected) != len(table):
        return [f"expected {len(expected)} candles, got {len(table)}"]
    return [f"expected {one}, got {other}" for one, other in zip(expected, table, strict=True) if one != other]


if __name__ == "__main__":
    sys.exit(main())
