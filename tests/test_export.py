"""`python run.py export`: what goes out comes back the same."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.commands.export import ExportFailed, ExportOptions, run_export
from actors.options import BadOption
from actors.settings import Settings
from bars import INTERVALS, MINUTE, STORED, Bar, Interval, IntervalBar, Scale
from bars.interval import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.simulated import ContractPlan, RecordedSeries
from storage import ClosedBars, ContractsSeen, Origin, PartialBars, Reader, StoredBar
from tests.support.market import MONDAY_MS, SCALE, a_bar, a_contract, some_bars
from tests.support.recorded import Recorded
from tests.support.service import ROOT
from tests.support.stored import Stored, a_store
from wire.rows import FIELDS, bars_from_rows

HOUR = INTERVALS["1h"]


@pytest.fixture
def stored() -> Iterator[Stored]:
    with a_store(a_contract(onboard_ms=MONDAY_MS)) as db:
        yield db


def settings(db: Stored) -> Settings:
    return Settings.of(database=str(db.path))


def exported(
    db: Stored,
    folder: Path,
    *intervals: Interval,
    start_ms: int | None = None,
    stop_ms: int | None = None,
    form: str = "csv",
) -> dict[str, Path]:
    """The files of an export by their names."""
    options = ExportOptions(intervals, start_ms, stop_ms, form, folder)
    return {file.path.name: file.path for file in run_export(settings(db), options)}


def bars_in(path: Path, interval: Interval, scale: Scale = SCALE) -> list[Bar]:
    header, *lines = path.read_text("ascii").splitlines()
    assert header == FIELDS
    return bars_from_rows([line.split(",") for line in lines], interval, scale)


def run(db: Stored, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", "export", "--database", str(db.path), *options],
        cwd=ROOT,
        env=variables or None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_interval_comes_back_equal(stored: Stored, tmp_path: Path) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 12_000))  # more than a page
    for larger in STORED[1:]:
        stored.put(some_bars(larger, MONDAY_MS, 70), larger)
    files = exported(stored, tmp_path, *INTERVALS.values())
    assert len(files) == len(INTERVALS)
    for name, path in files.items():
        interval = INTERVALS[name.split("-")[1].replace("1mo", "1M")]
        closed = [
            bar.bar for bar in stored.reader.bars(stored.record, interval, limit=20_000, start_ms=0) if bar.closed
        ]
        assert bars_in(path, interval) == closed
        assert len(closed) >= 1


def test_a_file_is_in_the_archives_format_and_named_by_what_is_in_it(stored: Stored, tmp_path: Path) -> None:
    names = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
    volumes: dict[str, Any] = dict.fromkeys(names, 0)
    prices = Bar(MONDAY_MS, 8_313_790, 8_315_570, 8_308_290, 8_308_490, 102_437, 851_429_261, 44, 9_832, 414_180, SCALE)
    stored.put([prices, prices._replace(open_ms=MONDAY_MS + MINUTE_MS, **volumes)])
    done = run(stored, "--output", str(tmp_path / "new" / "folder"), "--intervals", "1m")
    (path,) = (tmp_path / "new" / "folder").iterdir()
    assert path.name == "BTCUSDT-1m-2026-01-05-2026-01-05T0002.csv"
    assert (done.returncode, done.stdout) == (0, f"{path}: 2 bars, 0.0 MB\n")
    assert path.read_bytes().decode() == (
        f"{FIELDS}\n"
        "1767571200000,83137.90,83155.70,83082.90,83084.90,102.437,1767571259999,8514.29261,44,9.832,4.14180,0\n"
        "1767571260000,83137.90,83155.70,83082.90,83084.90,0,1767571319999,0,0,0,0,0\n"
    )


def test_bounds_are_inclusive_and_exclusive_and_what_lacks_is_counted(stored: Stored, tmp_path: Path) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, 200)
    stored.put(bars[:50] + bars[60:])
    bounds = [
        "--from",
        "2026-01-05T00:10",
        "--to",
        str(MONDAY_MS + HOUR_MS + 10 * MINUTE_MS),
        "--output",
        str(tmp_path),
    ]
    done = run(stored, *bounds, "--intervals", "1m")
    (path,) = tmp_path.glob("*.csv")
    assert bars_in(path, MINUTE) == bars[10:50] + bars[60:70]
    assert done.stdout == f"{path}: 50 bars, 10 missing, 0.0 MB\n"
    assert [*exported(stored, tmp_path, MINUTE, start_ms=MONDAY_MS + DAY_MS)] == []


def test_a_bar_in_progress_is_not_exported(stored: Stored, tmp_path: Path) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 61))
    at_ms = MONDAY_MS + 61 * MINUTE_MS
    stored.store.commit([PartialBars(stored.contract.key, [IntervalBar(MINUTE, a_bar(at_ms))])])
    files = exported(stored, tmp_path, MINUTE, INTERVALS["3m"], HOUR)
    assert [len(bars_in(path, INTERVALS[name.split("-")[1]])) for name, path in files.items()] == [61, 20, 2 - 1]


def test_the_last_bucket_of_a_contract_that_has_ended_is_exported(tmp_path: Path) -> None:
    with a_store(a_contract(delivery_ms=MONDAY_MS + 90 * MINUTE_MS)) as db:
        db.put(some_bars(MINUTE, MONDAY_MS, 90))
        (path,) = exported(db, tmp_path, INTERVALS["15m"]).values()
        assert len(bars_in(path, INTERVALS["15m"])) == 6
        db.put(some_bars(INTERVALS["30m"], MONDAY_MS, 3), INTERVALS["30m"])
        (path,) = exported(db, tmp_path, HOUR).values()
        assert [bar.open_ms for bar in bars_in(path, HOUR)] == [MONDAY_MS, MONDAY_MS + HOUR_MS]


def test_a_parquet_file_begins_anew_where_the_scale_widens_on_the_way(stored: Stored, tmp_path: Path) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 12_000))
    finer = a_bar(MONDAY_MS + 12_000 * MINUTE_MS)._replace(volume=12_345, scale=SCALE._replace(volume=4))
    reads, count = Reader.bars, 0

    def widening(reader: Reader, *arguments: Any, **keywords: Any) -> list[StoredBar]:
        nonlocal count
        count += 1
        if count == 2:
            stored.put([finer])
        return reads(reader, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "bars", widening)
        (file,) = run_export(settings(stored), ExportOptions((MINUTE,), None, None, "parquet", tmp_path))
    assert file.bars == 12_000
    volumes = pytest.importorskip("pyarrow.parquet").read_table(file.path)["volume"].to_pylist()
    assert volumes == [Decimal(bar.volume) / 10**4 for bar in stored.held()[:12_000]]


def test_a_scale_that_widens_on_the_way_begins_the_file_anew(stored: Stored, tmp_path: Path) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 25_000))
    finer = a_bar(MONDAY_MS + 25_000 * MINUTE_MS)._replace(volume=12_345, scale=SCALE._replace(volume=4))
    options = ExportOptions((MINUTE,), None, None, "csv", tmp_path)
    reads = stored.reader.rows_json
    count = 0

    def widening(*arguments: object, **keywords: object) -> object:
        nonlocal count
        count += 1
        if count == 2:
            stored.put([finer])
        return reads(*arguments, **keywords)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.reader.Reader.rows_json", lambda _self, *a, **k: widening(*a, **k))
        (file,) = run_export(settings(stored), options)
    assert file.bars == 25_000
    lines = file.path.read_text().splitlines()[1:]
    assert {len(line.split(",")[5].partition(".")[2]) for line in lines} == {4}


def test_symbols_that_are_not_ascii_and_contracts_of_one_symbol_have_files_of_their_own(
    stored: Stored, tmp_path: Path
) -> None:
    for at_ms in (MONDAY_MS, MONDAY_MS + DAY_MS):
        contract = a_contract("币安人生USDT", onboard_ms=at_ms)
        bars = ClosedBars(contract.key, MINUTE, some_bars(MINUTE, at_ms, 5), Origin.REST)
        stored.store.commit([ContractsSeen([contract]), bars])
    names = [*exported(stored, tmp_path, MINUTE)]
    assert names == [
        "币安人生USDT-1m-2026-01-05-2026-01-05T0005.csv",
        "币安人生USDT-1m-2026-01-06-2026-01-06T0005.csv",
    ]


def test_nothing_unfinished_stays_behind(stored: Stored, tmp_path: Path) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 5))
    exported(stored, tmp_path, *STORED)
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file() and path.parent == tmp_path] == [
        ".csv",
        ".csv",
    ]


def test_a_recorded_month_goes_through_the_database_into_a_file_that_is_a_record_again(
    recorded: Recorded, tmp_path: Path
) -> None:
    rows = recorded.archive_rows("NEARUSDT", "1m", "2025-04")
    contract = replace(a_contract("NEARUSDT", onboard_ms=int(rows[0][0])), price_decimals=4, quantity_decimals=0)
    bars = bars_from_rows(rows, MINUTE, contract.scale)
    with a_store(contract) as db:
        db.put(bars, origin=Origin.ARCHIVE)
        files = exported(db, tmp_path, MINUTE, INTERVALS["5m"])
    minutes, fives = files.values()
    assert minutes.name == "NEARUSDT-1m-2025-04-01-2025-05-01.csv"
    assert [line.split(",") for line in minutes.read_text().splitlines()[1:]] == rows
    record = RecordedSeries(a_plan(contract.onboard_ms), [minutes, fives])
    assert record.bars(INTERVALS["5m"], bars[0].open_ms, bars[-1].open_ms + 1) == recorded.archive_bars(
        "NEARUSDT", "5m", "2025-04", contract.scale
    )


def a_plan(onboard_ms: int) -> ContractPlan:
    return ContractPlan(
        "NEARUSDT", "NEAR", "USDT", onboard_ms=onboard_ms, price_decimals=4, quantity_decimals=0, price_ticks=1
    )


def test_parquet_has_exact_decimals(stored: Stored, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an optional extra")
    bars = some_bars(MINUTE, MONDAY_MS, 12_000)
    bars[7] = bars[7]._replace(volume=2**63 - 1, taker_buy_volume=2**62)
    stored.put(bars, completes=False)
    ((name, path),) = exported(stored, tmp_path, MINUTE, form="parquet").items()
    assert name == "BTCUSDT-1m-2026-01-05-2026-01-13T0800.parquet"
    table = parquet.read_table(path)
    assert table.schema.names == FIELDS.split(",")[:-1]
    assert str(table.schema.field("close").type) == "decimal128(19, 2)"
    assert table.schema.metadata == {b"symbol": b"BTCUSDT", b"interval": b"1m"}
    rows = table.to_pylist()
    for bar, row in zip(bars, rows, strict=True):
        volumes = (bar.volume, bar.taker_buy_volume), (bar.quote_volume, bar.taker_buy_quote_volume)
        assert list(row.values()) == [
            bar.open_ms,
            *(Decimal(price).scaleb(-2) for price in (bar.open, bar.high, bar.low, bar.close)),
            Decimal(volumes[0][0]).scaleb(-3),
            bar.open_ms + MINUTE_MS - 1,
            Decimal(volumes[1][0]).scaleb(-5),
            bar.trades,
            Decimal(volumes[0][1]).scaleb(-3),
            Decimal(volumes[1][1]).scaleb(-5),
        ]


def test_parquet_without_pyarrow_is_one_line_and_status_2(stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not installed')\n")
    done = run(stored, "--format", "parquet", "--output", str(tmp_path), PYTHONPATH=str(tmp_path))
    expected = "csv, or pyarrow installed: pip install pyarrow"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"barkeep: --format: expected {expected}, got 'parquet'\n"


def test_a_place_that_is_no_directory_and_an_unknown_symbol_are_bad_options(stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOption, match=r"^--output: expected a directory \(.*\), got "):
        exported(stored, tmp_path / "file", MINUTE)
    done = run(stored, "--symbols", "NOUSDT", "--output", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "barkeep: --symbols: expected symbols that the database has, got 'NOUSDT'\n"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_span_without_bars_has_no_file(stored: Stored, tmp_path: Path, form: str) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 100)
    stored.put([*minutes[:10], *minutes[90:]])
    hole = {"start_ms": minutes[10].open_ms, "stop_ms": minutes[90].open_ms}
    assert exported(stored, tmp_path, MINUTE, form=form, **hole) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(stored: Stored, tmp_path: Path) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 10))
    options = ExportOptions((MINUTE,), None, None, "csv", tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(ExportFailed, match=r"^writing .*BTCUSDT-1m.*: expected a whole file, got No space left"):
            list(run_export(settings(stored), options))
    assert list(tmp_path.iterdir()) == []


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
