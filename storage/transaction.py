"""What one commit does, inside its one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from peewee import SqliteDatabase

from bars import LARGER, MINUTE, MINUTE_MS, Bar, ContractKey, Interval, IntervalBar, Scale, UnitsOverflow
from bars.decimals import rescale
from bars.ledger import Reason
from storage import (
    absent,
    bar_reads,
    bar_rows,
    bar_writes,
    contracts,
    delivery,
    gap_rows,
    in_progress,
    pauses,
    series,
    unverified,
)
from storage.changes import (
    ArchivedBars,
    BarsDisputed,
    Change,
    ClosedBars,
    CommitReport,
    CompletedBar,
    ContractsSeen,
    GapNoted,
    GapsAsked,
    GapsSwept,
    LargerBars,
    Origin,
    PartialBars,
    PausesSeen,
    ServiceState,
)
from storage.database import connection_of
from storage.errors import ContractOverflow, UnknownContract
from storage.ladder import Ladder
from storage.models import ArchiveFileRow, DocumentRow, ServiceRow
from storage.records import ContractRecord

EXCHANGE_INFO = "exchange_info"
"""The document that holds exchangeInfo without its symbols."""


class Transaction:
    """Applies changes. What it learns of contracts is good only once the transaction is committed."""

    def __init__(self, database: SqliteDatabase, known: Mapping[ContractKey, ContractRecord]) -> None:
        self.contracts = dict(known)
        self._database = database
        self._connection = connection_of(database)
        self._ladders: dict[ContractKey, Ladder] = {}
        self._inserted = 0
        self._changed = 0

    def apply(self, changes: Sequence[Change]) -> CommitReport:
        """Contracts first, then all that belongs to them: changes may come in any order.

        Raises:
            UnknownContract, ContractOverflow
        """
        for change in changes:
            if isinstance(change, ContractsSeen):
                self._see(change)
        self._widen([change for change in changes if isinstance(change, ClosedBars | ArchivedBars | PartialBars)])
        for change in changes:
            if isinstance(change, ArchivedBars):
                self._load(change)
        for change in changes:
            if isinstance(change, ClosedBars):
                self._store(change)
            elif isinstance(change, LargerBars):
                self._ladders.setdefault(change.key, Ladder()).look_at(change.interval, change.span)
        self._remember(changes)
        completed = [bar for key, ladder in self._ladders.items() for bar in self._complete(key, ladder)]
        self._progress([change for change in changes if isinstance(change, PartialBars)])
        for change in changes:
            if isinstance(change, ServiceState):
                ServiceRow.insert(id=1, **change._asdict()).on_conflict_replace().execute(self._database)
        ended = tuple(bar for change in changes if isinstance(change, ClosedBars) for bar in self._ended(change))
        return CommitReport(self._inserted, self._changed, completed, ended)

    def _see(self, seen: ContractsSeen) -> None:
        for contract in seen.contracts:
            known = self.contracts.get(contract.key)
            if known is None:
                self.contracts[contract.key] = contracts.add(self._database, contract)
            elif known.contract != contract and not seen.only_new:
                self.contracts[contract.key] = contracts.describe(self._database, known, contract)
                if contract.delivery_ms < known.contract.delivery_ms:
                    delivery.cut(self._connection, known.id, contract.delivery_ms)
        if seen.frame is not None:
            document = DocumentRow.insert(name=EXCHANGE_INFO, text=seen.frame)
            document.on_conflict_replace().execute(self._database)

    def _widen(self, changes: Sequence[ClosedBars | ArchivedBars | PartialBars]) -> None:
        """Rescale each contract once, to the widest scale of all its bars in this commit."""
        wanted: dict[ContractKey, Scale] = {}
        for change in changes:
            scale = wanted.get(change.key) or self._record(change.key).scale
            for other in _scales(change):
                if other != scale:
                    scale = wanted[change.key] = scale.widened(other)
        for key, scale in wanted.items():
            if scale != self.contracts[key].scale:
                self._rescale(self.contracts[key], scale)

    def _rescale(self, record: ContractRecord, scale: Scale) -> None:
        largest = bar_writes.largest_units(self._connection, record.id)
        try:
            for units, was, wider in zip(largest, record.scale, scale, strict=True):
                rescale(units, was, wider)
        except UnitsOverflow as error:
            raise ContractOverflow(record.key, error) from error
        if any(largest):
            powers = [10 ** (wider - was) for was, wider in zip(record.scale, scale, strict=True)]
            bar_writes.rescale(self._connection, record.id, *powers)
        self.contracts[record.key] = contracts.widen(self._database, record, scale)

    def _store(self, change: ClosedBars) -> None:
        record = self._record(change.key)
        bars = _scaled(record, delivery.before(change.bars, record.contract.delivery_ms))
        mark = change.origin | (bar_rows.VERIFIED if change.verified else 0)
        inserted, changed = self._upsert(record, change.interval, bars, mark)
        self._inserted += inserted
        self._changed += changed
        if bars:
            absent.forget(self._connection, record.id, change.interval, [bar.open_ms for bar in bars])
        if change.absent:
            absent.note(self._connection, record.id, change.interval, change.absent)
        if not (change.completes or changed) and change.key not in self._ladders:
            return
        ladder = self._ladders.setdefault(change.key, Ladder())
        if changed:  # what was made of them follows in any case: nobody looks at it again
            ladder.revised(bars)
        if not change.completes:
            ladder.read_again(change.interval, [bar.open_ms // MINUTE_MS for bar in bars])
            return
        ladder.arrived(change.interval, bars, as_given=inserted == len(bars))
        if any(span.start_ms <= absent.LISTING_START_MS for span in change.absent):
            ladder.listed(absent.listing_ms(self._connection, record.id))

    def _load(self, change: ArchivedBars) -> None:
        """Before anything else is stored, so that no ladder has seen the bars as they were."""
        record, interval = self._record(change.key), change.interval
        if change.file is not None:
            row = {"contract_id": record.id, "interval": bar_rows.minutes(interval), **change.file._asdict()}
            ArchiveFileRow.insert(row).on_conflict_replace().execute(self._database)
        if not len(change.table):
            return
        try:
            table = change.table.rescaled(record.scale)
        except UnitsOverflow as error:
            raise ContractOverflow(record.key, error) from error
        opens_ms = table.opens_ms
        between = opens_ms[0], interval.next_open(opens_ms[-1])
        inserted = bar_writes.insert_table(self._connection, record.id, interval, table, Origin.ARCHIVE)
        if inserted:
            series.add(self._connection, record.id, interval, series.Series(opens_ms[0], opens_ms[-1], inserted))
        if inserted < len(table):
            ours = bar_reads.aggregated_opens_ms(self._connection, record.id, interval, *between)
            bars = [bar for bar in table.bars() if bar.open_ms in ours] if ours else []
            rows = bar_rows.rows_of(record.id, interval, bars, Origin.ARCHIVE)
            if rows and (changed := bar_writes.revise(self._connection, rows)):
                self._changed += changed
                self._ladders.setdefault(change.key, Ladder()).revised(bars)
        self._inserted += inserted
        absent.forget(self._connection, record.id, interval, opens_ms)
        if interval is MINUTE and inserted:
            unverified.changed(self._connection, record.id, opens_ms, more=inserted, is_compared=False)

    def _upsert(self, record: ContractRecord, interval: Interval, bars: Sequence[Bar], mark: int) -> tuple[int, int]:
        rows = bar_rows.rows_of(record.id, interval, bars, mark)
        inserted = bar_writes.insert(self._connection, rows)
        changed, more = 0, 0 if mark & bar_rows.COMPARED else inserted
        if inserted < len(rows):
            changed, confirmed = self._revise(record, interval, rows, [bar.open_ms for bar in bars])
            more -= confirmed
        if inserted:
            opens_ms = [bar.open_ms for bar in bars]
            added = series.Series(min(opens_ms), max(opens_ms), inserted)
            series.add(self._connection, record.id, interval, added)
        if interval is MINUTE and (inserted or changed):
            is_compared = bool(mark & bar_rows.COMPARED)
            unverified.changed(
                self._connection, record.id, [bar.open_ms for bar in bars], more=more, is_compared=is_compared
            )
        return inserted, changed

    def _revise(
        self, record: ContractRecord, interval: Interval, rows: Sequence[bar_rows.Row], opens_ms: Sequence[int]
    ) -> tuple[int, int]:
        """How many bars changed, marks included; of minutes, how many fewer are left to be compared."""
        if interval is not MINUTE:
            return bar_writes.revise(self._connection, rows), 0
        before = unverified.count_between(self._connection, record.id, opens_ms)
        changed = bar_writes.revise(self._connection, rows)
        return changed, before - unverified.count_between(self._connection, record.id, opens_ms) if changed else 0

    def _remember(self, changes: Sequence[Change]) -> None:
        """What is known of bars that are doubtful or not there."""
        connection = self._connection
        for change in changes:
            match change:
                case BarsDisputed(key, interval, opens_ms):
                    contract_id = self._record(key).id
                    before = unverified.count_between(connection, contract_id, opens_ms)
                    bar_writes.dispute(connection, contract_id, interval, [at // MINUTE_MS for at in opens_ms])
                    more = unverified.count_between(connection, contract_id, opens_ms) - before
                    unverified.changed(connection, contract_id, opens_ms, more=more, is_compared=True)
                case GapsAsked(key, interval, spans, at_ms):
                    gap_rows.asked(connection, self._record(key).id, interval, spans, at_ms)
                case GapNoted(key, interval, span, reason, at_ms):
                    contract_id = gap_rows.EVERY_CONTRACT if key is None else self._record(key).id
                    gap_rows.note(connection, contract_id, interval, span, reason, at_ms)
                case PausesSeen(span, found, at_ms):
                    known = gap_rows.of_series(connection, gap_rows.EVERY_CONTRACT, MINUTE)
                    looked_at = (one.span.intersect(span) for one in known if one.reason is Reason.PAUSE)
                    wrong = [
                        part for one in looked_at if not one.is_empty for part in pauses.contradicted(connection, one)
                    ]
                    gap_rows.note_pauses(connection, known, found, wrong, at_ms)
                case GapsSwept():
                    gap_rows.sweep(connection)

    def _complete(self, key: ContractKey, ladder: Ladder) -> list[CompletedBar]:
        record = self._record(key)
        listing_ms = absent.listing_ms(self._connection, record.id)
        store = partial(self._store_made, record)
        try:
            made = list(
                ladder.climb(self._connection, record.id, record.scale, listing_ms, record.contract.delivery_ms, store)
            )
        except UnitsOverflow as error:
            raise ContractOverflow(key, error) from error
        return [CompletedBar(key, IntervalBar(interval, bar)) for interval, bar in made]

    def _ended(self, change: ClosedBars) -> Iterator[CompletedBar]:
        """The larger bars that end with bars that are news, as far as they are stored."""
        if not change.is_news:
            return
        record = self._record(change.key)
        for bar in change.bars:
            end_ms = change.interval.next_open(bar.open_ms)
            for interval in LARGER:
                if interval.floor(end_ms) == end_ms:
                    open_minute = interval.back(end_ms, 1) // MINUTE_MS
                    row = bar_reads.select_one(self._connection, record.id, interval, open_minute)
                    if row is not None:
                        yield CompletedBar(change.key, IntervalBar(interval, bar_rows.bar_of(row, record.scale)))

    def _store_made(self, record: ContractRecord, interval: Interval, bars: Sequence[Bar]) -> None:
        self._upsert(record, interval, bars, Origin.AGGREGATED)
        absent.forget(self._connection, record.id, interval, [bar.open_ms for bar in bars])

    def _progress(self, changes: Sequence[PartialBars]) -> None:
        newest: list[bar_rows.Row] = []
        larger: list[tuple[int | None, ...]] = []
        gone: list[tuple[int, int]] = []
        for change in changes:
            record = self._record(change.key)
            gone += [(record.id, bar_rows.minutes(interval)) for interval in change.unknown]
            until_minute = next((bar.open_ms // MINUTE_MS for interval, bar in change.bars if interval is MINUTE), None)
            places: list[tuple[Interval, int | None]] = [(interval, None) for interval, _ in change.bars]
            places += [(interval, until_minute) for interval, _ in change.begun]
            for (interval, until), bar in zip(places, _scaled(record, _bars(change)), strict=True):
                row = record.id, bar_rows.minutes(interval), bar.open_ms // MINUTE_MS, *bar_rows.values_of(bar)
                if interval is MINUTE:
                    newest.append(row)
                else:
                    larger.append((*row, until))
        in_progress.forget_larger(self._connection, gone)
        in_progress.set_minutes(self._connection, newest)
        in_progress.set_larger(self._connection, larger)

    def _record(self, key: ContractKey) -> ContractRecord:
        record = self.contracts.get(key)
        if record is None:
            raise UnknownContract(key)
        return record


def _scales(change: ClosedBars | ArchivedBars | PartialBars) -> list[Scale]:
    if isinstance(change, ArchivedBars):
        return [change.table.scale] if len(change.table) else []
    return [bar.scale for bar in _bars(change)]


def _bars(change: ClosedBars | PartialBars) -> Sequence[Bar]:
    return change.bars if isinstance(change, ClosedBars) else [one.bar for one in (*change.bars, *change.begun)]


def _scaled(record: ContractRecord, bars: Sequence[Bar]) -> Sequence[Bar]:
    """The bars in the contract's scale, which is no narrower than any of theirs."""
    try:
        if all(bar.scale == record.scale for bar in bars):
            return bars
        return [bar.rescaled(record.scale) for bar in bars]
    except UnitsOverflow as error:
        raise ContractOverflow(record.key, error) from error
