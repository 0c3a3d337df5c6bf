"""SIGKILL at random moments under load: while it starts, while it catches up, while it runs."""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from random import Random

from tests.faults.trial import Trial, trial

EARLY_S, LATE_S = 5.0, 3.0
DOWN_S = 2.0


def run(arguments: Sequence[str] = ()) -> str:
    """Kill so many times, half of them soon after a start; after every second the database is to be the exchange's."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults kill", description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--symbols", type=int, default=120)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    chosen = parser.parse_args(arguments)
    random = Random(chosen.seed)
    kills, slowest_s = 0, 0.0
    with trial(symbols=chosen.symbols, speed=chosen.speed) as one:
        while kills < chosen.times:
            one.launch()
            time.sleep(random.uniform(0.1, EARLY_S))
            kills += killed(one)
            time.sleep(random.uniform(0.0, DOWN_S))
            one.start()
            _, took_s = one.expect_truth()
            slowest_s = max(slowest_s, took_s)
            time.sleep(random.uniform(0.0, LATE_S))
            kills += killed(one)
        bars, _ = one.begin()
        assert one.stop() == 0
        market_s = (one.exchange.now_ms() - one.exchange.plan.start_ms) / 1_000
    return (
        f"{kills} kills of {chosen.symbols} symbols at {chosen.speed:g} times the market's pace, "
        f"{market_s / 3600:.1f} h of it: after each the file was whole and nothing committed was gone; equal again "
        f"within {slowest_s:.1f} s after a restart; {bars:,} bars in the end, all equal, none missing"
    )


def killed(one: Trial) -> int:
    """Kill it, and look into what it left: nothing wrong, and nothing less than what could be read before. 1."""
    before = lasts_ms(one)
    assert not one.has_ended, f"the service has ended: {one.words()}"
    one.kill()
    if not (after := lasts_ms(one)):
        assert not before, "what was committed is gone"
        return 1
    gone = [series for series, last_ms in before.items() if after.get(series, 0) < last_ms]
    assert not gone, f"committed bars are gone: {gone[:5]}"
    with closing(sqlite3.connect(f"file:{one.database}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    one.expect_sound()
    return 1


def lasts_ms(one: Trial) -> dict[str, int]:
    """The newest closed bar of every series that can be read; none while the file is still being made."""
    try:
        with closing(sqlite3.connect(f"file:{one.database}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT contract_id, interval, last_ms FROM series").fetchall()
    except sqlite3.OperationalError:
        return {}
    return {f"{contract}/{interval}": last_ms for contract, interval, last_ms in rows}
