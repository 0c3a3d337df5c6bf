"""A disk that the kernel makes read-only, a directory that may not be looked into any more, a place that may not be
written to."""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.mounts import failing_disk
from tests.faults.trial import KLINES, Trial, trial

WITHOUT_PRIVILEGES = ("-dac_override", "-dac_read_search")
"""Permissions mean something to root without these."""


def run(arguments: Sequence[str] = ()) -> str:
    """On an ext4 file system in a file, which the kernel makes read-only because of an error."""
    chosen = parsed("read-only", arguments)
    with failing_disk(160) as disk, trial(symbols=chosen.symbols, speed=chosen.speed, folder=disk.folder) as one:
        one.start()
        one.expect_well()
        one.expect_truth()
        disk.fail()
        ill_s = one.expect_ill("cannot be written", 60)
        answers = asked(one, chosen.seconds, 200)[200]
        status = one.stop()
        one.expect_refusal()
        disk.repair()
        one.expect_sound()
        one.start()
        one.expect_well()
        bars, equal_s = one.expect_truth()
        assert one.stop() == 0
    return (
        f"ext4 made read-only by an error, {chosen.symbols} symbols: 503 after {ill_s:.0f} s, all {answers} questions "
        f"in {chosen.seconds:.0f} s answered, stop with status {status}, a start ended with 4; repaired, and started: "
        f"{bars:,} bars equal after {equal_s:.0f} s"
    )


def run_without_permission(arguments: Sequence[str] = ()) -> str:
    """In a directory that is closed while the service runs; to root too, by taking its privileges away."""
    chosen = parsed("permission", arguments)
    capabilities = ",".join(WITHOUT_PRIVILEGES)
    unprivileged = ("setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="barkeep-place-")))
        before = unprivileged if os.geteuid() == 0 else ()
        one = stack.enter_context(trial(symbols=chosen.symbols, speed=chosen.speed, folder=folder, before=before))
        stack.callback(folder.chmod, 0o700)
        one.start()
        one.expect_well()
        one.expect_truth()
        folder.chmod(0)
        answers = asked(one, chosen.seconds, 200, 503)  # threads that have the file open go on, others cannot open it
        ill = one.illness()
        folder.chmod(0o700)
        one.expect_well()
        one.expect_truth()
        assert not one.status()["restarts"], "an actor began anew"
        assert one.stop() == 0
        folder.chmod(0o500)
        one.expect_refusal()
        folder.chmod(0o700)
        one.start()
        one.expect_well()
        bars, _ = one.expect_truth()
        assert one.stop() == 0
    return (
        f"the directory of a service with {chosen.symbols} symbols closed (chmod 0) for {chosen.seconds:.0f} s: "
        f"{'ill' if ill else 'well'} meanwhile, {answers[200]} questions answered, {answers[503]} put off with 503, no "
        f"actor began anew, {bars:,} bars equal; a start in a directory that may not be written to ended with 4"
    )


def parsed(name: str, arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m tests.faults {name}", description=__doc__)
    parser.add_argument("--symbols", type=int, default=60)
    parser.add_argument("--speed", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=40.0)
    return parser.parse_args(arguments)


def asked(one: Trial, seconds: float, *expected: int) -> Counter[int]:
    """Ask for bars all the time; how often the answer had which of the expected statuses."""
    answers, stop_s = Counter[int](), time.monotonic() + seconds
    while time.monotonic() < stop_s:
        reply = one.ask(KLINES)
        assert reply.status in expected, reply
        answers[reply.status] += 1
        time.sleep(0.2)
    return answers
