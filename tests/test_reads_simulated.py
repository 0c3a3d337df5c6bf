"""Clients ask for spans while actors crash: what is called stored is stored, and nobody is told twice."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from actors.messages import SpanWanted
from bars import MINUTE, MINUTE_MS, STORED, Interval, Span
from bars.interval import DAY_MS
from exchange.simulated import default_plan
from exchange.simulated.world import World
from storage import ContractRecord
from tests.support.virtual import Trouble, VirtualExchange, VirtualSystem


class Client:
    """One request for a span and what came of it."""

    def __init__(self, system: VirtualSystem, record: ContractRecord, interval: Interval, span: Span) -> None:
        self._system = system
        self._record = record
        self._interval = interval
        self._span = span
        self.told: list[str | None] = []
        self.left = [span]
        system.backfill.tell(SpanWanted(record.key, interval, [span], 60.0, self._on_reply))

    def _on_reply(self, reason: str | None) -> None:
        self.told.append(reason)
        self.left = self._system.reader.holes(self._record, self._interval, self._span)


def some_span(random: Random, interval: Interval, now_ms: int) -> Span:
    stop_ms = interval.floor(now_ms - DAY_MS // 2)
    start_ms = interval.back(stop_ms, random.randrange(1, 2_500))
    return Span(start_ms, min(stop_ms, interval.back(start_ms, -random.randrange(1, 1_500))))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_crashes_what_clients_are_told_is_true(seed: int, tmp_path: Path) -> None:
    random = Random(f"{seed}/clients")
    world = World(default_plan(seed, 2, history_days=4, frames_per_minute=12))
    system = VirtualSystem(VirtualExchange(world, Random(seed)), tmp_path / "bars.db", seed)
    system.run(2 * 60)
    system.exchange.trouble = Trouble(crashes=0.002, rest_errors=0.1)
    records = [record for record in system.reader.contracts() if record.contract.is_perpetual]
    clients: list[Client] = []
    for _ in range(40):
        record, interval = random.choice(records), random.choice([MINUTE, MINUTE, *STORED])
        span = some_span(random, interval, system.exchange.now_ms)
        clients += [Client(system, record, interval, span) for _ in range(random.randrange(1, 4))]
        system.run(15)
    system.exchange.trouble = Trouble()
    system.run(70 * MINUTE_MS // 1_000)  # after errors in a row nothing is asked for up to a minute of local time
    told = [client for client in clients if client.told]
    assert all(len(client.told) == 1 for client in told)
    assert all(client.left == [] for client in told if client.told == [None])
    # A request is lost only with the very message that a crash took along.
    assert len(told) >= len(clients) - system.crashes
    assert sum(client.told == [None] for client in told) > len(clients) // 4
    system.stop()
    assert system.gave_up == []
