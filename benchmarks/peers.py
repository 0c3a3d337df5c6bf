"""What a user would take instead, as far as it is installed: events for each CPU second, and how many are handed on.

The same frames, sent as fast as they are taken, go to each in turn; and to the floor, and to Barkeep's whole service,
which also stores and aggregates.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bars import MINUTE, MINUTE_MS
from benchmarks.events import FINALS_MS, Market, frames_read, reading_alone, whole_service
from benchmarks.feeder import Feeder
from benchmarks.frames import made_frames
from benchmarks.harness import Figure, cpu_s, python, wait_until
from benchmarks.market import START_MS, WEEK_DAYS, plan
from benchmarks.month import make_month
from benchmarks.peer_clients import CLIENTS
from exchange.simulated import SimulatedClock, SimulatedExchange
from wire.names import kline_stream

SYMBOLS, EVENTS_PER_SECOND, MINUTES = 200, 480, 3
SUBSCRIBED_S = 60.0
SETTLE_S = 2.0
LOOK_S = 1.0
CALM_CPU_S = 0.02
"""A client that uses less within `LOOK_S` has nothing left to do."""


def measure() -> Iterator[Figure]:
    """One round of each."""
    with tempfile.TemporaryDirectory() as folder:
        world = plan(SYMBOLS, EVENTS_PER_SECOND, WEEK_DAYS)
        stop_ms = MINUTE.floor(START_MS) + MINUTES * MINUTE_MS
        database, names = Path(folder, "week.db"), Path(folder, "names.txt")
        make_month(database, world, minutes_days=1)
        names.write_text("\n".join(kline_stream(one.symbol, MINUTE) for one in world.contracts), encoding="utf-8")
        market = Market(world, made_frames(world, stop_ms + FINALS_MS), database, stop_ms)
        floor = reading_alone(market)
        own = f"stored, aggregated, compared; {SYMBOLS} symbols, {len(market.frames):,} events"
        yield Figure("barkeep", whole_service(market), "events/s", floor, note=own)
        with SimulatedExchange(world, pushes=False, clock=SimulatedClock(START_MS, 1.0)) as exchange:
            for name, client in CLIENTS.items():
                try:
                    found = version(client.distribution)
                except PackageNotFoundError:
                    yield Figure(name, 0.0, "events/s", floor, note=f"{client.distribution} is not installed")
                    continue
                rate, share = _delivered(name, market, exchange.rest_url, names)
                note = f"{client.distribution} {found}; {share:.1%} handed on, nothing stored"
                yield Figure(name, rate, "events/s", floor, note=note)


def _delivered(name: str, market: Market, rest_url: str, names: Path) -> tuple[float, float]:
    """Events taken in for each CPU second, and the share of them that the user's code was handed."""
    arguments = "-m", "benchmarks.peer_clients", name, rest_url
    with Feeder() as feeder, python(*arguments, feeder.url, str(names), log=names.with_suffix(".log")) as client:
        wait_until(lambda: feeder.subscribed() == SYMBOLS, f"{name} has subscribed", SUBSCRIBED_S)
        time.sleep(SETTLE_S)
        before_s, events = cpu_s(client), frames_read(client)
        sent = feeder.send(market.frames)
        _calm(client)
        delivered = frames_read(client) - events
        return sent / (cpu_s(client) - before_s), delivered / sent


def _calm(client: subprocess.Popen[str]) -> None:
    used_s = -1.0
    while cpu_s(client) - used_s > CALM_CPU_S:
        used_s = cpu_s(client)
        time.sleep(LOOK_S)
