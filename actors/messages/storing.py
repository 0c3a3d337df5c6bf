"""What is to be stored, and what subscribers are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.runtime.cell import Address
from bars import ContractKey, Interval, IntervalBar
from storage import Change
from wire.frames import KlineEvent
from wire.published import Deliver


@dataclass(frozen=True, slots=True)
class Store:
    """Commit these changes together. `acknowledge` is told `Stored(ticket)` afterwards.

    `at_once`: somebody waits, so do not collect more before.
    """

    changes: Sequence[Change]
    acknowledge: Address | None = None
    ticket: object = None
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    ticket: object


@dataclass(frozen=True, slots=True)
class PairMemberStarted:
    """A stream or an aggregator begins, and wants to be told what is watched.

    `life` comes back with the answer: a life that asks where to go on is not to believe what a former one was told.
    """

    key: ContractKey
    member: Address
    life: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Watched:
    """Subscribers listen to these intervals: tell the hub of every change, not only of closed bars.

    `final_ms` is the newest minute of the contract until which all finals went out, in this process; `life` the
    one that asked.
    """

    intervals: frozenset[Interval]
    final_ms: int | None = None
    life: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class BarsPublished:
    """Bars of one contract as they are now; `closed` ones are final. `said`: the frame that was the cause, if any.

    `by_rest`: REST said so of the minute among them.
    `is_leap`: the minute before may never have been told of, and will not be.
    `is_history`: what completed them did not come live. They are news only where all live minutes before their end
    have been told of; else the minute that ends them will come, and they with it.
    """

    key: ContractKey
    bars: Sequence[IntervalBar]
    closed: bool
    said: KlineEvent | None = field(default=None, compare=False, repr=False)
    is_history: bool = False
    is_leap: bool = field(default=False, compare=False)
    by_rest: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Call `deliver` with each bar that matches; None matches all."""

    token: object
    deliver: Deliver
    symbol: str | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    token: object
