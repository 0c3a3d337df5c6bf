"""Whatever goes wrong, and whichever actor dies between whichever messages: the database ends up as the exchange."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from bars import STORED
from exchange.simulated import default_plan
from exchange.simulated.world import World
from tests.support.virtual import Trouble, VirtualExchange, VirtualSystem

MINUTES = 60


def _system(seed: int, folder: Path, count: int = 3) -> VirtualSystem:
    world = World(default_plan(seed, count, history_days=4, frames_per_minute=12))
    return VirtualSystem(VirtualExchange(world, Random(seed)), folder / "bars.db", seed)


def test_without_trouble_every_interval_is_complete_and_the_exchanges_own(tmp_path: Path) -> None:
    system = _system(1, tmp_path)
    system.run(40 * MINUTES)
    system.stop()
    assert system.has_ended
    assert system.differences() == []
    assert system.intervals() == set(STORED)
    assert system.behind_ms() < 3 * 60_000


@pytest.mark.parametrize("seed", range(12))
def test_after_trouble_every_stored_bar_is_the_exchanges_own_and_none_is_missing(seed: int, tmp_path: Path) -> None:
    system = _system(seed, tmp_path)
    system.run(2 * MINUTES)
    system.exchange.trouble = Trouble(
        crashes=0.002,
        lost_frames=0.2,
        doubled_frames=0.1,
        missing_finals=0.2,
        disconnects=0.05,
        rest_errors=0.1,
    )
    system.run(30 * MINUTES)
    system.exchange.trouble = Trouble()
    system.run(80 * MINUTES)
    system.stop()
    assert system.gave_up == []
    assert system.crashes > 0
    assert system.differences() == [], f"seed {seed}"
    assert system.intervals() == set(STORED)
    assert system.behind_ms() < 3 * 60_000


@pytest.mark.parametrize("hours", [0.2, 1.5, 5.0])
def test_what_was_missed_since_the_last_run_is_filled(hours: float, tmp_path: Path) -> None:
    system = _system(7, tmp_path)
    system.run(10 * MINUTES)
    system.stop()
    exchange = system.exchange
    exchange.advance(exchange.now_ms + round(hours * 3_600_000))
    again = VirtualSystem(exchange, tmp_path / "bars.db", 8)
    again.run(20 * MINUTES)
    again.stop()
    assert again.differences() == []
    assert again.behind_ms() < 3 * 60_000
