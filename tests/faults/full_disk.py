"""A full disk: another program takes the last byte, and gives it back; and a limit for the size of files."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.mounts import small_disk
from tests.faults.trial import Trial, options, trial

BALLAST = "ballast"
MEGABYTES = 96


def run(arguments: Sequence[str] = ()) -> str:
    """On a small file system of its own; what comes while it is full is kept in memory."""
    chosen = options("full-disk", __doc__, arguments, symbols=120, speed=30.0, seconds=60.0)
    with small_disk(MEGABYTES) as disk, trial(symbols=chosen.symbols, speed=chosen.speed, folder=disk) as one:
        one.begin()
        seen = harmed(one, lambda: fill(disk), lambda: (disk / BALLAST).unlink(), chosen.seconds)
        assert one.stop() == 0
        fill(disk)
        one.expect_refusal()
        (disk / BALLAST).unlink()
        one.begin()
        assert one.stop() == 0
    return f"tmpfs of {MEGABYTES} MB, {chosen.symbols} symbols: {seen}; a start on it ended with 4"


def run_limited(arguments: Sequence[str] = ()) -> str:
    """With a limit for the size of files, as `ulimit -f` sets it."""
    chosen = options("file-limit", __doc__, arguments, symbols=120, speed=30.0, seconds=60.0)
    with trial(symbols=chosen.symbols, speed=chosen.speed) as one:
        one.begin()
        log = Path(f"{one.database}-wal")
        seen = harmed(
            one,
            lambda: limit(one, log.stat().st_size),
            lambda: limit(one, resource.RLIM_INFINITY),
            chosen.seconds,
        )
        assert one.stop() == 0
    return f"{chosen.symbols} symbols: {seen}"


def harmed(one: Trial, harm: Callable[[], None], mend: Callable[[], None], seconds: float) -> str:
    """What a service does that cannot write for a time."""
    before_mb = one.memory_mb()
    harm()
    stop_s = time.monotonic() + seconds
    ill_s = one.expect_ill("cannot be written", 60)
    answers = one.expect_answers(stop_s, 200)[200]
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
