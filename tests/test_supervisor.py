"""Who is started, restarted, taken along and stopped, and when. Small parts stand in for the real ones."""

from __future__ import annotations

import json
import logging
import threading
from random import Random
from typing import Any

import pytest

from actors.messages import (
    Beat,
    Begin,
    ChildCrashed,
    ChildSpec,
    PairStarted,
    Report,
    StartChild,
    StartPair,
    StatusMade,
    StopAll,
    StopChild,
    StopPair,
    Tick,
    TimeObserved,
)
from actors.parts import Entrances
from actors.runtime.cell import Actor, Address, Cell, Crash, UnexpectedMessage
from actors.runtime.dispatcher import ThreadDispatcher
from actors.runtime.restarts import RestartPolicy
from actors.runtime.status import Status
from actors.runtime.supervisor import BEAT_S, CHILDREN_IN_STEP, STUCK_S, StartOne, Supervisor, Wiring
from actors.runtime.threads import RealThreads, SeededThreads, Threads
from bars import Contract, ContractKey
from tests.support.actors import Kill, Recorder, Stage
from tests.support.market import a_contract
from tests.support.service import wait_until

DEADLINE_S = 20.0
POLICY = RestartPolicy(restarts_max=3, window_s=60.0, delay_min_s=1.0, delay_max_s=4.0)


class NoJitter(Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return b


class FewParts:
    """Starts what a test wants."""

    def __init__(self, specs: list[ChildSpec]) -> None:
        self.addresses: dict[str, Address] = {}
        self.diary: list[Any] = []
        self._specs = specs

    def start(self, supervisor: Address, start: StartOne) -> Entrances:  # noqa: ARG002
        for spec in self._specs:
            self.addresses[spec.name] = start(spec)
        first = self.addresses[self._specs[0].name]
        return Entrances(hub=first, backfill=first)

    def start_pair(self, contract: Contract, start: StartOne) -> Address:
        stream, aggregator = self.pair_names(contract.key)
        start(ChildSpec(aggregator, lambda: Recorder([]), stops_with=3))
        return start(ChildSpec(stream, lambda: Recorder([]), stops_with=2))

    def pair_names(self, key: ContractKey) -> tuple[str, str]:
        return f"stream {key.symbol}", f"aggregator {key.symbol}"


class House:
    """A supervisor and its children; time is what the test says."""

    def __init__(self, *specs: ChildSpec, threads: Threads | None = None, steps: int = 1) -> None:
        self.stage = Stage()
        self.parts = FewParts(list(specs))
        self.published: list[dict[str, Any]] = []
        self.gave_up: list[str] = []
        self.has_ended = threading.Event()
        self.now_s = 1_000.0
        seeded = SeededThreads(1)
        seeded.seeded = self.stage.seeded
        wiring = Wiring(
            threads=threads or seeded,
            random=NoJitter(),
            parts=self.parts,
            status=Status("bars.db", 0),
            publish=lambda status, _: self.published.append(status),
            give_up=self.gave_up.append,
            all_ended=self.has_ended.set,
            policy=POLICY,
            steps=steps,
        )
        self.cell: Cell = self.stage.play("supervisor", lambda: Supervisor(wiring))
        self.address.tell(Begin())
        self.settle()

    @property
    def address(self) -> Address:
        return self.cell.address

    def tell(self, message: object) -> None:
        self.address.tell(message)
        self.settle()

    def settle(self) -> None:
        self.stage.settle()

    def pass_time(self, seconds: float = BEAT_S) -> None:
        for _ in range(round(seconds / BEAT_S)):
            self.now_s += BEAT_S
            self.tell(Beat(self.now_s))


class Lives:
    """Makes actors of one name; counts their lives and keeps what all of them were told, but for ticks."""

    def __init__(self, name: str, **spec: Any) -> None:
        self.name = name
        self.count = 0
        self.told: list[Any] = []
        self.ends = 0
        self.spec = ChildSpec(name, self._make, **{"every_beats": 0, **spec})

    def _make(self) -> Actor:
        self.count += 1
        return Recorder(self.told, self._ended)

    def _ended(self) -> None:
        self.ends += 1


def test_a_crashed_child_lives_again_at_the_same_address_after_its_delay_and_no_sooner() -> None:
    one, other = Lives("one"), Lives("other")
    house = House(one.spec, other.spec)
    for letter in ("a", Kill(), "b"):
        house.parts.addresses["one"].tell(letter)
    house.pass_time(0.75)
    assert (one.count, one.told) == (1, ["a"])
    house.pass_time(0.5)
    assert (one.count, one.told) == (2, ["a", "b"])
    assert other.count == 1


def test_the_delay_doubles_with_each_crash() -> None:
    one = Lives("one")
    house = House(one.spec)
    house.pass_time()
    for delay_s in (1, 2, 4):
        house.parts.addresses["one"].tell(Kill())
        house.settle()
        before = one.count
        house.pass_time(delay_s - BEAT_S)
        assert one.count == before
        house.pass_time(BEAT_S)
        assert one.count == before + 1


def test_too_many_crashes_are_given_up_once_with_one_reason(caplog: pytest.LogCaptureFixture) -> None:
    one, other = Lives("one"), Lives("other")
    house = House(one.spec, other.spec)
    for _ in range(10):
        for name in ("one", "other"):
            house.parts.addresses[name].tell(Kill())
        house.pass_time(4.0)
    assert house.gave_up == ["one crashed too often, last with Fall('killed')"] or house.gave_up == [
        "other crashed too often, last with Fall('killed')"
    ]
    assert sum("giving up" in record.message for record in caplog.records) == 1


def test_a_report_of_a_life_that_is_over_restarts_nothing() -> None:
    one = Lives("one")
    house = House(one.spec)
    house.parts.addresses["one"].tell(Kill())
    house.pass_time(1.25)
    assert one.count == 2
    house.tell(ChildCrashed(Crash("one", 1, ValueError("late news"), "a letter")))
    house.tell(ChildCrashed(Crash("never heard of", 1, ValueError("gone"), "a letter")))
    house.pass_time(10)
    assert one.count == 2
    assert house.gave_up == []


def test_those_who_are_taken_along_begin_anew_with_their_letters_and_others_do_not() -> None:
    one = Lives("one", takes_along=lambda name: name.startswith("pair "))
    pairs, bystander = [Lives("pair 1"), Lives("pair 2")], Lives("bystander")
    house = House(one.spec, *(pair.spec for pair in pairs), bystander.spec)
    house.pass_time()
    house.parts.addresses["pair 1"].tell("a")
    house.parts.addresses["one"].tell(Kill())
    house.settle()
    house.pass_time(0.75)
    assert [pair.count for pair in pairs] == [1, 1]
    house.parts.addresses["pair 1"].tell("b")
    house.pass_time(0.25)
    assert [pair.count for pair in pairs] == [2, 2]
    assert (one.count, bystander.count) == (2, 1)
    assert pairs[0].told == ["a", "b"]
    house.pass_time(10)
    assert [pair.count for pair in pairs] == [2, 2]


def test_one_who_waits_for_his_own_restart_when_he_is_taken_along_begins_only_once() -> None:
    one = Lives("one", takes_along=lambda name: name == "two")
    two = Lives("two")
    house = House(one.spec, two.spec)
    house.pass_time()
    house.parts.addresses["one"].tell(Kill())
    house.pass_time(0.5)
    house.parts.addresses["two"].tell(Kill())  # alone it would begin anew a second from now
    house.pass_time(10)
    assert (one.count, two.count) == (2, 2)


def test_children_are_told_the_time_as_often_as_they_wish() -> None:
    often, seldom, never = Lives("often", every_beats=1), Lives("seldom", every_beats=4), Lives("never")
    house = House(often.spec, seldom.spec, never.spec)
    house.pass_time(1.0)
    assert often.told == [Tick(None, None, 1_000.0 + beat * BEAT_S) for beat in range(1, 5)]
    house.tell(TimeObserved(5_000_000, 1_001.0))
    house.pass_time(1.0)
    assert seldom.told == [Tick(None, None, 1_001.0), Tick(5_001_000, 5_000_000, 1_002.0)]
    assert never.told == []


def test_many_children_are_told_the_time_in_turns_each_once_in_its_time() -> None:
    crowd = [Lives(f"{number}", every_beats=4) for number in range(5 * CHILDREN_IN_STEP)]
    house = House(*(lives.spec for lives in crowd), steps=2)
    told = []
    for _ in range(2 * 4):
        before = sum(len(lives.told) for lives in crowd)
        house.tell(Beat(house.now_s))
        told.append(sum(len(lives.told) for lives in crowd) - before)
    assert sorted(told) == [0, 0, 0] + [CHILDREN_IN_STEP] * 5
    assert all(len(lives.told) == 1 for lives in crowd)


def test_the_status_is_published_and_told_the_writer_once_a_second() -> None:
    writer = Lives("writer")
    house = House(writer.spec)
    house.tell(TimeObserved(5_000_000, 1_000.0))
    house.tell(Report("symbols", {"live": 7}))
    house.parts.addresses["writer"].tell(Kill())
    house.parts.addresses["writer"].tell("waits")
    house.pass_time(2.0)
    assert [status["symbols"] for status in house.published] == [{"live": 7}] * 2
    assert [status["restarts"] for status in house.published] == [1, 1]
    assert house.published[0]["mailboxes"] == {"waiting": 1, "longest": "writer", "length": 1}
    stored = [message for message in writer.told if isinstance(message, StatusMade)]
    assert [message.exchange_ms for message in stored] == [5_001_000, 5_002_000]
    assert json.loads(stored[1].status) == house.published[1]


def test_a_child_is_started_once_and_one_that_is_about_to_stop_is_started_again_after_its_end() -> None:
    house = House(Lives("one").spec)
    feed = Lives("feed")
    house.tell(StartChild(feed.spec))
    house.tell(StartChild(feed.spec))
    assert feed.count == 1
    house.address.tell(StopChild("feed"))
    house.address.tell(StartChild(feed.spec))
    house.settle()
    assert (feed.count, feed.ends) == (2, 1)
    house.address.tell(StopChild("feed"))
    house.address.tell(StartChild(feed.spec))
    house.address.tell(StopChild("feed"))
    house.settle()
    assert (feed.count, feed.ends) == (2, 2)
    house.tell(StartChild(feed.spec))
    assert feed.count == 3


def test_a_pair_is_started_named_to_who_asked_and_stopped() -> None:
    house = House(Lives("one").spec)
    directory = house.stage.recorder("directory")
    house.tell(StartPair(a_contract(), directory.address))
    house.tell(StartPair(a_contract(), directory.address))
    first, second = directory.of(PairStarted)
    assert first == second
    assert first.stream.name == house.parts.pair_names(a_contract().key)[0]
    house.tell(StopPair(a_contract().key))
    house.tell(StopPair(a_contract().key))
    house.tell(StopAll())
    assert house.has_ended.is_set()


def test_everything_stops_sources_first_each_stage_after_the_former_has_drained() -> None:
    diary: list[str] = []

    class Passing(Actor):
        """Hands each letter on to the next stage."""

        def __init__(self, name: str, to: str | None) -> None:
            self._name, self._to = name, to

        def receive(self, message: Any) -> None:
            if self._to is None:
                diary.append(f"{message} arrived")
            else:
                house.parts.addresses[self._to].tell(message)

        def end(self) -> None:
            diary.append(f"{self._name} ended")

    def spec(name: str, to: str | None, stops_with: int) -> ChildSpec:
        return ChildSpec(name, lambda: Passing(name, to), every_beats=0, stops_with=stops_with)

    house = House(
        spec("sink", None, 3), spec("middle", "sink", 2), spec("feed 1", "middle", 1), spec("feed 2", None, 1)
    )
    for letter in range(20):
        house.parts.addresses["feed 1"].tell(letter)
    house.address.tell(StopAll())
    house.settle()
    assert [entry for entry in diary if entry.endswith("arrived")] == [f"{letter} arrived" for letter in range(20)]
    ends = [entry for entry in diary if entry.endswith("ended")]
    assert sorted(ends[:2]) == ["feed 1 ended", "feed 2 ended"]
    assert ends[2:] == ["middle ended", "sink ended"]
    assert diary[-1] == "sink ended"
    assert house.has_ended.is_set()


def test_a_crashed_child_drains_when_its_turn_to_stop_has_come_and_is_not_restarted_before() -> None:
    source, sink = Lives("source", stops_with=1), Lives("sink", stops_with=2)
    house = House(source.spec, sink.spec)
    for letter in (Kill(), "a", "b"):
        house.parts.addresses["sink"].tell(letter)
    house.settle()
    house.tell(StopAll())
    assert sink.told == ["a", "b"]
    assert (sink.count, sink.ends) == (2, 2)
    assert house.has_ended.is_set()


def test_while_stopping_no_pair_is_started_and_nothing_is_given_up() -> None:
    house = House(Lives("source", stops_with=1).spec, Lives("sink", stops_with=2).spec)
    directory = house.stage.recorder("directory")
    house.address.tell(StopAll())
    house.address.tell(StartPair(a_contract(), directory.address))
    for life in range(1, 9):
        house.address.tell(ChildCrashed(Crash("sink", life, ValueError("on the way out"), "a letter")))
    house.settle()
    assert directory.told == []
    assert house.gave_up == []
    assert house.has_ended.is_set()


def test_a_supervisor_without_children_has_ended_at_once() -> None:
    house = House(Lives("one", stops_with=1).spec)
    house.tell(StopAll())
    house.has_ended.clear()
    house.tell(StopAll())
    assert house.has_ended.is_set()


@pytest.mark.parametrize("own_thread", [True, False])
def test_a_child_that_is_stuck_lives_again_on_another_thread_with_its_letters(
    own_thread: bool, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())
    now_s = [0.0]
    entered, leave = threading.Event(), threading.Event()
    told: list[Any] = []

    class MayStick(Recorder):
        def receive(self, message: Any) -> int:
            if message == "stick":
                entered.set()
                leave.wait(DEADLINE_S)
                return 0
            return super().receive(message)

    threads = RealThreads(lambda: now_s[0])
    neighbour = Lives("neighbour", takes_along=None)
    spec = ChildSpec("sticky", lambda: MayStick(told), own_thread=own_thread, every_beats=0)
    house = House(spec, neighbour.spec, threads=threads)
    sticky = house.parts.addresses["sticky"]
    for letter in ("a", "stick", "b"):
        sticky.tell(letter)
    assert entered.wait(DEADLINE_S)
    house.pass_time(STUCK_S)
    now_s[0] = STUCK_S + 1
    house.pass_time(1.0)
    assert sticky.ask("c", DEADLINE_S) == 3
    assert told == ["a", "b", "c"]
    assert house.parts.addresses["neighbour"].ask("there?", DEADLINE_S) == 1
    assert neighbour.count == 1
    assert "sticky has been busy with one message for 60 s" in caplog.text
    leave.set()
    _stop(house, threads)
    assert set(threading.enumerate()) <= before


def test_after_the_whole_process_stood_still_nobody_is_taken_for_stuck() -> None:
    now_s = [0.0]
    entered, leave = threading.Event(), threading.Event()
    lives: list[Actor] = []

    class Waiting(Actor):
        def begin(self) -> None:
            lives.append(self)

        def receive(self, message: Any) -> None:  # noqa: ARG002
            entered.set()
            leave.wait(DEADLINE_S)

    threads = RealThreads(lambda: now_s[0])
    house = House(ChildSpec("waiting", Waiting, own_thread=True, every_beats=0), threads=threads)
    house.pass_time(2 * STUCK_S)
    house.parts.addresses["waiting"].tell("wait")
    assert entered.wait(DEADLINE_S)
    now_s[0] += 2 * STUCK_S
    house.now_s += 2 * STUCK_S
    house.pass_time(STUCK_S)
    assert len(lives) == 1
    leave.set()
    _stop(house, threads)


def _stop(house: House, threads: RealThreads) -> None:
    """The children end on threads of their own, and the supervisor hears of it when it is stepped."""
    house.tell(StopAll())

    def has_ended() -> bool:
        house.settle()
        return house.has_ended.is_set()

    wait_until(has_ended, DEADLINE_S, "all children have ended")
    threads.close(DEADLINE_S)


def test_one_that_is_stuck_again_and_again_is_given_up_and_can_still_be_stopped() -> None:
    now_s = [0.0]
    leave = threading.Event()
    entered: list[threading.Event] = [threading.Event() for _ in range(POLICY.restarts_max + 1)]

    class Sticky(Actor):
        def receive(self, message: Any) -> None:
            entered[message].set()
            leave.wait(DEADLINE_S)

    threads = RealThreads(lambda: now_s[0])
    house = House(ChildSpec("sticky", Sticky, own_thread=True, every_beats=0), threads=threads)
    house.pass_time(STUCK_S + 1)
    for number, event in enumerate(entered):
        house.parts.addresses["sticky"].tell(number)
        assert event.wait(DEADLINE_S)
        now_s[0] += STUCK_S + 1
        house.pass_time()
    assert house.gave_up == ["sticky was stuck too often"]
    leave.set()
    _stop(house, threads)


def test_stopping_does_not_wait_for_one_that_hangs() -> None:
    leave, entered = threading.Event(), threading.Event()

    class Hanging(Actor):
        def receive(self, message: Any) -> None:  # noqa: ARG002
            entered.set()
            leave.wait(DEADLINE_S)

    threads = RealThreads(lambda: 0.0)
    hanging = ChildSpec("fetcher", Hanging, own_thread=True, every_beats=0, stops_with=1, ends_within_s=1.5)
    house = House(hanging, Lives("writer", stops_with=2).spec, threads=threads)
    house.parts.addresses["fetcher"].tell("hang")
    assert entered.wait(DEADLINE_S)
    house.tell(Beat(1_000.0))
    house.tell(StopAll())
    house.tell(Beat(1_001.0))
    assert not house.has_ended.is_set()
    house.tell(Beat(1_002.0))
    leave.set()
    _stop(house, threads)


def test_who_is_to_stop_before_the_first_beat_has_its_time_to_end_too() -> None:
    leave, entered = threading.Event(), threading.Event()

    class Busy(Actor):
        def receive(self, message: Any) -> None:  # noqa: ARG002
            entered.set()
            leave.wait(DEADLINE_S)

    threads = RealThreads(lambda: 0.0)
    busy = ChildSpec("fetcher", Busy, own_thread=True, every_beats=0, stops_with=1, ends_within_s=1.5)
    house = House(busy, threads=threads)
    house.parts.addresses["fetcher"].tell("work")
    assert entered.wait(DEADLINE_S)
    house.tell(StopAll())
    house.tell(Beat(50_000.0))
    house.tell(Beat(50_001.0))
    assert not house.has_ended.is_set()
    leave.set()
    _stop(house, threads)


def test_no_thread_is_left_when_all_children_have_ended() -> None:
    before = set(threading.enumerate())
    threads = RealThreads(lambda: 0.0)
    specs = [Lives(f"child {number}", own_thread=number % 2 == 0).spec for number in range(6)]
    house = House(*specs, threads=threads)
    for address in house.parts.addresses.values():
        assert address.ask("a", DEADLINE_S) == 1
    house.tell(StopChild("child 0"))
    _stop(house, threads)
    assert set(threading.enumerate()) <= before


def test_a_supervisor_says_where_everything_can_be_reached() -> None:
    dispatcher = ThreadDispatcher("supervisor", lambda: 0.0)
    told: list[Any] = []
    wiring = Wiring(
        threads=SeededThreads(1),
        random=Random(1),
        parts=FewParts([ChildSpec("hub", lambda: Recorder(told))]),
        status=Status("bars.db", 0),
        publish=lambda _, __: None,
        give_up=logging.error,
        all_ended=lambda: None,
    )
    supervisor = Stage(dispatcher=dispatcher).play("supervisor", lambda: Supervisor(wiring)).address
    assert supervisor.ask(Begin(), DEADLINE_S).hub.name == "hub"
    started = supervisor.ask(StartChild(ChildSpec("feed", lambda: Recorder(told))), DEADLINE_S)
    assert started.name == "feed"
    assert supervisor.ask(StartChild(ChildSpec("feed", lambda: Recorder(told))), DEADLINE_S) is started
    dispatcher.close(DEADLINE_S)


def test_a_letter_that_is_none_of_its_own_is_a_mistake() -> None:
    house = House(Lives("one").spec)
    house.tell("a letter")
    (crash,) = house.stage.crashes
    assert isinstance(crash.error, UnexpectedMessage)
