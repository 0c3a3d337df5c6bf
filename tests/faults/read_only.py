"""A disk that the kernel makes read-only, a directory that may not be looked into any more, a place that may not be
written to."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.mounts import failing_disk
from tests.faults.trial import options, trial

WITHOUT_PRIVILEGES = ("-dac_override", "-dac_read_search")
"""Permissions mean something to root without these."""


def run(arguments: Sequence[str] = ()) -> str:
    """On an ext4 file system in a file, which the kernel makes read-only because of an error."""
    chosen = options("read-only", __doc__, arguments, symbols=60, speed=30.0, seconds=40.0)
    with failing_disk(160) as disk, trial(symbols=chosen.symbols, speed=chosen.speed, folder=disk.folder) as one:
        one.begin()
        disk.fail()
        ill_s = one.expect_ill("cannot be written", 60)
        answers = one.expect_answers(time.monotonic() + chosen.seconds, 200)[200]
        status = one.stop()
        one.expect_refusal()
        disk.repair()
        one.expect_sound()
        bars, equal_s = one.begin()
        assert one.stop() == 0
    return (
        f"ext4 made read-only by an error, {chosen.symbols} symbols: 503 after {ill_s:.0f} s, all {answers} questions "
        f"in {chosen.seconds:.0f} s answered, stop with status {status}, a start ended with 4; repaired, and started: "
        f"{bars:,} bars equal after {equal_s:.0f} s"
    )


def run_without_permission(arguments: Sequence[str] = ()) -> str:
    """In a directory that is closed while the service runs; to root too, by taking its privileges away."""
    chosen = options("permission", __doc__, arguments, symbols=60, speed=30.0, seconds=40.0)
    capabilities = ",".join(WITHOUT_PRIVILEGES)
    unprivileged = ("setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="barkeep-place-")))
        before = unprivileged if os.geteuid() == 0 else ()
        one = stack.enter_context(trial(symbols=chosen.symbols, speed=chosen.speed, folder=folder, before=before))
        stack.callback(folder.chmod, 0o700)
        one.begin()
        folder.chmod(0)
        answers = one.expect_answers(
            time.monotonic() + chosen.seconds, 200, 503
        )  # threads that have the file open go on, others cannot open it
        ill = one.illness()
        folder.chmod(0o700)
        one.expect_well()
        one.expect_truth()
        assert not one.status()["restarts"], "an actor began anew"
        assert one.stop() == 0
        folder.chmod(0o500)
        one.expect_refusal()
        folder.chmod(0o700)
        bars, _ = one.begin()
        assert one.stop() == 0
    return (
        f"the directory of a service with {chosen.symbols} symbols closed (chmod 0) for {chosen.seconds:.0f} s: "
        f"{'ill' if ill else 'well'} meanwhile, {answers[200]} questions answered, {answers[503]} put off with 503, no "
        f"actor began anew, {bars:,} bars equal; a start in a directory that may not be written to ended with 4"
    )
