"""The database locked by another program while the service runs: it says so, nobody waits for it, nothing is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from actors import BarSystem
from bars import INTERVALS, MINUTE, MINUTE_MS, Span
from bars.interval import HOUR_MS
from exchange.simulated import SimulatedExchange, default_plan
from storage import Reader
from tests.support.service import differences, last_minute_ms, wait_until

PATIENCE_S = 60.0


def test_while_another_program_locks_the_database_nobody_waits_for_it_and_afterwards_all_is_there(
    tmp_path: Path,
) -> None:
    database = tmp_path / "bars.db"
    plan = default_plan(seed=7, count=3, changes=False)
    with (
        SimulatedExchange(plan, speed=30) as exchange,
        BarSystem(
            database=database,
            symbols=["BTCUSDT", "ETHUSDT"],
            rest_url=exchange.rest_url,
            ws_url=exchange.ws_url,
            history="1m=1h,5m=1h,30m=3h,4h=1d,1d=3d,1w=1w",
        ) as system,
        closing(Reader(database)) as reader,
    ):
        wait_until(lambda: last_minute_ms(reader, MINUTE) > 0 and system.health() is None, PATIENCE_S, "it is well")
        record = reader.find("BTCUSDT")
        assert record is not None
        with closing(sqlite3.connect(database, timeout=PATIENCE_S, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            wait_until(lambda: "locked" in (system.health() or ""), PATIENCE_S, "it says that the database is locked")
            hour_ms = INTERVALS["1h"].floor(exchange.now_ms())
            old = Span(hour_ms - 9 * HOUR_MS, hour_ms - 8 * HOUR_MS)
            why = system.fetch(record.contract.key, MINUTE, [old], PATIENCE_S)
            assert "the database cannot be written" in (why or "")
            kept_ms = last_minute_ms(reader, MINUTE)
        locked_until_ms = exchange.now_ms()
        assert kept_ms + MINUTE_MS < locked_until_ms
        wait_until(lambda: system.health() is None, PATIENCE_S, "it is well again")
        wait_until(
            lambda: last_minute_ms(reader, MINUTE) >= MINUTE.floor(locked_until_ms), PATIENCE_S, "it has gone on"
        )
        wait_until(lambda: not differences(reader, exchange.world), PATIENCE_S, "no bar differs or is missing")
