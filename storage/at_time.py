"""All contracts' closed bars of one open time, and which of them are still to come."""

from __future__ import annotations

import sqlite3

from bars import MINUTE, MINUTE_MS, Interval, Span, aggregate, stored_source
from bars.contract import NOT_YET_TRADING, Contract
from storage import absent, bar_reads, bar_rows, contracts
from storage.changes import Origin
from storage.page import Page
from storage.records import BarAt, ContractRecord, StoredBar

FOLLOWED_MS = 10 * MINUTE_MS
"""A contract whose newest minute is this much older than the newest of all is not followed any more."""


def find(connection: sqlite3.Connection, interval: Interval, open_ms: int) -> list[BarAt]:
    """The bars of any interval that open at `open_ms`, by symbol.

    Among them, without a bar, the contracts that must have one: they are followed, traded at that time, and the
    exchange is not known to have none.
    """
    return _Moment(connection, interval, open_ms).find()


class _Moment:
    def __init__(self, connection: sqlite3.Connection, interval: Interval, open_ms: int) -> None:
        self._connection = connection
        self._interval = interval
        self._source = stored_source(interval)
        self._span = Span(open_ms, interval.next_open(open_ms))
        self._minutes = self._lasts_ms(MINUTE)
        self._lasts = self._lasts_ms(self._source)
        self._newest_ms = max(self._minutes.values(), default=0)

    def find(self) -> list[BarAt]:
        parts = self._parts()
        found = []
        for record in self._contracts():
            bar = self._bar(record, parts.get(record.id, []))
            if bar is not None or self._is_late(record):
                found.append(BarAt(record, bar))
        return found

    def _contracts(self) -> list[ContractRecord]:
        """The contract that each symbol meant then: of those listed by the bar's end the newest."""
        meant = {
            record.contract.symbol: record
            for record in contracts.every(self._connection)
            if record.contract.is_perpetual and record.contract.onboard_ms < self._span.stop_ms
        }
        return list(meant.values())

    def _lasts_ms(self, interval: Interval) -> dict[int, int]:
        query = "SELECT contract_id, last_ms FROM series WHERE interval = ?"
        return dict(self._connection.execute(query, (bar_rows.minutes(interval),)))

    def _parts(self) -> dict[int, list[bar_rows.Row]]:
        """By contract the stored bars that the bar is made of, ascending."""
        between = self._span.start_ms // MINUTE_MS, self._span.stop_ms // MINUTE_MS
        return {
            contract_id: list(bar_reads.select(self._connection, contract_id, self._source, *between))
            for contract_id in self._lasts
        }

    def _bar(self, record: ContractRecord, rows: list[bar_rows.Row]) -> StoredBar | None:
        if not rows:
            return None
        if len(rows) < self._source.count(*self._span):
            return self._with_parts_missing(record)
        verified = all(row[-1] & bar_rows.VERIFIED for row in rows)
        parts = [bar_rows.bar_of(row, record.scale) for row in rows]
        if self._source is self._interval:
            return StoredBar(parts[0], True, Origin(rows[0][-1] & bar_rows.ORIGIN_BITS), verified)
        return StoredBar(aggregate(parts, self._span.start_ms), True, Origin.AGGREGATED, verified)

    def _with_parts_missing(self, record: ContractRecord) -> StoredBar | None:
        """The bar all the same, where the exchange has no such parts."""
        is_over = self._source.next_open(self._lasts[record.id]) >= min(self._span.stop_ms, record.contract.delivery_ms)
        if not is_over:
            return None
        page = Page(self._connection, record, self._interval, self._span.start_ms, self._span.start_ms, 1)
        return next((bar for bar in page.derived() if bar.closed), None)

    def _is_late(self, record: ContractRecord) -> bool:
        if not _trades_in(record.contract, self._span) or not self._is_followed(record):
            return False
        never = absent.effective(self._connection, record.id, self._source)
        return not any(span.start_ms <= self._span.start_ms and self._span.stop_ms <= span.stop_ms for span in never)

    def _is_followed(self, record: ContractRecord) -> bool:
        last_ms = self._minutes.get(record.id)
        return last_ms is None or last_ms >= self._newest_ms - FOLLOWED_MS


def _trades_in(contract: Contract, span: Span) -> bool:
    """Whether a contract that was listed before the end of a span has minutes in it."""
    return contract.status not in NOT_YET_TRADING and contract.delivery_ms > span.start_ms
