"""The real actors in a world without threads, sockets or real time: one seed decides everything.

The exchange is in memory, time is a number, and one dispatcher runs all actors in the order that the seed
draws. Crashes come between any two messages, and a process may end at any moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, cast

from actors.market.waiting import LIVE_BARS_MAX
from actors.messages import BarsPublished, Beat, Begin, Report, StopAll
from actors.parts import Outside, Parts
from actors.runtime.cell import Address, Cell, Crash
from actors.runtime.restarts import RestartPolicy
from actors.runtime.status import Status
from actors.runtime.supervisor import BEAT_S, Supervisor, Wiring
from actors.settings import Settings
from bars import MINUTE, MINUTE_MS, STORED, Bar, ContractKey, Interval
from exchange import RestClient, StreamConnection
from storage import BarStore, Reader
from tests.support.service import differences
from tests.support.trouble import Trouble
from tests.support.turns import Turns, VirtualThreads
from tests.support.virtual_connection import VirtualConnection
from tests.support.virtual_disk import Disk
from tests.support.virtual_exchange import VirtualExchange

__all__ = ["InjectedCrash", "Trouble", "VirtualConnection", "VirtualExchange", "VirtualSystem"]

STALLS_S = (0.5, 2.0, 8.0, 20.0, 90.0)
SLEEPS_MINUTES = (1, 3, 20, 150)
SLICES_MAX = 3
UNANSWERED_MINUTES = 10
"""Who has not answered pings for so long is cut off."""
RARE = 40
"""After so many messages of a kind they are no longer rare."""


class InjectedCrash(Exception):
    """What a simulated mistake of a programmer raises."""


class VirtualSystem:
    """All actors on one seeded dispatcher, with a real database: one process, from its start to its end.

    Args:
        speed: how much faster than the local clock the exchange's runs.
        trace: told of every message before it is handled.
        live_bars_max: how many bars that came live may wait for the disk.
        options: as of `Settings`.
    """

    def __init__(
        self,
        exchange: VirtualExchange,
        path: Path,
        seed: int | str,
        *,
        speed: float = 60.0,
        trace: Callable[[str, object], object] | None = None,
        live_bars_max: int = LIVE_BARS_MAX,
        **options: Any,
    ) -> None:
        BarStore.open(path).close()
        self.exchange = exchange
        self.path = path
        self.reader = Reader(path)
        self.status: dict[str, Any] = {}
        self.gave_up: list[str] = []
        self.crashes = 0
        self.unheard: list[BarsPublished] = []
        """What the hub crashed on, so that nobody was told of it."""
        self.is_much_lost = False
        """Whether the writer has crashed while it could not write, or dropped what waited for too long."""
        self.has_ended = False
        self.speed = speed
        self.now_s = 1_000.0
        self._trace = trace
        self._random = Random(f"{seed}/process")
        self._told: Counter[tuple[str, str]] = Counter()
        self._connections: dict[str, VirtualConnection] = {}
        self._running = ""
        self.disk = Disk(path, exchange)
        self.turns = Turns(str(seed), self._is_idle)
        out = Outside(
            open_store=lambda: self._opened(self.disk.open_store),
            open_reader=lambda: self._opened(self.disk.open_reader),
            open_client=lambda: cast(RestClient, self._opened(lambda: exchange)),
            open_connection=lambda: cast(StreamConnection, self._opened(self._connect)),
            monotonic=lambda: self.now_s,
            wall_ms=self._wall_ms,
        )
        options.setdefault("history", "1m=2h,5m=5h,30m=12h,4h=2d,1d=5d,1w=3w")
        self.settings = Settings.of(database=str(path), **options)
        self._parts = Parts(self.settings, Random(f"{seed}/parts"), out, live_bars_max=live_bars_max)
        wiring = Wiring(
            threads=VirtualThreads(self.turns, lambda: self.now_s),
            random=Random(f"{seed}/supervisor"),
            parts=self._parts,
            status=Status(str(path), 0),
            publish=lambda status, _: self._published(status),
            give_up=self.gave_up.append,
            all_ended=self._ended,
            policy=RestartPolicy(restarts_max=10_000),
            before=self._before,
        )
        self._cell = Cell(
            "supervisor", lambda: Supervisor(wiring), self.turns, self._supervisor_crashed, before=self._reported
        )
        self._cell.launch().tell(Begin())

    @property
    def supervisor(self) -> Address:
        return self._cell.address

    @property
    def backfill(self) -> Address:
        return self._address("backfill")

    @property
    def hub(self) -> Address:
        return self._address("hub")

    @property
    def is_started(self) -> bool:
        """Whether all but the pairs and feeds have been started."""
        return "directory" in self._parts._addresses  # noqa: SLF001

    # --- life

    def run(self, exchange_s: float, turns_max: int = 100_000) -> None:
        """Let so much exchange time pass, a beat at a time, or until `turns_max` turns were taken."""
        stop_ms = self.exchange.now_ms + round(exchange_s * 1_000)
        last_turn = self.turns.taken + turns_max
        while self.exchange.now_ms < stop_ms and self.turns.taken < last_turn:
            self.beat(last_turn)

    def beat(self, last_turn: int | None = None) -> None:
        """A quarter of a second, and what the actors do in it: in the end mostly all they can, sometimes less."""
        exchange, random = self.exchange, self._random
        exchange.beat()
        self._maybe_sleep()
        self._maybe_stand_still()
        self._maybe_stall()
        slices = 1 + int(random.random() * SLICES_MAX)
        for number in range(slices):
            self.now_s += BEAT_S / slices
            exchange.advance(exchange.now_ms + round(BEAT_S / slices * 1_000 * self.speed))
            for connection in self._connections.values():
                connection.was_read_in_vain = False
            self.turns.release(self.now_s)
            if not number:
                self.supervisor.tell(Beat(self.now_s))
            turns_max = int(random.random() * 40) if random.random() < 0.25 else 5_000
            stop = self.turns.taken + turns_max
            stop = stop if last_turn is None else min(stop, last_turn)
            while self.turns.taken < stop and self.turns.step() is not None:
                pass

    def stop(self) -> None:
        """Stop in order and to the end, without any further trouble."""
        self.exchange.trouble = Trouble()
        self.turns.release(float("inf"))
        self.supervisor.tell(StopAll())
        for _ in range(200_000):
            for connection in self._connections.values():
                connection.was_read_in_vain = False
            if self.has_ended or self.turns.step() is None:
                break

    def kill(self, copy: Path, *, is_torn: bool = False) -> None:
        """End this process without a word: what of its files had been written by now is left, at `copy`.

        Args:
            is_torn: whether it ends in the middle of writing its last transaction, which then is lost.
        """
        self.disk.copy_to(copy, is_torn=is_torn)
        self.exchange.hang_up()
        self.dispose()

    def dispose(self) -> None:
        """Let go of the files; nothing of this process runs any more."""
        self.disk.dispose()
        self.reader.close()

    # --- what came of it

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

    # --- what goes wrong in here

    def _before(self, name: str, message: object) -> None:
        self._running = name
        if self._trace is not None:
            self._trace(name, message)
        trouble = self.exchange.trouble
        is_hit = self.exchange.hits("crashes", trouble.crashes)
        if trouble.rare_crashes and not is_hit:
            kind = (name.split(maxsplit=1)[0], type(message).__name__)
            self._told[kind] += 1
            rarity = max(0.0, 1 - self._told[kind] / RARE)
            is_hit = self.exchange.hits("rare_crashes", trouble.rare_crashes * rarity)
        if is_hit:
            self.crashes += 1
            self.is_much_lost |= name == "writer" and self.disk.is_failing
            if isinstance(message, BarsPublished) and message.closed:
                self.unheard.append(message)
            raise InjectedCrash(f"{name} on {type(message).__name__}")

    def _reported(self, name: str, message: object) -> None:
        """Also what is reported while all stops, and is published no more."""
        if name == self._cell.name and isinstance(message, Report) and message.facts.get("dropped"):
            self.is_much_lost = True

    def _published(self, status: Mapping[str, Any]) -> None:
        self.status.update(status)

    def _opened(self, open_it: Callable[[], Any]) -> Any:
        if self.exchange.hits("crashed_beginnings", self.exchange.trouble.crashed_beginnings):
            self.crashes += 1
            raise InjectedCrash("taking hold of something")
        return open_it()

    def _maybe_stall(self) -> None:
        if not self.turns.names or not self.exchange.hits("stalls", self.exchange.trouble.stalls):
            return
        random = self.exchange.random("stalls")
        name, stall_s = random.choice(self.turns.names), random.choice(STALLS_S)
        self._note(f"{name} has no turn for {stall_s} s")
        self.turns.hold(name, self.now_s + stall_s)

    def _maybe_sleep(self) -> None:
        if self.exchange.hits("sleeps", self.exchange.trouble.sleeps):
            minutes = self.exchange.random("sleeps").choice(SLEEPS_MINUTES)
            self._note(f"the machine sleeps for {minutes} minutes")
            self.exchange.advance(self.exchange.now_ms + minutes * MINUTE_MS)

    def _maybe_stand_still(self) -> None:
        if self.exchange.hits("standstills", self.exchange.trouble.standstills):
            minutes = self.exchange.random("standstills").choice(SLEEPS_MINUTES)
            self._note(f"the process stands still for {minutes} minutes")
            self.exchange.advance(self.exchange.now_ms + minutes * MINUTE_MS)
            self.now_s += minutes * 60 / self.speed
            if minutes > UNANSWERED_MINUTES:
                self.exchange.hang_up()

    def _note(self, text: str) -> None:
        if self.exchange.note is not None:
            self.exchange.note(text)

    # --- parts

    def _connect(self) -> VirtualConnection:
        connection = self._connections[self._running] = self.exchange.connect()
        return connection

    def _is_idle(self, name: str) -> bool:
        connection = self._connections.get(name)
        return connection is not None and connection.is_idle

    def _wall_ms(self) -> int:
        """The local clock, which is no good."""
        return self.exchange.random("wall clock").randrange(2_000_000_000_000)

    def _address(self, name: str) -> Address:
        return self._parts._addresses[name]  # noqa: SLF001 - what starting the parts answers is not waited for

    def _supervisor_crashed(self, crash: Crash) -> None:
        raise AssertionError(f"the supervisor crashed on {crash.message!r}") from crash.error

    def _ended(self) -> None:
        self.has_ended = True
