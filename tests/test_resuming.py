"""What backfill knows from the disk: where a stream goes on that begins anew, and how much may be asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest

from actors.filling.backfill import Backfill
from actors.filling.resuming import RESUME_WITHIN_MS
from actors.messages import Resume, ResumeWanted, Tick
from actors.runtime.cell import Cell
from bars import MINUTE, MINUTE_MS, Patience
from bars.history import parse_history
from exchange import Backoff, WeightBudget
from storage import ContractsSeen, Reader
from tests.support.actors import Stage
from tests.support.market import MONDAY_MS, some_bars
from tests.support.stored import Stored, a_store


@pytest.fixture
def stored() -> Iterator[Stored]:
    with a_store() as stored:
        yield stored


def a_backfill(stage: Stage, stored: Stored, budget: WeightBudget) -> Cell:
    others = stage.recorder("others")
    return stage.play(
        "backfill",
        lambda: Backfill(
            lambda: Reader(stored.path),
            budget,
            Backoff(Random(1)),
            parse_history("1m=2h"),
            Patience(),
            writer=others.address,
            supervisor=others.address,
            complaints=lambda: others.address,
            fetchers=list,
        ),
    )


def next_minute(stored: Stored, told: int | None = None, now: int = 100) -> int | None:
    """Where to go on, in minutes; `told` and `now` are minutes too."""
    stage = Stage()
    stream, backfill = stage.recorder("stream"), a_backfill(stage, stored, WeightBudget(0.5))
    now_ms = MONDAY_MS + now * MINUTE_MS
    final_ms = None if told is None else MONDAY_MS + told * MINUTE_MS
    backfill.address.tell(Tick(now_ms, now_ms, 1_000.0))
    backfill.address.tell(ResumeWanted(stored.contract.key, stream.address, final_ms, life := object()))
    stage.settle()
    backfill.request_stop()
    stage.settle()
    (resume,) = stream.of(Resume)
    assert resume.life is life
    return None if resume.next_ms is None else (resume.next_ms - MONDAY_MS) // MINUTE_MS


def test_it_goes_on_after_the_last_minute_or_at_the_first_recent_hole(stored: Stored) -> None:
    assert next_minute(stored) is None
    minutes = some_bars(MINUTE, MONDAY_MS, 100)
    stored.put([*minutes[:90], *minutes[91:]])
    assert next_minute(stored) == 90
    stored.put(minutes[90:91])
    assert next_minute(stored) == 100
    assert next_minute(stored, now=100 + RESUME_WITHIN_MS // MINUTE_MS) is None


def test_minutes_that_were_stored_by_other_ways_and_not_told_of_are_gone_through_again(stored: Stored) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 100))
    assert next_minute(stored, told=60) == 61
    assert next_minute(stored, told=99) == 100
    assert next_minute(stored, told=102, now=103) == 100  # told of, and not stored yet


def test_what_was_told_of_counts_however_long_ago(stored: Stored) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS + 200 * MINUTE_MS, 50))
    assert next_minute(stored, told=60, now=250) == 61
    assert next_minute(stored, now=250) == 250


def test_what_was_told_of_counts_also_where_nothing_recent_is_stored(stored: Stored) -> None:
    assert next_minute(stored, told=98) == 99


def test_the_limit_of_weight_that_the_exchange_has_named_is_known_at_the_start(stored: Stored) -> None:
    limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 120}
    info = json.dumps({"rateLimits": [limit], "symbols": []})
    stage, budget = Stage(), WeightBudget(0.5)
    stored.store.commit([ContractsSeen([stored.contract], info)])
    a_backfill(stage, stored, budget)
    stage.settle()
    assert budget.allowed == 60
