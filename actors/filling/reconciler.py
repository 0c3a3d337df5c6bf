"""The reconciler: compares what is stored with the exchange, minute by minute, and keeps the ledger of gaps."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

from actors.filling.growth import Growth
from actors.filling.ledger import LedgerKeeper
from actors.filling.verification import Allowance, due, page, weight_of
from actors.messages import (
    MinutesRepaired,
    Report,
    RowsFailed,
    RowsFetched,
    RowsWanted,
    Store,
    Stored,
    Tick,
)
from actors.runtime.cell import Actor, Address
from bars import COMPARED_AFTER_MS, LARGER, MINUTE, MINUTE_MS, Bar, Comparison, ContractKey, Span, compare
from bars.history import Depth
from bars.interval import DAY_MS, HOUR_MS, Interval
from storage import (
    BarsDisputed,
    Change,
    ClosedBars,
    ContractRecord,
    Origin,
    Reader,
    UnverifiedMinutes,
)
from wire.exchange_info import WEIGHT_LIMIT_DEFAULT
from wire.requests import PAGE_BARS

logger = logging.getLogger(__name__)

LOG_EVERY_S = 60.0
REPORT_EVERY_S = 10.0
LEDGER_EVERY_S = 30.0
REFUSED_REST_MS = HOUR_MS
REFUSED_FOR_GOOD_MS = DAY_MS
"""How long a contract that the exchange refuses to answer for is left alone: nodes may lag while it trades, so that its
minutes do not wait until they are removed; for most that have ended there is never an answer again."""
ASKED_AT_ONCE = 100
"""The minutes of how many contracts may be under way: from the exchange, and to a disk that may be full."""


class Reconciler(Actor):
    """Compares every closed minute with REST once it is old enough, repairs what differs, and counts.

    What remains to be done is read from the database, so that a new life goes on where the last one ended.
    Backfill asks the exchange; the answers come back here. The exchange's later word wins over the stream's,
    but for a row without trades of a minute that had some: that one stays, disputed.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        depths: Mapping[Interval, Depth],
        *,
        writer: Address,
        backfill: Address,
        supervisor: Address,
        directory: Callable[[], Address],
    ) -> None:
        self._open_reader = open_reader
        self._depths = depths
        self._writer = writer
        self._backfill = backfill
        self._supervisor = supervisor
        self._directory = directory
        self._allowance = Allowance()
        self._growth = Growth()
        self._asked: set[ContractKey] = set()
        self._refused_ms: dict[ContractKey, int] = {}
        self._limit = WEIGHT_LIMIT_DEFAULT
        self._minute: int | None = None
        self._observed_ms = 0
        self._counts: Counter[str] = Counter()
        self._unlogged: Counter[str] = Counter()
        self._example = ""
        self._logged_s: float | None = None
        self._reported_s: float | None = None
        self._ledger_s: float | None = None
        self._gaps: dict[str, Any] = {}
        self._held = ExitStack()

    def begin(self) -> None:
        self._reader = self._open_reader()
        self._held.callback(self._reader.close)
        self._ledger = LedgerKeeper(self._reader, self._depths)

    def end(self) -> None:
        self._held.close()

    def receive(self, message: Any) -> None:
        match message:
            case Tick(_, observed_ms, monotonic_s):
                if observed_ms is not None:
                    self._on_tick(observed_ms, monotonic_s)
            case RowsFetched(key, bars, asked, weight_limit):
                self._limit = weight_limit
                if bars:
                    self._compare(key, bars, asked)
                else:  # says nothing of the bars that are stored: some were there once
                    self._leave(key)
            case RowsFailed(key, is_refused):
                if is_refused:
                    self._leave(key)
                else:
                    self._asked.discard(key)
            case Stored(ContractKey() as key):
                self._asked.discard(key)
            case _:
                super().receive(message)

    def _on_tick(self, observed_ms: int, monotonic_s: float) -> None:
        self._observed_ms = max(self._observed_ms, observed_ms)
        self._note(self._ledger.downtime(self._observed_ms))
        minute = self._observed_ms // MINUTE_MS
        before, self._minute = self._minute, minute
        if before is None or minute > before:
            self._allowance.enter(minute, self._limit)
            self._ask(minute - 1 if before is None else before, minute)
            self._note(self._ledger.pauses(self._observed_ms))
            self._note(self._ledger.sweep(self._observed_ms))
        self._log(monotonic_s)
        if self._reported_s is None or monotonic_s - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = monotonic_s
            if self._ledger_s is None or monotonic_s - self._ledger_s >= LEDGER_EVERY_S:
                self._ledger_s = monotonic_s
                self._gaps = self._ledger.counted(self._observed_ms)
            self._report()

    # --- comparing

    def _ask(self, after_minute: int, now_minute: int) -> None:
        """Whose turn it is, as far as the weight goes; who has to wait lags behind, and comes first then."""
        settled_ms = MINUTE.floor(self._observed_ms - COMPARED_AFTER_MS)
        for one, start_ms in due(self._reader.unverified(), after_minute, now_minute, settled_ms):
            if self._allowance.is_spent or len(self._asked) >= ASKED_AT_ONCE:
                return
            if not self._may_ask(one):
                continue
            stop_ms = min(settled_ms, MINUTE.ceil(one.record.contract.delivery_ms))
            opens_ms = self._reader.unverified_opens_ms(one.record, Span(start_ms, stop_ms), PAGE_BARS)
            if not opens_ms:
                continue
            span = page(opens_ms, stop_ms)
            if not self._allowance.take(weight_of(span)):
                return
            self._asked.add(one.record.key)
            self._counts["weight"] += weight_of(span)
            self._backfill.tell(RowsWanted(one.record.contract, span, self.me))

    def _may_ask(self, one: UnverifiedMinutes) -> bool:
        """Not what is on its way, and not for a contract whose symbol the exchange gave to another since."""
        key = one.record.key
        newest = self._reader.find(key.symbol)
        if key in self._asked or newest is None or newest.key != key:
            return False
        refused_ms = self._refused_ms.get(key)
        rest_ms = REFUSED_FOR_GOOD_MS if one.record.contract.delivery_ms <= self._observed_ms else REFUSED_REST_MS
        return refused_ms is None or self._observed_ms - refused_ms >= rest_ms

    def _leave(self, key: ContractKey) -> None:
        """Asking for this one again soon makes no sense."""
        self._asked.discard(key)
        self._refused_ms[key] = self._observed_ms

    def _compare(self, key: ContractKey, rows: Sequence[Bar], asked: Span) -> None:
        record = self._reader.get(key)
        if record is None:
            self._asked.discard(key)
            return
        stored = self._reader.bars(record, MINUTE, start_ms=asked.start_ms, end_ms=asked.stop_ms - 1, limit=PAGE_BARS)
        found = compare((one.bar for one in stored if one.closed), rows, self._observed_ms)
        self._count(record, found)
        changes: list[Change] = []
        if found.rows:
            changes.append(ClosedBars(key, MINUTE, found.rows, Origin.REST, verified=True))
        if found.disputed:
            changes.append(BarsDisputed(key, MINUTE, found.disputed))
        if not changes:
            self._asked.discard(key)
            return
        self._writer.tell(Store(changes, acknowledge=self.me, ticket=key))
        repaired = sorted([*found.differing, *found.missing], key=lambda bar: bar.open_ms)
        if repaired:
            # After it was told to the writer: what is made anew of the bars in progress is read from the database.
            self._directory().tell(MinutesRepaired(key, repaired))

    def _count(self, record: ContractRecord, found: Comparison) -> None:
        wrong = {
            "differed": len(found.differing),
            "missing": len(found.missing),
            "extra": len(found.extra),
            "kept": len(found.kept),
            "aggregated": len(self._made_of(record, found.differing)),
        }
        self._counts.update(wrong)
        self._unlogged.update(wrong)
        self._counts["compared"] += len(found.rows) + len(found.disputed)
        self._counts["equal"] += len(found.equal)
        doubtful = [*(bar.open_ms for bar in [*found.differing, *found.missing]), *found.disputed]
        if doubtful and not self._example:
            self._example = f"{record.contract.symbol} {min(doubtful)}"

    def _made_of(self, record: ContractRecord, minutes: Sequence[Bar]) -> set[tuple[Interval, int]]:
        """The stored larger bars that were made here of minutes that turned out to be different."""
        buckets = {(interval, interval.floor(bar.open_ms)) for bar in minutes for interval in LARGER}
        return {
            (interval, open_ms)
            for interval, open_ms in buckets
            for one in self._reader.bars(record, interval, start_ms=open_ms, end_ms=open_ms, limit=1)
            if one.closed and one.origin is Origin.AGGREGATED
        }

    def _note(self, changes: list[Change]) -> None:
        if changes:
            self._writer.tell(Store(changes))

    # --- what is told

    def _log(self, monotonic_s: float) -> None:
        if self._logged_s is not None and monotonic_s - self._logged_s < LOG_EVERY_S:
            return
        counts, self._unlogged = +self._unlogged, Counter()
        if counts:
            self._logged_s = monotonic_s
            told = ", ".join(f"{count} {_TOLD.get(name, name)}" for name, count in counts.items())
            logger.warning("compared with the exchange: %s; the first at %s", told, self._example)
            self._example = ""

    def _report(self) -> None:
        compared, stored = self._reader.compared_count()
        self._growth.saw(self._reader.bars_count(), self._reader.content_bytes(), self._observed_ms)
        facts = {
            "share": 1.0 if not stored else round(compared / stored, 6),
            "unverified": stored - compared,
            **{name: self._counts[name] for name in _COUNTED},
            **self._gaps,
            "growth_bytes_per_day": self._growth.per_day,
        }
        self._supervisor.tell(Report("reconciler", facts))


_COUNTED = ("compared", "equal", "differed", "missing", "extra", "kept", "aggregated", "weight")
_TOLD = MappingProxyType(
    {
        "differed": "minutes differed",
        "missing": "were missing here",
        "extra": "are not the exchange's",
        "kept": "were kept, since the exchange's have no trades",
        "aggregated": "larger bars were made of them",
    }
)
