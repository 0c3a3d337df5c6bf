"""A contract's minutes, from its stream on; and what they begin from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.runtime.cell import Address
from bars import Bar, Contract, ContractKey, Span
from wire.frames import KlineEvent


@dataclass(frozen=True, slots=True)
class ResumeWanted:
    """A stream asks where to go on: where the stored minutes of its contract end, or, where that was earlier, the
    minutes that subscribers were told of, the last of which is `final_ms`. `life` comes back with the answer."""

    key: ContractKey
    reply_to: Address
    final_ms: int | None = None
    life: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with the minute that opens at `next_ms`; None: with the first that comes. `life` is the one that asked."""

    next_ms: int | None
    life: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class MinutesWanted:
    """A stream lacks closed minutes that should be over."""

    contract: Contract
    span: Span
    reply_to: Address


@dataclass(frozen=True, slots=True)
class MinutesFetched:
    """The closed minutes that REST has for the span that was asked."""

    bars: Sequence[Bar]
    asked: Span


@dataclass(frozen=True, slots=True)
class MinutesFrom:
    """The first minute that will come opens at `open_ms`."""

    open_ms: int


@dataclass(frozen=True, slots=True)
class MinuteProgressed:
    """`said`: the frame that it comes from, for those who listen."""

    bar: Bar
    said: KlineEvent | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MinuteClosed:
    """`said`: the frame that closed it, if one did."""

    bar: Bar
    by_rest: bool
    said: KlineEvent | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MinuteRevised:
    """A closed minute turned out to be different."""

    bar: Bar
    by_rest: bool


@dataclass(frozen=True, slots=True)
class SeedWanted:
    """An aggregator lacks the beginning of its buckets up to `stop_ms`."""

    contract: Contract
    stop_ms: int
    reply_to: Address


@dataclass(frozen=True, slots=True)
class Seeded:
    """Closed bars that tile from the week's start to `stop_ms`."""

    bars: Sequence[Bar]
    stop_ms: int
