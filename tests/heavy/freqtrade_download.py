"""freqtrade's `download-data` over a span that Barkeep does not hold, compared with the exchange row for row.

    python3 -m venv /tmp/freqtrade && /tmp/freqtrade/bin/pip install freqtrade
    python -m tests.heavy.freqtrade_download /tmp/freqtrade/bin/freqtrade [--days 60] [--timeframes 5m 1h]

Runs `serve` on a simulated exchange, and freqtrade against it. Mark prices and funding rates, which freqtrade asks
for as well when told to download everything for futures, are not Barkeep's data: only futures candles are asked for
here, and `--all-types` shows what freqtrade makes of the refusals.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bars import INTERVALS, Interval
from bars.interval import DAY_MS
from exchange.simulated import SimulatedExchange
from tests.clients.readme import settings
from tests.heavy.served import serving
from wire.rows import row_from_bar

SYMBOL, PAIR = "ETHUSDT", "ETH/USDT:USDT"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("freqtrade", help="its command")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--timeframes", nargs="+", default=["5m", "1h"])
    parser.add_argument("--all-types", action="store_true", help="mark prices and funding rates too")
    chosen = parser.parse_args()
    with serving(history_days=chosen.days + 15) as service:
        return downloaded(chosen, service.exchange, service.port, service.folder)


def downloaded(chosen: argparse.Namespace, exchange: SimulatedExchange, port: int, folder: Path) -> int:
    """Let freqtrade download, and compare; returns the exit status."""
    stop_ms = exchange.plan.start_ms // DAY_MS * DAY_MS - 5 * DAY_MS
    start_ms = stop_ms - chosen.days * DAY_MS
    config = folder / "config.json"
    config.write_text(json.dumps(configuration(port)))
    before, started_s = exchange.counters.requests.copy(), time.monotonic()
    arguments = [
        *(chosen.freqtrade, "download-data", "--config", str(config), "--userdir", str(folder), "--datadir"),
        *(str(folder / "data"), "--pairs", PAIR, "--timeframes", *chosen.timeframes, "--trading-mode", "futures"),
        *("--timerange", f"{_date(start_ms)}-{_date(stop_ms)}", "--data-format-ohlcv", "jsongz"),
        *([] if chosen.all_types else ["--candle-types", "futures"]),
    ]
    status = subprocess.run(arguments, check=False).returncode
    print(f"freqtrade ended with {status} after {time.monotonic() - started_s:.1f} s")
    print(f"the exchange was asked for {dict(exchange.counters.requests - before)}")
    wrong = [
        text
        for timeframe in chosen.timeframes
        for text in differences(exchange, INTERVALS[timeframe], start_ms, stop_ms, folder / "data")
    ]
    print("\n".join(wrong[:20]) or "every row is the exchange's")
    return 1 if wrong or status else 0


def configuration(port: int) -> dict[str, Any]:
    """What docs/clients.md says, and what any bot has to be told."""
    exchange = settings(port)["exchange"]
    return {
        "stake_currency": "USDT",
        "stake_amount": 100,
        "dry_run": True,
        "max_open_trades": 1,
        "trading_mode": "futures",
        "margin_mode": "isolated",
        "entry_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
        "exit_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
        "exchange": {**exchange, "pair_whitelist": [PAIR]},
        "pairlists": [{"method": "StaticPairList"}],
    }


def differences(
    exchange: SimulatedExchange, interval: Interval, start_ms: int, stop_ms: int, folder: Path
) -> list[str]:
    """What differs between the stored candles and the exchange's, in words."""
    file = folder / "futures" / f"{PAIR.replace('/', '_').replace(':', '_')}-{interval}-futures.json.gz"
    if not file.exists():
        return [f"{interval}: {file.name} does not exist"]
    got = {row[0]: row for row in json.loads(gzip.decompress(file.read_bytes()))}
    rows = [row_from_bar(bar, interval) for bar in exchange.world.bars(SYMBOL, interval, start_ms, stop_ms)]
    wrong = [
        f"{interval} {row[0]}: expected {row[1:6]}, got {got.get(int(row[0]))}"
        for row in rows
        if got.get(int(row[0])) != [row[0], *map(float, row[1:6])]
    ]
    print(f"{interval}: {len(rows) - len(wrong)} of {len(rows)} rows are equal")
    return wrong


def _date(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1_000, tz=timezone.utc).strftime("%Y%m%d")


if __name__ == "__main__":
    sys.exit(main())
