"""Push: how long a frame takes from the exchange to the clients, and what a thousand clients cost.

    python -m benchmarks.push

The exchange and the clients are processes of their own; what is measured runs in this one. A frame's first trade id is
the moment at which the exchange sent it, in microseconds of the machine's monotonic clock, and comes through as it is.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from actors import BarSystem
from actors.shell.memory import calm_collector
from bars import MINUTE, Bar, ContractKey, Interval, Scale
from benchmarks.harness import Figure
from exchange.simulated import ContractPlan, RecordedFrame, SimulatedExchange, WorldPlan
from storage import BarStore, Reader
from web import PushServer, Sources, WebServer, make_app
from wire.frames import KlineEvent, decode_frame, kline_event
from wire.names import lower
from wire.published import BarEvent, Deliver, Watch

HOST = "127.0.0.1"
SYMBOLS = 1_000
SCALE = Scale(2, 3, 5)
READY_S = 120.0
ROUNDS, ROUND_S = 3, 6.0
P99_MAX_MS = 20.0
WARM_UP_S = 2.0
NO_HISTORY = "1m=none,5m=none,30m=none,4h=none,1d=none,1w=none"


class Measured(NamedTuple):
    """What was measured over all frames of all clients. The reading of the clients is not in `cpu_percent`."""

    p50_ms: float
    p99_ms: float
    frames_per_s: float
    cpu_percent: float
    """Of one core."""


def whole_service(events_per_s: int = 1_200, clients: int = 200, streams: int = 10, seconds: float = 15.0) -> Measured:
    """From the exchange's socket through the whole service, which also stores, to clients of a thousand symbols."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _child(_play, events_per_s) as exchange,
        BarSystem(database=Path(folder, "bars.db"), history=NO_HISTORY, **exchange.told) as bars,
        closing(Reader(Path(folder, "bars.db"))) as reader,
    ):
        _until(lambda: sum(feed["proved"] for feed in bars.status().get("feeds", ())) >= SYMBOLS, exchange)
        return _measured(reader, bars.watch, exchange.ask, clients, streams, seconds)


def measure() -> Iterator[Figure]:
    """The whole service, several times, with the collector as `run.py` has it."""
    calm_collector()
    rounds = [whole_service(seconds=ROUND_S) for _ in range(ROUNDS)]
    p99_ms = median(measured.p99_ms for measured in rounds)
    note = f"median {median(measured.p50_ms for measured in rounds):.1f} ms; 200 clients, 1,200 events/s"
    yield Figure("push_p99_ms", p99_ms, "ms", None, P99_MAX_MS, at_most=True, note=note)


def fan_out(events_per_s: int = 1_200, clients: int = 1_000, streams: int = 10, seconds: float = 15.0) -> Measured:
    """The push server alone: events are made here and handed to it as the hub would."""
    watchers: dict[tuple[str, Interval], list[Deliver]] = {}

    def watch(symbol: str, interval: Interval, deliver: Deliver) -> Callable[[], None]:
        watchers.setdefault((symbol, interval), []).append(deliver)
        return lambda: watchers[symbol, interval].remove(deliver)

    def tell(event: KlineEvent, bar: Bar) -> None:
        for deliver in watchers.get((event.s, MINUTE), ()):
            deliver(BarEvent(ContractKey(event.s, 0), MINUTE, bar, False, event))

    def run(for_s: float) -> None:
        for number in _paced(events_per_s, for_s):
            bar = _bar(number)
            frame: Any = decode_frame(_frame(number, bar))
            tell(frame.data, bar)

    with tempfile.TemporaryDirectory() as folder:
        BarStore.open(Path(folder, "bars.db")).close()
        with closing(Reader(Path(folder, "bars.db"))) as reader:
            return _measured(reader, watch, run, clients, streams, seconds)


def _measured(
    reader: Reader, watch: Watch, run: Callable[[float], object], clients: int, streams: int, seconds: float
) -> Measured:
    sources = Sources(reader, lambda: None, lambda: None, dict, watch=watch)
    server = WebServer(make_app(sources), HOST, 0, PushServer(sources))
    server.start()
    try:
        with _child(_read, server.port, clients, streams) as readers:
            run(WARM_UP_S)
            readers.ask("forget")
            cpu_s, started_s = time.process_time(), time.monotonic()
            run(seconds)
            elapsed_s, cpu_s = time.monotonic() - started_s, time.process_time() - cpu_s
            ages_us: list[int] = sorted(readers.ask("stop"))
    finally:
        server.stop()
    count = len(ages_us)
    p50_ms, p99_ms = ages_us[count // 2] / 1_000, ages_us[count * 99 // 100] / 1_000
    return Measured(p50_ms, p99_ms, count / elapsed_s, 100 * cpu_s / elapsed_s)


class _Child(NamedTuple):
    """Another process, the first thing it said, and how to ask it something."""

    told: Any
    ask: Callable[[Any], Any]


@contextmanager
def _child(target: Callable[..., None], *arguments: Any) -> Iterator[_Child]:
    spawning = get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()

    def ask(question: Any) -> Any:
        ours.send(question)
        return ours.recv()

    try:
        yield _Child(ours.recv(), ask)
    finally:
        process.terminate()
        process.join()


def _until(condition: Callable[[], bool], exchange: _Child) -> None:
    """Have the exchange send for a second at a time until something is so."""
    deadline_s = time.monotonic() + READY_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"the service did not get all streams within {READY_S:.0f} s")
        exchange.ask(1.0)


# The exchange


def _play(pipe: Connection, events_per_s: int) -> None:
    """An exchange that sends made-up frames for as many seconds as it is asked to."""
    now_ms = _now_ms()
    contracts = tuple(ContractPlan(_symbol(n), f"S{n}", "USDT", now_ms, 2, 3, 100) for n in range(SYMBOLS))
    with SimulatedExchange(WorldPlan(seed=1, start_ms=now_ms, contracts=contracts), pushes=False) as exchange:
        pipe.send({"ws_url": exchange.ws_url, "rest_url": exchange.rest_url})
        while True:
            for_s = pipe.recv()
            frames = (RecordedFrame(0.0, _frame(number, _bar(number))) for number in _paced(events_per_s, for_s))
            exchange.replay(frames, timeout_s=for_s + 60.0)
            pipe.send("done")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _paced(per_s: int, for_s: float) -> Iterator[int]:
    """Numbers at irregular moments, `per_s` a second on average."""
    dice, started_s = random.Random(1), time.monotonic()
    due_s, number = started_s, 0
    while due_s < started_s + for_s:
        time.sleep(max(0.0, due_s - time.monotonic()))
        yield number
        number += 1
        due_s += dice.expovariate(per_s)


def _symbol(number: int) -> str:
    return f"S{number % SYMBOLS}USDT"


def _bar(number: int) -> Bar:
    quote = 90_000_000 + number
    return Bar(MINUTE.floor(_now_ms()), 100, 200 + number, 90, 110, 1_000 + number, quote, 7 + number, 4, 5, SCALE)


def _frame(number: int, bar: Bar) -> str:
    symbol, sent_us = _symbol(number), time.monotonic_ns() // 1_000
    event = kline_event(symbol, MINUTE, bar, closed=False, event_ms=_now_ms(), trade_ids=(sent_us, sent_us))
    return msgspec.json.encode({"stream": f"{lower(symbol)}@kline_1m", "data": event}).decode()


# The clients


def _read(pipe: Connection, port: int, clients: int, streams: int) -> None:
    """Clients that read until they are asked for the age of every frame when it came, in microseconds."""
    asyncio.run(_read_all(pipe, port, clients, streams))


async def _read_all(pipe: Connection, port: int, clients: int, streams: int) -> None:
    dice, loop = random.Random(2), asyncio.get_running_loop()
    ages_us: list[int] = []
    answered: asyncio.Queue[None] = asyncio.Queue()
    for _ in range(clients):
        names = [f"{lower(_symbol(number))}@kline_1m" for number in dice.sample(range(SYMBOLS), streams)]
        path = f"/market/stream?streams={'/'.join(names)}"
        await loop.create_connection(partial(_Client, path, ages_us, answered), HOST, port)
    for _ in range(clients):
        await answered.get()
    pipe.send("ready")
    await loop.run_in_executor(None, pipe.recv)
    ages_us.clear()
    pipe.send("forgotten")
    await loop.run_in_executor(None, pipe.recv)
    await asyncio.sleep(0.5)
    pipe.send(ages_us)


class _Client(asyncio.Protocol):
    """Reads as little of each frame as it takes to tell its age."""

    def __init__(self, path: str, ages_us: list[int], answered: asyncio.Queue[None]) -> None:
        self._path = path
        self._ages_us = ages_us
        self._answered = answered
        self._is_answered = False

    def connection_made(self, transport: Any) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now_us = time.monotonic_ns() // 1_000
        if not self._is_answered:
            self._is_answered = True
            self._answered.put_nowait(None)
        self._ages_us += [now_us - int(part.partition(b",")[0]) for part in data.split(b'"f":')[1:]]


def main() -> None:
    calm_collector()
    for name, measured in (
        ("whole service, 1,200 events/s, 200 clients x 10 streams", whole_service()),
        ("push alone, 1,200 events/s, 1,000 clients x 10 streams", fan_out()),
    ):
        print(
            f"{name}: p50 {measured.p50_ms:.1f} ms, p99 {measured.p99_ms:.1f} ms, "
            f"{measured.frames_per_s:,.0f} frames/s, CPU {measured.cpu_percent:.0f} %"
        )


if __name__ == "__main__":
    main()
