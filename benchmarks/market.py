"""The market that most figures are measured on: as many symbols as wanted, busy ones, told by the simulated exchange.

    python -m benchmarks.market --symbols 1000 --events-per-second 1200 --age-days 31

runs it as a process of its own: it prints one line of JSON with its addresses, and ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import sys

from bars import MINUTE_MS, Contract
from bars.interval import DAY_MS
from exchange.simulated import ContractPlan, SimulatedExchange, WorldPlan

START_MS = 1_792_065_095_000  # Thursday 2026-10-15 11:51:35
MONTH_DAYS = 31
WEEK_DAYS = 4
"""Since Sunday: what bars in progress begin from is there, and little else."""
_SENT_OF_MAXIMUM = 0.76
"""Minutes of a busy simulated contract send between a half and all of `frames_per_minute`."""
_NAMES = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "NEAR", "LTC")


def plan(symbols: int, events_per_second: float, age_days: int) -> WorldPlan:
    """Contracts that were launched `age_days` ago and together send `events_per_second`, each at most four."""
    frames = min(200, max(1, round(events_per_second * 60 / symbols / _SENT_OF_MAXIMUM)))
    onboard_ms = START_MS // DAY_MS * DAY_MS - age_days * DAY_MS - 2 * MINUTE_MS
    contracts = tuple(_contract(number, frames, onboard_ms) for number in range(symbols))
    return WorldPlan(seed=1, start_ms=START_MS, contracts=contracts)


def _contract(number: int, frames: int, onboard_ms: int) -> ContractPlan:
    base = f"{_NAMES[number % len(_NAMES)]}{number // len(_NAMES) or ''}"
    return ContractPlan(
        symbol=f"{base}USDT",
        base_asset=base,
        quote_asset="USDT",
        onboard_ms=onboard_ms,
        price_decimals=2 + number % 4,
        quantity_decimals=number % 3,
        price_ticks=20_000 + number * 7_919 % 900_000,
        quantity_units=50 + number * 31 % 4_000,
        trades_per_minute=2_000,
        frames_per_minute=frames,
    )


def contracts_of(world: WorldPlan) -> list[Contract]:
    """The plan's contracts as exchangeInfo would describe them."""
    return [
        Contract(
            symbol=one.symbol,
            onboard_ms=one.onboard_ms,
            delivery_ms=one.delivery_ms,
            contract_type=one.contract_type,
            status="TRADING",
            pair=one.symbol,
            base_asset=one.base_asset,
            quote_asset=one.quote_asset,
            price_decimals=one.price_decimals,
            quantity_decimals=one.quantity_decimals,
        )
        for one in world.contracts
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.market", description=__doc__)
    parser.add_argument("--symbols", type=int, default=1_000)
    parser.add_argument("--events-per-second", type=float, default=1_200)
    parser.add_argument("--age-days", type=int, default=MONTH_DAYS)
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster than real time it runs")
    options = parser.parse_args()
    world = plan(options.symbols, options.events_per_second, options.age_days)
    with SimulatedExchange(world, speed=options.speed) as exchange:
        addresses = {
            "rest_url": exchange.rest_url,
            "ws_url": exchange.ws_url,
            "archive_url": exchange.archive_url,
            "listing_url": exchange.listing_url,
        }
        print(json.dumps(addresses), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
