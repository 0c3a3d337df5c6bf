"""What waits for the disk, and how much of it at most. No actor in here."""

from __future__ import annotations

from collections.abc import Iterable

from bars import MINUTE, ContractKey, Span
from bars.ledger import Reason
from storage import Change, ClosedBars, ContractsSeen, GapNoted, PartialBars

LIVE_BARS_MAX = 100_000
"""More closed bars than this that came live do not wait: those of 1,000 contracts in 80 minutes, 760 bytes each, 76 MB.
REST has them all, and tells 99 minutes of a contract for a weight of 1."""
KEPT_PERMILLE = 900
"""How much of that is kept when there is too much: little enough that it is looked through seldom."""


class Waiting:
    """Changes in the order they came; of partial bars the newest of each contract.

    Of closed bars that came live the oldest are dropped beyond `live_bars_max`. What backfill and the reconciler have
    fetched stays: they wait for it, and fetch no more meanwhile. Dropped bars are holes like any other once something
    is stored again, and noted as time that we missed.
    """

    def __init__(self, live_bars_max: int = LIVE_BARS_MAX) -> None:
        self.changes: list[Change] = []
        self.bars = 0
        """How many closed bars wait."""
        self.dropped = 0
        """How many were dropped, since the beginning."""
        self._live_bars = 0
        self._live_bars_max = live_bars_max
        self._partials: dict[ContractKey, PartialBars] = {}
        self._missed: Span | None = None

    @property
    def has_missed(self) -> bool:
        """Whether bars were dropped since the last commit."""
        return self._missed is not None

    def collect(self, changes: Iterable[Change]) -> None:
        """Take in what is to be stored."""
        for change in changes:
            match change:
                case PartialBars():
                    self._collect_partial(change)
                    continue
                case ClosedBars():
                    self._count(change, 1)
                case ContractsSeen(only_new=False):
                    change = self._newest_of(change)
            self.changes.append(change)
        if self._live_bars > self._live_bars_max:
            self._drop(self._live_bars - self._live_bars_max * KEPT_PERMILLE // 1_000)

    def all(self) -> list[Change]:
        """All that is to be committed, together."""
        changes = [*self.changes, *self._partials.values()]
        if self._missed is not None:
            changes.append(GapNoted(None, MINUTE, self._missed, Reason.DOWNTIME, self._missed.stop_ms))
        return changes

    def committed(self) -> None:
        """Nothing waits any more."""
        self.changes, self._partials, self._missed = [], {}, None
        self.bars = self._live_bars = 0

    def leave_out(self, key: ContractKey) -> None:
        """Forget what waits of one contract."""
        self.changes = [without for change in self.changes if (without := _without(change, key)) is not None]
        self._partials.pop(key, None)
        self.bars = self._live_bars = 0
        for change in self.changes:
            if isinstance(change, ClosedBars):
                self._count(change, 1)

    def _collect_partial(self, change: PartialBars) -> None:
        """Keep what began with this minute until it is committed: it is told only once."""
        before = self._partials.get(change.key)
        if before is not None and not change.begun and _minute_ms(before) == _minute_ms(change):
            change = change._replace(begun=before.begun)
        if before is not None and before.unknown:
            change = change._replace(unknown=list(dict.fromkeys([*before.unknown, *change.unknown])))
        self._partials[change.key] = change

    def _newest_of(self, listed: ContractsSeen) -> ContractsSeen:
        """A listing together with what only earlier ones say, in the place of them all: one comes every 5 minutes."""
        earlier = [one for one in self.changes if isinstance(one, ContractsSeen) and not one.only_new]
        if not earlier:
            return listed
        self.changes = [one for one in self.changes if not isinstance(one, ContractsSeen) or one.only_new]
        contracts = {contract.key: contract for one in (*earlier, listed) for contract in one.contracts}
        frames = [one.frame for one in (*earlier, listed) if one.frame is not None]
        return ContractsSeen(list(contracts.values()), frames[-1] if frames else None)

    def _drop(self, surplus: int) -> None:
        kept: list[Change] = []
        for change in self.changes:
            if surplus <= 0 or not isinstance(change, ClosedBars) or not _is_live(change):
                kept.append(change)
                continue
            for bar in change.bars:
                self._miss(Span(bar.open_ms, change.interval.next_open(bar.open_ms)))
            surplus -= len(change.bars)
            self.dropped += len(change.bars)
            self._count(change, -1)
        self.changes = kept

    def _count(self, change: ClosedBars, sign: int) -> None:
        self.bars += sign * len(change.bars)
        if _is_live(change):
            self._live_bars += sign * len(change.bars)

    def _miss(self, span: Span) -> None:
        missed = self._missed or span
        self._missed = Span(min(missed.start_ms, span.start_ms), max(missed.stop_ms, span.stop_ms))


def _is_live(change: ClosedBars) -> bool:
    """Whether it came live, or was made of that: what is fetched is verified, or tells what is absent."""
    return not change.verified and not change.absent


def _minute_ms(partials: PartialBars) -> int | None:
    return next((bar.open_ms for interval, bar in partials.bars if interval is MINUTE), None)


def _without(change: Change, key: ContractKey) -> Change | None:
    """What is left of a change without a contract."""
    match change:
        case ContractsSeen(contracts):
            return change._replace(contracts=[contract for contract in contracts if contract.key != key])
        case ClosedBars() | PartialBars() if change.key == key:
            return None
    return change
