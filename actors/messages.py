"""Everything that actors tell each other. Commands are imperative, facts are in the past tense.

Two kinds come from below and are sent as they are: a `KlineEvent` from a feed to its symbol's stream, and
the storage's changes inside `Store`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.runtime.cell import Address, Crash
from bars import Bar, Contract, ContractKey, Interval, IntervalBar, Span
from storage import Change
from wire.exchange_info import ExchangeInfo
from wire.frames import KlineEvent
from wire.published import Deliver

# --- time and life


@dataclass(frozen=True, slots=True)
class Begin:
    """Start all parts; answered with the `Entrances`."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The metronome struck, once in each step of a beat; `monotonic_s` is the local monotonic clock."""

    monotonic_s: float


@dataclass(frozen=True, slots=True)
class TimeObserved:
    """The exchange named its time."""

    exchange_ms: int
    monotonic_s: float


@dataclass(frozen=True, slots=True)
class Tick:
    """What time it is: on the exchange (estimated, and as last named by it; None before the first), and here."""

    now_ms: int | None
    observed_ms: int | None
    monotonic_s: float


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to make one actor, and who falls and rises with it.

    `own_thread`: it blocks. `every_beats`: how often it is told a `Tick`; 0 for never. `stops_with`: its
    place in the order of stopping, sources first; `ends_within_s`: how long the others wait for it then.
    `takes_along`: after a crash, the actors for whose names
    this is true start anew as well.
    """

    name: str
    make: Callable[[], Any]
    own_thread: bool = False
    every_beats: int = 1
    stops_with: int = 0
    ends_within_s: float = 15.0
    takes_along: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start it, unless one of that name lives; one that is about to stop ends before. An ask is answered with
    the address of the one that lives."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class StopChild:
    name: str


@dataclass(frozen=True, slots=True)
class ChildCrashed:
    crash: Crash


@dataclass(frozen=True, slots=True)
class ChildEnded:
    name: str


@dataclass(frozen=True, slots=True)
class StopAll:
    """Stop everything in the order of the data's flow, each part after what feeds it has ended."""


@dataclass(frozen=True, slots=True)
class Report:
    """Facts for the status page, replacing those the reporter sent before."""

    section: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StatusMade:
    """The whole status, to be stored beside the bars."""

    status: str
    exchange_ms: int


# --- contracts


@dataclass(frozen=True, slots=True)
class ContractsWanted:
    """Ask the exchange which contracts there are."""

    reply_to: Address


@dataclass(frozen=True, slots=True)
class ContractsFetched:
    """What the exchange lists; `stored` are those known from before."""

    info: ExchangeInfo
    stored: Sequence[Contract] = ()


@dataclass(frozen=True, slots=True)
class ContractsFailed:
    """The exchange did not say; `stored` are those known from before."""

    reason: str
    stored: Sequence[Contract]


@dataclass(frozen=True, slots=True)
class StartPair:
    """Start the stream and the aggregator of a contract; answered with `PairStarted`, running or not."""

    contract: Contract
    reply_to: Address


@dataclass(frozen=True, slots=True)
class PairStarted:
    contract: Contract
    stream: Address


@dataclass(frozen=True, slots=True)
class StopPair:
    key: ContractKey


@dataclass(frozen=True, slots=True)
class PairFinished:
    """The contract's last minute was passed on."""

    key: ContractKey


@dataclass(frozen=True, slots=True)
class ContractChanged:
    contract: Contract


@dataclass(frozen=True, slots=True)
class SymbolState:
    """A stream went over into another state: `starting`, `live`, `late`."""

    key: ContractKey
    state: str


# --- feeds


@dataclass(frozen=True, slots=True)
class Carry:
    """A contract's frames are to reach `stream`; a feed is told all of its own at once, by stream name."""

    streams: Mapping[str, Address]


@dataclass(frozen=True, slots=True)
class Drop:
    """Nobody wants these streams any more."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class FeedWaiting:
    """A feed has no connection, and would like one."""

    name: str
    feed: Address
    reason: str
    lived_s: float


@dataclass(frozen=True, slots=True)
class Connect:
    """A feed may connect now."""


@dataclass(frozen=True, slots=True)
class Receive:
    """A feed's note to itself: read what has come, then note this again."""


@dataclass(frozen=True, slots=True)
class FeedSettled:
    """A feed's requests are answered and frames flow."""

    name: str


@dataclass(frozen=True, slots=True)
class FeedStats:
    """What one feed has seen since its start."""

    name: str
    state: str
    streams: int
    proved: int
    frames: int
    garbage: int
    last_frame_s: float | None


@dataclass(frozen=True, slots=True)
class GarbageSeen:
    """Something came that is no bar. Counted, and logged once a minute at most."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class FeedStarted:
    """A feed begins, and wants to be told whether anybody listens."""

    feed: Address


@dataclass(frozen=True, slots=True)
class Listening:
    """Whether anybody waits for what comes, so that milliseconds count."""

    anybody: bool


# --- minutes


@dataclass(frozen=True, slots=True)
class ResumeWanted:
    """A stream asks where to go on: where the stored minutes of its contract end, or, where that was earlier, the
    minutes that subscribers were told of, the last of which is `final_ms`."""

    key: ContractKey
    reply_to: Address
    final_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with the minute that opens at `next_ms`; None: with the first that comes."""

    next_ms: int | None


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
    event_ms: int
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


# --- history


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
    hello: object | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """Backfill asks a fetcher to answer once it has done what it was told before; `token` tells one from the other."""

    token: object


# --- comparing


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
    """`is_refused`: there is no sense in asking soon again."""

    key: ContractKey
    is_refused: bool


@dataclass(frozen=True, slots=True)
class MinutesRepaired:
    """Closed minutes in the database were wrong or missing, and are as given here now, or will be after what was
    sent to the writer before."""

    key: ContractKey
    bars: Sequence[Bar]


# --- storing and publishing


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
    """A stream or an aggregator begins, and wants to be told what is watched."""

    key: ContractKey
    member: Address


@dataclass(frozen=True, slots=True)
class Watched:
    """Subscribers listen to these intervals: tell the hub of every change, not only of closed bars.

    `final_ms` is the newest minute of the contract until which all finals went out, in this process.
    """

    intervals: frozenset[Interval]
    final_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BarsPublished:
    """Bars of one contract as they are now; `closed` ones are final. `said`: the frame that was the cause, if any.

    `is_history`: what completed them did not come live. They are news only where all live minutes before their end
    have been told of; else the minute that ends them will come, and they with it.
    """

    key: ContractKey
    bars: Sequence[IntervalBar]
    closed: bool
    said: KlineEvent | None = field(default=None, compare=False, repr=False)
    is_history: bool = False


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
