"""What is read from the database."""

from __future__ import annotations

from typing import NamedTuple

from bars import Bar, Contract, ContractKey, Interval, Scale, Span
from bars.gaps import Hole
from bars.ledger import Reason, State
from storage.changes import Origin


class ContractRecord(NamedTuple):
    """A contract as stored, and the scale its bars had when it was read; it may have widened since."""

    id: int
    contract: Contract
    scale: Scale

    @property
    def key(self) -> ContractKey:
        return self.contract.key


class StoredBar(NamedTuple):
    """A bar with what is known of it. One that is not closed is in progress."""

    bar: Bar
    closed: bool
    origin: Origin
    verified: bool


class BarAt(NamedTuple):
    """A contract's closed bar of some time; None where it is still to come."""

    record: ContractRecord
    bar: StoredBar | None


class BarsAsOf(NamedTuple):
    """Bars as they stood at the close of a past minute."""

    closed: list[StoredBar]
    """Ascending."""
    partial: StoredBar | None
    """The bar that was in progress then, and follows; None where none was, or where it was not asked for."""
    holes: list[Hole]
    """Why it is lacking, if it is: bars that are neither held nor known not to exist. Its place is left free."""


class Seed(NamedTuple):
    """Closed bars that tile from the week's start to some minute, ascending, and what is missing between them."""

    bars: list[Bar]
    holes: list[Hole]


class UnverifiedMinutes(NamedTuple):
    """A contract that has minutes which were not compared with the exchange yet: from `first_ms` on, some or all."""

    record: ContractRecord
    first_ms: int
    last_ms: int
    """The newest closed minute."""


class Gap(NamedTuple):
    """A span of one series without bars, or without trades by a pause of the exchange, and why."""

    key: ContractKey
    interval: Interval
    span: Span
    """Half-open, in whole buckets."""
    reason: Reason
    state: State
    since_ms: int
    """Since when it is known, or when it began."""


class SeriesSummary(NamedTuple):
    """One contract's closed bars of one stored interval.

    `gaps` counts the buckets between the first and the last (open times) that are neither stored nor known
    to be absent at the exchange.
    """

    key: ContractKey
    interval: Interval
    first_ms: int
    last_ms: int
    bars: int
    gaps: int


class Glance(NamedTuple):
    """One contract. Prices and volumes count units of `scale`; what no bar tells is None.

    All but `last` is of the last 24 hours, from the start of a minute on, as far as bars are held.
    """

    scale: Scale
    last: int | None
    open: int | None
    """The price 24 hours ago, or at the first bar since."""
    high: int | None
    low: int | None
    volume: int
    quote_volume: int
    trades: int
    minutes: int
    """How many minutes the bars found span: with the one in progress 1,441, where nothing is missing."""
