"""`python -m exchange.simulated --speed 60 --symbols 20`: the exchange as a process of its own.

Prints one line of JSON with its addresses, and runs until SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from datetime import datetime, timezone

from exchange.simulated import PRESETS, SimulatedExchange, default_plan


def main() -> None:
    options = _parser().parse_args()
    plan = default_plan(
        options.seed,
        options.symbols,
        start_ms=_start_ms(options.start),
        history_days=options.history_days,
        frames_per_minute=options.frames_per_minute,
    )
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with SimulatedExchange(plan, PRESETS[options.faults], options.speed, options.port) as exchange:
        addresses = {
            "rest_url": exchange.rest_url,
            "ws_url": exchange.ws_url,
            "archive_url": exchange.archive_url,
            "listing_url": exchange.listing_url,
            "start_ms": plan.start_ms,
        }
        print(json.dumps(addresses), flush=True)
        stopped.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exchange.simulated", description="A simulated exchange.")
    parser.add_argument("--speed", type=float, default=1.0, help="times faster than real time (1)")
    parser.add_argument("--symbols", type=int, default=12, help="trading perpetuals (12)")
    parser.add_argument("--seed", type=int, default=1, help="what the world is made from (1)")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (0)")
    parser.add_argument("--faults", choices=sorted(PRESETS), default="none")
    parser.add_argument("--start", help="the exchange's time at the start, ISO 8601, UTC unless it says otherwise")
    parser.add_argument("--history-days", type=int, default=10, help="about how old the contracts are (10)")
    parser.add_argument("--frames-per-minute", type=int, default=40, help="at most, of each symbol (40)")
    return parser


def _start_ms(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        sys.exit(f"--start: expected an ISO 8601 date and time, got {text!r}")
    if start.tzinfo is None:
        start = start.replace(tzinfo=timezone.utc)
    return int(start.timestamp()) * 1_000


if __name__ == "__main__":
    main()
