"""The end of a contract, learned early or late: nothing is stored from it on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bars import DAY, FIVE_MINUTES, HALF_HOUR, MINUTE, MINUTE_MS, Bar
from bars.contract import NO_DELIVERY_MS
from storage import ClosedBars, ContractsSeen, Origin
from tests.support.market import MONDAY_MS, a_contract, some_bars
from tests.support.stored import Stored, a_store

END_MS = MONDAY_MS + 12 * MINUTE_MS


@pytest.fixture
def stored() -> Iterator[Stored]:
    with a_store(a_contract(onboard_ms=MONDAY_MS)) as stored:
        yield stored


def ends(stored: Stored, delivery_ms: int = END_MS) -> None:
    stored.store.commit([ContractsSeen([replace(stored.contract, delivery_ms=delivery_ms)])])


def flat(bar: Bar) -> Bar:
    price = bar.open
    return Bar(bar.open_ms, price, price, price, price, 0, 0, 0, 0, 0, bar.scale)


def opens(bars: list[Bar]) -> list[int]:
    return [(bar.open_ms - MONDAY_MS) // MINUTE_MS for bar in bars]


def test_flat_bars_that_came_before_the_end_was_known_go_and_the_books_are_right(stored: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 40)
    stored.put([*minutes[:12], *map(flat, minutes[12:])])
    assert (opens(stored.held(FIVE_MINUTES))[-1], opens(stored.held(HALF_HOUR))) == (35, [0])
    before = stored.held(FIVE_MINUTES)
    ends(stored)
    assert opens(stored.held()) == list(range(12))
    assert stored.held(FIVE_MINUTES) == before[:3]  # the last one began before the end
    assert opens(stored.held(HALF_HOUR)) == [0]
    minute_series = next(one for one in stored.reader.series() if one.interval is MINUTE)
    assert (minute_series.last_ms, minute_series.bars) == (MONDAY_MS + 11 * MINUTE_MS, 12)
    assert stored.reader.compared_count() == (0, 12)


def test_with_minutes_of_the_contract_that_came_after_the_larger_bars_that_hold_them_go_too(stored: Stored) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 40))
    ends(stored)
    assert opens(stored.held()) == list(range(12))
    assert opens(stored.held(FIVE_MINUTES)) == [0, 5]
    assert stored.held(HALF_HOUR) == []


def test_what_comes_after_the_end_is_not_stored(stored: Stored) -> None:
    ends(stored)
    stored.put(some_bars(MINUTE, MONDAY_MS, 20))
    stored.put(some_bars(DAY, MONDAY_MS, 2), DAY)
    assert opens(stored.held()) == list(range(12))
    assert opens(stored.held(DAY)) == [0]


def test_who_knows_a_contract_only_from_before_does_not_bring_its_end_back(stored: Stored) -> None:
    ends(stored)
    bars = ClosedBars(stored.contract.key, MINUTE, some_bars(MINUTE, END_MS, 5), Origin.REST)
    stored.store.commit([ContractsSeen([stored.contract], only_new=True), bars])
    assert stored.record.contract.delivery_ms == END_MS
    assert stored.held() == []
    newer = replace(stored.contract, symbol="NEWUSDT")
    stored.store.commit([ContractsSeen([newer], only_new=True)])
    found = stored.reader.get(newer.key)
    assert found is not None
    assert found.contract.delivery_ms == NO_DELIVERY_MS


def test_a_minute_that_turns_out_to_be_different_after_the_end_makes_the_last_larger_bars_anew(stored: Stored) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 40)
    stored.put([*minutes[:12], *map(flat, minutes[12:])])
    ends(stored)
    different = minutes[11]._replace(trades=minutes[11].trades + 7)
    stored.store.commit([ClosedBars(stored.contract.key, MINUTE, [different], Origin.REST, verified=True)])
    assert stored.held(FIVE_MINUTES)[-1].trades == sum(bar.trades for bar in (minutes[10], different))
    assert stored.held(HALF_HOUR)[-1].trades == sum(bar.trades for bar in (*minutes[:11], different))
