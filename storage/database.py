"""Opening the file: for the one writer, or for any number of readers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from weakref import WeakSet

from peewee import SqliteDatabase

from storage import schema
from storage.errors import DatabaseInUse, DatabaseNewer, DatabaseUnusable, StorageFailed, translating

BUSY_TIMEOUT_S = 5
"""How long to wait for somebody else's lock, a person's SQL prompt for instance."""

_WRITER_PRAGMAS: tuple[tuple[str, str | int], ...] = (
    ("journal_mode", "WAL"),  # readers and the writer never wait for each other
    ("synchronous", "NORMAL"),  # a power cut may take the last seconds, whole transactions of them, and damages nothing
    ("cache_size", -16_000),  # KiB: the pages where every series ends, which each minute writes to, and little more
    # Pages that are written every second (the bars in progress) go to the file itself once per checkpoint:
    # 32 MiB of log, a minute or two of the whole market, save most of that.
    ("wal_autocheckpoint", 8_192),
    ("journal_size_limit", 64 * 1024 * 1024),  # a long reader may let the log grow; afterwards it is cut to this
)
_READER_PRAGMAS: tuple[tuple[str, str | int], ...] = (
    ("query_only", 1),  # a second bar on the door, beside mode=ro
    ("cache_size", -4_000),  # KiB, for each thread: the system caches the file anyway
)


class _Connection(sqlite3.Connection):
    """A connection that can be weakly referenced."""


class ReadDatabase(SqliteDatabase):
    """A database opened for reading, with a connection for each thread.

    They are closed some time after their thread has ended, or by `close_all`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            _uri(path, "ro"),
            pragmas=_READER_PRAGMAS,
            timeout=BUSY_TIMEOUT_S,
            uri=True,
            factory=_Connection,
            check_same_thread=False,  # `close_all` closes them from elsewhere
        )
        self._opened: WeakSet[_Connection] = WeakSet()

    def _connect(self) -> _Connection:
        connect: Callable[[], _Connection] = super()._connect  # type: ignore[misc]  # missing in peewee's stubs
        connection = connect()
        self._opened.add(connection)
        return connection

    def close_all(self) -> None:
        for connection in list(self._opened):
            connection.close()


def connection_of(database: SqliteDatabase) -> sqlite3.Connection:
    """The plain connection of the calling thread, opened where needed."""
    connection: sqlite3.Connection = database.connection()  # type: ignore[no-untyped-call]  # so in peewee's stubs
    return connection


@contextmanager
def transaction(database: SqliteDatabase, kind: Literal["DEFERRED", "IMMEDIATE"]) -> Iterator[sqlite3.Connection]:
    """One transaction, committed at the end, or rolled back when anything is raised.

    peewee's own fails when SQLite, being out of disk, has rolled back already.
    """
    connection = connection_of(database)
    connection.execute(f"BEGIN {kind}")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def open_for_reading(path: Path) -> ReadDatabase:
    """Open an existing database of our version, read-only.

    Raises:
        DatabaseUnusable, DatabaseNewer
    """
    with _opening(path):
        expect_place(path)
        if not path.exists():
            raise DatabaseUnusable(f"opening {path}: expected a Barkeep database, got no file")
        database = ReadDatabase(path)
        try:
            found = _version_found(database, path)
            if not found:
                raise DatabaseUnusable(f"opening {path}: expected a Barkeep database, got an empty one")
            if found < schema.version():
                raise DatabaseUnusable(
                    f"opening {path}: expected version {schema.version()}, got {found}: the data service upgrades it"
                )
        except BaseException:
            database.close_all()
            raise
        return database


def open_for_writing(path: Path, upgrades: Sequence[schema.Upgrade] = schema.UPGRADES) -> SqliteDatabase:
    """Open a database for writing; it is made, or brought up to our version, where needed.

    The connection serves one thread at a time. The caller holds the lock that keeps other writers out.

    Raises:
        DatabaseInUse: somebody else holds SQLite's own lock.
        DatabaseUnusable, DatabaseNewer
    """
    with _opening(path):
        database = SqliteDatabase(
            _uri(path, "rwc"), timeout=BUSY_TIMEOUT_S, uri=True, thread_safe=False, check_same_thread=False
        )
        try:
            _version_found(database, path, upgrades)  # before anything in a stranger's file is changed
            for name, value in _WRITER_PRAGMAS:
                database.pragma(name, value)
            with transaction(database, "IMMEDIATE"):
                found = _version_found(database, path, upgrades)
                if found:
                    schema.upgrade(database, found, upgrades)
                else:
                    schema.create(database)
        except BaseException:
            database.close()
            raise
        return database


def _version_found(database: SqliteDatabase, path: Path, upgrades: Sequence[schema.Upgrade] = schema.UPGRADES) -> int:
    """The file's version; 0 where it is empty."""
    found: int = database.pragma("user_version")
    application_id: int = database.pragma("application_id")
    tables: int = connection_of(database).execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application_id != schema.APPLICATION_ID and (tables or found):
        raise DatabaseUnusable(f"opening {path}: expected a Barkeep database, got another application's")
    if found > schema.version(upgrades):
        raise DatabaseNewer(
            f"opening {path}: expected version {schema.version(upgrades)} or older, got {found}: use a newer Barkeep"
        )
    return found


def expect_place(path: Path) -> None:
    """Check that a database can be there.

    Raises:
        DatabaseUnusable
    """
    try:
        is_directory, has_directory = path.is_dir(), path.parent.is_dir()
    except OSError as error:
        raise DatabaseUnusable(f"opening {path}: expected a readable path, got {error.strerror}") from error
    if is_directory:
        raise DatabaseUnusable(f"opening {path}: expected a file, got a directory")
    if not has_directory:
        raise DatabaseUnusable(f"opening {path}: expected a place in a directory, got no directory {path.parent}")


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """While opening, what would otherwise be worth another try means that the file cannot be used."""
    try:
        with translating(f"opening {path}"):
            yield
    except StorageFailed as error:
        kind: Any = DatabaseInUse if "is locked" in str(error) else DatabaseUnusable
        raise kind(str(error)) from error
    except OSError as error:
        raise DatabaseUnusable(f"opening {path}: expected a readable path, got {error.strerror}") from error


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(str(path))}?mode={mode}"
