"""A bulk download that is killed at any moment ends, when it is started again, with the very same database."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from bars import FIVE_MINUTES, MINUTE
from bars.interval import DAY_MS, HOUR_MS
from exchange.simulated import ArchivePlan, ContractPlan, FaultPlan, SimulatedClock, SimulatedExchange, WorldPlan
from storage import BarStore
from tests.support.backfill import Backfill, start_backfill

JUNE_MS = 1_780_272_000_000  # 2026-06-01
JULY_MS = JUNE_MS + 30 * DAY_MS
NOW_MS = JULY_MS + 3 * DAY_MS + 10 * HOUR_MS + 30_000
KILLS = 10
OPTIONS = ("--intervals", "1m,5m", "--from", "2026-06-01")


TABLES = (
    ("contract", "id, symbol, scale_price, scale_volume, scale_quote"),
    *((table, "*") for table in ("bar", "series", "absent", "archive_file")),
)

CONTRACTS = tuple(
    ContractPlan(
        symbol, "A", "USDT", onboard_ms=JULY_MS - days * DAY_MS, price_decimals=2, quantity_decimals=1,
        price_ticks=5_000, quiet_permille=30,
    )
    for symbol, days in (("AUSDT", 9), ("BUSDT", 1))
)  # fmt: skip


def contents(database: Path) -> list[tuple[object, ...]]:
    """All that is stored about bars, row by row; how the exchange words its contracts differs between calls."""
    BarStore.open(database).close()
    with closing(sqlite3.connect(database)) as connection:
        return [
            (table, *row)
            for table, columns in TABLES
            for row in connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3")
        ]


def planned(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """The process, once it has announced its plan."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("  in all"):
            return process
    raise AssertionError(process.communicate()[1])


def killed_after(delay_s: float, process: subprocess.Popen[str]) -> bool:
    """Kill a process that still runs after a time; whether it did."""
    try:
        process.communicate(timeout=delay_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    return False


@pytest.mark.slow
def test_a_download_killed_at_ten_moments_resumes_to_the_same_result_each_time(tmp_path: Path) -> None:
    random = Random(7)
    plan = WorldPlan(1, NOW_MS, CONTRACTS, archive=ArchivePlan())
    faults = FaultPlan(monthly_holes=0.5, wrong_checksums=0.3, delays=0.5, delay_s=0.1)
    clock = SimulatedClock(NOW_MS, monotonic=lambda: 0.0)
    with SimulatedExchange(plan, faults, clock=clock) as exchange:
        whole = Backfill(exchange, tmp_path / "whole.db")
        process = planned(start_backfill(exchange, whole.database, *OPTIONS))
        began_s = time.monotonic()
        output, errors = process.communicate(timeout=60)
        whole_s = time.monotonic() - began_s
        assert process.returncode == 0, output + errors
        for contract in CONTRACTS:
            for interval in (MINUTE, FIVE_MINUTES):
                start_ms, stop_ms = interval.floor(contract.onboard_ms), interval.floor(NOW_MS - 60_000)
                assert whole.differences(contract.symbol, interval, start_ms, stop_ms) == []
        expected = contents(whole.database)
        kills = 0
        while kills < KILLS:
            resumed = Backfill(exchange, tmp_path / f"{kills}.db")
            process = planned(start_backfill(exchange, resumed.database, *OPTIONS))
            kills += killed_after(0.6 * whole_s * random.random(), process)
            assert resumed.run([MINUTE, FIVE_MINUTES], start_ms=JUNE_MS).is_complete
            assert contents(resumed.database) == expected
            for file in tmp_path.glob(f"{resumed.database.name}*"):
                file.unlink()
