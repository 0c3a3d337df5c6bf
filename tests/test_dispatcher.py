"""The threads under the actors: order, no lost wake-ups, never two at once, and what a stuck thread leaves behind."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from typing import Any

import pytest

from actors.runtime.cell import Actor, Address
from actors.runtime.dispatcher import LETTERS_PER_TURN, SeededDispatcher, ThreadDispatcher
from actors.runtime.threads import RealThreads
from tests.support.actors import Stage

DEADLINE_S = 20.0


class Counter(Actor):
    """Counts what each sender told it, expects it in order, and notices a second thread inside."""

    def __init__(self) -> None:
        self.expected: dict[int, int] = {}
        self.faults: list[str] = []
        self._is_inside = False

    def receive(self, message: Any) -> Any:
        if message == "result":
            return sum(self.expected.values()), self.faults
        if self._is_inside:
            self.faults.append("two at once")
        self._is_inside = True
        sender, number = message
        if self.expected.get(sender, 0) != number:
            self.faults.append(f"sender {sender}: expected {self.expected.get(sender, 0)}, got {number}")
        self.expected[sender] = number + 1
        self._is_inside = False
        return None


class Task:
    """Runs a function once in each turn."""

    def __init__(self, function: Any) -> None:
        self.name = "task"
        self.run = lambda _: function()


class _Blocking:
    """Blocks until it may leave."""

    name = "blocking"

    def __init__(self, entered: threading.Event, leave: threading.Event) -> None:
        self._entered, self._leave = entered, leave

    def run(self, letters_max: int) -> None:  # noqa: ARG002
        self._entered.set()
        self._leave.wait(DEADLINE_S)


class _Restless:
    """Wants another turn after each."""

    name = "restless"

    def __init__(self, dispatcher: SeededDispatcher) -> None:
        self._dispatcher = dispatcher

    def run(self, letters_max: int) -> None:  # noqa: ARG002
        self._dispatcher.schedule(self)


def test_what_many_threads_tell_many_actors_is_all_handled_in_each_senders_order_and_one_at_a_time() -> None:
    senders, tells, actors = 4, 20_000, 50
    dispatcher = ThreadDispatcher("loaded", time.monotonic)
    stage = Stage(dispatcher=dispatcher)
    addresses = [stage.play(f"counter {number}", Counter).address for number in range(actors)]

    def send(sender: int) -> None:
        for number in range(tells):
            addresses[number % actors].tell((sender, number // actors))

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    results = [address.ask("result", DEADLINE_S) for address in addresses]
    assert results == [(senders * tells // actors, [])] * actors
    dispatcher.close(DEADLINE_S)
    assert not dispatcher.is_alive


def test_a_tell_wakes_an_actor_however_it_falls_together_with_the_end_of_a_turn() -> None:
    dispatcher = ThreadDispatcher("woken", time.monotonic)
    address = Stage(dispatcher=dispatcher).play("counter", Counter)
    for number in range(3_000):
        address.address.tell((0, number))
        if number % 3 == 0:
            assert address.address.ask("result", DEADLINE_S) == (number + 1, [])
    dispatcher.close(DEADLINE_S)


def test_an_actor_that_always_has_letters_takes_no_more_than_its_turn() -> None:
    dispatcher = ThreadDispatcher("busy", time.monotonic)
    stage = Stage(dispatcher=dispatcher)
    waited: deque[int] = deque()
    is_done = threading.Event()
    busy_until = 200 * LETTERS_PER_TURN

    class Quiet(Actor):
        def receive(self, message: int) -> None:
            waited.append(busy.count - message)
            is_done.set()

    class Busy(Actor):
        count = 0

        def receive(self, message: Any) -> None:
            self.count += 1
            if self.count == busy_until // 2:
                quiet.tell(self.count)
            if self.count < busy_until:
                self.me.tell(message)

    busy = Busy()
    quiet = stage.play("quiet", Quiet).address
    stage.play("busy", lambda: busy).address.tell("on")
    assert is_done.wait(DEADLINE_S)
    assert waited[0] <= 2 * LETTERS_PER_TURN
    dispatcher.close(DEADLINE_S)


def test_closing_handles_what_is_scheduled_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    dispatcher = ThreadDispatcher("short", time.monotonic)
    ran: list[int] = []
    for number in range(100):
        dispatcher.schedule(Task(lambda number=number: ran.append(number)))
    dispatcher.close(DEADLINE_S)
    assert ran == list(range(100))
    assert set(threading.enumerate()) <= before


def test_a_dispatcher_may_be_closed_from_its_own_thread() -> None:
    dispatcher = ThreadDispatcher("own", time.monotonic)
    dispatcher.schedule(Task(lambda: dispatcher.close(DEADLINE_S)))
    deadline_s = time.monotonic() + DEADLINE_S
    while dispatcher.is_alive and time.monotonic() < deadline_s:
        threading.Event().wait(0.001)
    assert not dispatcher.is_alive


def test_a_turn_is_stuck_only_when_it_lasts_longer_than_the_patience() -> None:
    now_s = [0.0]
    entered, leave = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        leave.wait(DEADLINE_S)

    dispatcher = ThreadDispatcher("stuck", lambda: now_s[0])
    assert dispatcher.stuck_cell(60.0) is None
    task = Task(block)
    dispatcher.schedule(task)
    assert entered.wait(DEADLINE_S)
    now_s[0] = 60.0
    assert dispatcher.stuck_cell(60.0) is None
    now_s[0] = 60.1
    assert dispatcher.stuck_cell(60.0) is task
    leave.set()
    dispatcher.close(DEADLINE_S)
    assert dispatcher.stuck_cell(60.0) is None


def test_what_waits_behind_a_stuck_turn_runs_on_the_successor_and_the_old_thread_ends_when_it_returns() -> None:
    before = set(threading.enumerate())
    entered, leave, done = threading.Event(), threading.Event(), threading.Event()
    ran_on: list[threading.Thread] = []

    def block() -> None:
        ran_on.append(threading.current_thread())
        entered.set()
        leave.wait(DEADLINE_S)

    def after() -> None:
        ran_on.append(threading.current_thread())
        done.set()

    dispatcher = ThreadDispatcher("stuck", time.monotonic)
    dispatcher.schedule(Task(block))
    assert entered.wait(DEADLINE_S)
    dispatcher.schedule(Task(after))
    dispatcher.replace_thread()
    assert done.wait(DEADLINE_S)
    leave.set()
    ran_on[0].join(DEADLINE_S)
    assert ran_on[0] is not ran_on[1]
    dispatcher.close(DEADLINE_S)
    assert set(threading.enumerate()) <= before


def test_a_successor_whose_first_turns_end_at_once_stays() -> None:
    for _ in range(50):
        dispatcher = ThreadDispatcher("replaced", time.monotonic)
        entered, leave = threading.Event(), threading.Event()
        dispatcher.schedule(_Blocking(entered, leave))
        assert entered.wait(DEADLINE_S)
        ran: deque[int] = deque()
        done = threading.Event()
        for number in range(20):
            dispatcher.schedule(Task(lambda number=number, ran=ran: ran.append(number)))
        dispatcher.schedule(Task(done.set))
        dispatcher.replace_thread()
        assert done.wait(DEADLINE_S)
        assert list(ran) == list(range(20))
        leave.set()
        dispatcher.close(DEADLINE_S)
        assert not dispatcher.is_alive


def test_the_thread_of_a_stuck_turn_is_replaced_only_when_whoever_was_told_has_dealt_with_it() -> None:
    now_s = [0.0]
    entered, leave, ran = threading.Event(), threading.Event(), threading.Event()
    threads = RealThreads(lambda: now_s[0])
    blocking = _Blocking(entered, leave)
    for cell in (blocking, Task(ran.set)):
        threads.dispatcher("shared", own_thread=False).schedule(cell)
    assert entered.wait(DEADLINE_S)
    now_s[0] = 61.0
    for stuck in threads.unstick(60.0):
        assert stuck is blocking
        assert not ran.wait(0.05)
    assert ran.wait(DEADLINE_S)
    leave.set()
    threads.close(DEADLINE_S)


def _order(seed: int) -> list[str]:
    """In which order ten actors handle letters that they tell each other."""
    stage, order = Stage(seed), []
    addresses: list[Address] = []

    class Teller(Actor):
        def __init__(self, number: int) -> None:
            self.number = number

        def receive(self, message: int) -> None:
            order.append(f"{self.number}:{message}")
            if message:
                addresses[(self.number * 7 + message) % 10].tell(message - 1)

    addresses += [stage.play(f"teller {number}", partial(Teller, number)).address for number in range(10)]
    for address in addresses:
        address.tell(5)
    stage.settle()
    return order


def test_the_same_seed_gives_the_same_order_and_another_seed_another() -> None:
    assert _order(1) == _order(1)
    assert _order(1) != _order(2)
    assert sorted(_order(1)) == sorted(_order(2))


def test_one_step_is_one_letter_of_one_actor() -> None:
    stage = Stage()
    heard = [stage.recorder("one"), stage.recorder("other")]
    stage.settle()
    for one in heard:
        one.address.tell("a")
        one.address.tell("b")
    for handled in range(1, 5):
        assert stage.seeded.step() in stage.cells
        assert len(heard[0].told) + len(heard[1].told) == handled
    assert stage.seeded.step() is None
    assert [one.told for one in heard] == [["a", "b"]] * 2


def test_actors_that_never_come_to_rest_are_reported() -> None:
    dispatcher = SeededDispatcher(0)
    dispatcher.schedule(_Restless(dispatcher))
    with pytest.raises(RuntimeError, match="rest within 100 steps"):
        dispatcher.run_until_idle(100)
