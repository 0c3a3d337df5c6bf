"""A network that delays, cuts and damages: REST bodies and frames with broken bytes, then frames that lie."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.faults.proxy import FAIR, FaultyProxy, Weather
from tests.faults.trial import options, trial

REST = Weather(delay_s=0.2, cut=0.05, corrupt=0.3)
STREAMS = Weather(delay_s=0.05, cut=0.005, corrupt=0.05)
LIES = Weather(lie=0.3)


def run(arguments: Sequence[str] = ()) -> str:
    """Storm, then lies in sound JSON, then fair weather until all is mended."""
    chosen = options(
        "bad-network",
        __doc__,
        arguments,
        symbols=60,
        speed=60.0,
        seconds=90.0,
        of_seconds="of storm; half as long is lied",
    )
    with ExitStack() as stack:
        one = stack.enter_context(trial(symbols=chosen.symbols, speed=chosen.speed))
        rest, streams = (stack.enter_context(FaultyProxy(one.exchange.port)) for _ in range(2))
        one.options = ("--rest-url", rest.url("http"), "--ws-url", streams.url("ws"))
        rest.weather, streams.weather = REST, STREAMS
        one.start()
        stop_s = time.monotonic() + chosen.seconds
        while time.monotonic() < stop_s:
            time.sleep(5)
            one.expect_sound()  # while it rages: what is missing is missing, but nothing is wrong
        rest.weather, streams.weather = FAIR, FAIR
        one.expect_well()
        bars, storm_s = one.expect_truth()
        status = one.status()
        assert status["garbage"], "damaged frames are counted"
        assert not status["restarts"], "an actor began anew"
        damage = f"{rest.seen['corrupted']} REST answers and {streams.seen['corrupted']} pieces of stream damaged"
        cuts = rest.seen["cut"] + streams.seen["cut"]

        streams.weather = LIES
        time.sleep(chosen.seconds / 2)
        streams.weather = FAIR
        bars, lies_s = one.expect_truth(600)
        differed = one.status()["verified"]["differed"]
        assert one.stop() == 0
    return (
        f"{damage}, {cuts} connections cut: {status['garbage']} counted as garbage, no bar wrong at any moment, "
        f"equal {storm_s:.0f} s after the storm; {streams.seen['lied']} frames lied in sound JSON: {differed} minutes "
        f"differed from REST and were mended, all {bars:,} bars equal {lies_s * chosen.speed / 60:.0f} minutes of the "
        "market later"
    )
