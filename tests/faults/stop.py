"""SIGSTOP for two minutes, then SIGCONT: a laptop's lid, a virtual machine's snapshot, a debugger."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Sequence

from tests.faults.trial import trial


def run(arguments: Sequence[str] = ()) -> str:
    """Stop it in the middle of its work, twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults stop", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--symbols", type=int, default=120)
    parser.add_argument("--speed", type=float, default=10.0)
    chosen = parser.parse_args(arguments)
    with trial(symbols=chosen.symbols, speed=chosen.speed, frames_per_minute=40) as one:
        one.start()
        one.expect_well()
        one.expect_truth()
        before = one.status()
        one.running.send_signal(signal.SIGSTOP)
        time.sleep(chosen.seconds)
        one.running.send_signal(signal.SIGCONT)
        well_s = one.expect_well()
        bars, equal_s = one.expect_truth()
        after = one.status()
        restarts = after["restarts"] - before["restarts"]
        reconnects = sum(feed["reconnects"] for feed in after["feeds"])
        assert one.stop() == 0
    return (
        f"{chosen.symbols} symbols stood still for {chosen.seconds:.0f} s, {chosen.speed * chosen.seconds / 60:.0f} "
        f"minutes of the market: well again after {well_s:.1f} s, all {bars:,} bars equal after "
        f"{well_s + equal_s:.1f} s; {restarts} actors began anew, {reconnects} new connections"
    )
