"""From one contract's frames and REST rows to its minutes: who is told what, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from actors.market.stream import ASK_RESUME_AGAIN_S, LATE_MS, SymbolStream
from actors.messages import (
    ContractChanged,
    FillHole,
    GarbageSeen,
    MinuteClosed,
    MinuteProgressed,
    MinuteRevised,
    MinutesFetched,
    MinutesFrom,
    MinutesWanted,
    PairFinished,
    PairMemberStarted,
    Resume,
    ResumeWanted,
    SymbolState,
    Tick,
    Watched,
)
from bars import MINUTE, MINUTE_MS, Bar, Contract, Patience, Scale, Span
from tests.support.actors import Kill, Stage
from tests.support.market import MONDAY_MS, a_bar, a_contract
from wire.frames import KlineEvent, kline_event

PATIENCE = Patience()


def minute(number: int) -> Bar:
    return a_bar(MONDAY_MS + number * MINUTE_MS)


def frame(bar: Bar, closed: bool = False, after_ms: int = 30_000) -> KlineEvent:
    """The event `after_ms` after the bar's beginning; a final comes 300 ms after the end."""
    event_ms = bar.open_ms + (MINUTE_MS + 300 if closed else after_ms)
    return msgspec.convert(kline_event("BTCUSDT", MINUTE, bar, closed=closed, event_ms=event_ms), KlineEvent)


class World:
    """A stream, watched unless said otherwise: then each state of a minute in progress goes on at once."""

    def __init__(self, contract: Contract | None = None, *, is_watched: bool = True) -> None:
        self.contract = contract or a_contract()
        self.stage = Stage()
        self.aggregator = self.stage.recorder("aggregator")
        self.backfill = self.stage.recorder("backfill")
        self.directory = self.stage.recorder("directory")
        self.complaints = self.stage.recorder("complaints")
        self.now_s = 1_000.0
        self.life: object = None
        """The one that asked last."""
        self.cell = self.stage.play(
            "stream",
            lambda: SymbolStream(
                self.contract,
                PATIENCE,
                aggregator=self.aggregator.address,
                backfill=self.backfill.address,
                directory=self.directory.address,
                complaints=self.complaints.address,
            ),
        )
        self.settle()
        self.tell(Watched(frozenset({MINUTE} if is_watched else {}), life=self.life))

    def tell(self, *messages: object) -> None:
        for message in messages:
            self.cell.address.tell(message)
        self.settle()

    def settle(self) -> None:
        self.stage.settle()
        for question in self.aggregator.of(PairMemberStarted):
            self.life = question.life

    def tick(self, at_ms: int | None, later_s: float = 1.0) -> None:
        """The exchange's clock shows `at_ms` after Monday's beginning."""
        self.now_s += later_s
        self.tell(Tick(None if at_ms is None else MONDAY_MS + at_ms, None, self.now_s))

    def passed_on(self) -> list[Any]:
        """What the aggregator was told since the last time, but for the time, and that a stream began."""
        return [message for message in self.aggregator.taken() if not isinstance(message, Tick | PairMemberStarted)]


def a_running_world(*, is_watched: bool = True) -> World:
    world = World(is_watched=is_watched)
    world.tell(Resume(MONDAY_MS, world.life))
    world.backfill.taken()
    world.passed_on()
    return world


def test_it_asks_where_the_stored_minutes_end_and_goes_on_there() -> None:
    world = World()
    assert world.backfill.taken() == [ResumeWanted(world.contract.key, world.cell.address)]
    assert world.aggregator.told == [PairMemberStarted(world.contract.key, world.cell.address)]  # which asks the hub
    world.tell(Resume(MONDAY_MS, world.life))
    assert world.passed_on() == [MinutesFrom(MONDAY_MS)]
    world.tell(Resume(MONDAY_MS + MINUTE_MS, world.life))  # an answer to a question asked twice
    world.tell(frame(minute(0), closed=True))
    assert world.passed_on() == [MinuteClosed(minute(0), by_rest=False)]


def test_a_question_that_was_lost_is_asked_again() -> None:
    world = World()
    world.backfill.taken()
    world.tick(0)
    world.aggregator.taken()
    world.tick(5_000, ASK_RESUME_AGAIN_S)
    assert world.aggregator.of(PairMemberStarted) == []
    world.tick(6_000)
    assert world.aggregator.of(PairMemberStarted) == [PairMemberStarted(world.contract.key, world.cell.address)]
    world.tell(Watched(frozenset(), MONDAY_MS, world.life))
    assert world.backfill.taken() == [ResumeWanted(world.contract.key, world.cell.address, MONDAY_MS)]


def test_of_the_frames_before_the_start_is_known_no_final_and_the_newest_state_are_not_lost() -> None:
    world = World()
    world.tell(
        frame(minute(0), after_ms=1_000),
        frame(minute(0), closed=True),
        frame(minute(1), after_ms=1_000),
        frame(minute(1)._replace(trades=9), after_ms=2_000),
    )
    world.tell(Resume(MONDAY_MS, world.life))
    assert world.passed_on() == [
        MinutesFrom(MONDAY_MS),
        MinuteClosed(minute(0), by_rest=False),
        MinuteProgressed(minute(1)._replace(trades=9)),
    ]


def test_without_stored_minutes_the_first_that_comes_is_the_beginning() -> None:
    world = World()
    world.tell(Resume(None, world.life), frame(minute(3)))
    assert world.passed_on() == [
        MinutesFrom(MONDAY_MS + 3 * MINUTE_MS),
        MinuteProgressed(minute(3)),
    ]


def test_without_stored_minutes_and_frames_the_present_minute_is_the_beginning() -> None:
    world = World()
    world.tell(Resume(None, world.life))
    world.tick(2 * MINUTE_MS + 5_000)
    assert world.passed_on() == [MinutesFrom(MONDAY_MS + 2 * MINUTE_MS)]


def test_a_final_that_does_not_come_is_asked_of_rest_and_passed_on_in_order() -> None:
    world = a_running_world()
    world.tell(frame(minute(0)), frame(minute(1), closed=True))
    world.passed_on()
    world.tick(MINUTE_MS + PATIENCE.ask_after_ms)
    span = Span(MONDAY_MS, MONDAY_MS + MINUTE_MS)
    assert world.backfill.taken() == [MinutesWanted(world.contract, span, world.cell.address)]
    world.tick(MINUTE_MS + PATIENCE.ask_after_ms + 1_000)
    assert world.backfill.taken() == []
    world.tell(MinutesFetched([minute(0)], span))
    assert world.passed_on() == [MinuteClosed(minute(0), by_rest=True), MinuteClosed(minute(1), by_rest=False)]


def test_an_answer_that_comes_before_the_start_is_known_is_of_a_former_life() -> None:
    world = World()
    world.tell(MinutesFetched([minute(0)], Span(MONDAY_MS, MONDAY_MS + MINUTE_MS)))
    assert world.passed_on() == []


def test_minutes_that_never_come_are_left_to_backfill_and_those_behind_them_passed_on() -> None:
    world = a_running_world()
    world.tell(frame(minute(2), closed=True))
    asked_ms = 3 * MINUTE_MS
    for at_ms in (*range(asked_ms, asked_ms + PATIENCE.hold_ms, MINUTE_MS), asked_ms + PATIENCE.hold_ms - 1):
        world.tick(at_ms)
    assert world.passed_on() == []
    world.tick(asked_ms + PATIENCE.hold_ms)
    (hole,) = world.backfill.of(FillHole)
    assert hole == FillHole(world.contract, Span(MONDAY_MS, MONDAY_MS + 2 * MINUTE_MS))
    assert world.passed_on() == [MinuteClosed(minute(2), by_rest=False)]


def test_after_a_sleep_of_the_machine_its_minutes_are_waited_for_and_told_of() -> None:
    world = a_running_world()
    world.tick(MINUTE_MS + PATIENCE.ask_after_ms)
    asleep = 140
    world.tell(frame(minute(asleep), closed=True))
    world.tick((asleep + 1) * MINUTE_MS + 300)
    assert world.backfill.of(FillHole) == []
    asked = world.backfill.of(MinutesWanted)[-1].span
    assert asked == Span(MONDAY_MS, minute(asleep).open_ms)
    world.tell(MinutesFetched([minute(number) for number in range(asleep)], asked))
    told = [message.bar for message in world.passed_on() if isinstance(message, MinuteClosed)]
    assert told == [minute(number) for number in range(asleep + 1)]


def test_a_minute_that_turns_out_different_is_revised() -> None:
    world = a_running_world()
    world.tell(frame(minute(0), closed=True))
    world.passed_on()
    other = minute(0)._replace(trades=99)
    world.tell(MinutesFetched([other], Span(MONDAY_MS, MONDAY_MS + MINUTE_MS)))
    assert world.passed_on() == [MinuteRevised(other, by_rest=True)]


def test_more_decimals_widen_the_scale_for_good() -> None:
    world = a_running_world()
    finer = minute(0).rescaled(Scale(3, 3, 5))._replace(high=99_999_999)
    world.tell(frame(finer), frame(minute(1)))
    first, second = world.passed_on()
    assert first.bar == finer
    assert second.bar == minute(1).rescaled(Scale(3, 3, 5))


def test_junk_is_complained_about_and_changes_nothing() -> None:
    world = a_running_world()
    good = frame(minute(0))
    for values in ({"o": "junk"}, {"o": "1.0000000000000000001"}, {"h": "0.01"}, {"l": "999999.123456789012"}):
        world.tell(msgspec.structs.replace(good, k=msgspec.structs.replace(good.k, **values)))
    assert [message.source for message in world.complaints.of(GarbageSeen)] == ["BTCUSDT"] * 4
    assert world.passed_on() == []
    world.tell(good)
    (progressed,) = world.passed_on()
    assert progressed.bar.scale == world.contract.scale
    assert world.stage.crashes == []


def test_a_changed_contract_widens_the_scale_moves_the_end_and_is_passed_on() -> None:
    world = a_running_world()
    changed = ContractChanged(replace(world.contract, quantity_decimals=5, delivery_ms=MONDAY_MS + MINUTE_MS))
    world.tell(changed)
    assert world.passed_on() == [changed]
    world.tell(frame(minute(0), closed=True), frame(minute(1), closed=True))
    (last,) = world.passed_on()
    assert last == MinuteClosed(minute(0).rescaled(changed.contract.scale), by_rest=False)


def test_after_its_last_minute_it_says_that_it_has_finished() -> None:
    world = World(a_contract(delivery_ms=MONDAY_MS + MINUTE_MS))
    world.tell(Resume(MONDAY_MS, world.life), frame(minute(0)))
    world.tick(30_000)
    assert world.directory.of(PairFinished) == []
    world.tell(frame(minute(0), closed=True))
    world.tick(MINUTE_MS)
    world.tick(MINUTE_MS + 1_000)
    assert world.directory.of(PairFinished) == [PairFinished(world.contract.key)] * 2
    assert world.backfill.of(MinutesWanted) == []


def test_its_state_is_told_when_it_changes() -> None:
    world = a_running_world()
    key = world.contract.key
    world.tick(1_000)
    world.tick(LATE_MS - 1)
    assert world.directory.told == [SymbolState(key, "live")]
    world.tick(LATE_MS)
    world.tell(frame(minute(0), closed=True))
    world.tick(LATE_MS)
    assert world.directory.told == [SymbolState(key, state) for state in ("live", "late", "live")]


def test_before_the_exchanges_time_is_known_a_tick_does_nothing() -> None:
    world = a_running_world()
    world.tick(None)
    assert (world.backfill.told, world.passed_on(), world.directory.told) == ([], [], [])


def test_unless_somebody_watches_only_the_newest_state_of_each_minute_goes_on_with_the_tick_before_it() -> None:
    world = a_running_world(is_watched=False)
    states = [frame(minute(0)._replace(trades=trades), after_ms=trades * 1_000) for trades in (1, 3, 2)]
    world.tell(*states)
    assert world.aggregator.told == []
    world.tick(5_000)
    progressed, tick = world.aggregator.taken()
    assert progressed == MinuteProgressed(minute(0)._replace(trades=3))
    assert isinstance(tick, Tick)
    world.tick(6_000)
    assert world.passed_on() == []


def test_a_state_that_waits_goes_on_before_the_next_minutes_and_gives_way_to_its_own_final() -> None:
    world = a_running_world(is_watched=False)
    world.tell(frame(minute(0)), frame(minute(0), closed=True))
    assert world.passed_on() == [MinuteClosed(minute(0), by_rest=False)]
    world.tell(frame(minute(1)), frame(minute(2)))
    assert world.passed_on() == [MinuteProgressed(minute(1))]
    world.tell(frame(minute(1), closed=True))
    assert world.passed_on() == [
        MinuteProgressed(minute(2)),
        MinuteClosed(minute(1), by_rest=False),
    ]
    world.tick(150_000)
    assert world.passed_on() == []


def test_finals_never_wait() -> None:
    world = a_running_world(is_watched=False)
    world.tell(*(frame(minute(number), closed=True) for number in range(3)))
    assert [message.bar for message in world.passed_on()] == [minute(number) for number in range(3)]


def test_a_new_life_asks_again_where_to_go_on_and_loses_no_frame_that_waits() -> None:
    world = a_running_world()
    for message in (frame(minute(0), closed=True), Kill(), frame(minute(1), closed=True), frame(minute(2))):
        world.cell.address.tell(message)
    world.settle()
    world.passed_on()
    world.cell.restart()
    world.settle()
    world.tell(Watched(frozenset({MINUTE}), life=world.life))
    assert world.backfill.taken() == [ResumeWanted(world.contract.key, world.cell.address)]
    world.tell(Resume(MONDAY_MS, world.life))  # the first minute was passed on, but is not stored yet
    assert world.passed_on() == [MinutesFrom(MONDAY_MS), MinuteProgressed(minute(2))]
    world.tell(MinutesFetched([minute(0)], Span(MONDAY_MS, MONDAY_MS + MINUTE_MS)))
    assert world.passed_on() == [MinuteClosed(minute(0), by_rest=True), MinuteClosed(minute(1), by_rest=False)]


def test_a_new_life_does_not_go_on_where_a_former_one_was_told_to() -> None:
    world = World()
    former = world.life
    world.backfill.taken()
    world.cell.restart()
    world.settle()
    assert world.life is not former
    world.tell(Watched(frozenset({MINUTE}), life=former), Watched(frozenset()), Resume(MONDAY_MS, former))
    assert world.backfill.taken() == []
    assert world.passed_on() == []
    world.tell(Watched(frozenset({MINUTE}), MONDAY_MS, world.life))
    assert world.backfill.taken() == [ResumeWanted(world.contract.key, world.cell.address, MONDAY_MS)]
    world.tell(Resume(MONDAY_MS + MINUTE_MS, world.life))
    assert world.passed_on() == [MinutesFrom(MONDAY_MS + MINUTE_MS)]


def test_rows_for_a_former_life_are_not_where_a_new_one_begins() -> None:
    world = World()
    world.tell(Resume(None, world.life))
    world.tell(MinutesFetched([minute(0)], Span(MONDAY_MS, MONDAY_MS + MINUTE_MS)))
    assert world.passed_on() == []
    world.tell(frame(minute(7), closed=True))
    assert world.passed_on() == [MinutesFrom(MONDAY_MS + 7 * MINUTE_MS), MinuteClosed(minute(7), by_rest=False)]
