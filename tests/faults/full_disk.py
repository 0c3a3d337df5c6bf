"""A full disk: another program takes the last byte, and gives it back; and a limit for the size of files."""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.mounts import small_disk
from tests.faults.trial import KLINES, Trial, trial

BALLAST = "ballast"
MEGABYTES = 96


def run(arguments: Sequence[str] = ()) -> str:
    """On a small file system of its own; what comes while it is full is kept in memory."""
    chosen = parsed("full-disk", arguments)
    with small_disk(MEGABYTES) as disk, trial(symbols=chosen.symbols, speed=chosen.speed, folder=disk) as one:
        one.start()
        one.expect_well()
        one.expect_truth()
        seen = harmed(one, lambda: fill(disk), lambda: (disk / BALLAST).unlink(), chosen.seconds)
        assert one.stop() == 0
        fill(disk)
        one.expect_refusal()
        (disk / BALLAST).unlink()
        one.start()
        one.expect_well()
        one.expect_truth()
        assert one.stop() == 0
    return f"tmpfs of {MEGABYTES} MB, {chosen.symbols} symbols: {seen}; a start on it ended with 4"


def run_limited(arguments: Sequence[str] = ()) -> str:
    """With a limit for the size of files, as `ulimit -f` sets it."""
    chosen = parsed("file-limit", arguments)
    with trial(symbols=chosen.symbols, speed=chosen.speed) as one:
        one.start()
        one.expect_well()
        one.expect_truth()
        log = Path(f"{one.database}-wal")
        seen = harmed(
            one,
            lambda: limit(one, log.stat().st_size),
            lambda: limit(one, resource.RLIM_INFINITY),
            chosen.seconds,
        )
        assert one.stop() == 0
    return f"{chosen.symbols} symbols: {seen}"


def parsed(name: str, arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m tests.faults {name}", description=__doc__)
    parser.add_argument("--symbols", type=int, default=120)
    parser.add_argument("--speed", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    return parser.parse_args(arguments)


def harmed(one: Trial, harm: Callable[[], None], mend: Callable[[], None], seconds: float) -> str:
    """What a service does that cannot write for a time."""
    before_mb = one.memory_mb()
    harm()
    stop_s = time.monotonic() + seconds
    ill_s = one.expect_ill("cannot be written", 60)
    answers = 0
    while time.monotonic() < stop_s:
        assert one.ask(KLINES).status == 200
        answers += 1
        time.sleep(0.2)
    waiting, while_mb = one.status()["database"]["waiting"], one.memory_mb()
    mend()
    well_s = one.expect_well()
    bars, equal_s = one.expect_truth()
    assert not one.status()["restarts"], "an actor began anew"
    return (
        f"503 after {ill_s:.0f} s, {waiting:,} bars kept for {seconds:.0f} s ({before_mb} to {while_mb} MB), all "
        f"{answers} questions answered; well {well_s:.1f} s after its end, equal {equal_s:.1f} s later, {bars:,} bars"
    )


def fill(disk: Path) -> None:
    """Take all the room that is left."""
    with (disk / BALLAST).open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def limit(one: Trial, size_bytes: int) -> None:
    """As `ulimit -f`, for a process that runs: no file of it may grow beyond."""
    _, hard = resource.prlimit(one.running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(one.running.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))
