"""Half-open connections: the network swallows everything, and neither side is ever told."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.faults.proxy import FAIR, FaultyProxy, Weather
from tests.faults.trial import KLINES, trial, until


def run(arguments: Sequence[str] = ()) -> str:
    """First only the connections of one moment, then for a time every new one as well."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults half-open", description=__doc__)
    parser.add_argument("--symbols", type=int, default=250, help="more than 200 need a second connection")
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--dead-s", type=float, default=90.0, help="how long new ones are swallowed too")
    chosen = parser.parse_args(arguments)
    with ExitStack() as stack:
        one = stack.enter_context(trial(symbols=chosen.symbols, speed=chosen.speed))
        rest, streams = (stack.enter_context(FaultyProxy(one.exchange.port)) for _ in range(2))
        one.options = ("--rest-url", rest.url("http"), "--ws-url", streams.url("ws"))
        one.begin()

        connections = streams.seen["connections"]
        rest.swallow()
        streams.swallow()
        noticed_s = until(lambda: streams.seen["connections"] >= connections + 2, 90, "the feeds have connected again")
        one.expect_well()
        _, first_s = one.expect_truth()

        rest.weather = streams.weather = Weather(is_dead=True)
        rest.swallow()
        streams.swallow()
        began_s = time.monotonic()
        ill_s = until(lambda: bool(one.illness()), chosen.dead_s, "the service says that it is not well")
        time.sleep(max(0.0, began_s + chosen.dead_s - time.monotonic()))
        assert one.ask(KLINES).status == 200
        rest.weather = streams.weather = FAIR
        well_s = one.expect_well()
        bars, second_s = one.expect_truth()
        assert one.stop() == 0
    return (
        f"{chosen.symbols} symbols on two connections: noticed after {noticed_s:.0f} s, equal {first_s:.0f} s later; "
        f"then nothing for {chosen.dead_s:.0f} s: 503 after {ill_s:.0f} s, well {well_s:.0f} s after its end, all "
        f"{bars:,} bars equal {second_s:.0f} s later"
    )
