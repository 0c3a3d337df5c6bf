"""The simulated truth: plausible, exact, and the same whichever way one asks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import DAY, FIVE_MINUTES, INTERVALS, MINUTE, MINUTE_MS, WEEK, Bar, Span, aggregate, aggregate_all, checked
from bars.interval import DAY_MS
from exchange.simulated import ContractPlan, PrecisionChange, Split, World, WorldPlan, default_plan
from exchange.simulated.minutes import flat

PLAN = default_plan(seed=3, count=11)
WORLD = World(PLAN)
NOW_MINUTE_MS = MINUTE.floor(PLAN.start_ms)
SYMBOLS = ["BTCUSDT", "1000PEPEUSDT", "币安人生USDT", "XAUUSDT", "ETHBTC", "42USDT", "BTCUSDT_261225"]


def a_contract(**changes: object) -> ContractPlan:
    plan = ContractPlan(
        "AUSDT", "A", "USDT", onboard_ms=0, price_decimals=2, quantity_decimals=1, price_ticks=5_000,
        quiet_permille=100, frames_per_minute=20,
    )  # fmt: skip
    return replace(plan, **changes)  # type: ignore[arg-type]


def a_world(*contracts: ContractPlan, halts: tuple[Span, ...] = (), seed: int = 1) -> World:
    return World(WorldPlan(seed, start_ms=30 * DAY_MS, contracts=contracts, halts=halts))


def prefixes(world: World, symbol: str, open_ms: int, every_ms: int = 61) -> list[Bar]:
    at = [*range(open_ms, open_ms + MINUTE_MS, every_ms), open_ms + MINUTE_MS]
    partials = (world.partial(symbol, open_ms, at_ms) for at_ms in at)
    return [bar for bar in partials if bar is not None]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SYMBOLS), st.integers(0, 7 * 1440))
def test_prefixes_of_a_minute_grow_and_end_in_its_bar(symbol: str, minutes_ago: int) -> None:
    open_ms = NOW_MINUTE_MS - minutes_ago * MINUTE_MS
    bars = prefixes(WORLD, symbol, open_ms)
    for bar in bars:
        checked(bar)
        assert bar.low * bar.volume <= bar.quote_volume <= bar.high * bar.volume
    for earlier, later in pairwise(bars):
        assert later.open == earlier.open
        assert later.high >= earlier.high
        assert later.low <= earlier.low
        assert later.volume >= earlier.volume
        assert later.quote_volume >= earlier.quote_volume
        assert later.trades >= earlier.trades
        assert later.taker_buy_volume >= earlier.taker_buy_volume
        assert later.taker_buy_quote_volume >= earlier.taker_buy_quote_volume
    assert bars[-1] == WORLD.minute(symbol, open_ms)


@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("name", [name for name in INTERVALS if name not in ("1m", "1w", "1M")])
def test_larger_bars_are_the_sums_of_their_minutes(symbol: str, name: str) -> None:
    interval = INTERVALS[name]
    start_ms = DAY.floor(PLAN.start_ms) - 2 * DAY_MS
    minutes = WORLD.bars(symbol, MINUTE, start_ms, start_ms + DAY_MS)
    assert len(minutes) == 1440
    assert WORLD.bars(symbol, interval, start_ms, start_ms + DAY_MS) == list(aggregate_all(minutes, interval))


@pytest.mark.parametrize("name", ["1w", "1M"])
def test_the_first_week_and_month_begin_before_the_contract_and_hold_its_first_trades(name: str) -> None:
    interval = INTERVALS[name]
    contract = next(contract for contract in PLAN.contracts if contract.symbol == "ETHUSDC")
    first_ms = interval.floor(contract.first_ms)
    stop_ms = interval.next_open(first_ms)
    (bar,) = WORLD.bars("ETHUSDC", interval, 0, stop_ms)
    minutes = WORLD.bars("ETHUSDC", MINUTE, 0, stop_ms)
    assert first_ms < contract.onboard_ms < minutes[0].open_ms
    assert bar == aggregate(minutes, first_ms)


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    again, other = World(default_plan(seed=3, count=11)), World(replace(PLAN, seed=4))
    for symbol in SYMBOLS:
        asked_backwards = [again.minute(symbol, NOW_MINUTE_MS - at * MINUTE_MS) for at in range(90)]
        bars = WORLD.bars(symbol, MINUTE, NOW_MINUTE_MS - 89 * MINUTE_MS, NOW_MINUTE_MS + MINUTE_MS)
        assert asked_backwards[::-1] == bars
        assert other.bars(symbol, MINUTE, bars[0].open_ms, bars[-1].open_ms) != bars[:-1]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_an_empty_minute_is_flat_at_the_last_close(symbol: str) -> None:
    bars = WORLD.bars(symbol, MINUTE, NOW_MINUTE_MS - 2 * DAY_MS, NOW_MINUTE_MS)
    for earlier, later in pairwise(bars):
        if later.is_empty:
            assert {later.open, later.high, later.low, later.close} == {earlier.close}
            assert later[5:10] == (0, 0, 0, 0, 0)
    traded = [bar for bar in bars if bar.trades]
    assert all(abs(later.close - earlier.close) * 50 < earlier.close for earlier, later in pairwise(traded))


def test_some_contracts_are_thin_and_halts_empty_all() -> None:
    day_ms = NOW_MINUTE_MS - DAY_MS
    empty = {s: sum(bar.is_empty for bar in WORLD.bars(s, MINUTE, day_ms, day_ms + DAY_MS)) for s in SYMBOLS}
    assert empty["BTCUSDT"] < 30 < 1000 < empty["42USDT"] < 1440
    for symbol in WORLD.symbols:
        for halt in PLAN.halts[:2]:
            for open_ms in range(*halt, MINUTE_MS):
                bar = WORLD.minute(symbol, open_ms)
                assert bar is None or bar.is_empty


def test_nothing_is_before_the_first_trade_and_flat_bars_follow_the_last() -> None:
    world = a_world(a_contract(delivery_ms=3 * DAY_MS))
    assert world.minute("AUSDT", MINUTE_MS) is None
    first = world.minute("AUSDT", 2 * MINUTE_MS)
    assert first is not None
    assert first.trades
    last = world.minute("AUSDT", 3 * DAY_MS - MINUTE_MS)
    assert last is not None
    afters = [world.minute("AUSDT", open_ms) for open_ms in (3 * DAY_MS, 40 * DAY_MS, 4_000 * DAY_MS)]
    for after in afters:
        assert after is not None
        assert after.is_empty
        assert after[1:5] == (last.close,) * 4
    assert world.bars("AUSDT", WEEK, 39 * DAY_MS, 46 * DAY_MS)[0].close == last.close
    assert world.progress("AUSDT", FIVE_MINUTES, 40 * DAY_MS + 7) == afters[1]


def test_a_precision_change_adds_decimals_in_the_middle_of_a_larger_bar() -> None:
    at_ms = 10 * DAY_MS + 2 * MINUTE_MS
    world = a_world(a_contract(precision=PrecisionChange(at_ms, price_decimals=3, quantity_decimals=3)))
    before, after = world.bars("AUSDT", MINUTE, at_ms - MINUTE_MS, at_ms + MINUTE_MS)
    assert (before.scale, after.scale) == ((2, 1, 3), (3, 3, 6))
    later = world.bars("AUSDT", MINUTE, at_ms, at_ms + 30 * MINUTE_MS)
    assert any(bar.volume % 100 for bar in later)
    assert any(bar.close % 10 for bar in later)
    five = [bar.rescaled(after.scale) for bar in world.bars("AUSDT", MINUTE, 10 * DAY_MS, 10 * DAY_MS + 5 * MINUTE_MS)]
    assert world.bars("AUSDT", FIVE_MINUTES, 10 * DAY_MS, 10 * DAY_MS + 1) == [aggregate(five, 10 * DAY_MS)]
    for bar in later:
        for partial in prefixes(world, "AUSDT", bar.open_ms, every_ms=997):
            checked(partial)


def test_a_split_lowers_prices_and_leaves_history_as_it_was() -> None:
    at_ms = 10 * DAY_MS
    halt = Span(at_ms - 10 * MINUTE_MS, at_ms)
    world = a_world(a_contract(split=Split(at_ms, factor=4)), halts=(halt,))
    before, after = world.minute("AUSDT", at_ms - MINUTE_MS), world.minute("AUSDT", at_ms + 5 * MINUTE_MS)
    assert before is not None
    assert after is not None
    assert before.is_empty
    assert 3 * after.close < before.close < 5 * after.close


def test_a_relisted_symbol_is_another_contract() -> None:
    old = a_contract(delivery_ms=3 * DAY_MS)
    new = a_contract(onboard_ms=8 * DAY_MS, price_ticks=90_000)
    world = a_world(new, old)
    assert world.bars("AUSDT", DAY, 0, 9 * DAY_MS, at_ms=7 * DAY_MS)[-1].is_empty
    bars = world.bars("AUSDT", DAY, 0, 10 * DAY_MS)
    assert [bar.open_ms for bar in bars] == [8 * DAY_MS, 9 * DAY_MS]
    assert bars[0].low > 60_000


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(["BTCUSDT", "42USDT", "ETHBTC"]), st.sampled_from(sorted(INTERVALS)), st.integers(0, 86_400))
def test_a_bar_in_progress_is_its_closed_minutes_and_the_newest_one(symbol: str, name: str, seconds: int) -> None:
    at_ms = PLAN.start_ms - seconds * 1_000
    open_ms, minute_ms = INTERVALS[name].floor(at_ms), MINUTE.floor(at_ms)
    progress = WORLD.progress(symbol, INTERVALS[name], at_ms)
    newest = WORLD.partial(symbol, minute_ms, at_ms)
    closed = WORLD.bars(symbol, MINUTE, open_ms, minute_ms)
    if newest is None:
        (carried,) = WORLD.bars(symbol, MINUTE, minute_ms - MINUTE_MS, minute_ms)
        newest = flat(minute_ms, carried.close, carried.scale)
    assert progress == aggregate([*closed, newest], open_ms)


def test_too_quiet_a_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 990 quiet minutes"):
        a_contract(quiet_permille=1_000)


def test_the_default_plan_holds_the_exchange_s_oddities() -> None:
    kinds = {contract.contract_type for contract in PLAN.contracts}
    statuses = {contract.status_at(PLAN.start_ms) for contract in PLAN.contracts}
    assert kinds >= {"PERPETUAL", "TRADIFI_PERPETUAL", "CURRENT_QUARTER"}
    assert statuses == {"TRADING", "SETTLING", "PENDING_TRADING"}
    plan = default_plan(seed=5, count=300)
    live = [c for c in plan.contracts if c.status_at(plan.start_ms) == "TRADING" and "PERPETUAL" in c.contract_type]
    assert len(live) == 300
    assert len({contract.symbol for contract in plan.contracts}) == len(plan.contracts)
