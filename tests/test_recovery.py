"""Killed in the middle of a bad day, and started again: every closed bar is the exchange's own."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

from bars import DAY, MINUTE, MINUTE_MS, STORED
from exchange.simulated import MILD, FaultPlan, SimulatedExchange, default_plan
from storage import Reader
from tests.support.service import differences, last_minute_ms, start_service, stop_service, wait_until

SPEED = 60.0


def test_after_a_kill_at_60x_with_faults_every_closed_bar_of_every_interval_is_the_exchanges(tmp_path: Path) -> None:
    plan = default_plan(seed=5, count=6, history_days=3, frames_per_minute=8, changes=False)
    database = tmp_path / "bars.db"
    with ExitStack() as stack, SimulatedExchange(plan, MILD, speed=SPEED) as exchange:

        def is_minutes_in(minutes: int) -> bool:
            return exchange.now_ms() >= plan.start_ms + minutes * MINUTE_MS

        process = start_service(exchange, database)
        stack.callback(process.kill)
        wait_until(database.exists, 10, "the database exists")
        wait_until(lambda: is_minutes_in(15), 30, "a quarter of an hour has passed")
        process.kill()
        process.wait()
        wait_until(lambda: is_minutes_in(20), 30, "five minutes have passed without the service")

        process = start_service(exchange, database)
        stack.callback(process.kill)
        wait_until(lambda: is_minutes_in(35), 30, "it has run for a while again")
        exchange.faults = FaultPlan()
        end_ms = exchange.now_ms() + 3 * MINUTE_MS
        with closing(Reader(database)) as reader:
            wait_until(lambda: last_minute_ms(reader, MINUTE) >= end_ms, 60, "every contract has caught up")
            wait_until(lambda: not differences(reader, exchange.world), 60, "no bar differs or is missing")
            assert stop_service(process) == 0
            assert differences(reader, exchange.world) == []
            assert {series.interval for series in reader.series()} == set(STORED)
            assert last_minute_ms(reader, DAY) > 0
