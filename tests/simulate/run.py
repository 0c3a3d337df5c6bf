"""One seed from its first beat to the last check."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from random import Random

from actors.messages import Subscribe
from bars import MINUTE, MINUTE_MS, ContractKey
from bars.contract import PERPETUAL_TYPES
from bars.history import within
from bars.interval import HOUR_MS
from exchange.simulated.world import World
from tests.simulate.checks import Checks, Truth
from tests.simulate.finals import Finals
from tests.simulate.shape import End, Phase, Shape, clock, described, drawn
from tests.simulate.trace import LogLines, Trace
from tests.support.trouble import Trouble
from tests.support.virtual import VirtualSystem
from tests.support.virtual_exchange import VirtualExchange
from wire.names import kline_stream

CALM_SPEED = 120.0
LOOK_EVERY_S = 15 * 60
CALM_MS_MAX = 100 * HOUR_MS
"""When all is well for so long, everything has to be there: a hole is asked for within four days for the last time."""
SHOWN_MAX = 12
LIVE_BARS_MAX = 60
"""So few bars may wait for a full disk, which is full for an hour at most."""
MEMORY = Path("/dev/shm")
QUIET_MS = 10 * MINUTE_MS
LIVELY_PERMILLE, LIVELY_FRAMES = 100, 2
"""Contracts with fewer quiet minutes and more frames have some of a bar in progress within this time."""


@dataclass(slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    failures: list[str] = field(default_factory=list)
    digest: str = ""
    turns: int = 0
    crashes: int = 0
    processes: int = 1
    finals: int = 0
    calm_minutes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0


def replay_command(seed: int) -> str:
    """The command that shows what happened."""
    return f"python -m tests.simulate --seed {seed} --trace"


def simulate(
    seed: int,
    write: Callable[[str], object] | None = None,
    *,
    traced: bool = False,
    without: frozenset[str] = frozenset(),
) -> Outcome:
    """Run one seed.

    Args:
        write: takes the lines of the trace.
        traced: sum the trace up in the outcome's `digest`, even where nobody takes its lines.
        without: kinds of trouble to leave out.
    """
    began_s = time.process_time()
    shape = drawn(seed).without(without)
    trace = Trace(write) if write is not None or traced else None
    with tempfile.TemporaryDirectory(prefix="simulate-", dir=_memory()) as folder, _logging(trace):
        simulation = _Simulation(shape, Path(folder), trace)
        try:
            simulation.run()
        except Exception as error:
            simulation.outcome.failures.append(f"{type(error).__name__}: {error}")
            if write is not None:
                raise
        finally:
            simulation.close()
    simulation.outcome.cpu_s = time.process_time() - began_s
    return simulation.outcome


class _Simulation:
    def __init__(self, shape: Shape, folder: Path, trace: Trace | None) -> None:
        self.outcome = Outcome(shape.seed)
        self._shape = shape
        self._folder = folder
        self._trace = trace
        self._world = World(shape.plan)
        self._exchange = VirtualExchange(self._world, Random(f"{shape.seed}/exchange"), shape.never)
        self._exchange.revised_after_ms = shape.revised_after_ms
        self._relisted = _relisted(shape, self._world)
        self._finals = Finals(shape.never, self._relisted)
        if trace is not None:
            self._exchange.note = trace.fault
            trace.now = self._now
            for line in described(shape):
                trace.event(line)
        self._begin(folder / "1.db")

    def run(self) -> None:
        for phase in self._shape.phases:
            self._live_through(phase)
        self._event("the troubles are over")
        self._exchange.trouble = Trouble()
        self._system.turns.release(float("inf"))
        over_ms = self._exchange.now_ms
        pending = self._calm_down(over_ms)
        self._finish(pending, over_ms)

    def close(self) -> None:
        self._system.dispose()

    # --- phases

    def _live_through(self, phase: Phase) -> None:
        exchange, system = self._exchange, self._system
        exchange.trouble = phase.trouble
        last_turn = system.turns.taken + phase.turns
        for _ in range(phase.beats):
            if system.turns.taken >= last_turn:
                break
            system.beat(last_turn)
        if phase.end is not End.GO_ON:
            self._end(phase)

    def _end(self, phase: Phase) -> None:
        system, path = self._system, self._folder / f"{self.outcome.processes + 1}.db"
        self._event(f"the process {phase.end.value}; the next begins {phase.away_ms // 1_000} s later")
        if phase.end is End.STOPPED:
            system.stop()
            path = system.path
            if not system.has_ended:
                self._fail("stopping came to no end")
            self._take_account()
            system.dispose()
        else:
            self._take_account()
            system.kill(path, is_torn=phase.end is End.TORN)
        self._exchange.trouble = Trouble()
        self._exchange.advance(self._exchange.now_ms + phase.away_ms)
        self.outcome.processes += 1
        self._begin(path)

    def _begin(self, path: Path) -> None:
        seed = f"{self._shape.seed}/{self.outcome.processes}"
        self._finals = Finals(self._shape.never, self._relisted)
        system = self._system = VirtualSystem(
            self._exchange,
            path,
            seed,
            speed=self._shape.speed,
            trace=self._told,
            live_bars_max=LIVE_BARS_MAX,
            **self._shape.options,
        )
        self._is_subscribed = False
        while self._shape.is_watched and not self._is_subscribed:
            system.turns.step()
            if system.is_started:
                system.hub.tell(Subscribe("simulation", self._finals.deliver, None, None))
                self._is_subscribed = True

    def _calm_down(self, over_ms: int) -> str | None:
        """Let time pass until nothing is under way; what then still is."""
        exchange, system = self._exchange, self._system
        system.speed = max(CALM_SPEED, self._shape.speed)
        compared_until_ms = over_ms if self._shape.tells_wrong else 0
        while True:
            system.run(LOOK_EVERY_S)
            pending = self._checks().unsettled(self._wanted(), compared_until_ms)
            if pending is None and self._is_subscribed:
                late = self._finals.late(self._trading(), exchange.now_ms - QUIET_MS)
                pending = late or self._finals.held_back(system.unheard)
            if pending is None or exchange.now_ms - over_ms > CALM_MS_MAX:
                return pending
            self._event(f"not yet: {pending}")

    def _wanted(self) -> list[ContractKey]:
        """The contracts whose bars we are to have: those that trade, and those of which we have heard."""
        symbols = self._shape.options.get("symbols")
        known = {record.key for record in self._system.reader.contracts()}
        keys = []
        for contract in self._shape.plan.contracts:
            key = ContractKey(contract.symbol, contract.onboard_ms)
            is_chosen = symbols is not None or contract.contract_type in PERPETUAL_TYPES
            is_live = contract.first_ms <= self._exchange.now_ms < contract.delivery_ms
            is_last = Truth(self._world, {}).successor_ms(key) is None
            if (
                is_chosen
                and is_last
                and (is_live or (key in known and not contract.refuses_klines and self._has_bars(key)))
            ):
                keys.append(key)
        return keys

    def _trading(self) -> list[ContractKey]:
        """Contracts that are to be kept and have traded for some time."""
        symbols, now_ms = self._shape.options.get("symbols"), self._exchange.now_ms
        return [
            ContractKey(one.symbol, one.onboard_ms)
            for one in self._shape.plan.contracts
            if one.first_ms < now_ms - HOUR_MS
            and now_ms < one.delivery_ms
            and (symbols is not None or one.contract_type in PERPETUAL_TYPES)
        ]

    def _lively(self) -> list[ContractKey]:
        """Contracts of which bars in progress come all the time."""
        since_ms = self._exchange.now_ms - 2 * QUIET_MS
        if any(halt.stop_ms > since_ms for halt in self._shape.plan.halts):
            return []
        return [
            ContractKey(one.symbol, one.onboard_ms)
            for one in self._shape.plan.contracts
            if one.quiet_permille < LIVELY_PERMILLE
            and min(one.trades_per_minute, one.frames_per_minute) > LIVELY_FRAMES
            and self._exchange.is_served(kline_stream(one.symbol, MINUTE), since_ms)
        ]

    def _has_bars(self, key: ContractKey) -> bool:
        return any(one.key == key for one in self._system.reader.series())

    # --- checks

    def _checks(self) -> Checks:
        settings = self._system.settings
        truth = Truth(self._world, self._shape.never)
        depths = within(settings.history, settings.keep)
        return Checks(self._system.reader, truth, depths, self._exchange.now_ms)

    def _finish(self, pending: str | None, over_ms: int) -> None:
        system, outcome = self._system, self.outcome
        checks = self._checks()
        if pending is not None:
            self._fail(f"after {(self._exchange.now_ms - over_ms) // HOUR_MS} h without trouble: {pending}")
        if any(checks.wrong_partials()):  # a minute may have been repaired just now: they begin anew then
            system.run(LOOK_EVERY_S)
            checks = self._checks()
        partials = [*checks.wrong_partials(), *self._finals.silent(self._lively(), self._exchange.now_ms - QUIET_MS)]
        system.stop()
        if not system.has_ended:
            self._fail("stopping came to no end")
        checks = self._checks()
        failures = chain(
            partials, checks.wrong_bars(), checks.unexplained(), checks.broken_books(system.path), self._overspent()
        )
        for failure in islice(failures, SHOWN_MAX):
            self._fail(failure)
        self._take_account()
        outcome.calm_minutes = (self._exchange.now_ms - over_ms) // MINUTE_MS
        outcome.faults = self._exchange.faults
        outcome.digest = "" if self._trace is None else self._trace.digest

    def _take_account(self) -> None:
        """Of a process that has ended."""
        system, outcome = self._system, self.outcome
        for _, message in system.turns.waiting():
            self._finals.on_message(message)
        outcome.turns += system.turns.taken
        outcome.crashes += system.crashes
        outcome.finals += self._finals.count
        for reason in system.gave_up:
            self._fail(f"it gave up: {reason}")
        left_out = self._finals.left_out(system.unheard, is_much_lost=system.is_much_lost)
        for failure in islice(chain(self._finals.wrong, left_out), SHOWN_MAX):
            self._fail(failure)

    def _overspent(self) -> Iterator[str]:
        allowed = self._shape.plan.limits.weight_per_minute // 2
        for minute_ms, weight in self._exchange.weights.items():
            if weight > allowed:
                yield f"weight {weight} of {allowed} was used in the minute {clock(minute_ms)}"

    def _fail(self, text: str) -> None:
        self.outcome.failures.append(text)
        self._event(f"FAILED: {text}")

    def _told(self, name: str, message: object) -> None:
        self._finals.on_message(message)
        if self._trace is not None:
            self._trace.message(name, message)

    def _event(self, text: str) -> None:
        if self._trace is not None:
            self._trace.event(text)

    def _now(self) -> str:
        system: VirtualSystem | None = getattr(self, "_system", None)
        turn, now_s = (0, 0.0) if system is None else (system.turns.taken, system.now_s)
        return f"{turn:6} {clock(self._exchange.now_ms):12} {now_s:9.3f}"


def _relisted(shape: Shape, world: World) -> frozenset[ContractKey]:
    keys = (ContractKey(contract.symbol, contract.onboard_ms) for contract in shape.plan.contracts)
    return frozenset(key for key in keys if Truth(world, shape.never).successor_ms(key) is not None)


def _memory() -> Path | None:
    """A folder in memory where there is one: waiting for a disk takes longer than all else, and proves nothing here."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None


@contextmanager
def _logging(trace: Trace | None) -> Iterator[None]:
    """Log into the trace, or not at all: formatting thousands of tracebacks takes longer than all else."""
    logger = logging.getLogger("actors")
    before = logger.handlers, logger.propagate, logger.level, logging.root.manager.disable
    logger.handlers, logger.propagate = [], False
    if trace is None:
        logging.disable(logging.CRITICAL)
    else:
        logger.handlers = [LogLines(trace)]
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate, level, disabled = before
        logger.setLevel(level)
        logging.disable(disabled)
