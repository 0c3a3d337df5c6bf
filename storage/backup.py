"""A consistent copy of a database that is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from storage.database import connection_of, expect_place, open_for_reading
from storage.errors import DatabaseInUse, DatabaseUnusable, StorageFailed, translating


def backup(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Copy the database to a file of its own, as it is at one moment, while others read and write it.

    An older copy at `target` is replaced once the new one is whole by SQLite's own `integrity_check` and synced.
    Returns the copy's size in bytes.

    Raises:
        DatabaseUnusable, DatabaseNewer: of the source; it is damaged; the target's place cannot be written to, or
            what is there is no older copy.
        DatabaseInUse: what is at `target` is a database that somebody has open.
        StorageFailed: the copy could not be finished; what was at `target` is still there.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    doing = f"copying {source} to {target}"
    expect_place(target)
    if source == target or (target.exists() and source.exists() and target.samefile(source)):
        raise DatabaseUnusable(f"{doing}: expected another file, got the database itself")
    if target.exists():
        _expect_idle_copy(target, doing)
    unfinished = target.with_name(f"{target.name}.unfinished")
    database = open_for_reading(source)
    try:
        with translating(doing), closing(sqlite3.connect(unfinished)) as copy:
            connection_of(database).backup(copy)
            _expect_whole(copy, doing)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError as error:
        raise StorageFailed(f"{doing}: expected a whole copy, got {error.strerror}") from error
    finally:
        database.close_all()
        unfinished.unlink(missing_ok=True)
    return target.stat().st_size


def _expect_whole(copy: sqlite3.Connection, doing: str) -> None:
    found = [line for (line,) in copy.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise DatabaseUnusable(f"{doing}: expected a sound database, got {found[0]!r:.200}")


def _expect_idle_copy(target: Path, doing: str) -> None:
    """SQLite would take what another database left in a log beside the new copy for its own."""
    open_for_reading(target).close_all()
    for log in (Path(f"{target}-wal"), Path(f"{target}-journal")):
        if log.exists() and log.stat().st_size:
            raise DatabaseInUse(f"{doing}: expected an older copy that nobody has open, got one with {log.name}")
