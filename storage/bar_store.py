"""The one write path."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from peewee import SqliteDatabase

from bars import Interval
from storage import contracts, retention
from storage.changes import Change, CommitReport
from storage.database import BUSY_TIMEOUT_S, connection_of, expect_place, open_for_writing, transaction
from storage.errors import StorageFailed, translating
from storage.lock import WriterLock
from storage.transaction import Transaction

AGAIN_TIMEOUT_S = 0.25
"""How long a commit waits for a lock when the one before has failed: tries every second are not to add up."""


class BarStore:
    """The file's only writing connection. It serves one thread at a time."""

    def __init__(self, database: SqliteDatabase, lock: WriterLock, path: Path) -> None:
        self._database = database
        self._lock = lock
        self._path = path
        self._waits_s: float = BUSY_TIMEOUT_S
        self._contracts = {record.key: record for record in contracts.every(connection_of(database))}

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> BarStore:
        """Open the database at `path` for writing; it is made, or brought up to our version, where needed.

        Raises:
            DatabaseInUse: another `BarStore` has it open, in this process or another.
            DatabaseUnusable, DatabaseNewer
        """
        resolved = Path(path).resolve()  # two names of one file share one lock
        expect_place(resolved)
        lock = WriterLock(resolved)
        try:
            return cls(open_for_writing(resolved), lock, resolved)
        except BaseException:
            lock.release()
            raise

    def commit(self, changes: Sequence[Change], *, durable: bool = False) -> CommitReport:
        """Apply all changes in one transaction, or none.

        A `durable` commit and all before it outlive a power cut; without it that is so after the next checkpoint.
        Somebody else's lock is waited for, `BUSY_TIMEOUT_S` at most, but after a failure only `AGAIN_TIMEOUT_S`.

        Raises:
            StorageFailed: rolled back; the same changes may be committed again later.
            UnknownContract: bars of a contract that was never seen.
            ContractOverflow: a value, or a sum, of one contract does not fit; without its changes the rest can go in.
        """
        try:
            with translating(f"committing {len(changes)} changes to {self._path}"), self._synchronous(durable):
                with transaction(self._database, "IMMEDIATE"):
                    applied = Transaction(self._database, self._contracts)
                    report = applied.apply(changes)
                self._contracts = applied.contracts
        except StorageFailed:
            self._wait_for_locks(AGAIN_TIMEOUT_S)
            raise
        self._wait_for_locks(BUSY_TIMEOUT_S)
        return report

    def remove(self, before_ms: Mapping[Interval, int], rows_max: int, now_ms: int) -> int:
        """Remove at most `rows_max` closed bars that open before their interval's time; returns how many.

        Some stay nevertheless, namely those of which larger bars may yet have to be made.

        Raises:
            StorageFailed: rolled back.
        """
        with (
            translating(f"removing old bars from {self._path}"),
            transaction(self._database, "IMMEDIATE") as connection,
        ):
            return retention.remove(connection, before_ms, rows_max, now_ms)

    def close(self) -> None:
        """Bring the log into the file, as far as that can be done now, and let others write. Again does nothing.

        Where a reader is in the way, or the disk is full, SQLite does it later: the log is part of the database.
        """
        try:
            if not self._database.is_closed():
                with suppress(StorageFailed), translating(f"closing {self._path}"):
                    connection_of(self._database).execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            self._database.close()
            self._lock.release()

    def _wait_for_locks(self, seconds: float) -> None:
        if seconds != self._waits_s:
            self._database.pragma("busy_timeout", round(seconds * 1_000))
            self._waits_s = seconds

    @contextmanager
    def _synchronous(self, durable: bool) -> Iterator[None]:
        """FULL syncs the log with each commit, and with it all commits before."""
        if not durable:
            yield
            return
        self._database.pragma("synchronous", "FULL")
        try:
            yield
        finally:
            self._database.pragma("synchronous", "NORMAL")
