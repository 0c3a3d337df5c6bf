"""A consistent copy of a database that is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from storage.database import connection_of, expect_place, open_for_reading
from storage.errors import DatabaseUnusable, StorageFailed, translating


def backup(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Copy the database to a file of its own, as it is at one moment, while others read and write it.

    An older copy at `target` is replaced once the new one is whole and synced. Returns the copy's size in bytes.

    Raises:
        DatabaseUnusable, DatabaseNewer: of the source; or the target's place cannot be written to.
        StorageFailed: the copy could not be finished; what was at `target` is still there.
    """
    source, target = Path(source).resolve(), Path(target).resolve()
    doing = f"copying {source} to {target}"
    expect_place(target)
    if source == target:
        raise DatabaseUnusable(f"{doing}: expected another file, got the database itself")
    unfinished = target.with_name(f"{target.name}.unfinished")
    database = open_for_reading(source)
    try:
        with translating(doing), closing(sqlite3.connect(unfinished)) as copy:
            connection_of(database).backup(copy)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError as error:
        raise StorageFailed(f"{doing}: expected a whole copy, got {error.strerror}") from error
    finally:
        database.close_all()
        unfinished.unlink(missing_ok=True)
    return target.stat().st_size
