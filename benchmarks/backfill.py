"""REST backfill against the weight it is allowed: bars in a minute of the exchange.

The exchange runs three times faster than real time, and its weight minute with it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bars import MINUTE, MINUTE_MS
from benchmarks.harness import Figure, end, python, wait_until
from benchmarks.market import MONTH_DAYS, plan
from exchange.simulated import SimulatedExchange
from storage import BarStore, Reader

SYMBOLS = 60
SPEED = 3.0
MINUTES = 2
WEIGHT_SHARE = 0.5
BARS_PER_WEIGHT = 249.5
RATIO = 0.95
REFUSED = 429, 418


def measure() -> Iterator[Figure]:
    """What is stored from one minute's beginning to a later one's; the first minute may be a part of one."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "backfill.db")
        BarStore.open(database).close()
        world = plan(SYMBOLS, SYMBOLS, MONTH_DAYS)
        with (
            SimulatedExchange(world, speed=SPEED, pushes=False) as exchange,
            closing(Reader(database)) as reader,
            python(
                *("run.py", "backfill", "--database", str(database), "--rest-url", exchange.rest_url),
                *("--listing-url", exchange.listing_url, "--archive-url", exchange.archive_url),
                *("--intervals", "1m", "--history", f"1m={MONTH_DAYS}d", "--source", "rest"),
                *("--weight-share", str(WEIGHT_SHARE), "--log-level", "error"),
            ) as service,
        ):
            wait_until(lambda: reader.compared_count()[1] > 0, "the first bars are stored")
            first_ms = _next_minute(exchange)
            before = reader.compared_count()[1]
            _sleep_until(exchange, first_ms + MINUTES * MINUTE_MS)
            value = (reader.compared_count()[1] - before) / MINUTES
            end(service)
            allowed = int(world.limits.weight_per_minute * WEIGHT_SHARE)
            refused = sum(exchange.counters.answers(status) for status in REFUSED)
            most = exchange.counters.weight_max
        if refused or most > allowed:
            raise AssertionError(f"backfill: expected at most {allowed} weight a minute, got {most}; {refused} refused")
    floor = allowed * BARS_PER_WEIGHT
    note = f"weight {most} of {allowed} in the fullest minute, none refused"
    yield Figure("backfill_bars_per_minute", value, "bars/min", floor, RATIO * floor, note=note)


def _next_minute(exchange: SimulatedExchange) -> int:
    next_ms = MINUTE.floor(exchange.now_ms()) + MINUTE_MS
    _sleep_until(exchange, next_ms)
    return next_ms


def _sleep_until(exchange: SimulatedExchange, at_ms: int) -> None:
    while (left_ms := at_ms - exchange.now_ms()) > 0:
        time.sleep(left_ms / 1_000 / SPEED)
