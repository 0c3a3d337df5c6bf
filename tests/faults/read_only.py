"""A disk that the kernel makes read-only, a directory that may not be looked into any more, a place that may not be
written to."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.mounts import expect_root, failing_disk
from tests.faults.trial import KLINES, Trial, trial, until

NOBODY = 65_534


def run(arguments: Sequence[str] = ()) -> str:
    """A failing disk first, then the loss of permissions as another user than root."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults read-only", description=__doc__)
    parser.add_argument("--symbols", type=int, default=60)
    parser.add_argument("--speed", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=40.0)
    chosen = parser.parse_args(arguments)
    expect_root("mounting, and for becoming another user")
    disk = with_failing_disk(chosen.symbols, chosen.speed, chosen.seconds)
    return f"{disk}; {without_permission(chosen.symbols, chosen.speed, chosen.seconds)}"


def with_failing_disk(symbols: int, speed: float, seconds: float) -> str:
    with failing_disk(160) as disk, trial(symbols=symbols, speed=speed, folder=disk.folder) as one:
        one.start()
        one.expect_well()
        one.expect_truth()
        disk.fail()
        ill_s = one.expect_ill("cannot be written", 60)
        reason, answers = one.illness(), asked(one, seconds)
        status = one.stop()
        one.launch()
        until(lambda: one.has_ended, 60, "the start was given up")
        assert one.running.returncode == 4, one.words()
        refusal = one.words().strip()
        assert "\n" not in refusal, refusal
        disk.repair()
        one.expect_sound()
        one.start()
        one.expect_well()
        bars, equal_s = one.expect_truth()
        assert one.stop() == 0
        print(f"  reason: {reason}\n  refusal: {refusal}")
    return (
        f"ext4 made read-only by an error, {symbols} symbols: 503 after {ill_s:.0f} s, all {answers} questions in "
        f"{seconds:.0f} s answered, stop with status {status}, a start ended with 4; repaired, and started: "
        f"{bars:,} bars equal after {equal_s:.0f} s"
    )


def without_permission(symbols: int, speed: float, seconds: float) -> str:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="barkeep-place-")))
        os.chown(folder, NOBODY, NOBODY)
        one = stack.enter_context(trial(symbols=symbols, speed=speed, folder=folder, user=NOBODY))
        one.start()
        one.expect_well()
        one.expect_truth()
        folder.chmod(0)
        answers = asked(one, seconds)
        ill = one.illness()
        folder.chmod(0o700)
        one.expect_well()
        bars, _ = one.expect_truth()
        assert one.stop() == 0
        folder.chmod(0o500)
        one.launch()
        until(lambda: one.has_ended, 60, "the start was given up")
        assert one.running.returncode == 4, one.words()
        refusal = one.words().strip()
        assert "\n" not in refusal, refusal
        folder.chmod(0o700)
        one.start()
        one.expect_well()
        bars, _ = one.expect_truth()
        assert one.stop() == 0
        print(f"  ill: {ill}\n  refusal: {refusal}")
    return (
        f"the directory closed (chmod 0) to a service of another user for {seconds:.0f} s: {answers} questions "
        f"answered, {'ill meanwhile' if ill else 'well all the time'}, {bars:,} bars equal; a start in a directory that "
        "may not be written to ended with 4"
    )


def asked(one: Trial, seconds: float) -> int:
    """Ask for bars all the time; how often."""
    answers, stop_s = 0, time.monotonic() + seconds
    while time.monotonic() < stop_s:
        assert (reply := one.ask(KLINES)).status == 200, reply
        answers += 1
        time.sleep(0.2)
    return answers
