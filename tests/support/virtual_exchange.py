"""An exchange in memory, asked by calling it, and everything that can go wrong between it and us.

Time is a number that the caller moves on. Each kind of fault has chance of its own, drawn from one seed, so that
leaving one kind out shifts the others as little as may be.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import NamedTuple

import msgspec

from bars import MINUTE, MINUTE_MS, Bar, BarError, Contract, ContractKey, Scale
from bars.interval import SECOND_MS
from exchange import (
    Banned,
    Blocked,
    Disconnected,
    ExchangeError,
    InvalidAnswer,
    InvalidSymbol,
    RateLimited,
    Reply,
    ServerFault,
    SymbolEnded,
    Unreachable,
)
from exchange.simulated.exchange_info import exchange_info
from exchange.simulated.faults import Dice
from exchange.simulated.rest import klines
from exchange.simulated.timeline import Update, updates
from exchange.simulated.weight import WeightMeter
from exchange.simulated.world import Series, World
from tests.support.damage import damaged
from tests.support.trouble import Trouble
from tests.support.virtual_connection import VirtualConnection
from wire.errors import ApiError
from wire.exchange_info import ExchangeInfo, parse_exchange_info
from wire.frames import kline_event
from wire.names import kline_stream
from wire.requests import KlinesRequest, klines_weight

STALE_MS_MAX = 13 * SECOND_MS
"""Nodes that lag so much were seen."""
STALE_CONTRACTS_MS_MAX = 10 * MINUTE_MS
EMPTY_MS_MAX = 50 * MINUTE_MS
PARTIAL_OUTAGES_MS = (2 * MINUTE_MS, 20 * MINUTE_MS, 150 * MINUTE_MS)
FALSE_ENDS_MS_MAX = 40 * MINUTE_MS
TOO_MANY_REQUESTS = 429


class _Parcel(NamedTuple):
    """A frame that is late."""

    due_ms: int
    number: int
    connection: VirtualConnection
    frame: bytes


class VirtualExchange:
    """An exchange that is asked by calling it, at whatever time it is set to.

    Args:
        random: where chance comes from.
        never: minutes that REST never has a row for, by symbol; nobody traded in them.
    """

    def __init__(self, world: World, random: Random, never: Mapping[str, frozenset[int]] | None = None) -> None:
        self.world = world
        self.now_ms = world.plan.start_ms
        self.trouble = Trouble()
        self.never = never or {}
        self.revised_after_ms = 0
        """So long after its end REST still shows what a wrong final said."""
        self.wrong: dict[tuple[str, int], Bar] = {}
        """What wrong finals and rows said, by symbol and open time."""
        self.spent: Counter[int] = Counter()
        """Requests for klines by their limit."""
        self.weights: Counter[int] = Counter()
        """What requests cost, by minute."""
        self.faults: Counter[str] = Counter()
        """What went wrong, and how often."""
        self.note: Callable[[str], object] | None = None
        """Told of each fault, in words."""
        self._meter = WeightMeter(world.plan.limits, self.weights)
        self._info_dice = Dice(world.plan.seed, "exchangeInfo")
        self._seed = random.random()
        self._randoms: dict[str, Random] = {}
        self._connections: list[VirtualConnection] = []
        self._upcoming = [(series, updates(series, self.now_ms)) for series in _every_series(world)]
        self._next = [next(later, None) for _, later in self._upcoming]
        self._late: list[_Parcel] = []
        self._numbers = itertools.count()
        self._away_until_ms = 0
        self._streams_away_until_ms = 0
        self._rest_away_until_ms = 0
        self._ended_until_ms: dict[ContractKey, tuple[int, int]] = {}
        """Contracts of which it is said that they ended, until when, and when they did."""
        self._empty_until_ms: dict[str, int] = {}

    # --- time

    def advance(self, now_ms: int) -> None:
        """Let time pass: what is due by then is sent."""
        self.now_ms = now_ms
        for index, (series, later) in enumerate(self._upcoming):
            update = self._next[index]
            while update is not None and update.due_ms <= now_ms:
                self._send(series, update)
                update = next(later, None)
            self._next[index] = update
        while self._late and self._late[0].due_ms <= now_ms:
            parcel = heapq.heappop(self._late)
            parcel.connection.deliver(parcel.frame)

    def beat(self) -> None:
        """What goes wrong now and then, whoever does what."""
        trouble = self.trouble
        if self._connections and self.hits("disconnects", trouble.disconnects):
            self._pick(self._connections, "disconnects").is_broken = True
        if self._connections and self.hits("silences", trouble.silences):
            self._pick(self._connections, "silences").is_silent = True
        if not self._is_away and self.hits("outages", trouble.outages):
            self._go_away()
        if self.now_ms >= self._streams_away_until_ms and self.hits("stream_outages", trouble.stream_outages):
            self._streams_away_until_ms = self.now_ms + self.random("stream_outages").choice(PARTIAL_OUTAGES_MS)
            self.hang_up()
        if self.now_ms >= self._rest_away_until_ms and self.hits("rest_outages", trouble.rest_outages):
            self._rest_away_until_ms = self.now_ms + self.random("rest_outages").choice(PARTIAL_OUTAGES_MS)

    @property
    def _is_away(self) -> bool:
        return self.now_ms < self._away_until_ms

    def _go_away(self) -> None:
        random = self.random("outages")
        self._away_until_ms = self.now_ms + random.randrange(20 * SECOND_MS, 12 * MINUTE_MS)
        if random.random() < 0.5:
            self.hang_up()

    def is_served(self, name: str, since_ms: int) -> bool:
        """Whether some connection has carried a stream since then."""
        return any(
            connection.since_ms <= since_ms and name in connection.publisher.names and not connection.is_silent
            for connection in self._connections
            if not connection.is_broken
        )

    def hang_up(self) -> None:
        """All connections end."""
        for connection in self._connections:
            connection.is_broken = True

    # --- what is asked

    def connect(self) -> VirtualConnection:
        """A new connection.

        Raises:
            ExchangeError
        """
        if self._is_away or (self.trouble.stream_outages and self.now_ms < self._streams_away_until_ms):
            raise Unreachable("connecting to the virtual exchange: nobody is there")
        if self.hits("refused_connections", self.trouble.refused_connections):
            raise Disconnected("connecting to the virtual exchange: refused", code=1001)
        connection = VirtualConnection(self._is_deaf, self.now_ms)
        self._connections = [other for other in self._connections if not other.is_broken] + [connection]
        return connection

    def time(self) -> Reply[int]:
        used = self._arrived(1)
        return Reply(self.now_ms, used)

    def exchange_info(self) -> Reply[ExchangeInfo]:
        used = self._arrived(1)
        now_ms = self.now_ms
        if self.hits("stale_contracts", self.trouble.stale_contracts):
            now_ms -= self.random("stale_contracts").randrange(STALE_CONTRACTS_MS_MAX)
        info = parse_exchange_info(exchange_info(self.world, now_ms, self._info_dice))
        return Reply(info._replace(contracts=self._as_listed(info.contracts)), used)

    def _as_listed(self, contracts: list[Contract]) -> list[Contract]:
        """What of the contracts is said, and which are left out."""
        trouble = self.trouble
        if contracts and self.hits("lacking_contracts", trouble.lacking_contracts):
            chosen = self.random("lacking_contracts").randrange(len(contracts))
            contracts = contracts[:chosen]
        if contracts and self.hits("false_ends", trouble.false_ends):
            random = self.random("false_ends")
            until_ms = self.now_ms + random.randrange(FALSE_ENDS_MS_MAX)
            ended_ms = MINUTE.floor(self.now_ms - random.randrange(10 * MINUTE_MS))
            self._ended_until_ms.setdefault(random.choice(contracts).key, (until_ms, ended_ms))
        return [self._as_ended(contract) if trouble.false_ends else contract for contract in contracts]

    def _as_ended(self, contract: Contract) -> Contract:
        until_ms, ended_ms = self._ended_until_ms.get(contract.key, (0, 0))
        if self.now_ms >= until_ms:
            return contract
        return replace(contract, status="SETTLING", delivery_ms=min(ended_ms, contract.delivery_ms))

    def klines(self, request: KlinesRequest, scale: Scale) -> Reply[list[Bar]]:
        """As REST does, the bar in progress included; all in one scale."""
        used = self._arrived(klines_weight(request.limit))
        self.spent[request.limit] += 1
        series = self._series(request.symbol)
        at_ms = self.now_ms
        if self.hits("stale_rows", self.trouble.stale_rows):
            at_ms -= self.random("stale_rows").randrange(STALE_MS_MAX)
        bars = [] if self._is_empty(request.symbol) else klines(self.world, series, request, at_ms)
        if request.interval is MINUTE:
            never = self.never.get(request.symbol, ())
            bars = [self._as_told(request.symbol, bar) for bar in bars if bar.open_ms not in never]
        for bar in bars:
            scale = scale.widened(bar.scale)
        try:
            return Reply([bar.rescaled(scale) for bar in bars], used)
        except BarError as error:
            raise InvalidAnswer(f"asking the virtual exchange: {error}") from error

    def close(self) -> None:
        """Nothing is held."""

    def _series(self, symbol: str) -> Series:
        series = self.world.series(symbol, self.now_ms)
        if series is None or self.now_ms < series.contract.shown_from_ms:
            raise InvalidSymbol("asking for klines: unknown symbol", status=400, code=-1121, message="Invalid symbol.")
        if series.contract.refuses_klines and self.now_ms >= series.contract.delivery_ms:
            raise SymbolEnded("asking for klines: it has ended", status=400, code=-1122, message="Invalid status.")
        if self.hits("unknown_symbols", self.trouble.unknown_symbols):
            raise InvalidSymbol("asking for klines: unknown today", status=400, code=-1121, message="Invalid symbol.")
        return series

    def _is_empty(self, symbol: str) -> bool:
        """Whether a node answers that has nothing of a symbol."""
        trouble = self.trouble
        if not trouble.empty_rows:
            return False
        if self._empty_until_ms.get(symbol, 0) <= self.now_ms and self.hits("empty_rows", trouble.empty_rows):
            self._empty_until_ms[symbol] = self.now_ms + self.random("empty_rows").randrange(EMPTY_MS_MAX)
        return self.now_ms < self._empty_until_ms.get(symbol, 0)

    def _as_told(self, symbol: str, bar: Bar) -> Bar:
        """A row as REST shows it at present."""
        end_ms, key = bar.open_ms + MINUTE_MS, (symbol, bar.open_ms)
        if end_ms + self.revised_after_ms <= self.now_ms:
            return bar
        if end_ms <= self.now_ms and not bar.is_empty and self.hits("changed_rows", self.trouble.changed_rows):
            self.wrong.setdefault(key, wrong(bar))
        return self.wrong.get(key, bar)

    def _arrived(self, weight: int) -> int:
        """Take in a request; what is used of the minute's weight by now.

        Raises:
            ExchangeError
        """
        if self._is_away or (self.trouble.rest_outages and self.now_ms < self._rest_away_until_ms):
            raise Unreachable("asking the virtual exchange: nobody is there")
        try:
            self._meter.charge(self.now_ms, weight)
        except ApiError as error:
            text = f"asking the virtual exchange: {error}"
            raise (RateLimited if error.status == TOO_MANY_REQUESTS else Banned)(text) from error
        used = self._meter.used(self.now_ms)
        if self.hits("limits", self.trouble.limits):
            if self.random("limits").random() < 0.5:
                raise RateLimited("asking the virtual exchange: got HTTP 429", retry_after_s=3, used_weight=used)
            text, until_ms = "asking the virtual exchange: got HTTP 418", self.now_ms + 2 * MINUTE_MS
            raise Banned(text, until_ms=until_ms, left_s=2 * MINUTE_MS / 1_000, used_weight=used)
        if self.hits("rest_errors", self.trouble.rest_errors):
            kinds: list[type[ExchangeError]] = [ServerFault, ServerFault, Unreachable, InvalidAnswer, Blocked]
            raise self.random("rest_errors").choice(kinds)("asking the virtual exchange: it failed")
        return used

    # --- what is sent

    def _send(self, series: Series, update: Update) -> None:
        symbol = series.contract.symbol
        if not series.contract.onboard_ms <= self.now_ms or self._is_away:
            return
        bar = self.world.partial(symbol, update.open_ms, update.state_ms)
        if bar is None or (update.closed and bar.is_empty and not self._tells_empty(symbol, bar)):
            return
        trouble = self.trouble
        is_lost = ("missing_finals", trouble.missing_finals) if update.closed else ("lost_frames", trouble.lost_frames)
        if self.hits(*is_lost):
            return
        if update.closed and not bar.is_empty and self.hits("wrong_finals", trouble.wrong_finals):
            bar = self.wrong[symbol, bar.open_ms] = wrong(bar)
        name = kline_stream(symbol, MINUTE)
        event = kline_event(symbol, MINUTE, bar, closed=update.closed, event_ms=update.due_ms)
        frame = msgspec.json.encode({"stream": name, "data": event})
        for connection in self._connections:
            if name in connection.publisher.names:
                self._deliver(connection, frame)

    def _tells_empty(self, symbol: str, bar: Bar) -> bool:
        return self.world.plan.empty_minute_finals and bar.open_ms not in self.never.get(symbol, ())

    def _deliver(self, connection: VirtualConnection, frame: bytes) -> None:
        trouble = self.trouble
        if self.hits("damaged_frames", trouble.damaged_frames):
            frame = damaged(frame, self.random("damaged_frames"))
        for _ in range(2 if self.hits("doubled_frames", trouble.doubled_frames) else 1):
            if self.hits("late_frames", trouble.late_frames):
                due_ms = self.now_ms + self.random("late_frames").randrange(30 * SECOND_MS)
                heapq.heappush(self._late, _Parcel(due_ms, next(self._numbers), connection, frame))
            else:
                connection.deliver(frame)

    def _is_deaf(self, _: str) -> bool:
        return self.hits("deaf_streams", self.trouble.deaf_streams)

    # --- chance

    def hits(self, fault: str, probability: float) -> bool:
        """Whether a fault happens now; it is counted then. Nothing is drawn for what cannot be."""
        if probability <= 0 or self.random(fault).random() >= probability:
            return False
        self.faults[fault] += 1
        if self.note is not None:
            self.note(fault.replace("_", " "))
        return True

    def random(self, fault: str) -> Random:
        """The chance of one kind of fault."""
        if fault not in self._randoms:
            self._randoms[fault] = Random(f"{self._seed}/{fault}")
        return self._randoms[fault]

    def _pick(self, connections: list[VirtualConnection], fault: str) -> VirtualConnection:
        return self.random(fault).choice(connections)


def wrong(bar: Bar) -> Bar:
    """Another bar of the same minute: one trade too many, at higher and lower prices.

    Not of an empty one: trades that the exchange has forgotten afterwards would be kept, on purpose.
    """
    return bar._replace(high=bar.high + 3, low=bar.low - 1, volume=bar.volume + 1, trades=bar.trades + 1)


def truth_of(world: World, key: ContractKey) -> Series:
    """The exchange's own minutes of a contract, whatever came of its symbol later."""
    return next(one for one in world.all_series[key.symbol] if one.contract.onboard_ms == key.onboard_ms)


def _every_series(world: World) -> Iterator[Series]:
    return itertools.chain.from_iterable(world.all_series.values())
