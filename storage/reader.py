"""The read queries: everything that others want to know of the database."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bars import MINUTE_MS, STORED, ContractKey, Interval, Span
from bars.gaps import Hole, subtract
from bars.history import Depth
from storage import (
    as_of,
    at_time,
    bar_rows,
    contracts,
    gap_rows,
    holes,
    ledger,
    newest,
    overview,
    pauses,
    series,
    unverified,
)
from storage.changes import ServiceState
from storage.database import open_for_reading, transaction
from storage.errors import translating
from storage.models import AbsentRow, ArchiveFileRow, DocumentRow, SeriesRow, ServiceRow
from storage.newest import Newest
from storage.page import Page
from storage.records import (
    BarAt,
    BarsAsOf,
    ContractRecord,
    Gap,
    Glance,
    Seed,
    SeriesSummary,
    StoredBar,
    UnverifiedMinutes,
)
from storage.signal import ChangeSignal
from wire.rows import row_from_bar


class Reader:
    """Reads the database, from any number of threads, while another process writes it.

    Every answer is of one moment; what is committed after it shows in the next one. Each method raises
    StorageFailed or DatabaseUnusable when the file fails.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open an existing database.

        Raises:
            DatabaseUnusable, DatabaseNewer
        """
        self._path = Path(path).resolve()
        self._database = open_for_reading(self._path)

    def contracts(self) -> list[ContractRecord]:
        """All contracts, by symbol, then onboard time."""
        with self._snapshot("contracts") as connection:
            return contracts.every(connection)

    def find(self, symbol: str) -> ContractRecord | None:
        """The newest contract of that symbol."""
        with self._snapshot(symbol) as connection:
            return contracts.newest(connection, symbol)

    def get(self, key: ContractKey) -> ContractRecord | None:
        """The contract itself, whatever came after it."""
        with self._snapshot(key.symbol) as connection:
            return contracts.get(connection, key)

    def bars(
        self,
        record: ContractRecord,
        interval: Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int,
    ) -> list[StoredBar]:
        """Bars of any interval, ascending; both bounds are inclusive on the open time.

        With `start_ms` the first `limit` from there, else the newest `limit`. The bar in progress is among them,
        not closed, where it is in bounds and newer than every closed one. An interval that is not stored is
        aggregated; a bucket with parts missing is left out.
        """
        with self._snapshot(f"bars of {record.contract.symbol}") as connection:
            page = Page(connection, record, interval, start_ms, end_ms, limit)
            return page.stored() if interval in STORED else page.derived()

    def bars_as_of(
        self,
        record: ContractRecord,
        interval: Interval,
        edge_ms: int,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int,
        lacking: Sequence[Hole] = (),
    ) -> BarsAsOf:
        """The same as `bars`, as they stood at `edge_ms`, the end of a minute: what was closed by then, with the
        final values, and the bar then in progress, made exactly of the stored smaller ones that had ended.

        Args:
            lacking: what the exchange was just found not to have.
        """
        with self._snapshot(f"bars of {record.contract.symbol}") as connection:
            return as_of.bars_as_of(connection, record, interval, edge_ms, start_ms, end_ms, limit, lacking)

    def rows_json(
        self,
        record: ContractRecord,
        interval: Interval,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int,
    ) -> str:
        """The same bars as the exchange's JSON array of rows."""
        with self._snapshot(f"rows of {record.contract.symbol}") as connection:
            page = Page(connection, record, interval, start_ms, end_ms, limit)
            if interval in STORED:
                return page.stored_json()
            rows = [row_from_bar(stored.bar, interval) for stored in page.derived()]
        return msgspec.json.encode(rows).decode()

    def holes(self, record: ContractRecord, interval: Interval, span: Span) -> list[Span]:
        """What is missing of a stored interval: the parts of `span`, a half-open span of open times, in which
        closed bars are neither stored nor known to be absent at the exchange. Ascending, in whole buckets.
        """
        with self._snapshot(f"holes of {record.contract.symbol}") as connection:
            return holes.find(connection, record.id, interval, span)

    def last_open_ms(self, record: ContractRecord, interval: Interval) -> int | None:
        """The open time of the newest closed bar of a stored interval."""
        with self._snapshot(f"bars of {record.contract.symbol}") as connection:
            summary = series.get(connection, record.id, interval)
            return summary.last_ms if summary else None

    def closed_at(self, interval: Interval, open_ms: int) -> list[BarAt]:
        """All contracts' closed bars of any interval that open at `open_ms`, by symbol; and without a bar, the
        contracts that must have one, since they are followed and traded then.
        """
        with self._snapshot(f"bars of {interval} that open at {open_ms}") as connection:
            return at_time.find(connection, interval, open_ms)

    def newest(self, wanted: Sequence[tuple[ContractRecord, Interval, int | None]]) -> list[Newest]:
        """The newest bars of many series of stored intervals, at one moment: those closed ones that open after a time
        (None: no closed ones), and the one in progress.
        """
        with self._snapshot("the newest bars") as connection:
            return [newest.find(connection, record, interval, after_ms) for record, interval, after_ms in wanted]

    def change_signal(self) -> ChangeSignal:
        """Tells whether something was committed; for the thread that asks for it.

        Raises:
            DatabaseUnusable, DatabaseNewer
        """
        return ChangeSignal(self._path)

    def first_open_ms(self, record: ContractRecord, interval: Interval) -> int | None:
        """The open time of the oldest closed bar of a stored interval."""
        with self._snapshot(f"bars of {record.contract.symbol}") as connection:
            summary = series.get(connection, record.id, interval)
            return summary.first_ms if summary else None

    def loaded_files(self, record: ContractRecord, interval: Interval) -> dict[str, str]:
        """The archive files that were loaded of a stored interval: SHA-256 by period (`2026-06`, `2026-06-05`)."""
        with self._snapshot(f"archive files of {record.contract.symbol}"):
            query = ArchiveFileRow.select(ArchiveFileRow.period, ArchiveFileRow.sha256).where(
                ArchiveFileRow.contract_id == record.id, ArchiveFileRow.interval == interval.span_ms // MINUTE_MS
            )
            return dict(query.tuples().execute(self._database))

    def seed(self, record: ContractRecord, stop_ms: int) -> Seed:
        """The closed bars from which the bars in progress begin: they tile from the week's start to `stop_ms`,
        the start of a minute, largest first, and leave `holes` where bars are missing.
        """
        with self._snapshot(f"bars of {record.contract.symbol}") as connection:
            return holes.seed(connection, record.id, stop_ms)

    def unverified(self) -> list[UnverifiedMinutes]:
        """The contracts that have minutes which were not compared with the exchange yet. One cheap query."""
        with self._snapshot("what was not compared") as connection:
            return unverified.every(connection)

    def unverified_opens_ms(self, record: ContractRecord, span: Span, limit: int) -> list[int]:
        """Such minutes of one contract by open time: the first `limit` of a half-open span, ascending."""
        with self._snapshot(f"bars of {record.contract.symbol}") as connection:
            return unverified.opens_ms(connection, record.id, span, limit)

    def compared_count(self) -> tuple[int, int]:
        """How many of the stored minutes were compared with the exchange, and how many there are."""
        with self._snapshot("what was compared") as connection:
            return unverified.count(connection)

    def resting(self, record: ContractRecord, interval: Interval, now_ms: int) -> list[Span]:
        """Holes of a stored interval that were asked for in vain and are not to be asked for at `now_ms`; ascending."""
        with self._snapshot(f"gaps of {record.contract.symbol}") as connection:
            return gap_rows.resting(connection, record.id, interval, now_ms)

    def told_holes(self, record: ContractRecord, interval: Interval, span: Span) -> list[Span]:
        """What is missing of a stored interval within a half-open span, as far as somebody knows why; ascending."""
        with self._snapshot(f"gaps of {record.contract.symbol}") as connection:
            parts = (one.intersect(span) for one in gap_rows.told(connection, record.id, interval))
            return [hole for part in parts for hole in holes.find(connection, record.id, interval, part)]

    def in_vain(self, key: ContractKey, interval: Interval, now_ms: int) -> list[Span]:
        """Holes of a stored interval that were asked for in vain so often that one more answer without them, at
        `now_ms`, is believed; ascending. None of a contract that is not stored.

        Never the bar in which the contract was launched, nor earlier ones: it was traded then, and whatever is believed
        not to be there from its launch on counts as the time before its listing, in all intervals.
        """
        record = self.get(key)
        if record is None:
            return []
        launched_ms = interval.next_open(interval.floor(record.contract.onboard_ms))
        with self._snapshot(f"gaps of {record.contract.symbol}") as connection:
            spans = gap_rows.in_vain(connection, record.id, interval, now_ms)
        return list(subtract(spans, [Span(0, launched_ms)]))

    def gaps(self, now_ms: int, depths: Mapping[Interval, Depth] | None = None) -> list[Gap]:
        """The ledger at the exchange's time: every span without bars, and why; by symbol, interval and time.

        Args:
            depths: how much history is wanted; None: what is before a series' first bar is no gap.
        """
        with self._snapshot("gaps") as connection:
            return ledger.gaps(connection, now_ms, depths)

    def pauses(self, span: Span) -> list[Span]:
        """The pauses of the exchange within a half-open span, as the bars of one and of five minutes that are stored
        show them; ascending.
        """
        with self._snapshot("pauses") as connection:
            return pauses.find(connection, span)

    def pauses_span(self) -> Span:
        """The span in which there are bars that could show pauses; empty where there are none."""
        with self._snapshot("the summaries") as connection:
            return pauses.stored_span(connection)

    def stored_until_ms(self) -> int:
        """The end of the newest closed bar; 0 where there is none."""
        with self._snapshot("the summaries") as connection:
            ends = f"max(last_ms + interval * {MINUTE_MS})"
            return int(connection.execute(f"SELECT coalesce({ends}, 0) FROM series").fetchone()[0])

    def bars_count(self) -> int:
        """How many closed bars there are."""
        with self._snapshot("the summaries") as connection:
            return int(connection.execute("SELECT coalesce(sum(bars), 0) FROM series").fetchone()[0])

    def content_bytes(self) -> int:
        """What the data take, wherever they are for now: in the file or in its log."""
        with self._snapshot("the size") as connection:
            pages, free, page_bytes = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            return int((pages - free) * page_bytes)

    def series(self) -> list[SeriesSummary]:
        """Every series that has closed bars, by contract and from the smallest interval up."""
        with self._snapshot("series") as connection:
            keys = {record.id: record.key for record in contracts.every(connection)}
            absent: dict[tuple[int, int], list[Span]] = defaultdict(list)
            for contract_id, minutes, *span in AbsentRow.select().tuples().execute(self._database):
                absent[contract_id, minutes].append(Span(*span))
            columns = (SeriesRow.contract_id, SeriesRow.interval, SeriesRow.first_ms, SeriesRow.last_ms, SeriesRow.bars)
            rows = SeriesRow.select(*columns).order_by(SeriesRow.contract_id, SeriesRow.interval).tuples()
            return [
                _summary(keys[contract_id], minutes, series.Series(*counts), absent[contract_id, minutes])
                for contract_id, minutes, *counts in rows.execute(self._database)
            ]

    def overview(self, now_ms: int) -> list[tuple[ContractRecord, Glance]]:
        """Every contract at a glance at the exchange's time, by symbol, then onboard time."""
        with self._snapshot("the overview") as connection:
            glances = overview.every(connection, now_ms)
            return [(record, glances[record.id]) for record in contracts.every(connection)]

    def closes(self, now_ms: int, step_ms: int) -> dict[ContractKey, list[int]]:
        """The prices at every multiple of `step_ms`, itself one of half an hour, in the last 24 hours, ascending.

        In units of the contract's scale.
        """
        with self._snapshot("closes") as connection:
            found = overview.closes(connection, now_ms, step_ms)
            return {record.key: found.get(record.id, []) for record in contracts.every(connection)}

    def service_state(self) -> ServiceState | None:
        """What the data service last said of itself; None before its first word."""
        with self._snapshot("the service's state"):
            query = ServiceRow.select(ServiceRow.state, ServiceRow.exchange_ms, ServiceRow.committed_at_ms)
            row = next(iter(query.tuples().execute(self._database)), None)
            return ServiceState(*row) if row else None

    def document(self, name: str) -> str | None:
        """A text stored under a name, such as `EXCHANGE_INFO`."""
        with self._snapshot(name):
            query = DocumentRow.select(DocumentRow.text).where(DocumentRow.name == name)
            row = next(iter(query.tuples().execute(self._database)), None)
            return row[0] if row else None

    def size_bytes(self) -> int:
        """What the database takes on disk, with its log; less where that may not be looked at any more."""
        size = 0
        for path in (self._path, Path(f"{self._path}-wal")):
            with suppress(OSError):
                size += path.stat().st_size
        return size

    def close(self) -> None:
        """Close the connections of all threads; none of them may be reading."""
        self._database.close_all()

    @contextmanager
    def _snapshot(self, what: str) -> Iterator[sqlite3.Connection]:
        with (
            translating(f"reading {what} from {self._path}"),
            transaction(self._database, "DEFERRED") as connection,
        ):
            yield connection


def _summary(key: ContractKey, minutes: int, found: series.Series, absent: list[Span]) -> SeriesSummary:
    interval = bar_rows.STORED_BY_MINUTES[minutes]
    between = Span(found.first_ms, found.last_ms)
    absent_bars = sum(interval.count(*span.intersect(between)) for span in absent)
    return SeriesSummary(key, interval, *found, gaps=found.lacking(interval) - absent_bars)
