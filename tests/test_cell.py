"""One actor's lives: what a crash costs, what it does not, and how an actor ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pykka
import pytest

from actors.runtime.cell import BEGIN, Actor, Cell, UnexpectedMessage
from actors.runtime.dispatcher import ThreadDispatcher
from tests.support.actors import Fall, Kill, Recorder, Stage

DEADLINE_S = 20.0


class Lives(Actor):
    """Writes down beginnings, letters and ends; `failing_begins` lives cannot begin."""

    def __init__(self, diary: list[Any], failing_begins: int = 0) -> None:
        self._diary = diary
        self._failing_begins = failing_begins

    def begin(self) -> None:
        self._diary.append("begin")
        if self._diary.count("begin") <= self._failing_begins:
            raise Fall("no beginning")

    def receive(self, message: Any) -> None:
        if isinstance(message, Kill):
            raise message.error
        self._diary.append(message)

    def end(self) -> None:
        self._diary.append("end")


def _lives(stage: Stage, failing_begins: int = 0) -> tuple[Cell, list[Any]]:
    diary: list[Any] = []
    return stage.play("lives", lambda: Lives(diary, failing_begins)), diary


def test_letters_are_handled_in_the_order_they_came() -> None:
    stage = Stage()
    heard = stage.recorder("heard")
    for number in range(200):
        heard.address.tell(number)
    assert heard.cell.waiting == 200
    stage.settle()
    assert heard.told == list(range(200))
    assert heard.cell.waiting == 0


def test_of_a_crash_only_the_letter_that_killed_is_gone_and_the_rest_waits_for_the_next_life(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    cell, diary = _lives(stage)
    for letter in ("a", Kill(), "b"):
        cell.address.tell(letter)
    stage.settle()
    cell.address.tell("c")
    stage.settle()
    assert diary == ["begin", "a", "end"]
    (crash,) = stage.crashes
    assert (crash.name, crash.life, str(crash.error)) == ("lives", 1, "killed")
    assert isinstance(crash.message, Kill)
    assert "lives crashed on Kill(" in caplog.text
    assert "Fall: killed" in caplog.text
    cell.restart()
    stage.settle()
    assert diary == ["begin", "a", "end", "begin", "b", "c"]
    assert cell.life == 2


def test_an_ask_whose_handling_raises_is_answered_with_the_exception_and_kills() -> None:
    dispatcher = ThreadDispatcher("asked", time.monotonic)
    stage = Stage(dispatcher=dispatcher)
    address = stage.play("asked", lambda: Recorder([])).address
    assert address.ask("a", DEADLINE_S) == 1
    with pytest.raises(Fall, match="killed"):
        address.ask(Kill(), DEADLINE_S)
    dispatcher.close(DEADLINE_S)
    assert [crash.life for crash in stage.crashes] == [1]


def test_a_message_that_an_actor_has_no_use_for_is_a_crash_that_names_both() -> None:
    stage = Stage()
    stage.play("plain", Actor).address.tell("what is this")
    stage.settle()
    (crash,) = stage.crashes
    assert isinstance(crash.error, UnexpectedMessage)
    assert str(crash.error) == "Actor: expected one of its messages, got 'what is this'"


def test_a_crash_can_be_injected_before_any_letter() -> None:
    def before(name: str, message: object) -> None:
        if message == "b":
            raise Fall(f"{name} on {message}")

    stage = Stage(before=before)
    heard = stage.recorder("heard")
    for letter in "abc":
        heard.address.tell(letter)
    stage.settle()
    heard.cell.restart()
    stage.settle()
    assert heard.told == ["a", "c"]
    assert [str(crash.error) for crash in stage.crashes] == ["heard on b"]


def test_a_beginning_that_fails_is_a_crash_after_which_what_was_taken_hold_of_is_let_go() -> None:
    stage = Stage()
    cell, diary = _lives(stage, failing_begins=2)
    cell.address.tell("a")
    for _ in range(3):
        stage.settle()
        cell.restart()
    stage.settle()
    assert diary == ["begin", "end", "begin", "end", "begin", "a", "end", "begin"]
    assert [crash.message for crash in stage.crashes] == [BEGIN, BEGIN]


def test_an_actor_that_cannot_even_be_made_is_a_crash_too() -> None:
    stage = Stage()
    heard = stage.recorder("other")

    def make() -> Actor:
        raise Fall("not made")

    stage.play("unmade", make)
    heard.address.tell("a")
    stage.settle()
    assert heard.told == ["a"]
    assert [(crash.name, crash.message) for crash in stage.crashes] == [("unmade", BEGIN)]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("where", ["make", "begin", "receive", "end"])
def test_no_kind_of_exception_in_one_actor_harms_another_on_its_thread(kind: type[BaseException], where: str) -> None:
    class Fatal(Actor):
        def __init__(self) -> None:
            self._raise_in("make")

        def begin(self) -> None:
            self._raise_in("begin")

        def receive(self, message: Any) -> None:
            self._raise_in(message)

        def end(self) -> None:
            self._raise_in("end")

        def _raise_in(self, place: Any) -> None:
            if place == where:
                raise kind

    dispatcher = ThreadDispatcher("shared", time.monotonic)
    stage = Stage(dispatcher=dispatcher)
    fatal = stage.play("fatal", Fatal)
    other = stage.recorder("other").address
    for _ in range(3):
        fatal.address.tell("receive")
        fatal.restart()
        assert other.ask("still there?", DEADLINE_S)
    fatal.request_stop()
    assert other.ask("still there?", DEADLINE_S) == 4
    assert dispatcher.is_alive
    assert stage.ended == ["fatal"]
    dispatcher.close(DEADLINE_S)


def test_an_end_that_fails_is_logged_and_the_next_life_begins(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise Fall("cannot let go")

    stage = Stage()
    told: list[Any] = []
    cell = stage.play("clinging", lambda: Recorder(told, fail))
    cell.address.tell(Kill())
    cell.address.tell("a")
    stage.settle()
    cell.restart()
    stage.settle()
    assert told == ["a"]
    assert "clinging could not let go of what it held" in caplog.text
    assert "Fall: cannot let go" in caplog.text


def test_a_restart_ends_a_life_that_still_lives_and_keeps_its_letters() -> None:
    stage = Stage()
    cell, diary = _lives(stage)
    cell.address.tell("a")
    stage.settle()
    cell.address.tell("b")
    cell.restart()
    stage.settle()
    assert diary == ["begin", "a", "end", "begin", "b"]
    assert stage.crashes == []


def test_a_restart_in_the_middle_of_a_turn_leaves_the_rest_of_the_letters_to_the_next_life() -> None:
    dispatcher = ThreadDispatcher("turn", time.monotonic)
    stage = Stage(dispatcher=dispatcher)
    diary: list[Any] = []
    entered, leave = threading.Event(), threading.Event()

    class Waiting(Lives):
        def receive(self, message: Any) -> None:
            super().receive(message)
            if message == "wait":
                entered.set()
                leave.wait(DEADLINE_S)

    cell = stage.play("waiting", lambda: Waiting(diary))
    cell.address.tell("wait")
    cell.address.tell("a")
    assert entered.wait(DEADLINE_S)
    cell.restart()
    leave.set()
    cell.address.ask("b", DEADLINE_S)
    assert diary == ["begin", "wait", "end", "begin", "a", "b"]
    dispatcher.close(DEADLINE_S)


def test_a_crash_is_of_the_life_it_happened_in_and_does_not_undo_a_restart_that_came_during_it() -> None:
    stage = Stage()
    told: list[Any] = []
    cells: list[Cell] = []
    cells.append(stage.play("one", lambda: Recorder(told, _once(lambda: cells[0].restart()))))
    cells[0].address.tell(Kill())
    cells[0].address.tell("a")
    stage.settle()
    assert told == ["a"]
    assert [crash.life for crash in stage.crashes] == [1]
    assert cells[0].life == 2


def _once(action: Callable[[], object]) -> Callable[[], None]:
    """Acts at the first call only."""
    todo = [action]

    def act() -> None:
        if todo:
            todo.pop()()

    return act


def test_stopping_handles_the_letters_from_before_and_drops_those_from_after_quietly() -> None:
    stage = Stage()
    cell, diary = _lives(stage)
    cell.address.tell("a")
    cell.request_stop()
    cell.address.tell("too late")
    stage.settle()
    cell.address.tell("even later")
    stage.settle()
    assert diary == ["begin", "a", "end"]
    assert stage.ended == ["lives"]
    assert stage.crashes == []
    with pytest.raises(pykka.ActorDeadError):
        cell.address.ask("anyone?", DEADLINE_S)


def test_stopping_again_or_restarting_afterwards_does_nothing() -> None:
    stage = Stage()
    cell, diary = _lives(stage)
    cell.request_stop()
    cell.request_stop()
    stage.settle()
    cell.request_stop()
    cell.restart()
    stage.settle()
    assert diary == ["begin", "end"]
    assert stage.ended == ["lives"]


def test_a_crashed_actor_that_is_stopped_handles_its_letters_in_a_new_life_first() -> None:
    stage = Stage()
    cell, diary = _lives(stage)
    for letter in (Kill(), "a", "b"):
        cell.address.tell(letter)
    stage.settle()
    cell.request_stop()
    stage.settle()
    assert diary == ["begin", "end", "begin", "a", "b", "end"]
    assert stage.ended == ["lives"]


def test_a_crash_while_stopping_costs_no_letter_but_its_own() -> None:
    stage = Stage()
    cell, diary = _lives(stage)
    for letter in (Kill(), "a", Kill(), Kill(), "b"):
        cell.address.tell(letter)
    cell.request_stop()
    stage.settle()
    assert [letter for letter in diary if letter not in ("begin", "end")] == ["a", "b"]
    assert diary.count("begin") == diary.count("end") == 4
    assert stage.ended == ["lives"]


def test_a_stop_that_comes_in_the_middle_of_a_crash_still_drains() -> None:
    stage = Stage()
    told: list[Any] = []
    cells: list[Cell] = []
    cells.append(stage.play("one", lambda: Recorder(told, _once(lambda: cells[0].request_stop()))))
    for letter in (Kill(), "a"):
        cells[0].address.tell(letter)
    stage.settle()
    assert told == ["a"]
    assert stage.ended == ["one"]


def test_an_actor_that_is_to_stop_but_cannot_begin_ends_and_tells_those_who_asked() -> None:
    dispatcher = ThreadDispatcher("hopeless", time.monotonic)
    diary: list[Any] = []
    stage = Stage(dispatcher=dispatcher)
    gate = threading.Event()
    dispatcher.schedule(_Gate(gate))
    cell = stage.play("hopeless", lambda: Lives(diary, failing_begins=9))
    asking = cell.actor_ref.ask("a", block=False)
    cell.request_stop()
    gate.set()
    with pytest.raises(pykka.ActorDeadError):
        asking.get(timeout=DEADLINE_S)
    dispatcher.close(DEADLINE_S)
    assert diary == ["begin", "end"]
    assert stage.ended == ["hopeless"]


class _Gate:
    """Holds a dispatcher until it is opened."""

    name = "gate"

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def run(self, letters_max: int) -> None:  # noqa: ARG002
        self._gate.wait(DEADLINE_S)


@pytest.mark.parametrize("stuck_in", ["begin", "receive", "failing begin", "failing receive"])
def test_a_stuck_thread_that_returns_touches_nothing_of_the_new_life_and_lets_go_of_its_own(stuck_in: str) -> None:
    dispatcher = ThreadDispatcher("stuck", time.monotonic)
    stage = Stage(dispatcher=dispatcher)
    entered, leave = threading.Event(), threading.Event()
    diary: list[str] = []
    lives: list[Actor] = []
    threads: list[threading.Thread] = []

    class Stuck(Actor):
        def __init__(self) -> None:
            lives.append(self)
            self.number = len(lives)

        def begin(self) -> None:
            self._stick("begin")

        def receive(self, message: str) -> None:
            self._stick("receive")
            diary.append(f"{message} in {self.number}")

        def end(self) -> None:
            diary.append(f"end of {self.number}")

        def _stick(self, place: str) -> None:
            if self.number == 1 and stuck_in.endswith(place):
                threads.append(threading.current_thread())
                entered.set()
                leave.wait(DEADLINE_S)
                if stuck_in.startswith("failing"):
                    raise Fall("back, and broken")

    cell = stage.play("stuck", Stuck)
    cell.address.tell("a")
    assert entered.wait(DEADLINE_S)
    cell.address.tell("b")
    cell.restart()
    dispatcher.replace_thread()
    cell.address.ask("c", DEADLINE_S)
    leave.set()
    threads[0].join(DEADLINE_S)
    cell.address.ask("d", DEADLINE_S)
    cell.request_stop()
    dispatcher.close(DEADLINE_S)
    assert [entry for entry in diary if entry.endswith("in 2")] == [
        f"{letter} in 2" for letter in ("abcd" if "begin" in stuck_in else "bcd")
    ]
    assert diary.count("end of 1") == 2
    assert diary[-1] == "end of 2"
    assert diary.count("end of 2") == 1
    assert [crash.life for crash in stage.crashes] == ([1] if "failing" in stuck_in else [])


def test_letters_that_wait_for_the_new_life_are_not_taken_by_a_stuck_thread_that_returns() -> None:
    dispatcher = ThreadDispatcher("stuck", time.monotonic)
    stage = Stage(dispatcher=dispatcher)
    gates = {letter: (threading.Event(), threading.Event()) for letter in "ab"}
    handled_on: dict[str, threading.Thread] = {}

    class Gated(Actor):
        def receive(self, message: str) -> None:
            handled_on[message] = threading.current_thread()
            if message in gates:
                entered, leave = gates[message]
                entered.set()
                leave.wait(DEADLINE_S)

    cell = stage.play("gated", Gated)
    for letter in "abc":
        cell.address.tell(letter)
    assert gates["a"][0].wait(DEADLINE_S)
    cell.restart()
    dispatcher.replace_thread()
    assert gates["b"][0].wait(DEADLINE_S)
    gates["a"][1].set()
    handled_on["a"].join(DEADLINE_S)
    assert "c" not in handled_on
    gates["b"][1].set()
    cell.address.ask("d", DEADLINE_S)
    assert handled_on["c"] is handled_on["b"] is not handled_on["a"]
    dispatcher.close(DEADLINE_S)


def test_the_registry_that_a_host_application_may_stop_is_left_alone() -> None:
    stage = Stage()
    heard = stage.recorder("heard")
    heard.address.tell("a")
    stage.settle()
    assert heard.cell.actor_ref not in pykka.ActorRegistry.get_all()
    pykka.ActorRegistry.stop_all()
    heard.address.tell("b")
    stage.settle()
    assert heard.told == ["a", "b"]
