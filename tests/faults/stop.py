"""SIGSTOP for two minutes, then SIGCONT: a laptop's lid, a virtual machine's snapshot, a debugger."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence

from tests.faults.trial import options, trial


def run(arguments: Sequence[str] = ()) -> str:
    """Stop it in the middle of its work, twice."""
    chosen = options("stop", __doc__, arguments, symbols=120, speed=10.0, seconds=120.0)
    with trial(symbols=chosen.symbols, speed=chosen.speed, frames_per_minute=40) as one:
        one.begin()
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
