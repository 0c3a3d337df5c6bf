"""The database locked by another program: a SQL prompt with `BEGIN EXCLUSIVE`, left open over lunch."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.trial import options, trial

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


def run(arguments: Sequence[str] = ()) -> str:
    """Hold the lock for a minute while it runs, then while it is to stop and to start."""
    chosen = options("locked", __doc__, arguments, symbols=120, speed=20.0, seconds=60.0)
    with trial(symbols=chosen.symbols, speed=chosen.speed) as one:
        one.begin()
        before_mb = one.memory_mb()
        with held(one.database):
            stop_s = time.monotonic() + chosen.seconds
            ill_s = one.expect_ill("locked", 30)
            answers = one.expect_answers(stop_s, 200)[200]
            waiting = one.status()["database"]["waiting"]
            while_mb = one.memory_mb()
        well_s = one.expect_well()
        bars, equal_s = one.expect_truth()
        with held(one.database):
            one.expect_ill("locked", 30)
            began_s = time.monotonic()
            status = one.stop()
            stopped_s = time.monotonic() - began_s
            one.expect_refusal()
        bars, _ = one.begin()
        assert one.stop() == 0
    return (
        f"locked for {chosen.seconds:.0f} s, {chosen.symbols} symbols: 503 after {ill_s:.0f} s, all {answers} "
        f"questions answered, {waiting:,} bars kept meanwhile ({before_mb} to {while_mb} MB); well {well_s:.1f} s "
        f"after, equal {equal_s:.1f} s later, {bars:,} bars; a stop while locked took {stopped_s:.1f} s "
        f"(status {status}), a start ended with 4"
    )


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Another process that keeps SQLite's lock."""
    command = [sys.executable, "-c", HOLDER, str(database)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n", "the lock was not to be had"
        yield
    finally:
        holder.communicate(timeout=30)
