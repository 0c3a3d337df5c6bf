"""jesse's driver for importing candles: the first candle there ever was, and pages of a thousand.

    python3.11 -m venv /tmp/jesse && /tmp/jesse/bin/pip install jesse
    python -m tests.heavy.jesse_import /tmp/jesse/bin/python

jesse has no setting for the address; the driver's `endpoint` is replaced.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from bars import MINUTE
from tests.clients.readme import snippet
from tests.heavy.served import Service, serving
from wire.rows import row_from_bar

SYMBOL, DASHED = "ETHUSDT", "ETH-USDT"
PROGRAM = """
import json, sys
symbol = sys.argv[1]
assert symbol in driver.get_available_symbols()
first_ms = driver.get_starting_time(symbol)
pages = [driver.fetch(symbol, first_ms + page * 60_000_000) for page in range(3)]
print("CANDLES " + json.dumps([candle for page in pages for candle in page]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="of the environment that jesse is installed in")
    chosen = parser.parse_args()
    with serving(history_days=3) as service:
        return imported(chosen.python, service)


def imported(python: str, service: Service) -> int:
    """Let jesse fetch, and compare; returns the exit status."""
    command = [python, "-c", snippet("jesse", service.port) + PROGRAM, DASHED]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=service.folder)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("CANDLES "))
    candles: list[dict[str, Any]] = json.loads(line.removeprefix("CANDLES "))
    names = ("timestamp", "open", "high", "low", "close", "volume")
    got = [[candle[name] for name in names] for candle in candles]
    first_ms = service.exchange.world.bars(SYMBOL, MINUTE, 0, service.exchange.now_ms())[0].open_ms
    bars = service.exchange.world.bars(SYMBOL, MINUTE, first_ms, first_ms + 3_000 * 60_000)
    expected = [[row[0], *map(float, row[1:6])] for row in (row_from_bar(bar, MINUTE) for bar in bars)]
    print(f"{len(got)} candles, equal to the exchange's: {got == expected}")
    return 0 if got == expected else 1


if __name__ == "__main__":
    sys.exit(main())
