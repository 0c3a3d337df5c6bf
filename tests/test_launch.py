"""A contract that is launched while the service runs: its first minutes, and those before, which never were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from bars import MINUTE, MINUTE_MS, ContractKey, Interval
from bars.history import parse_history
from bars.interval import SECOND_MS
from exchange.simulated import default_plan
from exchange.simulated.world import World
from tests.support.virtual import VirtualExchange, VirtualSystem

HISTORY = "1m=3h,5m=none,30m=none,4h=none,1d=3d,1w=none"
SYMBOL = "FRESHUSDT"


def a_system(folder: Path, launch_in_ms: int) -> tuple[ContractKey, VirtualSystem]:
    """A service that has just begun, and the contract that comes."""
    plan = default_plan(3, 2, history_days=4, frames_per_minute=12, changes=False)
    onboard_ms = plan.start_ms + launch_in_ms
    like = next(contract for contract in plan.contracts if contract.symbol == "ETHUSDT")
    new = replace(like, symbol=SYMBOL, onboard_ms=onboard_ms, first_trade_ms=onboard_ms + 2 * MINUTE_MS)
    world = World(replace(plan, contracts=(*plan.contracts, new)))
    return ContractKey(SYMBOL, onboard_ms), VirtualSystem(
        VirtualExchange(world, Random(3)), folder / "bars.db", 3, history=HISTORY
    )


def told(system: VirtualSystem, key: ContractKey, interval: Interval) -> set[tuple[str, str]]:
    """What the ledger says about what is missing of a contract from its launch on."""
    found = system.reader.gaps(system.exchange.now_ms, parse_history(HISTORY))
    return {
        (gap.reason.value, gap.state.value)
        for gap in found
        if gap.key == key and gap.interval is interval and gap.span.stop_ms > interval.floor(key.onboard_ms)
    }


@pytest.mark.parametrize("launch_in_s", range(20 * 60, 26 * 60, 60))
def test_whenever_it_is_heard_of_that_it_had_no_bars_before_its_first_trade_is_known_soon(
    tmp_path: Path, launch_in_s: int
) -> None:
    key, system = a_system(tmp_path, launch_in_s * SECOND_MS)
    system.run(60 * 60)
    assert told(system, key, MINUTE) == {("not listed yet", "explained")}
    system.stop()
    assert (system.differences(), system.gave_up) == ([], [])
