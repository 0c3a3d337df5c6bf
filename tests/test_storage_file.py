"""The file itself: who may open it, and what it holds after a full disk or a sudden death."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from peewee import SqliteDatabase

from bars import FIVE_MINUTES, MINUTE, MINUTE_MS
from storage import (
    BarStore,
    ClosedBars,
    CommitReport,
    ContractsSeen,
    DatabaseInUse,
    DatabaseNewer,
    DatabaseUnusable,
    Origin,
    Reader,
    StorageFailed,
    StorageFull,
    backup,
)
from storage.database import open_for_writing
from storage.schema import UPGRADES, version
from tests.support.market import MONDAY_MS, a_bar, a_contract, some_bars
from tests.support.stored import ALL

KEY = a_contract().key

WRITE_FOR_EVER = """
import sys
from bars import MINUTE, MINUTE_MS
from storage import BarStore, ClosedBars, ContractsSeen, Origin
from tests.support.market import MONDAY_MS, a_contract, some_bars

store = BarStore.open(sys.argv[1])
store.commit([ContractsSeen([a_contract()])])
print("ready", flush=True)
number = 0
while True:
    bars = some_bars(MINUTE, MONDAY_MS + number * MINUTE_MS, 10)
    store.commit([ClosedBars(a_contract().key, MINUTE, bars, Origin.REST)])
    number += 10
    print(number, flush=True)
"""

FILL_A_SMALL_DISK = """
import resource, signal, sys
from bars import MINUTE, MINUTE_MS
from storage import BarStore, ClosedBars, ContractsSeen, Origin, StorageFailed
from tests.support.market import MONDAY_MS, a_contract, some_bars

store = BarStore.open(sys.argv[1])
store.commit([ContractsSeen([a_contract()])])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
done = 0
while True:
    bars = some_bars(MINUTE, MONDAY_MS + done * MINUTE_MS, 1000)
    change = ClosedBars(a_contract().key, MINUTE, bars, Origin.REST)
    try:
        store.commit([change])
    except StorageFailed as error:
        assert error.retryable
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        from storage import Reader
        reader = Reader(sys.argv[1])
        held = len(reader.bars(reader.contracts()[0], MINUTE, limit=10**9))
        report = store.commit([change])
        print(done, held, report.inserted)
        break
    done += 1000
store.close()
"""


CLOSE_ON_A_FULL_DISK = """
import resource, sys
from bars import MINUTE
from storage import BarStore, ClosedBars, ContractsSeen, Origin
from tests.support.market import MONDAY_MS, a_contract, some_bars

store = BarStore.open(sys.argv[1])
bars = ClosedBars(a_contract().key, MINUTE, some_bars(MINUTE, MONDAY_MS, 2000), Origin.REST)
store.commit([ContractsSeen([a_contract()]), bars])
resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
store.close()
store.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a database? 100% #1 币安人生.db"


def a_filled(path: Path, minutes: int = 10) -> BarStore:
    store = BarStore.open(path)
    bars = some_bars(MINUTE, MONDAY_MS, minutes)
    store.commit([ContractsSeen([a_contract()]), ClosedBars(KEY, MINUTE, bars, Origin.REST)])
    return store


@contextmanager
def writing_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


def held(path: Path) -> int:
    reader = Reader(path)
    try:
        return len(reader.bars(reader.contracts()[0], MINUTE, limit=ALL))
    finally:
        reader.close()


def test_what_was_stored_is_there_when_the_file_is_opened_again(path: Path) -> None:
    a_filled(path).close()
    store = BarStore.open(path)
    assert store.commit([ClosedBars(KEY, MINUTE, some_bars(MINUTE, MONDAY_MS, 10), Origin.REST)]) == CommitReport(
        0, 0, []
    )
    store.close()
    assert held(path) == 10


def test_closing_brings_everything_into_the_one_file(path: Path) -> None:
    a_filled(path).close()
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".lock"]


def test_closing_again_does_nothing(path: Path) -> None:
    store = a_filled(path)
    store.close()
    store.close()
    BarStore.open(path).close()


def test_a_second_writer_in_the_same_process_is_refused(path: Path) -> None:
    store = a_filled(path)
    with pytest.raises(DatabaseInUse, match=f"process {os.getpid()}"):
        BarStore.open(path)
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(DatabaseInUse):
        BarStore.open(link)
    store.close()
    BarStore.open(path).close()


def test_a_store_may_be_closed_by_another_thread_and_lets_go_of_the_file(path: Path) -> None:
    store = a_filled(path)
    thread = threading.Thread(target=store.close)
    thread.start()
    thread.join(timeout=30)
    BarStore.open(path).close()


def test_a_second_writing_process_is_refused_while_readers_go_on(path: Path) -> None:
    with writing_process(path) as process:
        with pytest.raises(DatabaseInUse, match=f"only writer.*process {process.pid}"):
            BarStore.open(path)
        reader = Reader(path)
        record = reader.contracts()[0]
        assert process.stdout is not None
        for line in iter(process.stdout.readline, "300\n"):
            assert (reader.last_open_ms(record, MINUTE) or 0) >= MONDAY_MS + (int(line) - 1) * MINUTE_MS
        reader.close()
    BarStore.open(path).close()


def test_a_process_that_is_killed_leaves_whole_transactions_only(path: Path) -> None:
    with writing_process(path) as process:
        assert process.stdout is not None
        for line in iter(process.stdout.readline, "500\n"):
            assert line
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        last = [int(line) for line in process.stdout]
    store = BarStore.open(path)
    reader = Reader(path)
    record = reader.contracts()[0]
    minutes = reader.bars(record, MINUTE, limit=ALL)
    assert len(minutes) >= max([500, *last])
    assert len(minutes) % 10 == 0
    assert len(reader.bars(record, FIVE_MINUTES, limit=ALL)) == len(minutes) // 5
    assert {summary.interval: summary.bars for summary in reader.series()}[MINUTE] == len(minutes)
    reader.close()
    store.close()


def test_a_full_disk_rolls_back_whole_and_the_same_commit_succeeds_once_there_is_room(path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", FILL_A_SMALL_DISK, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr
    done, held_after, inserted = map(int, process.stdout.split())
    assert held_after == done
    assert inserted == 1000
    assert held(path) == done + 1000


def test_a_store_is_closed_on_a_full_disk_and_its_log_is_brought_in_later(path: Path) -> None:
    # Where coverage is measured, a process writes down its own at its end, for which there is no room.
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    arguments = [sys.executable, "-c", CLOSE_ON_A_FULL_DISK, str(path)]
    process = subprocess.run(arguments, env=unmeasured, capture_output=True, text=True, timeout=60, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    assert held(path) == 2_000
    BarStore.open(path).close()
    assert held(path) == 2_000


def test_a_database_that_may_not_grow_is_full_until_it_may(path: Path) -> None:
    store = a_filled(path)
    limit = sqlite3.connect(path)
    limit.close()
    database: SqliteDatabase = store._database  # noqa: SLF001  # the limit belongs to the connection
    pages = database.pragma("page_count")
    database.pragma("max_page_count", pages)
    change = ClosedBars(KEY, MINUTE, some_bars(MINUTE, MONDAY_MS, 5_000), Origin.REST)
    with pytest.raises(StorageFull, match=r"committing 1 changes.*full"):
        store.commit([change], durable=True)
    assert held(path) == 10
    database.pragma("max_page_count", 1_000_000)
    assert store.commit([change]).inserted == 4_990
    store.close()


def test_somebody_elses_lock_fails_a_commit_that_may_be_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.database.BUSY_TIMEOUT_S", 0.05)
    store = a_filled(path)
    prompt = sqlite3.connect(path, isolation_level=None)
    prompt.execute("BEGIN IMMEDIATE")
    change = ClosedBars(KEY, MINUTE, [a_bar(MONDAY_MS - MINUTE_MS)], Origin.REST)
    with pytest.raises(StorageFailed, match="database is locked"):
        store.commit([change], durable=True)
    prompt.execute("ROLLBACK")
    prompt.close()
    assert store.commit([change]).inserted == 1
    store.close()


def test_after_a_failure_a_lock_is_waited_for_only_shortly_until_a_commit_succeeds(path: Path) -> None:
    store = a_filled(path)
    database: SqliteDatabase = store._database  # noqa: SLF001  # the waiting time belongs to the connection
    prompt = sqlite3.connect(path, isolation_level=None)
    prompt.execute("BEGIN IMMEDIATE")
    waits_ms = [database.pragma("busy_timeout")]
    for _ in range(2):
        with pytest.raises(StorageFailed, match="database is locked"):
            store.commit([])
        waits_ms.append(database.pragma("busy_timeout"))
    prompt.close()
    store.commit([])
    waits_ms.append(database.pragma("busy_timeout"))
    assert waits_ms == [5_000, 250, 250, 5_000]
    store.close()


def test_a_durable_commit_syncs_and_the_next_one_does_not(path: Path) -> None:
    store = a_filled(path)
    database: SqliteDatabase = store._database  # noqa: SLF001
    seen = []
    connection = database.connection()  # type: ignore[no-untyped-call]
    connection.set_trace_callback(lambda statement: seen.append(statement))
    store.commit([], durable=True)
    store.commit([])
    connection.set_trace_callback(None)
    assert seen == [
        "PRAGMA synchronous = FULL",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "PRAGMA synchronous = NORMAL",
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert database.pragma("synchronous") == 1
    store.close()


@pytest.mark.parametrize("opening", [BarStore.open, Reader])
def test_a_newer_database_is_left_alone(path: Path, opening: type[Reader]) -> None:
    a_filled(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version() + 1}")
    connection.close()
    with pytest.raises(DatabaseNewer, match=f"expected version {version()} or older, got {version() + 1}"):
        opening(path)


@pytest.mark.parametrize("opening", [BarStore.open, Reader])
def test_what_is_no_database_of_ours_is_refused_and_left_alone(path: Path, opening: type[Reader]) -> None:
    path.write_bytes(b"open_time,open,high\n" * 500)
    with pytest.raises(DatabaseUnusable, match="not a database"):
        opening(path)
    assert path.read_bytes() == b"open_time,open,high\n" * 500
    path.unlink()
    strange = sqlite3.connect(path)
    strange.execute("CREATE TABLE customers (name)")
    strange.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusable, match="another application's"):
        opening(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("opening", [BarStore.open, Reader])
def test_a_place_where_no_database_can_be_is_refused(tmp_path: Path, opening: type[Reader]) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "missing" / "bars.db", tmp_path / "file" / "bars.db"):
        with pytest.raises(DatabaseUnusable, match=r"opening .*expected .*got "):
            opening(place)


@pytest.mark.parametrize(("mode", "reason"), [(0o555, ""), (0o000, "Permission denied")], ids=["written", "looked-at"])
def test_a_file_that_may_not_be_written_or_looked_at_is_refused(
    path: Path, tmp_path_factory: pytest.TempPathFactory, mode: int, reason: str
) -> None:
    a_filled(path).close()
    other = tmp_path_factory.mktemp("other") / "bars.db"
    program = (
        "import os, sys; from storage import BarStore, DatabaseUnusable\n"
        "BarStore.open(sys.argv[2]).close()  # imports what nobody may read\n"
        "os.setuid(65534) if os.getuid() == 0 else None\n"
        "try: BarStore.open(sys.argv[1])\n"
        "except DatabaseUnusable as error: print(error)"
    )
    for file in path.parent.iterdir():
        file.chmod(0o444)
    above = [parent for parent in path.parent.parents if parent.owner() == path.owner()][:4]
    modes = {directory: directory.stat().st_mode for directory in (path.parent, *above)}
    try:
        for directory in above:
            directory.chmod(modes[directory] | 0o555)
        path.parent.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", program, str(path), str(other)], capture_output=True, text=True, check=False
        )
    finally:
        for directory, before in modes.items():
            directory.chmod(before)
    assert done.stdout.startswith("opening "), done.stderr
    assert reason in done.stdout


def test_a_reader_of_nothing_yet_is_refused(path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="no file"):
        Reader(path)
    assert not path.exists()
    path.touch()
    with pytest.raises(DatabaseUnusable, match="empty"):
        Reader(path)


def test_after_a_refusal_the_lock_is_free(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseUnusable):
        BarStore.open(path)
    path.unlink()
    BarStore.open(path).close()


def test_a_reader_reads_a_file_that_nobody_writes(path: Path) -> None:
    a_filled(path).close()
    assert held(path) == 10


def test_a_reader_cannot_write(path: Path) -> None:
    a_filled(path).close()
    reader = Reader(path)
    connection = reader._database.connection()  # type: ignore[no-untyped-call]  # noqa: SLF001
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM bar")
    reader.close()


def test_an_older_file_is_brought_up_to_date_step_by_step(path: Path) -> None:
    a_filled(path).close()

    def add_a_table(database: SqliteDatabase) -> None:
        database.execute_sql("CREATE TABLE news (text)")  # type: ignore[no-untyped-call]

    def fail(database: SqliteDatabase) -> None:
        database.execute_sql("DROP TABLE bar")  # type: ignore[no-untyped-call]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        open_for_writing(path, upgrades=(*UPGRADES, add_a_table, fail))
    assert held(path) == 10
    database = open_for_writing(path, upgrades=(*UPGRADES, add_a_table))
    assert database.pragma("user_version") == version() + 1
    assert database.get_tables().count("news") == 1
    database.close()
    with pytest.raises(DatabaseNewer):
        BarStore.open(path)


def test_the_size_counts_the_log(path: Path) -> None:
    store = a_filled(path, minutes=1_000)
    reader = Reader(path)
    assert reader.size_bytes() > 1_000 * 20
    store.close()
    reader.close()
    assert reader.size_bytes() >= path.stat().st_size


def test_connections_of_threads_that_ended_are_closed(path: Path) -> None:
    a_filled(path).close()
    reader = Reader(path)
    for _ in range(20):
        thread = threading.Thread(target=reader.contracts)
        thread.start()
        thread.join(timeout=30)
    gc.collect()  # before Python 3.12 a connection is part of a cycle
    assert len(reader._database._opened) <= 3  # noqa: SLF001
    reader.close()


def test_a_backup_is_whole_while_the_writer_goes_on_and_replaces_the_one_before(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with writing_process(path) as process:
        for number in (100, 300):
            assert process.stdout is not None
            for line in iter(process.stdout.readline, f"{number}\n"):
                assert line
            assert backup(path, copy) == copy.stat().st_size
            minutes = held(copy)
            assert minutes >= number
            assert minutes % 10 == 0
    store = BarStore.open(copy)
    store.close()
    assert {file.name for file in tmp_path.iterdir() if "unfinished" in file.name} == set()


def test_a_backup_onto_the_database_itself_or_into_no_directory_is_refused(path: Path, tmp_path: Path) -> None:
    a_filled(path).close()
    with pytest.raises(DatabaseUnusable, match="the database itself"):
        backup(path, path)
    with pytest.raises(DatabaseUnusable, match="no directory"):
        backup(path, tmp_path / "missing" / "copy.db")
    with pytest.raises(DatabaseUnusable, match="no file"):
        backup(tmp_path / "none.db", tmp_path / "copy.db")
    assert held(path) == 10
