"""The running service at the market's pace: CPU, memory, writes to disk, and how fast it is back after a kill.

One market of 1,000 symbols and 1,200 events a second, one database with a month of bars, and `run.py` on both: first
`data`, watched for two minutes beside a process that only reads the same streams; then it is killed, and a minute later
`serve` has to fill the gap and answer.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from bars import MINUTE, MINUTE_MS
from bars.interval import DAY_MS
from benchmarks.events import frames_read
from benchmarks.harness import (
    Figure,
    cpu_s,
    end,
    free_port,
    http_status,
    python,
    resident_mb,
    wait_until,
    written_bytes,
)
from benchmarks.market import MONTH_DAYS, START_MS, plan
from benchmarks.month import held_back, make_month, newest_minute_ms
from storage import Reader
from wire.names import kline_stream

SYMBOLS = 1_000
EVENTS_PER_SECOND = 1_200
DAYS = 30
HISTORY = "1m={hours}h,5m=29d,30m=29d,4h=29d,1d=29d,1w=none"
"""Less than is stored: nothing but the gaps of this run is to be fetched."""
WARM_UP_S = 20.0
WINDOW_S = 120.0
DOWN_S = 60.0
CPU_MAX, MEMORY_MAX_MB, DISK_MAX_GB, RESTART_MAX_S, STOP_MAX_S = 10.0, 150.0, 40.0, 10.0, 5.0
START_PATIENCE_S = 120.0


class Market(NamedTuple):
    """A market that runs, and the database of the service that is to follow it."""

    addresses: dict[str, str]
    database: Path
    history: str
    started_s: float
    """Local monotonic time at the market's start."""

    def last_closed_ms(self) -> int:
        """The open time of the last minute that is over there by now."""
        return MINUTE.floor(START_MS + round((time.monotonic() - self.started_s) * 1_000)) - MINUTE_MS

    def options(self, command: str) -> list[str]:
        """How to run a service on it."""
        return [
            *("run.py", command, "--database", str(self.database), "--history", self.history),
            *("--rest-url", self.addresses["rest_url"], "--ws-url", self.addresses["ws_url"]),
        ]


@contextmanager
def market(
    days: int, symbols: int = SYMBOLS, events_per_second: float = EVENTS_PER_SECOND, speed: float = 1.0
) -> Iterator[Market]:
    """The market, for as long as the block runs, and a database with `days` of minutes.

    Args:
        events_per_second: in the exchange's time, which runs `speed` times faster.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "month.db")
        make_month(database, plan(symbols, events_per_second, MONTH_DAYS), days)
        options = "--symbols", str(symbols), "--events-per-second", str(events_per_second), "--speed", str(speed)
        with python("-m", "benchmarks.market", *options, alone=False) as exchange:
            assert exchange.stdout is not None
            addresses = json.loads(exchange.stdout.readline())
            yield Market(addresses, database, HISTORY.format(hours=days * 24 - 1), time.monotonic())


def measure(days: int = DAYS) -> Iterator[Figure]:
    """All of it."""
    with market(days) as running:
        yield from _at_the_markets_pace(running)
        yield from _after_a_kill(running)


def _at_the_markets_pace(running: Market) -> Iterator[Figure]:
    """Ends with the service's death."""
    names = running.database.with_suffix(".txt")
    contracts = plan(SYMBOLS, EVENTS_PER_SECOND, MONTH_DAYS).contracts
    names.write_text("\n".join(kline_stream(one.symbol, MINUTE) for one in contracts), encoding="utf-8")
    log = running.database.with_suffix(".log")
    reading = "-m", "benchmarks.reading_alone", running.addresses["ws_url"], str(names)
    started_s = time.monotonic()
    with python(*running.options("data"), log=log) as service, python(*reading) as reader:
        wait_until(lambda: is_live(running), "all symbols are live", START_PATIENCE_S)
        yield Figure("start_seconds", time.monotonic() - started_s, "s", goal=RESTART_MAX_S, at_most=True)
        time.sleep(WARM_UP_S)
        value, floor, events, gigabytes = _watched(service, reader)
        note = f"{events:,.0f} events/s"
        yield Figure("cpu_percent", value, "% of a core", floor, CPU_MAX, at_most=True, note=note)
        yield Figure("memory_mb", resident_mb(service), "MB", None, MEMORY_MAX_MB, at_most=True)
        yield Figure("disk_gb_per_day", gigabytes, "GB/day", None, DISK_MAX_GB, at_most=True)
        service.kill()


def _watched(service: subprocess.Popen[str], reader: subprocess.Popen[str]) -> tuple[float, float, float, float]:
    """Percent of a core of the service and of reading alone, in the same time; events a second; GB a day."""
    started_s, frames = time.monotonic(), frames_read(reader)
    used_s, read_s, written = cpu_s(service), cpu_s(reader), written_bytes(service)
    time.sleep(WINDOW_S)
    took_s = time.monotonic() - started_s
    per_second = (written_bytes(service) - written) / took_s
    return (
        (cpu_s(service) - used_s) / took_s * 100,
        (cpu_s(reader) - read_s) / took_s * 100,
        (frames_read(reader) - frames) / took_s,
        per_second * DAY_MS / 1_000 / 1e9,
    )


def _after_a_kill(running: Market) -> Iterator[Figure]:
    time.sleep(DOWN_S)
    port = free_port()
    log = running.database.with_suffix(".log")
    down_ms = running.last_closed_ms() - newest_minute_ms(running.database)
    started_s = time.monotonic()
    with python(*running.options("serve"), "--port", str(port), log=log) as service:
        wait_until(lambda: http_status(port, "/healthz") == 200, "it serves", START_PATIENCE_S)
        wait_until(lambda: is_gapless(running), "no minute is missing", START_PATIENCE_S)
        note = f"{down_ms // MINUTE_MS} minutes were missing for each of {SYMBOLS:,} symbols"
        took_s = time.monotonic() - started_s
        yield Figure("restart_seconds", took_s, "s", None, RESTART_MAX_S, at_most=True, note=note)
        time.sleep(1.0)
        yield Figure("stop_seconds", end(service), "s", None, STOP_MAX_S, at_most=True)


def is_live(running: Market, count: int = SYMBOLS) -> bool:
    """Whether the service says that every symbol is live."""
    with closing(Reader(running.database)) as reader:
        state = reader.service_state()
    symbols = json.loads(state.state)["symbols"] if state is not None else {}
    return bool(symbols.get("live", 0) == count)


def is_gapless(running: Market) -> bool:
    """Whether every contract has each minute up to the last that can be final: ten seconds are given to it."""
    settled_ms = running.last_closed_ms() if _into_minute_s(running) > 10 else running.last_closed_ms() - MINUTE_MS
    return held_back(running.database, settled_ms) == 0


def _into_minute_s(running: Market) -> float:
    return (START_MS / 1_000 + time.monotonic() - running.started_s) % 60
