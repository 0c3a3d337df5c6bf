"""A long run: whether memory, open files, threads and mailboxes stay as they are, and whether the bars are right.

    python -m benchmarks.soak                  1,000 symbols, 20 times faster than real, 30 minutes: ten hours of market
    python -m benchmarks.soak --minutes 5      shorter
    python -m benchmarks.soak --write-results  the same, and its part of benchmarks/RESULTS.md

`run.py serve` follows the simulated exchange and is looked at from outside every ten seconds. At the end every bar of
the time is compared with the exchange's. The exit status is 0 when nothing grew and all bars are equal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bars import MINUTE, MINUTE_MS, STORED
from bars.comparison import judge
from bars.interval import DAY_MS, HOUR_MS
from benchmarks.harness import free_port, http_status, python, resident_mb, wait_until, written_bytes
from benchmarks.market import MONTH_DAYS, plan
from benchmarks.results import keep
from benchmarks.service import START_PATIENCE_S, Market, is_live, market
from benchmarks.table import surroundings
from exchange.simulated import World
from storage import Reader

SYMBOLS, SPEED, MINUTES, DAYS = 1_000, 20.0, 30.0, 2
FRAMES_A_MINUTE = 6
PERIOD_S = 10.0
WARM_UP = 0.2
"""How much of the time is not compared: tables and buffers fill."""
GROWTH_MAX = 1.05


class Look(NamedTuple):
    """What was seen from outside."""

    after_s: float
    resident_mb: float
    open_files: int
    threads: int
    waiting: int
    """Messages in all mailboxes."""
    late: int
    written: int


class Findings(NamedTuple):
    """What became of a run."""

    table: str
    sentences: list[str]
    is_sound: bool
    """Whether nothing grew and all bars are right."""


def soak(minutes: float, symbols: int, speed: float) -> Findings:
    """Run, telling on standard error what is seen."""
    events_per_second = symbols * FRAMES_A_MINUTE / 60
    with market(DAYS, symbols, events_per_second, speed) as running:
        port, log = free_port(), running.database.with_suffix(".log")
        with python(*running.options("serve"), "--port", str(port), log=log, alone=False) as service:
            wait_until(lambda: http_status(port, "/healthz") == 200, "it serves", START_PATIENCE_S)
            wait_until(lambda: is_live(running, symbols), "all symbols are live", START_PATIENCE_S)
            from_ms: int = _status(port)["exchange_time"]
            looks = _looked_at(service, port, minutes)
            stop_ms: int = _status(port)["exchange_time"]
        wrong, compared = _compared(running, symbols, events_per_second, from_ms, stop_ms)
    return _told(looks, wrong, compared, stop_ms - from_ms, speed)


def _looked_at(service: subprocess.Popen[str], port: int, minutes: float) -> list[Look]:
    started_s, looks = time.monotonic(), list[Look]()
    while (after_s := time.monotonic() - started_s) < minutes * 60:
        status = _status(port)
        process = Path("/proc", str(service.pid))
        look = Look(
            after_s,
            resident_mb(service),
            len(list((process / "fd").iterdir())),
            len(list((process / "task").iterdir())),
            status["mailboxes"]["waiting"],
            status["symbols"].get("late", 0),
            written_bytes(service),
        )
        looks.append(look)
        print(f"{after_s:6.0f} s  {look.resident_mb:6.1f} MB  {look.open_files} files", end="  ", file=sys.stderr)
        print(f"{look.threads} threads  {look.waiting} waiting  {look.late} late", file=sys.stderr, flush=True)
        time.sleep(PERIOD_S)
    return looks


def _status(port: int) -> Any:
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/api/status")
        return json.loads(connection.getresponse().read())


def _compared(
    running: Market, symbols: int, events_per_second: float, from_ms: int, stop_ms: int
) -> tuple[list[str], int]:
    """Which bars that ended within the time are missing or not the exchange's, and how many were looked at."""
    world_plan = plan(symbols, events_per_second, MONTH_DAYS)
    world, wrong, compared = World(world_plan), list[str](), 0
    first_ms, last_ms = MINUTE.ceil(from_ms), MINUTE.floor(stop_ms) - 2 * MINUTE_MS
    with closing(Reader(running.database)) as reader:
        for record in reader.contracts():
            symbol = record.contract.symbol
            for interval in STORED:
                start_ms, end_ms = interval.ceil(first_ms), interval.floor(last_ms) - 1
                if start_ms > end_ms:
                    continue
                stored = reader.bars(record, interval, start_ms=start_ms, end_ms=end_ms, limit=100_000)
                mine = [one.bar for one in stored if one.closed]
                truth = world.bars(symbol, interval, start_ms, end_ms + 1, end_ms + 1)
                verdict = judge({interval: mine}, {interval: truth})[interval]
                compared += verdict.compared
                different = [one.ours for one in verdict.different]
                for bar in (*different, *verdict.missing_here, *verdict.missing_there):
                    wrong.append(f"{symbol} {interval} {bar.open_ms}")
    return wrong, compared


def _told(looks: Sequence[Look], wrong: Sequence[str], compared: int, market_ms: int, speed: float) -> Findings:
    warm = looks[int(len(looks) * WARM_UP) :]
    early, late = warm[: len(warm) // 3], warm[-(len(warm) // 3) :]
    grew = []
    rows = ["| | after warm-up | at the end | most |", "| --- | --- | --- | --- |"]
    for name in ("resident_mb", "open_files", "threads", "waiting", "late"):
        before, after = (median(getattr(look, name) for look in part) for part in (early, late))
        rows.append(f"| {name} | {before:,.1f} | {after:,.1f} | {max(getattr(look, name) for look in warm):,.1f} |")
        if after > max(before * GROWTH_MAX, before + 5):
            grew.append(name)
    took_s = warm[-1].after_s - warm[0].after_s
    share = took_s / looks[-1].after_s
    written = (warm[-1].written - warm[0].written) / (market_ms * share) * DAY_MS / 1e9
    sentences = [
        f"{market_ms / HOUR_MS:.1f} hours of market in {looks[-1].after_s / 60:.0f} minutes",
        f"{written:.1f} GB are written in a day of market at this pace, in which seconds are {speed:.0f} times rarer",
        f"{compared:,} bars compared, {len(wrong)} wrong or missing" + "".join(f"; {one}" for one in wrong[:10]),
        f"grew: {', '.join(grew) or 'nothing'}",
    ]
    return Findings("\n".join(rows), sentences, not wrong and not grew)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    parser.add_argument("--speed", type=float, default=SPEED)
    parser.add_argument("--write-results", action="store_true", help="write its part of benchmarks/RESULTS.md")
    options = parser.parse_args()
    findings = soak(options.minutes, options.symbols, options.speed)
    print(findings.table, *findings.sentences, sep="\n")
    if options.write_results:
        keep("A long run", "python -m benchmarks.soak", [*surroundings(), *findings.sentences], findings.table)
    return 0 if findings.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
