"""Frames to committed bars: events per CPU second of the whole data service, and how that grows with the market.

The frames of two minutes of a market go over loopback to `run.py data`, as fast as it takes them, until all their bars
are committed. The floor reads and decodes the same frames. The two take turns.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bars import MINUTE, MINUTE_MS
from benchmarks.feeder import Feeder
from benchmarks.frames import MadeFrame, made_frames
from benchmarks.harness import Figure, cpu_s, python, wait_until
from benchmarks.market import START_MS, WEEK_DAYS, plan
from benchmarks.month import held_back, make_month
from exchange.simulated import SimulatedClock, SimulatedExchange, WorldPlan
from storage import Reader
from wire.names import kline_stream
from wire.requests import PAGE_BARS

SYMBOLS = 1_000
ROUNDS = 3
MINUTES = 2
EVENTS_PER_SYMBOL_SECOND = 1.2
FINALS_MS = 3_000
"""How long after its end the last minute's finals come."""
SETTLE_S = 4.0
"""After all streams are subscribed the service has things to do that come once a start."""
RATIO, LEAST = 0.5, 40_000.0
GROWTH = (100, 300, 1_000, 3_000)
CHECKED_EVERY = 50


class Market(NamedTuple):
    """What one size of market is measured with."""

    plan: WorldPlan
    frames: list[MadeFrame]
    database: Path
    """To be copied for each round."""
    stop_ms: int


class _FedClock:
    """The exchange's clock shows what the frames show."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def at(self, exchange_ms: int) -> None:
        self.now_s = (exchange_ms - START_MS) / 1_000


def measure() -> Iterator[Figure]:
    """The figure at 1,000 symbols."""
    with tempfile.TemporaryDirectory() as folder:
        value, floor = _rates(_market(Path(folder), SYMBOLS), ROUNDS)
        goal = max(RATIO * floor, LEAST)
        yield Figure("events_per_cpu_second", value, "events/s", floor, goal, note=f"{SYMBOLS:,} symbols")


def measure_growth() -> Iterator[Figure]:
    """The same from a small market to a large one."""
    for symbols in GROWTH:
        with tempfile.TemporaryDirectory() as folder:
            value, floor = _rates(_market(Path(folder), symbols), 1)
            yield Figure(f"events_per_cpu_second_{symbols}", value, "events/s", floor, note=f"{symbols:,} symbols")


def _market(folder: Path, symbols: int) -> Market:
    world = plan(symbols, symbols * EVENTS_PER_SYMBOL_SECOND, WEEK_DAYS)
    stop_ms = MINUTE.floor(START_MS) + MINUTES * MINUTE_MS
    database = folder / "week.db"
    make_month(database, world, minutes_days=1)
    return Market(world, made_frames(world, stop_ms + FINALS_MS), database, stop_ms)


def _rates(market: Market, rounds: int) -> tuple[float, float]:
    floors, values = [], []
    for _ in range(rounds):
        floors.append(reading_alone(market))
        values.append(whole_service(market))
    return median(values), median(floors)


def reading_alone(market: Market) -> float:
    """Frames read and decoded for each CPU second, with nothing else done."""
    names = market.database.with_suffix(".txt")
    names.write_text("\n".join(kline_stream(one.symbol, MINUTE) for one in market.plan.contracts), encoding="utf-8")
    with Feeder() as feeder, python("-m", "benchmarks.reading_alone", feeder.url, str(names)) as reader:
        wait_until(lambda: feeder.subscribed() == len(market.plan.contracts), "all streams are subscribed")
        before_s = cpu_s(reader)
        sent = feeder.send(market.frames)
        wait_until(lambda: frames_read(reader) >= sent, "all frames are read")
        return sent / (cpu_s(reader) - before_s)


def frames_read(reader: subprocess.Popen[str]) -> int:
    """How many frames a process of `reading_alone` has read."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write("\n")
    reader.stdin.flush()
    return int(reader.stdout.readline())


def whole_service(market: Market) -> float:
    """Events that went all the way into the database, for each CPU second of the service."""
    clock = _FedClock()
    simulated = SimulatedClock(START_MS, 1.0, lambda: clock.now_s)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Reader(database := Path(shutil.copy(market.database, folder)))) as stored,
        SimulatedExchange(market.plan, pushes=False, clock=simulated) as exchange,
        Feeder() as feeder,
        python(
            *("run.py", "data", "--database", str(database), "--log-level", "error"),
            *("--rest-url", exchange.rest_url, "--ws-url", feeder.url, "--history", HISTORY),
        ) as service,
    ):
        wait_until(lambda: feeder.subscribed() == len(market.plan.contracts), "all streams are subscribed", 120)
        time.sleep(SETTLE_S)
        before_s = cpu_s(service)
        sent = feeder.send(market.frames, clock.at)
        last_ms = market.stop_ms - MINUTE_MS
        wait_until(lambda: held_back(database, last_ms) == 0, "all bars are committed", 120)
        used_s = cpu_s(service) - before_s
        _check(stored, market, exchange)
        return sent / used_s


HISTORY = "1m=12h,5m=3d,30m=3d,4h=3d,1d=3d,1w=none"
"""Less than is stored: nothing is to be fetched."""


def _check(stored: Reader, market: Market, exchange: SimulatedExchange) -> None:
    """What was measured were the exchange's bars."""
    start_ms = MINUTE.floor(START_MS)
    for contract in market.plan.contracts[::CHECKED_EVERY]:
        record = stored.find(contract.symbol)
        assert record is not None
        found = stored.bars(record, MINUTE, start_ms=start_ms, end_ms=market.stop_ms - 1, limit=PAGE_BARS)
        truth = exchange.world.bars(contract.symbol, MINUTE, start_ms, market.stop_ms)
        if [one.bar for one in found] != truth:
            raise AssertionError(f"{contract.symbol}: expected {truth}, got {found}")
