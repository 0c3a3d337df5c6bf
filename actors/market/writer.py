"""The writer: owns the file's only writing connection."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from actors.market.retention import REMOVED_AT_ONCE, Retention
from actors.market.waiting import LIVE_BARS_MAX, Waiting
from actors.messages import BarsPublished, Report, StatusMade, Store, Stored, Tick
from actors.runtime.cell import Actor, Address
from bars import MINUTE_MS, Interval
from bars.history import Depth
from storage import (
    BarStore,
    Change,
    CommitReport,
    CompletedBar,
    ContractOverflow,
    ServiceState,
    StorageFailed,
)

logger = logging.getLogger(__name__)

DURABLE_EVERY_S = 50.0
"""Closed bars are to survive a power cut after a minute at most."""
RETRY_EVERY_S = 1.0
TRIED_PER_S = 10_000
"""With more changes waiting, tries come that much later: one that fails only at its end costs 20 µs for each."""
COMPLAIN_EVERY_S = 60.0
PUBLISH_WITHIN_MS = 5 * MINUTE_MS
"""A larger bar that happens to be completed on the disk is news only this long after its end; later it is history."""
CHANGES_AT_ONCE = 20_000
"""More changes than this are committed without waiting for a tick."""


class Writer(Actor):
    """Collects changes and commits them, many at a time, each message's whole or not at all.

    When the disk is full it keeps what it has, tries again every second, and says so. How much it keeps: see `Waiting`.
    """

    def __init__(
        self,
        open_store: Callable[[], BarStore],
        wall_ms: Callable[[], int],
        *,
        hub: Address,
        supervisor: Address,
        keep: Mapping[Interval, Depth] | None = None,
        live_bars_max: int = LIVE_BARS_MAX,
    ) -> None:
        self._open_store = open_store
        self._wall_ms = wall_ms
        self._hub = hub
        self._supervisor = supervisor
        self._retention = Retention(keep or {})
        self._store: BarStore | None = None
        self._waiting = Waiting(live_bars_max)
        self._acknowledge: list[tuple[Address, object]] = []
        self._state: StatusMade | None = None
        self._now_ms: int | None = None
        self._durable_s: float | None = None
        self._last_commit_s: float | None = None
        self._last_commit_ms: int | None = None
        self._retry_s = 0.0
        self._failing: str | None = None
        self._dropped_told = 0
        self._complained_s: float | None = None
        self._commits = 0
        self._bars_written = 0

    def begin(self) -> None:
        self._store = self._open_store()

    def end(self) -> None:
        """Commit what is left, after a crash too: what was collected is complete in itself."""
        store, self._store = self._store, None
        if store is None:
            return
        try:
            report = self._write(store, durable=True)
            if report is not None:
                self._publish(report)
        except StorageFailed as error:
            logger.error(
                "%s; %d changes are lost, and fetched again at the next start", error, len(self._waiting.changes)
            )
        finally:
            store.close()

    def receive(self, message: Any) -> None:
        match message:
            case Store(changes, acknowledge, ticket, at_once):
                self._waiting.collect(changes)
                if acknowledge is not None:
                    self._acknowledge.append((acknowledge, ticket))
                if (at_once or len(self._waiting.changes) >= CHANGES_AT_ONCE) and self._failing is None:
                    self._commit(durable=False, now_s=self._last_commit_s)
            case Tick(now_ms, observed_ms, monotonic_s):
                self._now_ms = now_ms
                self._on_tick(monotonic_s)
                if observed_ms is not None and self._failing is None:
                    self._remove_old(observed_ms, monotonic_s)
            case StatusMade():
                self._state = message
            case _:
                super().receive(message)

    def _on_tick(self, monotonic_s: float) -> None:
        if self._durable_s is None:
            self._durable_s = monotonic_s
        if self._failing is None or monotonic_s >= self._retry_s:
            durable = monotonic_s - self._durable_s > DURABLE_EVERY_S
            if self._commit(durable, monotonic_s) and durable:
                self._durable_s = monotonic_s
        self._complain(monotonic_s)
        self._report()

    def _commit(self, durable: bool, now_s: float | None) -> bool:
        assert self._store is not None
        try:
            report = self._write(self._store, durable)
        except StorageFailed as error:
            self._failed(error, now_s or 0.0)
            return False
        if report is None:
            return False
        self._committed(report, now_s)
        return True

    def _remove_old(self, observed_ms: int, now_s: float) -> None:
        assert self._store is not None
        before_ms = self._retention.due(observed_ms)
        if before_ms:
            try:
                self._retention.removed(self._store.remove(before_ms, REMOVED_AT_ONCE, observed_ms))
            except StorageFailed as error:
                self._failed(error, now_s)

    def _write(self, store: BarStore, durable: bool) -> CommitReport | None:
        """Commit what waits, but for contracts whose values do not fit; None when nothing does."""
        while changes := self._to_commit():
            try:
                return store.commit(changes, durable=durable)
            except ContractOverflow as error:
                self._leave_out(error)
        return None

    def _to_commit(self) -> list[Change]:
        changes = self._waiting.all()
        if self._state is not None:
            changes.append(ServiceState(self._state.status, self._state.exchange_ms, self._wall_ms()))
        return changes

    def _committed(self, report: CommitReport, now_s: float | None) -> None:
        if self._failing is not None:
            left = "; what was dropped is fetched again" if self._waiting.has_missed else "; nothing was lost"
            logger.warning("the database can be written again%s", left)
        self._failing = None
        self._publish(report)
        self._waiting.committed()
        self._state = None
        self._last_commit_s, self._last_commit_ms = now_s, self._wall_ms()
        self._commits += 1
        self._bars_written += report.inserted
        acknowledge, self._acknowledge = self._acknowledge, []
        for address, ticket in acknowledge:
            address.tell(Stored(ticket))

    def _publish(self, report: CommitReport) -> None:
        """Tell of larger bars as far as they are news, those of a series in order."""
        news = dict.fromkeys(report.ended, False)
        for key, completed in report.completed:
            end_ms = completed.interval.next_open(completed.bar.open_ms)
            if self._now_ms is not None and end_ms + PUBLISH_WITHIN_MS >= self._now_ms:
                news.setdefault(CompletedBar(key, completed), True)
        for (key, completed), is_history in sorted(news.items(), key=lambda one: one[0].closed.bar.open_ms):
            self._hub.tell(BarsPublished(key, [completed], closed=True, is_history=is_history))

    def _leave_out(self, error: ContractOverflow) -> None:
        """One contract's values do not fit: the others' bars are not to suffer for it."""
        logger.error("%s; what waits of this contract is left out", error)
        self._waiting.leave_out(error.key)

    def _failed(self, error: StorageFailed, now_s: float) -> None:
        if self._failing is None:
            logger.error("%s; keeping what came and trying again every second", error)
        self._failing = str(error)
        self._retry_s = now_s + max(RETRY_EVERY_S, len(self._waiting.changes) / TRIED_PER_S)

    def _complain(self, now_s: float) -> None:
        """Of what was dropped, once a minute."""
        dropped = self._waiting.dropped - self._dropped_told
        if dropped and (self._complained_s is None or now_s - self._complained_s >= COMPLAIN_EVERY_S):
            self._complained_s, self._dropped_told = now_s, self._waiting.dropped
            logger.warning("%d closed bars that waited for the disk were dropped; REST has them", dropped)

    def _report(self) -> None:
        facts = {
            "last_commit_s": self._last_commit_s,
            "last_commit": self._last_commit_ms,
            "commits": self._commits,
            "bars_written": self._bars_written,
            "bars_removed": self._retention.total,
            "waiting": self._waiting.bars,
            "dropped": self._waiting.dropped,
            "failing": self._failing,
        }
        self._supervisor.tell(Report("database", facts))
