"""Which contracts run: new ones start, settled ones do not, and those whose delivery date came end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.market.directory import REFRESH_MS, RETRY_S, RETURNED_AFTER, Directory
from actors.messages import (
    Carry,
    ContractChanged,
    ContractsFailed,
    ContractsFetched,
    ContractsWanted,
    Drop,
    KeepHistory,
    PairFinished,
    PairStarted,
    Report,
    StartPair,
    StopPair,
    Store,
    SymbolState,
    Tick,
)
from bars import MINUTE_MS, Contract
from bars.interval import DAY_MS
from storage import ContractsSeen
from tests.support.actors import Heard, Kill, Stage
from tests.support.market import MONDAY_MS, a_contract
from wire.exchange_info import ExchangeInfo

BTC, ETH = a_contract("BTCUSDT"), a_contract("ETHUSDT")


class World:
    """A directory whose neighbours keep what they are told."""

    def __init__(self, symbols: tuple[str, ...] | None = None) -> None:
        self.stage = Stage()
        self.supervisor = self.stage.recorder("supervisor")
        self.backfill = self.stage.recorder("backfill")
        self.feeds = self.stage.recorder("feeds")
        self.writer = self.stage.recorder("writer")
        self.now_ms: int | None = MONDAY_MS + DAY_MS
        self.now_s = 1_000.0
        self.streams: dict[str, Heard] = {}
        self.cell = self.stage.play(
            "directory",
            lambda: Directory(
                symbols,
                supervisor=self.supervisor.address,
                backfill=self.backfill.address,
                feeds=self.feeds.address,
                writer=self.writer.address,
            ),
        )
        self.stage.settle()

    def tell(self, message: object) -> None:
        self.cell.address.tell(message)
        self.stage.settle()

    def tick(self, later_ms: int = 250) -> None:
        """Time passes, and the supervisor does what it was asked."""
        self.now_s += later_ms / 1_000
        if self.now_ms is not None:
            self.now_ms += later_ms
        self.tell(Tick(self.now_ms, self.now_ms, self.now_s))
        for start in self.asked(StartPair):
            stream = self.streams.setdefault(str(start.contract.key), self.stage.recorder(start.contract.symbol))
            self.tell(PairStarted(start.contract, stream.address))

    def name(self, *contracts: Contract) -> None:
        """The exchange answers, and time passes."""
        self.tell(ContractsFetched(ExchangeInfo(list(contracts), 2_400, [], "{}")))
        self.tick()

    def asked(self, kind: type) -> list[Any]:
        """What the supervisor was asked since the last time."""
        found = self.supervisor.of(kind)
        self.supervisor.told[:] = [message for message in self.supervisor.told if not isinstance(message, kind)]
        return found

    @property
    def carried(self) -> list[str]:
        return [name for message in self.feeds.of(Carry) for name in message.streams]

    def facts(self) -> dict[str, object]:
        self.tick()
        return dict([report.facts for report in self.supervisor.of(Report)][-1])


def test_it_asks_at_once_and_again_every_five_minutes_of_the_exchanges_time() -> None:
    world = World()
    assert len(world.backfill.of(ContractsWanted)) == 1
    world.name(BTC)
    world.tick(REFRESH_MS - 1)
    assert len(world.backfill.of(ContractsWanted)) == 1
    world.tick(1)
    assert len(world.backfill.of(ContractsWanted)) == 2
    world.tick(10 * REFRESH_MS)  # still unanswered: not asked twice
    assert len(world.backfill.of(ContractsWanted)) == 2


def test_every_trading_perpetual_is_started_stored_carried_and_its_history_kept() -> None:
    world = World()
    gold = a_contract("XAUUSDT", contract_type="TRADIFI_PERPETUAL")
    quarterly = a_contract("BTCUSDT_260327", contract_type="CURRENT_QUARTER")
    world.name(BTC, gold, quarterly, a_contract("NEWUSDT", status="PENDING_TRADING"))
    assert world.carried == ["btcusdt@kline_1m", "xauusdt@kline_1m"]
    assert [message.contract for message in world.backfill.of(KeepHistory)] == [BTC, gold]
    (store,) = world.writer.of(Store)
    assert store.changes == [ContractsSeen([BTC, gold], "{}")]
    assert world.facts() == {"total": 2, "live": 0, "late": 0, "starting": 2, "ended": 0, "missing": []}


def test_nothing_is_started_before_the_exchanges_time_is_known() -> None:
    world = World()
    world.now_ms = None
    world.name(BTC)
    assert world.carried == []
    world.now_ms = MONDAY_MS
    world.tick()
    assert world.carried == ["btcusdt@kline_1m"]


def test_a_new_listing_starts_and_the_others_go_on_undisturbed() -> None:
    world = World()
    world.name(BTC)
    world.name(BTC, replace(ETH, status="PENDING_TRADING"))
    assert world.carried == ["btcusdt@kline_1m"]
    world.name(ETH, BTC)
    assert world.carried == ["btcusdt@kline_1m", "ethusdt@kline_1m"]
    assert world.streams[str(BTC.key)].told == []


def test_what_has_settled_does_not_start_but_its_history_is_kept() -> None:
    world = World(symbols=("BTCUSDT", "LUNAUSDT"))
    settled = a_contract("LUNAUSDT", status="SETTLING", delivery_ms=MONDAY_MS)
    world.name(BTC, settled)
    assert world.carried == ["btcusdt@kline_1m"]
    assert settled in [message.contract for message in world.backfill.of(KeepHistory)]


def test_a_contract_about_to_end_runs_until_its_last_minute_is_passed_on_and_is_ended_once() -> None:
    world = World()
    world.name(BTC, ETH)
    ending = replace(ETH, status="SETTLING", delivery_ms=MONDAY_MS + 2 * DAY_MS)
    world.name(BTC, ending)
    assert world.streams[str(ETH.key)].of(ContractChanged) == [ContractChanged(ending)]
    world.tick(2 * DAY_MS)
    assert world.asked(StopPair) == []
    for _ in range(3):
        world.tell(PairFinished(ETH.key))
    assert world.asked(StopPair) == [StopPair(ETH.key)]
    assert world.feeds.of(Drop) == [Drop(frozenset({"ethusdt@kline_1m"}))]
    world.name(BTC, ending)
    world.name(BTC, replace(ETH, status="TRADING"))
    assert world.carried == ["btcusdt@kline_1m", "ethusdt@kline_1m"]
    assert world.facts() == {"total": 1, "live": 0, "late": 0, "starting": 1, "ended": 1, "missing": []}


def test_a_contract_whose_end_was_put_off_after_it_had_come_begins_again() -> None:
    world = World()
    world.name(BTC, replace(ETH, delivery_ms=MONDAY_MS + 2 * DAY_MS))
    world.tick(DAY_MS)
    world.tell(PairFinished(ETH.key))
    later = replace(ETH, delivery_ms=MONDAY_MS + 3 * DAY_MS)
    for _ in range(RETURNED_AFTER - 1):
        world.name(BTC, later)
    world.name(BTC, replace(ETH, delivery_ms=MONDAY_MS + 2 * DAY_MS))  # a node that knows better, or does not yet
    for _ in range(RETURNED_AFTER - 1):
        world.name(BTC, later)
    assert world.carried == ["btcusdt@kline_1m", "ethusdt@kline_1m"]
    assert world.asked(StopPair) == [StopPair(ETH.key)]
    world.name(BTC, later)
    assert world.carried == ["btcusdt@kline_1m", "ethusdt@kline_1m", "ethusdt@kline_1m"]
    world.tick(DAY_MS)
    world.tell(PairFinished(ETH.key))
    assert world.asked(StopPair) == [StopPair(ETH.key)]


def test_a_contract_that_ended_does_not_begin_again_beside_the_new_one_of_its_symbol() -> None:
    world = World()
    world.name(BTC, ETH)
    again = a_contract("ETHUSDT", onboard_ms=MONDAY_MS + DAY_MS)
    world.name(BTC, again)
    world.tell(PairFinished(ETH.key))
    for _ in range(2 * RETURNED_AFTER):
        world.name(BTC, ETH)  # a node that has not heard of the new one
    assert set(world.carried) == {"btcusdt@kline_1m", "ethusdt@kline_1m"}
    assert world.facts()["total"] == 2


def test_a_pair_is_ended_that_was_started_since_its_end_was_not_believed() -> None:
    world = World(symbols=("ETHUSDT",))
    ended = replace(ETH, delivery_ms=MONDAY_MS)
    world.name(ended)
    assert world.asked(StopPair) == [StopPair(ETH.key)]
    world.name(ETH)  # an answer from before the end was known
    world.name(ended)
    world.tell(PairFinished(ETH.key))
    assert world.asked(StopPair) == [StopPair(ETH.key)]


def test_a_pair_that_runs_on_from_before_the_directory_began_anew_is_ended_too() -> None:
    world = World()
    world.name(BTC, a_contract("ETHUSDT", delivery_ms=MONDAY_MS))
    world.tell(PairFinished(ETH.key))
    assert world.asked(StopPair) == [StopPair(ETH.key)]


def test_a_symbol_that_was_given_to_a_new_contract_keeps_its_stream_when_the_old_one_ends() -> None:
    world = World()
    world.name(BTC, ETH)
    again = a_contract("ETHUSDT", onboard_ms=MONDAY_MS + DAY_MS)
    world.name(BTC, again)
    world.tell(PairFinished(ETH.key))
    assert world.asked(StopPair) == [StopPair(ETH.key)]
    assert world.feeds.of(Drop) == []
    (*_, last) = world.feeds.of(Carry)
    assert last.streams == {"ethusdt@kline_1m": world.streams[str(again.key)].address}


def test_an_old_contracts_pair_that_starts_last_does_not_take_the_frames_of_its_symbols_new_one() -> None:
    world = World()
    world.name(BTC, ETH)
    again = a_contract("ETHUSDT", onboard_ms=MONDAY_MS + DAY_MS)
    world.name(BTC, again)
    world.tell(PairStarted(ETH, world.streams[str(ETH.key)].address))
    (*_, last) = world.feeds.of(Carry)
    assert last.streams == {"ethusdt@kline_1m": world.streams[str(again.key)].address}


def test_a_changed_precision_reaches_the_stream_once() -> None:
    world = World()
    world.name(BTC, ETH)
    finer = replace(ETH, quantity_decimals=5)
    world.name(BTC, finer)
    world.name(BTC, finer)
    assert world.streams[str(ETH.key)].told == [ContractChanged(finer)]
    assert world.streams[str(BTC.key)].told == []


def test_a_stream_that_begins_anew_is_reminded_of_what_has_changed_since_its_start() -> None:
    world = World()
    world.name(ETH)
    finer = replace(ETH, quantity_decimals=5)
    world.name(finer)
    world.streams[str(ETH.key)].told.clear()
    world.tell(SymbolState(ETH.key, "live"))
    assert world.streams[str(ETH.key)].told == [ContractChanged(finer)]
    assert world.facts()["live"] == 1


def test_named_symbols_that_do_not_exist_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(symbols=("BTCUSDT", "NOSUCHUSDT", "NORTHISUSDT"))
    world.name(BTC, ETH)
    world.name(BTC, ETH)
    assert world.carried == ["btcusdt@kline_1m"]
    assert [record.message for record in caplog.records] == ["the exchange does not list NOSUCHUSDT, NORTHISUSDT"]
    assert world.facts()["missing"] == ["NOSUCHUSDT", "NORTHISUSDT"]


def test_of_named_quarterly_contracts_it_is_told_once_that_nobody_is_served_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    quarter = a_contract("BTCUSDT_260327", contract_type="CURRENT_QUARTER")
    unborn = a_contract("NEWUSDT", contract_type="", status="PENDING_TRADING")
    world = World(symbols=("BTCUSDT", "NEWUSDT", "BTCUSDT_260327"))
    world.name(BTC, quarter, unborn)
    world.name(BTC, quarter, unborn)
    told = "not perpetual, so stored for SQL and export and served to no client: BTCUSDT_260327"
    assert [record.message for record in caplog.records] == [told]


def test_while_the_exchange_does_not_answer_the_stored_contracts_run_and_none_is_called_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(symbols=("BTCUSDT", "ETHUSDT"))
    world.tell(ContractsFailed("no route", [BTC]))
    world.tick()
    assert world.carried == ["btcusdt@kline_1m"]
    assert caplog.records == []
    assert world.backfill.of(KeepHistory) == []


def test_with_nothing_stored_it_asks_again_every_few_seconds() -> None:
    world = World()
    asked = world.backfill.of(ContractsWanted)
    for _ in range(3):
        world.tell(ContractsFailed("no route", []))
        world.tick(round(RETRY_S * 1_000))
    assert len(world.backfill.of(ContractsWanted)) == len(asked) + 3
    world.tell(ContractsFailed("no route", []))
    world.tick(1_000)
    assert len(world.backfill.of(ContractsWanted)) == len(asked) + 3


def test_a_failure_later_changes_nothing() -> None:
    world = World()
    world.name(BTC)
    world.tell(ContractsFailed("no route", [ETH]))
    world.tick()
    assert world.carried == ["btcusdt@kline_1m"]


def test_unreadable_rows_are_named_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.tell(ContractsFetched(ExchangeInfo([BTC], 2_400, ["ODDUSDT"], "{}")))
    world.tick()
    assert "1 rows were unreadable: ['ODDUSDT']" in caplog.text
    assert world.carried == ["btcusdt@kline_1m"]


def test_a_directory_that_begins_anew_asks_again_and_starts_under_the_same_names_only() -> None:
    world = World()
    world.name(BTC, ETH)
    world.tell(SymbolState(BTC.key, "live"))
    world.tell(Kill())
    world.cell.restart()
    world.stage.settle()
    assert len(world.backfill.of(ContractsWanted)) == 2
    world.tick()
    assert len(world.carried) == 2
    world.name(BTC, ETH)
    assert world.carried == ["btcusdt@kline_1m", "ethusdt@kline_1m"] * 2
    first, second = world.feeds.of(Carry)[:2], world.feeds.of(Carry)[2:]
    assert first == second  # the supervisor starts nothing that lives: the streams are the same
    world.tick()
    assert world.asked(StartPair) == []


def test_a_contract_that_ended_while_nothing_ran_is_brought_to_its_end() -> None:
    world = World()
    ended = replace(ETH, delivery_ms=MONDAY_MS, status="SETTLING")
    foreign = replace(a_contract("OLDUSDT"), delivery_ms=MONDAY_MS, status="SETTLING")
    world.tell(ContractsFetched(ExchangeInfo([BTC, ended, foreign], 2_400, [], "{}"), stored=[BTC, ETH]))
    world.tick()
    assert [message.contract for message in world.backfill.of(KeepHistory)] == [BTC, ended]
    assert world.carried == ["btcusdt@kline_1m"]
    assert world.asked(StopPair) == [StopPair(ETH.key)]  # a directory of before may have started it
    world.tick()
    assert world.asked(StopPair) == []


def test_a_stored_contract_whose_symbol_went_to_another_ends_there_and_is_not_asked_for() -> None:
    world = World()
    newer = replace(BTC, onboard_ms=MONDAY_MS + DAY_MS // 2)
    world.tell(ContractsFetched(ExchangeInfo([newer], 2_400, [], "{}"), stored=[BTC]))
    world.tick()
    (seen,) = [change for message in world.writer.of(Store) for change in message.changes]
    assert seen == ContractsSeen([newer, replace(BTC, delivery_ms=newer.onboard_ms)], "{}")
    assert world.backfill.of(KeepHistory) == [KeepHistory(newer)]
    assert world.asked(StopPair) == [StopPair(BTC.key)]


def test_a_pair_that_does_not_know_that_its_symbol_went_to_another_is_stopped_by_a_later_directory() -> None:
    world = World()
    newer = replace(BTC, onboard_ms=MONDAY_MS + DAY_MS // 2)
    ended = replace(BTC, delivery_ms=newer.onboard_ms - MINUTE_MS)
    world.tell(ContractsFetched(ExchangeInfo([newer], 2_400, [], "{}"), stored=[ended, newer]))
    world.tick()
    assert world.asked(StopPair) == [StopPair(BTC.key)]
    assert world.backfill.of(KeepHistory) == [KeepHistory(newer)]
