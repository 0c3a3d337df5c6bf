"""`python run.py backup`: a copy that opens and passes, while others write."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bars import MINUTE
from bars.interval import HOUR_MS
from storage import DatabaseInUse, DatabaseUnusable, Reader, backup
from tests.support.market import MONDAY_MS, some_bars
from tests.support.service import ROOT
from tests.support.stored import Stored, a_store

BARS_AT_ONCE = 60


@pytest.fixture
def stored() -> Iterator[Stored]:
    with a_store() as db:
        db.put(some_bars(MINUTE, MONDAY_MS, BARS_AT_ONCE))
        yield db


def run(db: Stored, target: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "run.py", "backup", str(target), "--database", str(db.path)]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def bars_in(path: Path) -> int:
    reader = Reader(path)
    try:
        return sum(series.bars for series in reader.series() if series.interval is MINUTE)
    finally:
        reader.close()


def test_a_copy_made_during_writes_is_whole_and_one_line_tells_of_it(stored: Stored, tmp_path: Path) -> None:
    target, stop = tmp_path / "copy.db", threading.Event()

    def write() -> None:
        hour = 0
        while not stop.is_set():
            hour += 1
            stored.put(some_bars(MINUTE, MONDAY_MS + hour * HOUR_MS, BARS_AT_ONCE))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = run(stored, target)
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{target}: ")
    assert " MB, integrity checked, in " in done.stdout
    assert len(done.stdout.splitlines()) == 1
    copied = bars_in(target)
    assert copied % BARS_AT_ONCE == 0
    assert BARS_AT_ONCE <= copied <= bars_in(stored.path)
    connection = sqlite3.connect(target)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db"]


@pytest.mark.parametrize("link", ["bars.db", "symbolic.db", "hard.db"])
def test_the_live_file_is_never_overwritten_by_whatever_name(stored: Stored, link: str) -> None:
    target = stored.path.parent / link
    if link == "symbolic.db":
        target.symlink_to(stored.path)
    elif link == "hard.db":
        target.hardlink_to(stored.path)
    done = run(stored, target)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 1)
    assert "expected another file, got the database itself" in done.stderr
    assert bars_in(stored.path) == BARS_AT_ONCE


def test_a_file_that_is_no_older_copy_is_not_overwritten(stored: Stored, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("do not lose this, it is longer than an empty header")
    with pytest.raises(DatabaseUnusable, match=r"notes\.txt"):
        backup(stored.path, notes)
    assert notes.read_text().startswith("do not lose this")


def test_an_older_copy_is_replaced_unless_somebody_writes_it(stored: Stored, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    backup(stored.path, target)
    stored.put(some_bars(MINUTE, MONDAY_MS + HOUR_MS, BARS_AT_ONCE))
    backup(stored.path, target)
    assert bars_in(target) == 2 * BARS_AT_ONCE
    with sqlite3.connect(target) as connection:
        connection.execute("UPDATE bar SET trades = 1")
        connection.commit()
        with pytest.raises(DatabaseInUse, match="an older copy that nobody has open"):
            backup(stored.path, target)
    connection.close()


def test_a_damaged_database_is_not_called_whole(stored: Stored, tmp_path: Path) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 5_000))
    damaged = tmp_path / "damaged.db"
    backup(stored.path, damaged)
    data = bytearray(damaged.read_bytes())
    page = len(data) // 2 // 4096 * 4096
    data[page : page + 4096] = bytes(range(256)) * 16
    damaged.write_bytes(data)
    with pytest.raises(DatabaseUnusable, match=r"a sound database|malformed"):
        backup(damaged, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
