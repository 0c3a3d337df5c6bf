"""A database with a month of bars of every contract, made in a minute instead of a day."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bars import LARGER, MINUTE, MINUTE_MS, STORED, Bar, Interval, aggregate
from bars.interval import DAY_MS
from benchmarks.market import contracts_of
from exchange.simulated import World, WorldPlan
from storage import BarStore, Change, ClosedBars, ContractsSeen, Origin

_OF_A_CONTRACT = ("bar", "series")


def make_month(path: Path, plan: WorldPlan, minutes_days: int) -> int:
    """Make the file: all stored intervals since the first bar, but minutes of the last days only, all verified.

    The first contract's bars are the plan's; the others have copies of them, which cost SQLite next to nothing.
    Returns how many closed bars there are.
    """
    contracts = contracts_of(plan)
    first = contracts[0]
    with closing(BarStore.open(path)) as store:
        store.commit([ContractsSeen(contracts)])
        changes: list[Change] = [
            ClosedBars(first.key, interval, bars, Origin.REST, verified=True)
            for interval, bars in _bars(plan, minutes_days).items()
        ]
        store.commit(changes)
    return _copied(path, len(contracts))


def held_back(path: Path, last_ms: int) -> int:
    """How many contracts have no closed minute yet that opens at `last_ms` or later, or have a hole before it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found: int = connection.execute(
            f"""SELECT (SELECT count(*) FROM contract) - count(*) FROM series WHERE interval = 1 AND last_ms >= ?
                AND (last_ms - first_ms) / {MINUTE_MS} + 1 = bars""",
            (last_ms,),
        ).fetchone()[0]
        return found


def newest_minute_ms(path: Path) -> int:
    """The open time of the newest closed minute of all."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found: int = connection.execute("SELECT max(last_ms) FROM series WHERE interval = 1").fetchone()[0]
        return found


def _bars(plan: WorldPlan, minutes_days: int) -> dict[Interval, list[Bar]]:
    symbol = plan.contracts[0].symbol
    stop_ms = MINUTE.floor(plan.start_ms)
    minutes = World(plan).bars(symbol, MINUTE, plan.contracts[0].first_ms, stop_ms, plan.start_ms)
    made = {MINUTE: minutes}
    for interval in LARGER:
        buckets: dict[int, list[Bar]] = {}
        for bar in minutes:
            buckets.setdefault(interval.floor(bar.open_ms), []).append(bar)
        made[interval] = [
            aggregate(inside, open_ms) for open_ms, inside in buckets.items() if interval.next_open(open_ms) <= stop_ms
        ]
    made[MINUTE] = [bar for bar in minutes if bar.open_ms >= stop_ms - minutes_days * DAY_MS]
    return {interval: made[interval] for interval in STORED}


def _copied(path: Path, contracts: int) -> int:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")  # a file that cannot be made is thrown away
        connection.execute("PRAGMA synchronous = OFF")
        first, *others = [row[0] for row in connection.execute("SELECT id FROM contract ORDER BY id")]
        assert len(others) == contracts - 1
        connection.execute("BEGIN")
        for table in _OF_A_CONTRACT:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rest = ", ".join(name for name in columns if name != "contract_id")
            statement = f"INSERT INTO {table} (contract_id, {rest}) SELECT ?, {rest} FROM {table} WHERE contract_id = ?"
            for other in others:
                connection.execute(statement, (other, first))
        connection.execute("COMMIT")
        total: int = connection.execute("SELECT sum(bars) FROM series").fetchone()[0]
        return total
