"""What the exchange says later wins: every minute is compared, what differs is repaired, larger bars included."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from actors.filling.growth import Growth
from actors.filling.jobs import Priority
from actors.filling.reconciler import Reconciler
from actors.filling.verification import ROUND_MINUTES, Allowance, due, page, weight_of
from actors.messages import MinutesRepaired, RowsFailed, RowsFetched, Tick
from bars import MINUTE, MINUTE_MS, STORED, Bar, Contract, Span
from bars.history import parse_history
from bars.interval import DAY_MS
from bars.ledger import Reason
from exchange.simulated import default_plan
from exchange.simulated.world import World as SimulatedWorld
from storage import (
    BarsDisputed,
    BarStore,
    Change,
    ClosedBars,
    ContractRecord,
    ContractsSeen,
    GapNoted,
    Origin,
    Reader,
    ServiceState,
    UnverifiedMinutes,
)
from tests.support.actors import Stage
from tests.support.market import MONDAY_MS, a_contract, some_bars
from tests.support.virtual import Trouble, VirtualExchange, VirtualSystem

ROUND = ROUND_MINUTES * 60
SETTLED = 4 * 60


def a_system(seed: int, folder: Path, count: int = 3) -> VirtualSystem:
    world = SimulatedWorld(default_plan(seed, count, history_days=4, frames_per_minute=12))
    return VirtualSystem(VirtualExchange(world, Random(seed)), folder / "bars.db", seed)


def marks(system: VirtualSystem, start_ms: int, stop_ms: int) -> list[bool]:
    """Whether each minute in the span is verified, of all contracts."""
    return [
        one.verified
        for record in system.reader.contracts()
        for one in system.reader.bars(record, MINUTE, start_ms=start_ms, end_ms=stop_ms - 1, limit=10_000)
        if one.closed
    ]


@pytest.mark.parametrize(("seed", "revised_after_ms"), [(1, 0), (7, 0), (3, 90_000), (4, 90_000)])
def test_after_one_pass_every_wrong_final_is_repaired_and_every_minute_verified(
    seed: int, revised_after_ms: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system = a_system(seed, tmp_path)
    system.run(3 * 60)
    start_ms = system.exchange.now_ms
    system.exchange.revised_after_ms = revised_after_ms
    system.exchange.trouble = Trouble(wrong_finals=0.3, missing_finals=0.1, lost_frames=0.1)
    system.run(40 * 60)
    system.exchange.trouble = Trouble()
    stop_ms = MINUTE.floor(system.exchange.now_ms)
    assert len(system.differences()) > 3, "the stream told wrong things and they were believed at first"
    with caplog.at_level(logging.WARNING):
        system.run(ROUND + SETTLED)
    verified = dict(system.status["verified"])
    assert system.status["restarts"] == 0
    system.stop()
    assert system.gave_up == []
    assert system.differences() == [], f"seed {seed}"
    assert system.intervals() == set(STORED)
    compared = marks(system, start_ms, stop_ms)
    assert len(compared) > 100
    assert all(compared)
    assert 0 < verified["differed"] <= len(system.exchange.wrong)
    assert verified["aggregated"] > 0
    assert (verified["extra"], verified["kept"]) == (0, 0)
    assert any("minutes differed" in record.message for record in caplog.records)


@pytest.mark.parametrize("seed", range(4))
def test_it_repairs_as_well_when_actors_die_between_any_two_messages(seed: int, tmp_path: Path) -> None:
    system = a_system(seed, tmp_path)
    system.run(3 * 60)
    system.exchange.trouble = Trouble(crashes=0.001, wrong_finals=0.3, disconnects=0.02, rest_errors=0.05)
    system.run(40 * 60)
    system.exchange.trouble = Trouble(crashes=0.0005)
    system.run(ROUND)
    system.exchange.trouble = Trouble()
    stop_ms = system.exchange.now_ms
    system.run(ROUND + SETTLED)
    system.stop()
    assert system.crashes > 0
    assert system.differences() == [], f"seed {seed}"
    assert all(marks(system, 0, stop_ms))


def test_what_is_still_to_be_compared_survives_a_restart(tmp_path: Path) -> None:
    system = a_system(5, tmp_path)
    system.run(3 * 60)
    system.exchange.trouble = Trouble(wrong_finals=1.0)
    system.run(20 * 60)
    system.stop()
    assert system.reader.unverified()
    assert len(system.exchange.wrong) > 10
    again = VirtualSystem(system.exchange, tmp_path / "bars.db", 6)
    again.run(ROUND + SETTLED)
    again.stop()
    assert again.differences() == []


def test_it_costs_no_more_than_one_small_request_for_each_contract_and_round(tmp_path: Path) -> None:
    system = a_system(7, tmp_path)
    system.run(30 * 60)
    before = dict(system.exchange.spent)
    system.run(ROUND)
    verified = system.status["verified"]
    assert verified["weight"] <= 3 * 2
    assert verified["share"] > 0.6
    assert system.exchange.spent[99] >= before.get(99, 0)
    system.stop()


# --- whose turn it is


def unverified(number: int, first_ms: int, last_ms: int) -> UnverifiedMinutes:
    contract = a_contract(f"{number}USDT")
    return UnverifiedMinutes(ContractRecord(number, contract, contract.scale), first_ms, last_ms)


def test_a_thousand_contracts_have_their_turn_once_a_round_and_cost_less_than_a_half_per_cent() -> None:
    records = {number: unverified(number, 0, 0).record for number in range(1, 1_001)}
    first_ms = dict.fromkeys(records, MONDAY_MS)
    allowance, weight, worst_ms = Allowance(), 0, 0
    start = MONDAY_MS // MINUTE_MS
    for minute in range(start + 1, start + 300):
        now_ms = minute * MINUTE_MS
        allowance.enter(minute, 2_400)
        every = [UnverifiedMinutes(records[number], at_ms, now_ms) for number, at_ms in first_ms.items()]
        for one, start_ms in due(every, minute - 1, minute, now_ms):
            opens_ms = range(start_ms, now_ms, MINUTE_MS)[:499]
            span = page(opens_ms, now_ms)
            if allowance.take(weight_of(span)):
                weight += weight_of(span)
                first_ms[one.record.id] = span.stop_ms
        if minute > start + 100:
            worst_ms = max(worst_ms, now_ms - min(first_ms.values()))
    assert weight <= 299 * 12
    assert worst_ms <= 100 * MINUTE_MS


def test_whose_turn_it_is_comes_first_then_who_lags_behind_and_old_minutes_last() -> None:
    now_ms, minute = MONDAY_MS, 2 + ROUND_MINUTES * 1_000
    old, far, near = (
        unverified(number, now_ms - minutes * MINUTE_MS, now_ms) for number, minutes in ((1, 3_000), (3, 500), (2, 90))
    )
    assert due([near, old, far], minute - 1, minute, now_ms) == [
        (near, near.first_ms),
        (far, far.first_ms),
        (old, old.first_ms),
    ]
    assert due([near, old, far], minute - 2, minute - 1, now_ms)[0] == (old, now_ms - DAY_MS), "its new minutes first"
    assert due([near, far], minute, minute, now_ms) == [(far, far.first_ms)]


def test_a_larger_page_brings_up_who_lags_behind() -> None:
    first_ms, now_ms = MONDAY_MS - 3_000 * MINUTE_MS, MONDAY_MS
    opens_ms = range(first_ms, now_ms, MINUTE_MS)[:499]
    assert page(opens_ms, now_ms) == Span(first_ms, first_ms + 499 * MINUTE_MS)
    assert page(opens_ms[:90], now_ms) == Span(first_ms, first_ms + 99 * MINUTE_MS)
    assert page([now_ms - 90 * MINUTE_MS], now_ms) == Span(now_ms - 90 * MINUTE_MS, now_ms)


def test_minutes_that_are_not_over_are_nobodys_turn() -> None:
    young = unverified(1, MONDAY_MS, MONDAY_MS)
    assert due([young], 0, 10_000, MONDAY_MS) == []


def test_an_allowance_saves_a_little_and_no_more() -> None:
    allowance = Allowance()
    assert not allowance.take(1)
    allowance.enter(10, 2_400)
    assert [allowance.take(6), allowance.take(6), allowance.take(1)] == [True, True, False]
    allowance.enter(500, 2_400)
    assert allowance.take(120)
    assert not allowance.take(1)
    allowance.enter(501, 100)
    assert not allowance.take(1)
    allowance.enter(502, 100)
    assert allowance.take(1)


def test_growth_is_told_for_a_day_once_ten_minutes_were_seen() -> None:
    growth, now_ms = Growth(), MONDAY_MS
    growth.saw(1_000, 60_000, now_ms)
    growth.saw(1_005, 60_300, now_ms + 5 * MINUTE_MS)
    before = growth.per_day
    growth.saw(1_010, 60_600, now_ms + 10 * MINUTE_MS)
    assert (before, growth.per_day) == (None, 10 * 6 * 24 * 60)
    growth.saw(1_020, 61_200, now_ms + 20 * MINUTE_MS)
    growth.saw(900_000, 54_000_000, now_ms + 30 * MINUTE_MS)  # a page of history
    growth.saw(900_010, 54_000_600, now_ms + 40 * MINUTE_MS)
    assert growth.per_day == 10 * 6 * 24 * 60
    growth.saw(900_010, 54_000_600, now_ms + 1_000 * MINUTE_MS)
    growth.saw(900_130, 54_007_800, now_ms + 1_060 * MINUTE_MS)
    later = growth.per_day
    assert later == 120 * 24 * 60


def test_comparing_comes_before_depth_and_after_all_that_somebody_waits_for() -> None:
    assert [one.name for one in sorted(Priority)][-2:] == ["VERIFY", "DEPTH"]


# --- what is asked, and what is made of the answers


class World:
    """A reconciler on a real database, and those it talks to."""

    def __init__(self, path: Path, contract: Contract, minutes: int = 90) -> None:
        self.store = BarStore.open(path)
        self.contract = contract
        self.bars = some_bars(MINUTE, MONDAY_MS, minutes)
        self.commit(ContractsSeen([contract]), ClosedBars(contract.key, MINUTE, self.bars, Origin.STREAM))
        self.stage = Stage()
        names = ("writer", "backfill", "supervisor", "directory")
        self.writer, self.backfill, self.supervisor, self.directory = map(self.stage.recorder, names)
        self.reader = Reader(path)
        self.cell = self.stage.play(
            "reconciler",
            lambda: Reconciler(
                lambda: Reader(path),
                parse_history("1m=7d"),
                writer=self.writer.address,
                backfill=self.backfill.address,
                supervisor=self.supervisor.address,
                directory=lambda: self.directory.address,
            ),
        )
        self.stage.settle()

    def commit(self, *changes: Change) -> None:
        self.store.commit(changes)

    def tell(self, message: object) -> None:
        self.cell.address.tell(message)
        self.stage.settle()

    def pass_a_round(self, from_ms: int) -> list[Span]:
        """The spans that are asked for within a round from a time on; each is refused."""
        asked = []
        for minute in range(ROUND_MINUTES + 1):
            now_ms = from_ms + minute * MINUTE_MS
            self.tell(Tick(now_ms, now_ms, minute / 4))
            for wanted in self.backfill.taken():
                asked.append(wanted.span)
                self.tell(RowsFailed(wanted.contract.key, is_refused=True))
        return asked

    def answered(self, rows: list[Bar]) -> list[Change]:
        """What is stored when these rows come."""
        self.tell(Tick(LATER_MS, LATER_MS, 0.0))
        self.writer.taken()
        self.tell(RowsFetched(self.contract.key, rows, Span(MONDAY_MS, MONDAY_MS + 90 * MINUTE_MS), 2_400))
        changes = [change for message in self.writer.taken() for change in message.changes]
        self.commit(*changes)
        return changes


LATER_MS = MONDAY_MS + 200 * MINUTE_MS


def test_nothing_is_asked_from_beyond_a_contracts_end(tmp_path: Path) -> None:
    contract = a_contract(delivery_ms=MONDAY_MS + 90 * MINUTE_MS)
    world = World(tmp_path / "bars.db", contract)
    assert world.pass_a_round(LATER_MS) == [Span(MONDAY_MS, MONDAY_MS + 90 * MINUTE_MS)]
    assert world.pass_a_round(LATER_MS + 2 * ROUND_MINUTES * MINUTE_MS) == [], "a refused contract rests for a day"
    assert len(world.pass_a_round(LATER_MS + 2 * DAY_MS)) == 1


def test_a_contract_that_trades_is_asked_for_again_soon_though_it_was_refused(tmp_path: Path) -> None:
    world = World(tmp_path / "bars.db", a_contract())
    assert len(world.pass_a_round(LATER_MS)) == 2


def test_a_contract_whose_symbol_was_given_away_cannot_be_compared(tmp_path: Path) -> None:
    world = World(tmp_path / "bars.db", a_contract())
    world.commit(ContractsSeen([a_contract(onboard_ms=MONDAY_MS + 100 * MINUTE_MS)]))
    assert world.pass_a_round(LATER_MS) == []


def test_equal_rows_verify_and_repair_nothing(tmp_path: Path) -> None:
    world = World(tmp_path / "bars.db", a_contract())
    assert world.answered(world.bars) == [
        ClosedBars(world.contract.key, MINUTE, world.bars, Origin.REST, verified=True)
    ]
    assert world.directory.taken() == []
    assert world.reader.unverified() == []


def test_a_row_without_trades_is_no_repair_and_what_the_exchange_lacks_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path / "bars.db", a_contract())
    first, second, third, *rest = world.bars
    empty = second._replace(
        high=second.open, low=second.open, close=second.open, volume=0, quote_volume=0, trades=0,
        taker_buy_volume=0, taker_buy_quote_volume=0,
    )  # fmt: skip
    changes = world.answered([first._replace(trades=9), empty, *rest])
    key = world.contract.key
    assert changes[1:] == [BarsDisputed(key, MINUTE, [second.open_ms, third.open_ms])]
    assert world.directory.taken() == [MinutesRepaired(key, [first._replace(trades=9)])]
    held = world.reader.bars(world.reader.contracts()[0], MINUTE, limit=1_000)
    assert [one.bar for one in held] == [first._replace(trades=9), second, third, *rest]
    assert [one.verified for one in held[:4]] == [True, False, False, True]
    assert world.reader.unverified() == []


def test_a_silence_between_two_lives_is_noted_as_our_downtime_once(tmp_path: Path) -> None:
    path = tmp_path / "bars.db"
    with closing(BarStore.open(path)) as store:
        store.commit([ServiceState("{}", MONDAY_MS + 90 * MINUTE_MS + 1, 0)])
    world = World(path, a_contract())
    world.tell(Tick(LATER_MS, LATER_MS + 1, 0.0))
    world.tell(Tick(LATER_MS, LATER_MS + 2, 0.25))
    told = [change for message in world.writer.taken() for change in message.changes]
    noted = [change for change in told if isinstance(change, GapNoted)]
    down = Span(MONDAY_MS + 90 * MINUTE_MS, LATER_MS + MINUTE_MS)
    assert noted == [GapNoted(None, MINUTE, down, Reason.DOWNTIME, LATER_MS + 1)]
