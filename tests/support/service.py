"""`python run.py` as a process of its own, against a simulated exchange."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bars import Interval
from exchange.simulated import SimulatedExchange, World
from storage import Reader

ROOT = Path(__file__).parent.parent.parent
SHORT_HISTORY = "1m=3h,5m=8h,30m=1d,4h=3d,1d=8d,1w=3w"


def start_service(
    exchange: SimulatedExchange, database: Path, *options: str, command: str = "data"
) -> subprocess.Popen[str]:
    """Start a command of run.py on the exchange; its log goes beside the database."""
    arguments = [
        *(sys.executable, "run.py", command),
        *("--database", str(database), "--rest-url", exchange.rest_url, "--ws-url", exchange.ws_url),
        *("--history", SHORT_HISTORY, *options),
    ]
    with database.with_suffix(".log").open("a") as log:
        return subprocess.Popen(arguments, cwd=ROOT, stderr=log, text=True)


def stop_service(process: subprocess.Popen[str], timeout_s: float = 30.0) -> int:
    """End it in order; returns its exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout_s)


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Look often until something is so.

    Raises:
        AssertionError: it was not within `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {timeout_s} s in vain until {what}"
        time.sleep(0.05)


def last_minute_ms(reader: Reader, interval: Interval) -> int:
    """The newest closed open time of the contract that is furthest behind, of those that trade; 0 if one has none."""
    trading = {record.key for record in reader.contracts() if record.contract.status == "TRADING"}
    lasts_ms = [one.last_ms for one in reader.series() if one.interval is interval and one.key in trading]
    return min(lasts_ms, default=0) if len(lasts_ms) == len(trading) else 0


def differences(reader: Reader, world: World) -> list[str]:
    """Every closed bar that is not the exchange's, and every hole between a series' first bar and its last.

    What is stored while this looks is not looked at.
    """
    found = []
    for series in reader.series():
        record = reader.get(series.key)
        assert record is not None
        bars = reader.bars(record, series.interval, end_ms=series.last_ms, limit=1_000_000)
        stored = {one.bar.open_ms: one.bar for one in bars if one.closed}
        stop_ms = series.interval.next_open(series.last_ms)
        for truth in world.bars(series.key.symbol, series.interval, series.first_ms, stop_ms):
            mine = stored.pop(truth.open_ms, None)
            if mine is None:
                found.append(f"{series.key.symbol} {series.interval} {truth.open_ms} is missing")
            elif mine.rescaled(scale := mine.scale.widened(truth.scale)) != truth.rescaled(scale):
                found.append(f"{series.key.symbol} {series.interval}: {mine} is not {truth}")
        found += [f"{series.key.symbol} {series.interval} {open_ms} does not exist" for open_ms in stored]
    return found
