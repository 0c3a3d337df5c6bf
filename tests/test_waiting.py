"""What waits for a disk that cannot be written: so much and no more, and what is dropped comes back."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.filling import backfill
from actors.market.waiting import LIVE_BARS_MAX, Waiting
from actors.messages import Subscribe
from actors.parts import FETCHERS
from bars import FIVE_MINUTES, MINUTE, MINUTE_MS, Interval, IntervalBar, Span
from bars.history import parse_history
from bars.ledger import Reason
from exchange.simulated import default_plan
from exchange.simulated.world import World
from storage import Change, ClosedBars, ContractsSeen, Gap, GapNoted, Origin, PartialBars
from tests.support.market import MONDAY_MS, a_bar, a_contract, some_bars
from tests.support.virtual import VirtualExchange, VirtualSystem
from wire.published import BarEvent
from wire.requests import PAGE_BARS

BTC, ETH = a_contract("BTCUSDT"), a_contract("ETHUSDT")


def live(first: int, count: int = 1, interval: Interval = MINUTE) -> ClosedBars:
    return ClosedBars(BTC.key, interval, some_bars(interval, MONDAY_MS + first * MINUTE_MS, count), Origin.STREAM)


def fetched(first: int, count: int) -> ClosedBars:
    return live(first, count)._replace(origin=Origin.REST, verified=True)


def noted(changes: list[Change]) -> list[Span]:
    return [change.span for change in changes if isinstance(change, GapNoted)]


def test_the_oldest_live_bars_are_dropped_some_at_once_and_noted_as_missed() -> None:
    waiting = Waiting(live_bars_max=20)
    waiting.collect(live(number) for number in range(20))
    assert (waiting.bars, waiting.dropped, noted(waiting.all())) == (20, 0, [])
    waiting.collect([live(20)])
    assert (waiting.bars, waiting.dropped) == (18, 3)
    *changes, note = waiting.all()
    assert changes == [live(number) for number in range(3, 21)]
    missed = Span(MONDAY_MS, MONDAY_MS + 3 * MINUTE_MS)
    assert note == GapNoted(None, MINUTE, missed, Reason.DOWNTIME, missed.stop_ms)
    waiting.committed()
    assert (waiting.bars, waiting.dropped, waiting.all()) == (0, 3, [])


def test_what_was_fetched_and_what_is_no_bar_is_never_dropped() -> None:
    waiting = Waiting(live_bars_max=5)
    kept: list[Change] = [
        ContractsSeen([BTC], only_new=True),
        fetched(0, 1_000),
        ClosedBars(ETH.key, MINUTE, [], Origin.REST, absent=[Span(0, MONDAY_MS)]),
    ]
    waiting.collect([*kept, *(live(number) for number in range(2_000, 2_100))])
    left = waiting.all()
    assert left[:3] == kept
    assert waiting.bars == sum(len(change.bars) for change in left if isinstance(change, ClosedBars)) <= 1_005
    assert waiting.dropped == 100 - (waiting.bars - 1_000)


def test_of_larger_bars_the_whole_bucket_counts_as_missed() -> None:
    waiting = Waiting(live_bars_max=1)
    waiting.collect([live(0, 1, FIVE_MINUTES), live(5)])
    assert noted(waiting.all()) == [Span(MONDAY_MS, MONDAY_MS + 6 * MINUTE_MS)]


def test_of_many_listings_one_stays_with_all_that_they_said() -> None:
    waiting = Waiting()
    newer = replace(BTC, price_decimals=BTC.price_decimals + 1)
    assert newer.key == BTC.key
    only_new = ContractsSeen([ETH], only_new=True)
    waiting.collect([ContractsSeen([BTC], "{1}"), only_new, ContractsSeen([ETH], "{2}"), ContractsSeen([newer])])
    assert waiting.all() == [only_new, ContractsSeen([newer, ETH], "{2}")]


def test_of_a_contract_that_is_left_out_nothing_counts_any_more() -> None:
    waiting = Waiting(live_bars_max=10)
    eth = live(0)._replace(key=ETH.key)
    waiting.collect([live(0), fetched(1, 5), eth, PartialBars(BTC.key, [IntervalBar(MINUTE, a_bar(MONDAY_MS))])])
    waiting.leave_out(BTC.key)
    assert (waiting.all(), waiting.bars) == ([eth], 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6)), max_size=60), st.integers(1, 30))
def test_never_more_wait_than_may_and_the_newest_do(came: list[tuple[bool, int]], most: int) -> None:
    waiting, at, bars = Waiting(most), 0, 0
    for is_live, count in came:
        waiting.collect([(live if is_live else fetched)(at, count)])
        at, bars = at + count, bars + count
        held = [change for change in waiting.all() if isinstance(change, ClosedBars)]
        assert sum(len(change.bars) for change in held if not change.verified) <= most
        assert waiting.bars == sum(len(change.bars) for change in held) == bars - waiting.dropped
    dropped = {MONDAY_MS + number * MINUTE_MS for number in range(at)}
    dropped -= {bar.open_ms for change in waiting.all() if isinstance(change, ClosedBars) for bar in change.bars}
    assert all(any(span.start_ms <= open_ms < span.stop_ms for span in noted(waiting.all())) for open_ms in dropped)
    kept = [change for change in waiting.all() if isinstance(change, ClosedBars) and not change.verified]
    assert not kept or not dropped or max(dropped) < kept[0].bars[0].open_ms


# --- all actors, and a virtual disk that is full

FETCHED_ONCE = 1_000
"""A page of what the newest stored bars lack, of each series, and of the minutes to compare: neither is asked for again
before it is stored."""


def a_system(folder: Path, history: str, live_bars_max: int = LIVE_BARS_MAX) -> VirtualSystem:
    world = World(default_plan(3, 3, history_days=4, frames_per_minute=12))
    exchange = VirtualExchange(world, Random(3))
    return VirtualSystem(exchange, folder / "bars.db", 3, live_bars_max=live_bars_max, history=history)


def test_hours_of_a_full_disk_take_so_much_memory_and_all_is_fetched_afterwards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = "1m=2h,5m=5h,30m=12h,4h=2d,1d=5d,1w=3w"
    system = a_system(tmp_path, history, live_bars_max=100)
    system.run(10 * 60)
    full_ms = system.exchange.now_ms
    system.disk.is_full = True
    with caplog.at_level(logging.WARNING):
        for _ in range(18):
            system.run(10 * 60)
            assert system.status["database"]["waiting"] <= 100 + FETCHED_ONCE
    dropped = system.status["database"]["dropped"]
    assert dropped > 300
    told = [record for record in caplog.records if "were dropped" in record.message]
    assert 1 <= len(told) <= 1 + 180 * 60 / system.speed / 60
    system.disk.is_full = False
    gaps: list[Gap] = []
    for _ in range(60):  # how soon they are fetched depends on whose turn it is
        system.run(5)
        gaps += system.reader.gaps(system.exchange.now_ms, parse_history(history))
    assert "what was dropped is fetched again" in caplog.text
    assert any(gap.reason is Reason.DOWNTIME and full_ms <= gap.span.start_ms for gap in gaps)
    system.run(75 * 60)
    system.stop()
    assert system.differences() == []
    gaps = system.reader.gaps(system.exchange.now_ms, parse_history(history))
    assert not [gap for gap in gaps if gap.reason is Reason.DOWNTIME]
    assert (system.crashes, system.gave_up) == (0, [])


def test_while_nothing_can_be_stored_history_waits_and_the_present_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "STORING_MAX", 5)
    system = a_system(tmp_path, "1m=3d,5m=4d,30m=4d,4h=4d,1d=4d,1w=4d")
    finals_ms: set[int] = set()
    while not system.is_started:
        system.turns.step()
    system.disk.is_full = True

    def deliver(event: BarEvent) -> bool:
        if event.closed:
            finals_ms.add(event.bar.open_ms)
        return True

    system.hub.tell(Subscribe("test", deliver, None, MINUTE))
    system.run(5 * 60)
    fetched = system.exchange.spent[PAGE_BARS]
    system.run(20 * 60)
    assert system.exchange.spent[PAGE_BARS] == fetched <= 5 + FETCHERS
    assert system.status["backfill"]["pages_left"] > 20
    assert 0 < system.status["database"]["waiting"] < (5 + FETCHERS) * PAGE_BARS + 3 * PAGE_BARS
    assert len(finals_ms) > 15
    system.disk.is_full = False
    system.run(60 * 60)
    system.stop()
    assert system.differences() == []
