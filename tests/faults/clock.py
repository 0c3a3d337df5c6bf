"""This machine's clock wrong by hours, and jumping while the service runs. The monotonic clock is left alone.

libfaketime tells the service another time: `apt install faketime`.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.outcome import Impossible
from tests.faults.trial import Trial, options, trial

OFFSETS_H = (-7, 26, 24 * 400)
JUMPS_H = (5, -9, 24 * 30, 0)
SECOND_MS, HOUR_MS = 1_000, 3_600_000
LAUNCHER = ("-m", "tests.faults.under_faketime")


def run(arguments: Sequence[str] = ()) -> str:
    """Start it at wrong times, on one database after the other's; then turn the clock while it runs."""
    chosen = options("clock", __doc__, arguments, symbols=60, speed=60.0, seconds=15.0, of_seconds="between two jumps")
    library = faketime_library()
    with ExitStack() as stack:
        one = stack.enter_context(trial(symbols=chosen.symbols, speed=chosen.speed))
        offset = Path(stack.enter_context(TemporaryDirectory()), "offset")
        one.program = LAUNCHER
        one.environment = {
            "LD_PRELOAD": library,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_CACHE_DURATION": "1",
        }
        bars = 0
        for hours in OFFSETS_H:  # the same database each time: what the last run dated is in the future or long ago
            turn(offset, hours)
            bars, _ = one.begin()
            wrong_h = (one.status()["started_at"] - time.time() * SECOND_MS) / HOUR_MS
            assert abs(wrong_h - hours) < 0.1, f"the clock should be wrong by {hours} h, and is by {wrong_h:.1f} h"
            assert one.stop() == 0
        turn(offset, 0)
        one.start()
        one.expect_well()
        ill = [reason for hours in JUMPS_H for reason in jumped(one, offset, hours, chosen.seconds)]
        bars, _ = one.expect_truth()
        status = one.status()
        assert not status["restarts"], "an actor began anew"
        assert not ill, f"the service was not well: {ill[:3]}"
        assert one.stop() == 0
    return (
        f"{chosen.symbols} symbols, started with the clock wrong by {listed(OFFSETS_H)}, then turned to "
        f"{listed(JUMPS_H)} while it ran: well all the time, no actor began anew, all {bars:,} bars equal"
    )


def jumped(one: Trial, offset: Path, hours: int, seconds: float) -> list[str]:
    """Turn the clock, and look for a while whether the service is well; why it was not."""
    turn(offset, hours)
    stop_s, ill = time.monotonic() + seconds, []
    while time.monotonic() < stop_s:
        ill += [reason] if (reason := one.illness()) else []
        time.sleep(0.2)
    committed_h = (one.status()["database"]["last_commit"] - time.time() * SECOND_MS) / HOUR_MS
    assert abs(committed_h - hours) < 0.1, f"the clock should be wrong by {hours} h, and is by {committed_h:.1f} h"
    return ill


def listed(hours: Sequence[int]) -> str:
    return ", ".join(f"{number:+} h" for number in hours)


def turn(offset: Path, hours: int) -> None:
    offset.write_text(f"{hours * 3600:+d}\n")


def faketime_library() -> str:
    """What is to be preloaded; the command knows where it is."""
    if shutil.which("faketime") is None:
        raise Impossible("libfaketime (apt install faketime)")
    command = ["faketime", "-m", "-f", "+0", "printenv", "LD_PRELOAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split(":")[-1]
