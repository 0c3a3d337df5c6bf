"""A disk that is full, fails, and keeps what was written when the process ends. The files on it are real."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage import BarStore, Change, CommitReport, Reader, StorageFailed, StorageFull
from storage.database import connection_of
from tests.support.virtual_exchange import VirtualExchange

PAGES_MAX = 1_073_741_823
"""More than any file has."""
FULL_COMMITS_MAX = 60


class Disk:
    """Where one process has its database.

    Args:
        exchange: whose chance and trouble decide when something fails.
    """

    def __init__(self, path: Path, exchange: VirtualExchange) -> None:
        self.path = path
        self.is_full = False
        """For as long as somebody says so."""
        self._exchange = exchange
        self._stores: list[_Store] = []
        self._readers: list[Reader] = []
        self._full_commits = 0
        self._is_quite_full = False
        self._whole_bytes: int | None = None
        """How long the log was before the last commit; None when that has gone into the file itself since."""

    @property
    def is_failing(self) -> bool:
        """Whether nothing can be written for a while."""
        return self.is_full or self._full_commits > 0

    def open_store(self) -> BarStore:
        store = _Store.open(self.path)
        assert isinstance(store, _Store)
        store.disk = self
        self._stores.append(store)
        return store

    def open_reader(self) -> Reader:
        reader = _Reader(self.path)
        reader.disk = self
        self._readers.append(reader)
        return reader

    def before_commit(self, store: _Store) -> None:
        """The disk may be full from now on, for some commits, or this commit may fail.

        Raises:
            StorageFailed
        """
        trouble = self._exchange.trouble
        self._whole_bytes = self._log_bytes()
        if self.is_full:
            raise StorageFull("committing to the virtual disk: expected SQLite to do it, got 'disk is full'")
        if self._exchange.hits("failed_commits", trouble.failed_commits):
            raise StorageFailed("committing to the virtual disk: expected SQLite to do it, got 'disk I/O error'")
        if not self._full_commits and self._exchange.hits("full_disks", trouble.full_disks):
            random = self._exchange.random("full_disks")
            self._full_commits = random.randrange(1, FULL_COMMITS_MAX)
            self._is_quite_full = random.random() < 0.5
            store.allow_pages(0)
        elif self._full_commits and (trouble.full_disks == 0 or self._full_commits == 1):
            self._full_commits = 0
            store.allow_pages(PAGES_MAX)
        elif self._full_commits:
            self._full_commits -= 1
            store.allow_pages(0)
        if self._full_commits and self._is_quite_full:
            raise StorageFull("committing to the virtual disk: expected SQLite to do it, got 'disk is full'")

    def closing(self) -> None:
        """The log goes into the file."""
        self._whole_bytes = None

    def before_read(self) -> None:
        """Reading may fail.

        Raises:
            StorageFailed
        """
        if self._exchange.hits("failed_reads", self._exchange.trouble.failed_reads):
            raise StorageFailed("reading from the virtual disk: expected SQLite to do it, got 'disk I/O error'")

    def copy_to(self, copy: Path, *, is_torn: bool) -> None:
        """What is in the files now; torn, as if the last commit had been written in part only."""
        shutil.copyfile(self.path, copy)
        log = self._log
        if log.exists():
            shutil.copyfile(log, f"{copy}-wal")
            if is_torn and self._whole_bytes is not None and self._whole_bytes < self._log_bytes():
                cut = self._exchange.random("torn").randrange(self._whole_bytes, self._log_bytes())
                os.truncate(f"{copy}-wal", cut)

    def dispose(self) -> None:
        for store in self._stores:
            store.close()
        for reader in self._readers:
            reader.close()

    @property
    def _log(self) -> Path:
        return Path(f"{self.path}-wal")

    def _log_bytes(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0


class _Store(BarStore):
    disk: Disk

    def commit(self, changes: Sequence[Change], *, durable: bool = False) -> CommitReport:
        self.disk.before_commit(self)
        return super().commit(changes, durable=durable)

    def close(self) -> None:
        self.disk.closing()
        super().close()

    def allow_pages(self, count: int) -> None:
        """How many pages the file may have; 0: as many as it has."""
        if count != PAGES_MAX:
            (count,) = connection_of(self._database).execute("PRAGMA page_count").fetchone()
        connection_of(self._database).execute(f"PRAGMA max_page_count = {count}")


class _Reader(Reader):
    disk: Disk

    @contextmanager
    def _snapshot(self, what: str) -> Iterator[Any]:
        self.disk.before_read()
        with super()._snapshot(what) as connection:
            yield connection
