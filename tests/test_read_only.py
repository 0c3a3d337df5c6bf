"""What serves the web cannot write, and listens to this machine alone unless told otherwise."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from actors.settings import Settings
from bars import MINUTE
from storage import Origin, Reader, StorageError
from storage.database import connection_of, open_for_reading
from tests.support.market import MONDAY_MS, some_bars
from tests.support.stored import a_store

WRITES = (
    "DELETE FROM bar",
    "CREATE TABLE t (x)",
    "PRAGMA user_version = 7",
    "DROP VIEW klines",
    "VACUUM",
)


@pytest.mark.parametrize("statement", WRITES)
@pytest.mark.parametrize("query_only", [True, False], ids=["both bars", "mode=ro alone"])
def test_a_reader_cannot_write(statement: str, query_only: bool) -> None:
    with a_store() as stored:
        stored.put(some_bars(MINUTE, MONDAY_MS, 3))
        connection = connection_of(open_for_reading(stored.path))
        assert connection.execute("PRAGMA query_only").fetchone() == (1,)
        if not query_only:
            connection.execute("PRAGMA query_only = 0")
        with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only|read only"):
            connection.execute(statement)
        assert [bar.origin for bar in stored.stored()] == [Origin.REST] * 3


def test_a_reader_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Reader(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_by_default_only_this_machine_is_listened_to() -> None:
    assert Settings.of().host == "127.0.0.1"
    assert Settings.of().allowed_hosts == ()
