"""Archive zips to rows, in bars per second on one core, beside what a user would write first; and bytes on disk.

    python -m benchmarks.archive folder-with-files-such-as-NEARUSDT-1m-2025-04.csv.gz

measures recorded months; `python -m benchmarks` takes invented ones of the simulated exchange. The floor is csv.reader
and executemany of TEXT: the same zips, the same SQLite settings, no checks, no checksum. pandas is compared with where
it is installed.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import importlib
import importlib.util
import io
import sqlite3
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bars import INTERVALS, MINUTE, Contract, Interval, Scale
from bars.contract import NO_DELIVERY_MS
from benchmarks.harness import Figure, separated
from exchange.archive import unzipped
from exchange.simulated import World, default_plan
from exchange.simulated.files import MONTH, ArchiveFile, Period, zipped
from storage import ArchivedBars, BarStore, ContractsSeen, LoadedFile
from wire.archive_csv import read_csv

ROUNDS = 5
BYTES_MAX = 60.0

Way = Callable[[Sequence["Zip"], Path], int]
"""Loads files into a new database; returns how many bars."""


class Zip(NamedTuple):
    """One archive file."""

    name: str
    interval: Interval
    body: bytes
    scale: Scale


def recorded(folder: Path) -> Iterator[Zip]:
    """Recorded months, zipped as the archive does."""
    for path in sorted(folder.glob("*-1m-*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        text = gzip.decompress(path.read_bytes())
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.csv", text)
        yield Zip(name, INTERVALS[name.split("-")[1]], buffer.getvalue(), _scale(text))


def invented(count: int = 4) -> Iterator[Zip]:
    """Months of simulated contracts."""
    plan = default_plan(seed=1, count=count, history_days=70)
    world = World(plan)
    start_ms = MONTH.back(plan.start_ms, 1)
    for contract in plan.contracts[:count]:
        series = world.series(contract.symbol)
        assert series is not None
        file = ArchiveFile(contract.symbol, series, MINUTE, Period(MONTH, start_ms))
        yield Zip(file.base_name, MINUTE, zipped(world, file, plan.archive, None), contract.scale_at(start_ms))


def _scale(text: bytes) -> Scale:
    """The decimals that exchangeInfo would name: those that the file is written with."""
    rows = [line.split(",") for line in text.decode().splitlines()[1:2000]]
    places = (1, 5, 7)
    return Scale(*(max(len(row[at].partition(".")[2]) for row in rows) for at in places))


def load(zips: Sequence[Zip], path: Path) -> int:
    """What `run.py backfill` does with a file that was downloaded."""
    bars = 0
    with closing(BarStore.open(path)) as store:
        for number, (name, interval, body, scale) in enumerate(zips):
            contract = Contract(
                name, number, NO_DELIVERY_MS, "PERPETUAL", "TRADING", name, name, "USDT", scale.price, scale.volume
            )
            store.commit([ContractsSeen([contract])])
            loaded = LoadedFile(name[-7:], hashlib.sha256(body).hexdigest())
            table = read_csv(unzipped(body, name), interval, contract.scale)
            bars += store.commit([ArchivedBars(contract.key, interval, table, loaded)]).inserted
    return bars


def floor(zips: Sequence[Zip], path: Path) -> int:
    """csv.reader + executemany of TEXT."""
    bars = 0
    with closing(_text_database(path)) as connection:
        for name, _, body, _ in zips:
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                text = archive.read(archive.namelist()[0]).decode()
            rows = csv.reader(io.StringIO(text))
            next(rows)  # all of these files have a header
            connection.execute("BEGIN")
            insert = f"INSERT INTO bar VALUES (?, '1m', {', '.join('?' * 11)})"
            bars += connection.executemany(insert, ([name, *row[:11]] for row in rows)).rowcount
            connection.execute("COMMIT")
    return bars


def with_pandas(zips: Sequence[Zip], path: Path) -> int:
    """pandas.read_csv + to_sql, floats."""
    pandas = importlib.import_module("pandas")
    bars = 0
    with closing(_text_database(path)) as connection:
        for name, _, body, _ in zips:
            frame = pandas.read_csv(io.BytesIO(body), compression="zip").iloc[:, :11]
            frame.insert(0, "symbol", name)
            frame.insert(1, "interval", "1m")
            connection.execute("BEGIN")
            insert = f"INSERT INTO bar VALUES ({', '.join('?' * 13)})"
            bars += connection.executemany(insert, frame.itertuples(index=False, name=None)).rowcount
            connection.execute("COMMIT")
    return bars


def _text_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -16000", "wal_autocheckpoint = 8192"):
        connection.execute(f"PRAGMA {pragma}")
    columns = ", ".join(f"c{number}" for number in range(11))
    key = "PRIMARY KEY (symbol, interval, c0)"
    connection.execute(f"CREATE TABLE bar (symbol, interval, {columns}, {key}) WITHOUT ROWID")
    return connection


class Cost(NamedTuple):
    """What one way takes for a bar."""

    cpu_s: float
    disk_bytes: float


def measured(ways: Sequence[Way], zips: Sequence[Zip]) -> list[Cost]:
    """The cost of each way in CPU time, of one core: for each file the least of some rounds, in which the ways take
    turns, so that a machine that is busy with other things spoils the comparison as little as possible."""
    least = [[float("inf")] * len(zips) for _ in ways]
    bars, sizes = [0] * len(zips), [0] * len(ways)
    for number, one in enumerate(zips):
        for _ in range(ROUNDS):
            for way, run in enumerate(ways):
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder, "bars.db")
                    started_s = time.process_time()
                    bars[number] = run([one], path)
                    least[way][number] = min(least[way][number], time.process_time() - started_s)
    for way, run in enumerate(ways):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "bars.db")
            run(zips, path)
            sizes[way] = path.stat().st_size
    total = sum(bars)
    return [Cost(sum(times) / total, size / total) for times, size in zip(least, sizes, strict=True)]


def measure(zips: Sequence[Zip] = ()) -> Iterator[Figure]:
    """The ways in turns."""
    ways = [load, floor]
    if importlib.util.find_spec("pandas") is not None:
        ways.append(with_pandas)
    with separated():
        costs = measured(ways, zips or list(invented()))
    own, text = 1 / costs[0].cpu_s, 1 / costs[1].cpu_s
    yield Figure("archive_bars_per_second", own, "bars/s", text, text, note="one core; checksum and checks included")
    for cost in costs[2:]:
        note = "read_csv + executemany of floats, one core"
        yield Figure("archive_with_pandas", 1 / cost.cpu_s, "bars/s", text, note=note)
    note = f"the floor's file has {costs[1].disk_bytes:.0f}"
    yield Figure("bytes_per_bar", costs[0].disk_bytes, "bytes", None, BYTES_MAX, at_most=True, note=note)


def main() -> None:
    for figure in measure(list(recorded(Path(sys.argv[1])))):
        print(f"{figure.name:<28}{figure.value:>12,.1f} {figure.unit:<10}{figure.floor or 0:>12,.1f}  {figure.note}")


if __name__ == "__main__":
    main()
