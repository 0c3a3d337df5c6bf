"""The real actors in a world without threads, sockets or real time: one seed decides everything.

The exchange is in memory, time is a number, and one dispatcher runs all actors in the order that the seed
draws. Crashes can be injected between any two messages.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec

from actors.messages import Beat, Begin, StopAll
from actors.parts import Outside, Parts
from actors.runtime.cell import Address, Cell, Crash
from actors.runtime.restarts import RestartPolicy
from actors.runtime.status import Status
from actors.runtime.supervisor import BEAT_S, Supervisor, Wiring
from actors.runtime.threads import SeededThreads
from actors.settings import Settings
from bars import MINUTE, MINUTE_MS, STORED, Bar, ContractKey, Interval, Scale
from exchange import Disconnected, Reply, RestClient, ServerFault, StreamConnection
from exchange.simulated.exchange_info import exchange_info
from exchange.simulated.faults import Dice
from exchange.simulated.timeline import Update, updates
from exchange.simulated.world import World
from storage import BarStore, Reader
from tests.support.service import differences
from wire.exchange_info import ExchangeInfo, parse_exchange_info
from wire.frames import kline_event
from wire.names import kline_stream
from wire.requests import KlinesRequest
from wire.subscriptions import Publisher


class InjectedCrash(Exception):
    """What a simulated mistake of a programmer raises."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Probabilities of what goes wrong: crashes per message, disconnects per beat, others per frame or request."""

    crashes: float = 0.0
    lost_frames: float = 0.0
    doubled_frames: float = 0.0
    missing_finals: float = 0.0
    disconnects: float = 0.0
    rest_errors: float = 0.0
    wrong_finals: float = 0.0
    """Of finals that say something else than what the exchange keeps."""


class VirtualExchange:
    """An exchange that is asked by calling it, at whatever time it is set to."""

    def __init__(self, world: World, random: Random) -> None:
        self.world = world
        self.now_ms = world.plan.start_ms
        self.trouble = Trouble()
        self.revised_after_ms = 0
        """So long after its end REST still shows what a wrong final said."""
        self.wrong: dict[tuple[str, int], Bar] = {}
        """What wrong finals said, by symbol and open time."""
        self.spent: Counter[int] = Counter()
        """Requests for klines by their limit."""
        self._dice = Dice(world.plan.seed, "exchangeInfo")
        self._random = random
        self._connections: list[VirtualConnection] = []
        self._upcoming = {symbol: self._updates(symbol) for symbol in world.symbols}
        self._next: dict[str, Update | None] = {symbol: next(later, None) for symbol, later in self._upcoming.items()}

    def advance(self, now_ms: int) -> None:
        """Let time pass: what is due by then is sent."""
        self.now_ms = now_ms
        for symbol, later in self._upcoming.items():
            update = self._next[symbol]
            while update is not None and update.due_ms <= now_ms:
                self._send(symbol, update)
                update = next(later, None)
            self._next[symbol] = update
        if self._hits(self.trouble.disconnects) and self._connections:
            self._random.choice(self._connections).is_broken = True

    def connect(self) -> VirtualConnection:
        connection = VirtualConnection()
        self._connections = [other for other in self._connections if not other.is_broken] + [connection]
        return connection

    def time(self) -> Reply[int]:
        self._fail()
        return Reply(self.now_ms, 1)

    def exchange_info(self) -> Reply[ExchangeInfo]:
        self._fail()
        return Reply(parse_exchange_info(exchange_info(self.world, self.now_ms, self._dice)), 1)

    def klines(self, request: KlinesRequest, scale: Scale) -> Reply[list[Bar]]:
        """As REST does, the bar in progress included; all in one scale."""
        self._fail()
        interval, stop_ms = request.interval, self.now_ms
        start_ms = 0 if request.start_ms is None else request.start_ms
        end_ms = stop_ms if request.end_ms is None else min(request.end_ms, stop_ms)
        start_ms = max(start_ms, interval.back(end_ms, 600))
        bars = self.world.bars(request.symbol, interval, start_ms, interval.floor(stop_ms), at_ms=stop_ms)
        progress = self.world.progress(request.symbol, interval, stop_ms)
        bars = [bar for bar in [*bars, *([progress] if progress else [])] if start_ms <= bar.open_ms <= end_ms]
        if interval is MINUTE:
            bars = [self._unrevised(request.symbol, bar) for bar in bars]
        self.spent[request.limit] += 1
        for bar in bars:
            scale = scale.widened(bar.scale)
        return Reply([bar.rescaled(scale) for bar in bars[: request.limit]], 1)

    def close(self) -> None:
        """Nothing is held."""

    def _updates(self, symbol: str) -> Iterator[Update]:
        series = self.world.series(symbol)
        assert series is not None
        return updates(series, self.now_ms)

    def _send(self, symbol: str, update: Update) -> None:
        bar = self.world.partial(symbol, update.open_ms, update.state_ms)
        if bar is None or (update.closed and bar.is_empty):
            return
        trouble = self.trouble
        if self._hits(trouble.missing_finals if update.closed else trouble.lost_frames):
            return
        if update.closed and self._hits(trouble.wrong_finals):
            bar = self.wrong[symbol, bar.open_ms] = _wrong(bar)
        name = kline_stream(symbol, MINUTE)
        event = kline_event(symbol, MINUTE, bar, closed=update.closed, event_ms=update.due_ms)
        frame = msgspec.json.encode({"stream": name, "data": event})
        for connection in self._connections:
            if name in connection.publisher.names:
                connection.frames.extend([frame] * (2 if self._hits(trouble.doubled_frames) else 1))

    def _unrevised(self, symbol: str, bar: Bar) -> Bar:
        is_old = bar.open_ms + MINUTE_MS + self.revised_after_ms <= self.now_ms
        return bar if is_old else self.wrong.get((symbol, bar.open_ms), bar)

    def _fail(self) -> None:
        if self._hits(self.trouble.rest_errors):
            raise ServerFault("asking the virtual exchange: got HTTP 500")

    def _hits(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability


def _wrong(bar: Bar) -> Bar:
    """Another bar of the same minute: one trade too many, at higher and lower prices."""
    return bar._replace(high=bar.high + 3, low=bar.low - 1, volume=bar.volume + 1, trades=bar.trades + 1)


class VirtualConnection:
    """What a feed holds instead of a socket. Reading never waits."""

    def __init__(self) -> None:
        self.publisher = Publisher(combined=True)
        self.frames: deque[bytes] = deque()
        self.is_broken = False

    def receive_batch(self, timeout_s: float, count_max: int, gather_s: float) -> list[bytes]:  # noqa: ARG002
        if self.is_broken:
            raise Disconnected("reading from the virtual exchange: the connection broke")
        return [self.frames.popleft() for _ in range(min(count_max, len(self.frames)))]

    def send(self, text: str) -> None:
        self.frames.append(self.publisher.on_request(text).encode())

    def close(self) -> None:
        self.is_broken = True


class VirtualSystem:
    """All actors on one seeded dispatcher, with a real database."""

    def __init__(
        self, exchange: VirtualExchange, path: Path, seed: int, *, speed: float = 60.0, **options: Any
    ) -> None:
        BarStore.open(path).close()
        self.exchange = exchange
        self.reader = Reader(path)
        self.status: dict[str, Any] = {}
        self.gave_up: list[str] = []
        self.crashes = 0
        self.has_ended = False
        self._speed = speed
        self._now_s = 1_000.0
        self._random = Random(f"{seed}/crashes")
        threads = self._threads = SeededThreads(seed)
        out = Outside(
            open_store=lambda: BarStore.open(path),
            open_reader=lambda: Reader(path),
            open_client=lambda: cast(RestClient, exchange),
            open_connection=lambda: cast(StreamConnection, exchange.connect()),
            monotonic=lambda: self._now_s,
            wall_ms=lambda: 0,
        )
        options.setdefault("history", "1m=2h,5m=5h,30m=12h,4h=2d,1d=5d,1w=3w")
        self._parts = Parts(Settings.of(database=str(path), **options), Random(seed), out)
        wiring = Wiring(
            threads=threads,
            random=Random(seed),
            parts=self._parts,
            status=Status(str(path), 0),
            publish=lambda status, _: self.status.update(status),
            give_up=self.gave_up.append,
            all_ended=self._ended,
            policy=RestartPolicy(restarts_max=10_000),
            before=self._maybe_crash,
        )
        self._cell = Cell("supervisor", lambda: Supervisor(wiring), threads.seeded, self._supervisor_crashed)
        self._cell.launch().tell(Begin())

    @property
    def supervisor(self) -> Address:
        return self._cell.address

    @property
    def backfill(self) -> Address:
        return self._parts._addresses["backfill"]  # noqa: SLF001 - what starting the parts answers is not waited for

    def run(self, exchange_s: float, steps_per_beat: int = 400) -> None:
        """Let exchange time pass, a beat at a time; in each, actors take so many turns."""
        stop_ms = self.exchange.now_ms + round(exchange_s * 1_000)
        while self.exchange.now_ms < stop_ms:
            self._now_s += BEAT_S
            self.exchange.advance(self.exchange.now_ms + round(BEAT_S * 1_000 * self._speed))
            self.supervisor.tell(Beat(self._now_s))
            for _ in range(steps_per_beat):
                self._threads.seeded.step()

    def stop(self) -> None:
        """Stop in order and to the end."""
        self.exchange.trouble = Trouble()
        self.supervisor.tell(StopAll())
        for _ in range(200_000):
            if self.has_ended or self._threads.seeded.step() is None:
                break

    def stored(self, key: ContractKey, interval: Interval) -> list[Bar]:
        """All closed bars of a series."""
        record = self.reader.get(key)
        assert record is not None
        return [stored.bar for stored in self.reader.bars(record, interval, limit=100_000) if stored.closed]

    def differences(self) -> list[str]:
        """Every closed bar that is not the exchange's, and every hole between the first and the last, in words."""
        return differences(self.reader, self.exchange.world)

    def behind_ms(self) -> int:
        """How far the newest closed minute of the contract that is furthest behind lies back."""
        last_ms = {series.key: series.last_ms for series in self.reader.series() if series.interval is MINUTE}
        return self.exchange.now_ms - min(last_ms.values())

    def intervals(self) -> set[Interval]:
        return {series.interval for series in self.reader.series()} & set(STORED)

    def _maybe_crash(self, name: str, message: object) -> None:
        probability = self.exchange.trouble.crashes
        if probability and self._random.random() < probability:
            self.crashes += 1
            raise InjectedCrash(f"{name} on {message!r:.80}")

    def _supervisor_crashed(self, crash: Crash) -> None:
        raise AssertionError(f"the supervisor crashed on {crash.message!r}") from crash.error

    def _ended(self) -> None:
        self.has_ended = True
