"""When updates and finals are due."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, takewhile

import pytest

from bars import MINUTE, MINUTE_MS
from exchange.simulated import World, default_plan
from exchange.simulated.timeline import FINAL_TIMER_MS, Update, updates
from exchange.simulated.world import Series

PLAN = default_plan(seed=2, count=11, frames_per_minute=200)
WORLD = World(PLAN)
START_MS = MINUTE.floor(PLAN.start_ms)
SYMBOLS = ["BTCUSDT", "币安人生USDT", "ETHBTC", "42USDT"]


def series_of(symbol: str) -> Series:
    series = WORLD.series(symbol)
    assert series is not None
    return series


def told(symbol: str, minutes: int, from_ms: int = START_MS) -> list[Update]:
    stop_ms = START_MS + minutes * MINUTE_MS
    return list(takewhile(lambda update: update.due_ms < stop_ms, updates(series_of(symbol), from_ms)))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_updates_ascend_at_least_250_ms_apart_and_only_when_something_was_traded(symbol: str) -> None:
    found = told(symbol, 60)
    assert all(later.due_ms - earlier.due_ms >= 250 for earlier, later in pairwise(found))
    partials = [update for update in found if not update.closed]
    states = [WORLD.partial(symbol, update.open_ms, update.state_ms) for update in partials]
    assert None not in states
    assert all(one != other for one, other in pairwise(states))


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_final_is_set_off_by_the_next_trade_or_by_a_timer_of_two_seconds(symbol: str) -> None:
    kinds = set()
    for update in told(symbol, 240):
        if not update.closed:
            continue
        end_ms = update.open_ms + MINUTE_MS
        path = series_of(symbol).path(end_ms // MINUTE_MS)
        first_ms = path.step_ms(1) if path is not None else MINUTE_MS
        kinds.add(first_ms <= FINAL_TIMER_MS)
        assert update.state_ms == end_ms
        assert update.due_ms == end_ms + min(first_ms, FINAL_TIMER_MS)
    assert kinds == {True, False}  # in a halt even the busiest has no trade


def test_every_minute_has_exactly_one_closing_update_in_order() -> None:
    for symbol in SYMBOLS:
        closes = [update.open_ms for update in told(symbol, 120) if update.closed]
        assert closes == [START_MS + at * MINUTE_MS for at in range(-1, 119)]


def test_nothing_is_told_of_a_contract_after_its_last_minute_or_before_its_first() -> None:
    ended = series_of("OLDUSDT")
    assert max(update.open_ms for update in updates(ended, START_MS)) == ended.contract.delivery_ms - MINUTE_MS
    new = series_of("NEWUSDT")
    first = next(updates(new, START_MS))
    assert first.open_ms == new.contract.first_ms
    assert not first.closed


def test_starting_in_the_middle_tells_the_rest_of_the_same_story() -> None:
    middle_ms = START_MS + 5 * MINUTE_MS + 30_000
    whole = [update for update in told("BTCUSDT", 10) if update.due_ms >= middle_ms]
    assert told("BTCUSDT", 10, from_ms=middle_ms)[1:] == whole[1:]


def test_frames_per_minute_are_a_limit() -> None:
    quiet = World(replace(PLAN, contracts=tuple(replace(c, frames_per_minute=5) for c in PLAN.contracts)))
    series = quiet.series("BTCUSDT")
    assert series is not None
    hour = takewhile(lambda update: update.due_ms < START_MS + 60 * MINUTE_MS, updates(series, START_MS))
    assert sum(not update.closed for update in hour) <= 300
