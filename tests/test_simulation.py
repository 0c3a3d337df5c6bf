"""Whatever goes wrong, whichever actor dies between whichever messages, and wherever the process ends: what is stored
equals the exchange, every gap is explained, and finals went out once and in order.

One seed decides everything; `python -m tests.simulate` runs more of them, and shows what happened in one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from actors.market.hub import Hub
from bars import STORED, Bar, aggregate
from exchange.simulated import default_plan
from exchange.simulated.world import World
from storage import ladder
from tests.simulate import replay_command, simulate
from tests.support.service import ROOT
from tests.support.virtual import VirtualExchange, VirtualSystem

SEEDS = 200
AT_ONCE = 10
MINUTES = 60


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_after_any_trouble_what_is_stored_and_told_is_the_exchanges_own(first: int) -> None:
    outcomes = [simulate(seed) for seed in range(first, first + AT_ONCE)]
    failed = [outcome for outcome in outcomes if outcome.failures]
    assert not failed, "\n".join(f"{replay_command(one.seed)}\n  {one.failures[0]}" for one in failed)


def test_without_trouble_every_interval_is_complete_and_the_exchanges_own(tmp_path: Path) -> None:
    world = World(default_plan(1, 3, history_days=4, frames_per_minute=12))
    system = VirtualSystem(VirtualExchange(world, Random(1)), tmp_path / "bars.db", 1)
    system.run(40 * MINUTES)
    system.stop()
    assert system.has_ended
    assert system.differences() == []
    assert system.intervals() == set(STORED)
    assert system.behind_ms() < 3 * 60_000


@pytest.mark.parametrize("seed", [13, 302, 309])
def test_a_seed_replays_the_same_messages_in_any_process(seed: int) -> None:
    """Of the last two the traces once held a folder's name, and a set in its order."""
    commands = [sys.executable, "-m", "tests.simulate", "--seed", str(seed)]
    told = [
        subprocess.run(
            commands, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True
        )
        for hash_seed in ("1", "2")
    ]
    assert [one.returncode for one in told] == [0, 0], told[0].stdout + told[0].stderr
    assert told[0].stdout == told[1].stdout
    assert simulate(seed, traced=True).digest in told[0].stdout


def test_a_trace_tells_each_message_and_each_fault_in_one_line() -> None:
    lines: list[str] = []
    outcome = simulate(13, lines.append)
    assert sum("MinuteClosed(bar " in line for line in lines) > 10
    assert sum("  ** " in line for line in lines) >= sum(outcome.faults.values()) > 10
    assert not any("\n" in line or " object at 0x" in line for line in lines)


def test_a_larger_bar_with_one_trade_too_many_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def sloppy(parts: Sequence[Bar], open_ms: int) -> Bar:
        bar = aggregate(parts, open_ms)
        return bar._replace(trades=bar.trades + 1)

    monkeypatch.setattr(ladder, "aggregate", sloppy)
    assert any(" is not " in failure for seed in range(3) for failure in simulate(seed).failures)


def test_a_final_that_goes_out_twice_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Hub._publish  # noqa: SLF001

    def forgetful(hub: Hub, *what: object) -> None:
        for _ in range(2):
            hub._book.finals_ms.clear()  # noqa: SLF001
            publish(hub, *what)  # type: ignore[arg-type]

    monkeypatch.setattr(Hub, "_publish", forgetful)
    assert any("after the final" in failure for seed in range(3) for failure in simulate(seed).failures)
