"""The supervisor: starts, watches, restarts and stops all other actors, and tells them the time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from actors.messages import (
    Beat,
    Begin,
    ChildCrashed,
    ChildEnded,
    ChildSpec,
    PairStarted,
    Report,
    StartChild,
    StartPair,
    StatusMade,
    StopAll,
    StopChild,
    StopPair,
    Tick,
    TimeObserved,
)
from actors.runtime.cell import Actor, Address, Before, Cell, Crash
from actors.runtime.restarts import RestartBudget, RestartPolicy
from actors.runtime.status import Status
from actors.runtime.threads import Threads
from bars import Contract, ContractKey, ExchangeClock

logger = logging.getLogger(__name__)

BEAT_S = 0.25
STATUS_BEATS = 4
CHILDREN_IN_STEP = 128
"""How many in a row are told the time in the same step. All contracts at once would keep frames waiting for some 50 ms
each second; neighbours stay together, since their bars in progress share the pages of the file."""
STUCK_S = 60.0
"""A turn this long is no turn any more. Time-outs of the network end well before."""
ASLEEP_S = 10.0
"""A supervisor that was not told the time for this long stood still, and everybody with it: a laptop's lid, SIGSTOP."""


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    cell: Cell
    budget: RestartBudget
    phase: int = 0
    """At which step of several it is told the time."""
    revive_at_s: float | None = None
    is_leaving: bool = False
    successor: ChildSpec | None = None


StartOne = Callable[[ChildSpec], Address]


class Parts(Protocol):
    """Which actors there are, and how each is made."""

    def start(self, supervisor: Address, start: StartOne) -> object:
        """Start all but the contracts' pairs; returns what the one who began is to know of them."""

    def start_pair(self, contract: Contract, start: StartOne) -> Address:
        """Start a contract's aggregator and stream; returns the stream."""

    def pair_names(self, key: ContractKey) -> tuple[str, str]:
        """The names of both, in the order in which they stop."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the supervisor is given of the world around it.

    `publish` receives each new status, `give_up` the reason when restarting makes no more sense, `all_ended`
    the end of the last actor.
    """

    threads: Threads
    random: Random
    parts: Parts
    status: Status
    publish: Callable[[dict[str, Any], Tick], None]
    give_up: Callable[[str], None]
    all_ended: Callable[[], None]
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    steps: int = 1
    """How many messages `Beat` make up one beat: telling everybody the time is spread over them."""
    before: Before | None = None


class Supervisor(Actor):
    """Owns the other actors' cells and the exchange's clock."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._children: dict[str, _Child] = {}
        self._clock = ExchangeClock()
        self._now_s = 0.0
        self._awake_since_s = 0.0
        self._steps = 0
        self._restarts = 0
        self._is_stopping = False
        self._leaving: set[str] = set()
        self._leaving_since_s = 0.0
        self._left_behind: set[str] = set()
        self._has_given_up = False

    def receive(self, message: Any) -> Any:
        match message:
            case TimeObserved(exchange_ms, monotonic_s, is_frame):
                self._clock.observe(exchange_ms, monotonic_s, is_frame=is_frame)
            case Beat(monotonic_s):
                self._beat(monotonic_s)
            case Report(section, facts):
                self._wiring.status.report(section, facts)
            case Begin():
                return self._wiring.parts.start(self.me, self._start)
            case StartChild(spec):
                return self._start(spec)
            case StartPair(contract, reply_to):
                if not self._is_stopping:
                    stream = self._wiring.parts.start_pair(contract, self._start)
                    reply_to.tell(PairStarted(contract, stream))
            case StopPair(key):
                for name in self._wiring.parts.pair_names(key):
                    self._stop(name)
            case StopChild(name):
                self._stop(name)
            case ChildCrashed(crash):
                self._crashed(crash)
            case ChildEnded(name):
                self._ended(name)
            case StopAll():
                self._is_stopping = True
                self._stop_next()
            case _:
                return super().receive(message)
        return None

    def _start(self, spec: ChildSpec) -> Address:
        child = self._children.get(spec.name)
        if child is not None:
            if child.is_leaving:
                child.successor = spec
            return child.cell.address
        wiring, tell = self._wiring, self.me.tell
        cell = Cell(
            spec.name,
            spec.make,
            wiring.threads.dispatcher(spec.name, spec.own_thread),
            on_crash=lambda crash: tell(ChildCrashed(crash)),
            on_end=lambda name: tell(ChildEnded(name)),
            before=wiring.before,
        )
        phase = len(self._children) // CHILDREN_IN_STEP % max(1, spec.every_beats * wiring.steps)
        self._children[spec.name] = _Child(spec, cell, RestartBudget(wiring.policy, wiring.random), phase)
        return cell.launch()

    def _stop(self, name: str) -> None:
        child = self._children.get(name)
        if child is not None:
            child.is_leaving, child.successor = True, None
            child.cell.request_stop()

    def _crashed(self, crash: Crash) -> None:
        child = self._children.get(crash.name)
        self._restarts += 1
        if child is None or child.cell.life != crash.life or self._is_stopping:
            return
        delay_s = child.budget.crashed(self._now_s)
        if delay_s is None:
            self._give_up(f"{crash.name} crashed too often, last with {crash.error!r}")
            return
        logger.warning("%s begins anew in %.2f s", crash.name, delay_s)
        child.revive_at_s = self._now_s + delay_s

    def _give_up(self, reason: str) -> None:
        if not self._has_given_up:
            self._has_given_up = True
            logger.error("giving up: %s", reason)
            self._wiring.give_up(reason)

    def _beat(self, monotonic_s: float) -> None:
        if monotonic_s - self._now_s > ASLEEP_S:  # or this is the first beat of all
            self._awake_since_s = self._leaving_since_s = monotonic_s
        self._now_s = monotonic_s
        self._steps += 1
        now_ms = self._clock.now_ms(monotonic_s)
        tick = Tick(now_ms, self._clock.observed_ms, monotonic_s)
        if self._is_stopping:
            self._leave_behind_who_hangs()
            return
        self._look_for_stuck()
        steps = self._wiring.steps
        if self._steps % (STATUS_BEATS * steps) == 0:
            self._tell_status(tick)  # before the ticks, which would count as waiting
        for child in list(self._children.values()):
            if child.revive_at_s is not None and child.revive_at_s <= monotonic_s:
                child.revive_at_s = None
                self._revive(child)
            if child.spec.every_beats and (self._steps - child.phase) % (child.spec.every_beats * steps) == 0:
                child.cell.address.tell(tick)

    def _revive(self, child: _Child) -> None:
        child.cell.restart()
        takes_along = child.spec.takes_along
        if takes_along is None:
            return
        for other in self._children.values():
            if other is not child and takes_along(other.spec.name):
                other.revive_at_s = None
                other.cell.restart()

    def _look_for_stuck(self) -> None:
        if self._now_s - self._awake_since_s <= STUCK_S:
            return  # whoever was in a turn when all stood still seems to have been in it all the time
        for cell in self._wiring.threads.unstick(STUCK_S):
            child = self._children.get(cell.name)
            if child is None:
                continue
            logger.error("%s has been busy with one message for %d s: taken for crashed", cell.name, STUCK_S)
            self._restarts += 1
            if child.budget.crashed(self._now_s) is None:
                self._give_up(f"{cell.name} was stuck too often")
            self._revive(child)

    def _tell_status(self, tick: Tick) -> None:
        mailboxes = {child.spec.name: child.cell.waiting for child in self._children.values()}
        status = self._wiring.status.made(tick, restarts=self._restarts, mailboxes=mailboxes)
        self._wiring.publish(status, tick)
        writer = self._children.get("writer")
        if writer is not None and tick.now_ms is not None:
            writer.cell.address.tell(StatusMade(self._wiring.status.encoded(status), tick.now_ms))

    def _ended(self, name: str) -> None:
        child = self._children.pop(name, None)
        if child is not None:
            self._wiring.threads.release(name)
            if child.successor is not None and not self._is_stopping:
                self._start(child.successor)
        self._leaving.discard(name)
        if self._is_stopping and not self._leaving:
            self._stop_next()

    def _stop_next(self) -> None:
        """Stop those that come first in the order of stopping; the next when all of them have ended."""
        staying = [child for name, child in self._children.items() if name not in self._left_behind]
        if not staying:
            self._wiring.all_ended()
            return
        first = min(child.spec.stops_with for child in staying)
        leaving = [child for child in staying if child.spec.stops_with == first]
        self._leaving = {child.spec.name for child in leaving}
        self._leaving_since_s = self._now_s
        for child in leaving:
            child.cell.request_stop()

    def _leave_behind_who_hangs(self) -> None:
        """Go on without those that have had their time to end; each ends by itself when it can."""
        waited_s = self._now_s - self._leaving_since_s
        late = {name for name in self._leaving if self._children[name].spec.ends_within_s < waited_s}
        if late:
            logger.warning("stopping without waiting any longer for %s", ", ".join(sorted(late)))
            self._left_behind |= late
            self._leaving -= late
            if not self._leaving:
                self._stop_next()
