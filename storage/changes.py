"""What can be committed, and what a commit reports."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from bars import Bar, Contract, ContractKey, Interval, IntervalBar, Span
from bars.confirmation import split_early
from bars.ledger import Reason
from wire.table import BarTable


class Origin(enum.IntEnum):
    """Where a stored bar comes from."""

    STREAM = 1
    REST = 2
    ARCHIVE = 3
    AGGREGATED = 4
    """Made here from smaller closed bars."""


class ContractsSeen(NamedTuple):
    """What the exchange lists. New contracts are added, known ones (by key) brought up to date, none removed.

    `frame` is the exchangeInfo without its symbols, as JSON; None leaves the stored one. With `only_new` known
    contracts stay as they are: what is told here of them may be older.
    """

    contracts: Sequence[Contract]
    frame: str | None = None
    only_new: bool = False


class ClosedBars(NamedTuple):
    """Closed bars of one series, in any order and any scales.

    With `completes`, the larger stored bars that they complete are made too. Those that were made here of bars that
    change are made anew in any case. With `is_news` the larger ones that end with them are reported, whether made now
    or stored before. `absent` are spans in which the exchange has no bar of this interval that *opens*; one that starts
    at 0 tells when the contract was listed.
    """

    key: ContractKey
    interval: Interval
    bars: Sequence[Bar]
    origin: Origin
    verified: bool = False
    completes: bool = True
    absent: Sequence[Span] = ()
    is_news: bool = False


def bars_of_rest(
    key: ContractKey,
    interval: Interval,
    bars: Sequence[Bar],
    now_ms: int,
    *,
    completes: bool = True,
    absent: Sequence[Span] = (),
) -> list[ClosedBars]:
    """Closed bars as REST told of them at `now_ms`: verified are those that had ended long enough before."""
    settled, early = split_early(bars, interval, now_ms)
    changes = [ClosedBars(key, interval, settled, Origin.REST, verified=True, completes=completes, absent=absent)]
    if early:  # minutes are compared later, and larger bars follow theirs
        changes.append(ClosedBars(key, interval, early, Origin.REST, completes=completes))
    return changes


class LoadedFile(NamedTuple):
    """An archive file: its period as in its name (`2026-06`, `2026-06-05`) and its checksum."""

    period: str
    sha256: str


class ArchivedBars(NamedTuple):
    """Closed bars of one series from the archive, many at once; `file` is remembered as loaded.

    They only fill what is missing, and take the place of bars that were aggregated here: where the archive
    contradicts the stream or REST, REST is right (2025-01-29, 2024-10-28). No larger bars come of those that are new:
    `LargerBars` makes them.
    """

    key: ContractKey
    interval: Interval
    table: BarTable
    file: LoadedFile | None = None


class LargerBars(NamedTuple):
    """Make the larger stored bars that are missing, or were aggregated of other parts, from the stored bars of
    `interval` that open in the half-open `span` and the intervals between."""

    key: ContractKey
    interval: Interval
    span: Span


class BarsDisputed(NamedTuple):
    """The exchange does not confirm these closed bars, by open time. They stay as they are, marked."""

    key: ContractKey
    interval: Interval
    opens_ms: Sequence[int]


class GapsAsked(NamedTuple):
    """The exchange was asked for these holes of one series, and nothing came of it."""

    key: ContractKey
    interval: Interval
    spans: Sequence[Span]
    at_ms: int
    """When, on the exchange's clock."""


class GapNoted(NamedTuple):
    """Why a span has no bars. Without a key it is so for all contracts, in minutes."""

    key: ContractKey | None
    interval: Interval
    span: Span
    reason: Reason
    at_ms: int
    """When that was found out, on the exchange's clock."""


class PausesSeen(NamedTuple):
    """The pauses of the exchange that all stored bars within a span show now. What was taken for one before stays, but
    for parts in which some contract was traded after all."""

    span: Span
    pauses: Sequence[Span]
    at_ms: int
    """When they were looked for, on the exchange's clock."""


class GapsSwept(NamedTuple):
    """Forget what is remembered of holes that are none any more."""


class PartialBars(NamedTuple):
    """The newest state of the bars in progress of one contract; each takes the place of the one before.

    `begun` are larger bars as they were before the newest minute, which is among `bars`: whoever reads adds it, as
    it is then. They need to be given only once for each minute. `unknown` are larger intervals whose bar in progress
    lacks a minute now: what was stored of it would pass for the newest state.
    """

    key: ContractKey
    bars: Sequence[IntervalBar]
    begun: Sequence[IntervalBar] = ()
    unknown: Sequence[Interval] = ()


class ServiceState(NamedTuple):
    """How the data service is: `state` is its own JSON, `committed_at_ms` the local time of the commit."""

    state: str
    exchange_ms: int
    committed_at_ms: int


Change = (
    ContractsSeen
    | ClosedBars
    | ArchivedBars
    | LargerBars
    | BarsDisputed
    | GapsAsked
    | GapNoted
    | PausesSeen
    | GapsSwept
    | PartialBars
    | ServiceState
)


class CompletedBar(NamedTuple):
    """A larger bar that a commit made from smaller ones."""

    key: ContractKey
    closed: IntervalBar


class CommitReport(NamedTuple):
    """How many of the given closed bars were new and how many took another's place; which larger bars were made of
    them, and which end with those that are news."""

    inserted: int
    changed: int
    completed: list[CompletedBar]
    ended: Sequence[CompletedBar] = ()
