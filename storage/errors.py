"""What can go wrong with the database file.

StorageError
├ DatabaseInUse       another process writes to the file
├ DatabaseUnusable    no database there, not ours, damaged, or not to be opened
├ DatabaseNewer       written by a newer version of Barkeep
└ StorageFailed       a transaction failed and was rolled back whole: the same may be tried again later
  └ StorageFull       for want of room

Beside these: `UnknownContract`, a programmer's error, and `ContractOverflow`, a value of one contract that
does not fit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import peewee

from bars import ContractKey, UnitsOverflow


class StorageError(Exception):
    """The database file cannot do what was asked of it."""

    retryable = False


class DatabaseInUse(StorageError):
    """Another process writes to the file."""


class DatabaseUnusable(StorageError):
    """No database there, not ours, damaged, or not to be opened."""


class DatabaseNewer(StorageError):
    """The file was written by a newer version of Barkeep."""


class StorageFailed(StorageError):
    """A transaction failed and was rolled back whole; the same may be tried again later."""

    retryable = True


class StorageFull(StorageFailed):
    """There was no room for it."""


class UnknownContract(LookupError):
    """Bars of a contract that was never stored: contracts come first."""

    def __init__(self, key: ContractKey) -> None:
        super().__init__(
            f"storing bars: expected a contract that was seen before, got {key.symbol} of {key.onboard_ms}"
        )


class ContractOverflow(UnitsOverflow):
    """A value of one contract does not fit 63 bits; nothing of its commit was stored."""

    def __init__(self, key: ContractKey, why: object) -> None:
        ValueError.__init__(self, f"storing bars of {key.symbol}: {why}")
        self.key = key


_BY_TEXT: Mapping[str, type[StorageError]] = MappingProxyType(
    {
        "database or disk is full": StorageFull,
        "disk I/O error": StorageFailed,
        "attempt to write a readonly database": StorageFailed,
        "database is locked": StorageFailed,
        "database table is locked": StorageFailed,
        "unable to open database file": StorageFailed,
        "file is not a database": DatabaseUnusable,
        "database disk image is malformed": DatabaseUnusable,
    }
)
"""By SQLite's own words: Python 3.10 does not pass on its error codes."""


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Raise SQLite's errors about the file as ours, saying what was being done; all others pass."""
    try:
        yield
    except (sqlite3.DatabaseError, peewee.DatabaseError) as error:
        for text, kind in _BY_TEXT.items():
            if text in str(error):
                raise kind(f"{doing}: expected SQLite to do it, got {text!r}") from error
        raise
