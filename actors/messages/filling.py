"""What is asked of backfill and answered by it: history, spans for clients, rows to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.runtime.cell import Address
from bars import Bar, Contract, ContractKey, Interval, Span


@dataclass(frozen=True, slots=True)
class KeepHistory:
    """Fetch the history of a contract that is not there yet."""

    contract: Contract


@dataclass(frozen=True, slots=True)
class FillHole:
    """A stream has gone on without these minutes, which `asked` answers of REST did not have."""

    contract: Contract
    span: Span
    asked: int = 0


@dataclass(frozen=True, slots=True)
class SpanWanted:
    """A client waits for closed bars of a stored interval, `patience_s` at most.

    `reply` is called once, by whatever thread: with None when they are stored, else with the reason.
    """

    key: ContractKey
    interval: Interval
    spans: Sequence[Span]
    patience_s: float
    reply: Callable[[str | None], object]


@dataclass(frozen=True, slots=True)
class FetcherReady:
    """A fetcher began (None), or answers a `Hello`: all that it was told before is done."""

    fetcher: Address
    hello: Hello | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Hello:
    """Backfill asks a fetcher to answer, with this very message, once it has done what it was told before."""


@dataclass(frozen=True, slots=True)
class RowsWanted:
    """The reconciler wants to compare these minutes, all of which are over; answered with one of the next two."""

    contract: Contract
    span: Span
    reply_to: Address


@dataclass(frozen=True, slots=True)
class RowsFetched:
    """The closed minutes that REST has for the span that was asked; `weight_limit` is the exchange's, per minute."""

    key: ContractKey
    bars: Sequence[Bar]
    asked: Span
    weight_limit: int


@dataclass(frozen=True, slots=True)
class RowsFailed:
    """`is_refused`: asking again soon makes no sense."""

    key: ContractKey
    is_refused: bool


@dataclass(frozen=True, slots=True)
class MinutesRepaired:
    """Closed minutes in the database were wrong or missing, and are as given here now, or will be after what was
    sent to the writer before."""

    key: ContractKey
    bars: Sequence[Bar]
