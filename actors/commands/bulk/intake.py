"""Puts into the database what landed: archive files and REST pages, each in one transaction, and what went wrong."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from actors.commands.bulk.jobs import FileJob, PageJob
from actors.commands.bulk.ledger import archive_hole, asked_in_vain, not_there
from actors.commands.bulk.report import Meter
from actors.commands.bulk.series import Series
from bars import Bar, BarError, Interval, Span
from bars.coverage import absences
from exchange import Download, ExchangeError, Refused
from storage import (
    ArchivedBars,
    BarStore,
    Change,
    CommitReport,
    ContractOverflow,
    LoadedFile,
    Reader,
    bars_of_rest,
)
from wire.archive_csv import read_csv
from wire.archive_plan import DAILY_AFTER_MS

logger = logging.getLogger(__name__)


class Intake:
    """Takes what the lanes bring.

    Args:
        added: counts bars by interval and by where they come from.
        now_ms: the exchange's time when the download began.
    """

    def __init__(
        self, store: BarStore, reader: Reader, meter: Meter, added: Counter[tuple[Interval, str]], now_ms: int
    ) -> None:
        self._store = store
        self._reader = reader
        self._meter = meter
        self._added = added
        self._now_ms = now_ms

    def take(self, job: FileJob | PageJob, value: Any) -> None:
        """Store what came of a job, or note with its series why nothing did."""
        try:
            if isinstance(job, FileJob):
                self._take_file(job, value)
            else:
                self._take_page(job, value)
        except ContractOverflow as error:
            job.series.problems.append((job.span, str(error)))

    def _take_file(self, job: FileJob, value: Download | ExchangeError | None) -> None:
        series, period = job
        self._meter.add(files=1)
        if isinstance(value, ExchangeError):
            self._bad_file(job, str(value))
            return
        if value is None:
            if period.stop_ms + DAILY_AFTER_MS < self._now_ms and period in series.published.sizes:
                self._bad_file(job, f"{period.text} is listed, but not there")
            return
        if not value.text:
            return  # as it was when it was loaded
        try:
            table = read_csv(value.text, series.interval, series.contract.scale).within(series.span)
        except BarError as error:
            self._bad_file(job, f"{series.interval} {period.text}: {error}")
            return
        file = LoadedFile(period.text, value.sha256) if series.covers(period) else None
        report = self._store.commit([ArchivedBars(series.contract.key, series.interval, table, file)])
        series.read.add(period)
        if len(table):
            first_ms = table.opens_ms[0]
            series.first_loaded_ms = min(first_ms, series.first_loaded_ms or first_ms)
        self._meter.add(size_bytes=value.size_bytes)
        self._count(series.interval, "archive", report)

    def _bad_file(self, job: FileJob, text: str) -> None:
        """The span goes to REST, if that may be asked, and to the ledger."""
        self._problem(job.series, job.span, f"archive: {text}")
        self._commit(archive_hole(job.series, job.span, self._reader, self._now_ms))

    def _problem(self, series: Series, span: Span, text: str) -> None:
        logger.warning("%s: %s", series.contract.symbol, text)
        series.problems.append((span, text))

    def _take_page(self, job: PageJob, value: list[Bar] | ExchangeError) -> None:
        series, span = job
        self._meter.add(pages=1)
        if isinstance(value, ExchangeError):
            self._problem(series, span, f"REST: {value}")
            if isinstance(value, Refused):
                self._commit(asked_in_vain(series, span, [], [], self._now_ms))
            return
        contract, interval = series.contract, series.interval
        in_vain = not_there(series, span, self._reader, self._now_ms)
        absent = absences(span, value, interval, contract.onboard_ms, self._now_ms, in_vain)
        bars = [bar for bar in value if bar.open_ms < span.stop_ms]
        changes: list[Change] = [
            *bars_of_rest(contract.key, interval, bars, self._now_ms, completes=False, absent=absent)
        ]
        changes += asked_in_vain(series, span, bars, absent, self._now_ms)
        self._count(interval, "rest", self._store.commit(changes))

    def _commit(self, changes: Sequence[Change]) -> None:
        if changes:
            self._store.commit(changes)

    def _count(self, interval: Interval, way: str, report: CommitReport) -> None:
        self._added[interval, way] += report.inserted
        self._meter.add(bars=report.inserted)
