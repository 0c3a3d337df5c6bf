"""A disk that the kernel makes read-only, a directory that may not be looked into any more, a place that may not be
written to."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.mounts import expect_root, failing_disk
from tests.faults.trial import KLINES, Trial, trial, until

WITHOUT_PRIVILEGES = ("-dac_override", "-dac_read_search")
"""Permissions mean something to root without these."""


def run(arguments: Sequence[str] = ()) -> str:
    """A failing disk first, then the loss of permissions, which root is given up for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults read-only", description=__doc__)
    parser.add_argument("--symbols", type=int, default=60)
    parser.add_argument("--speed", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=40.0)
    chosen = parser.parse_args(arguments)
    expect_root("mounting")
    disk = with_failing_disk(chosen.symbols, chosen.speed, chosen.seconds)
    return f"{disk}; {without_permission(chosen.symbols, chosen.speed, chosen.seconds)}"


def with_failing_disk(symbols: int, speed: float, seconds: float) -> str:
    with failing_disk(160) as disk, trial(symbols=symbols, speed=speed, folder=disk.folder) as one:
        one.start()
        one.expect_well()
        one.expect_truth()
        disk.fail()
        ill_s = one.expect_ill("cannot be written", 60)
        reason, answers = one.illness(), asked(one, seconds, 200)[200]
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
        capabilities = ",".join(WITHOUT_PRIVILEGES)
        before = ("setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}")
        one = stack.enter_context(trial(symbols=symbols, speed=speed, folder=folder, before=before))
        one.start()
        one.expect_well()
        one.expect_truth()
        folder.chmod(0)
        answers = asked(one, seconds, 200, 503)  # threads that have the file open go on, others cannot open it
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
        f"the directory closed (chmod 0) to the service for {seconds:.0f} s: {answers[200]} questions answered, "
        f"{answers[503]} put off with 503, {'ill meanwhile' if ill else 'well all the time'}, {bars:,} bars equal; a "
        "start in a directory that may not be written to ended with 4"
    )


def asked(one: Trial, seconds: float, *expected: int) -> Counter[int]:
    """Ask for bars all the time; how often the answer had which of the expected statuses."""
    answers, stop_s = Counter[int](), time.monotonic() + seconds
    while time.monotonic() < stop_s:
        reply = one.ask(KLINES)
        assert reply.status in expected, reply
        answers[reply.status] += 1
        time.sleep(0.2)
    return answers
