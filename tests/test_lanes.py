"""The two ways in of a bulk download: what is tried again, what is given up, and how they end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, cast

import pytest

from actors.commands.asking import Question
from actors.commands.bulk.lanes import (
    ATTEMPTS,
    FAILURES_MAX,
    ArchiveLane,
    Interrupted,
    Landed,
    RestLane,
    pausing,
)
from exchange import ArchiveClient, Backoff, ExchangeError, Refused, Reply, Restricted, Unreachable
from tests.support.service import wait_until
from tests.test_asking import FakeExchange

DEADLINE_S = 30.0


class Client:
    """Nothing but what is closed at the end."""

    def close(self) -> None:
        """As a client's."""


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    ended = threading.Event()
    yield ended
    ended.set()


@pytest.fixture
def results() -> queue.SimpleQueue[Landed]:
    return queue.SimpleQueue()


@pytest.fixture
def lane(
    results: queue.SimpleQueue[Landed], ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ArchiveLane]:
    """Its pauses between attempts are none."""
    at_once = Backoff(Random(), first_s=0.0, cap_s=0.0)
    monkeypatch.setattr("actors.commands.bulk.lanes.Backoff", lambda *_args, **_options: at_once)
    lane = ArchiveLane(lambda: cast(ArchiveClient, Client()), results, ended)
    yield lane
    lane.close()


def failing(error: ExchangeError, times: int = 1_000) -> tuple[list[int], Callable[[Any], object]]:
    """A job that fails so many times, and its attempts."""
    attempts: list[int] = []

    def ask(_: Any) -> object:
        attempts.append(len(attempts))
        if len(attempts) <= times:
            raise error
        return "file"

    return attempts, ask


def landed(results: queue.SimpleQueue[Landed]) -> Landed:
    return results.get(timeout=DEADLINE_S)


def test_a_file_is_tried_again_until_it_comes(lane: ArchiveLane, results: queue.SimpleQueue[Landed]) -> None:
    _, ask = failing(Unreachable("asking: nobody"), times=ATTEMPTS - 1)
    lane.ask("ticket", ask)
    assert landed(results) == Landed("ticket", "file")


def test_after_some_attempts_the_error_is_the_answer(lane: ArchiveLane, results: queue.SimpleQueue[Landed]) -> None:
    error = Unreachable("asking: nobody")
    attempts, ask = failing(error)
    lane.ask("ticket", ask)
    assert landed(results) == Landed("ticket", error)
    assert len(attempts) == ATTEMPTS


def test_what_will_not_change_is_not_asked_for_again(lane: ArchiveLane, results: queue.SimpleQueue[Landed]) -> None:
    attempts, ask = failing(Restricted("asking: got HTTP 451"))
    lane.ask("ticket", ask)
    assert isinstance(landed(results).value, Restricted)
    assert len(attempts) == 1


def test_an_archive_that_fails_file_by_file_is_asked_once_for_each_until_it_answers(
    lane: ArchiveLane, results: queue.SimpleQueue[Landed]
) -> None:
    for _ in range(FAILURES_MAX):
        lane.ask("ticket", failing(Unreachable("asking: nobody"))[1])
        lane.taken(landed(results))
    attempts, ask = failing(Unreachable("asking: nobody"))
    lane.ask("ticket", ask)
    lane.taken(landed(results))
    assert len(attempts) == 1
    lane.ask("ticket", lambda _: "file")
    lane.taken(landed(results))
    attempts, ask = failing(Unreachable("asking: nobody"))
    lane.ask("ticket", ask)
    lane.taken(landed(results))
    assert len(attempts) == ATTEMPTS
    assert lane.under_way == 0


def test_a_mistake_reaches_whoever_waits_for_the_file(lane: ArchiveLane, results: queue.SimpleQueue[Landed]) -> None:
    mistake = ZeroDivisionError("a mistake")

    def ask(_: Any) -> object:
        raise mistake

    lane.ask("ticket", ask)
    assert landed(results).value is mistake


def test_nothing_is_begun_after_the_end(
    lane: ArchiveLane, results: queue.SimpleQueue[Landed], ended: threading.Event
) -> None:
    ended.set()
    lane.ask("ticket", lambda _: "file")
    lane.close()
    assert results.empty()


# REST


@pytest.fixture
def exchange() -> FakeExchange:
    return FakeExchange()


def held(gate: threading.Event, ticket: str) -> Question:
    """A question that is answered once the gate is open."""

    def ask(_: Any) -> Reply[Any]:
        assert gate.wait(DEADLINE_S)
        return Reply(ticket, 1)

    return Question(ask, 1, ticket)


def test_questions_that_waited_when_it_was_closed_are_answered(
    exchange: FakeExchange,
    results: queue.SimpleQueue[Landed],
    ended: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.commands.bulk.lanes.CLOSE_S", 0.0)
    gate = threading.Event()
    with exchange.asking() as asking:
        lane = RestLane(asking, results, ended)
        for ticket in ("first", "second", "third"):
            lane.ask(held(gate, ticket))
        lane.close()
        gate.set()
        assert {landed(results).ticket for _ in range(3)} == {"first", "second", "third"}
        wait_until(lambda: not is_running(), DEADLINE_S, "its thread has ended")


def test_a_refused_page_is_the_refusal_and_the_others_come(
    exchange: FakeExchange, results: queue.SimpleQueue[Landed], ended: threading.Event
) -> None:
    def refused(_: Any) -> Reply[Any]:
        raise Refused("asking: no", status=400, code=-1100, message="no")

    with exchange.asking() as asking:
        lane = RestLane(asking, results, ended)
        lane.ask(Question(refused, 1, "refused"))
        lane.ask(exchange.page(3))
        found = {one.ticket: one.value for one in (landed(results), landed(results))}
        lane.close()
    assert isinstance(found["refused"], Refused)
    assert found[3] == 9


def test_where_the_exchange_serves_nobody_every_question_is_told(
    exchange: FakeExchange, results: queue.SimpleQueue[Landed], ended: threading.Event
) -> None:
    error = Restricted("asking: got HTTP 451")

    def restricted(_: Any) -> Reply[Any]:
        raise error

    with exchange.asking() as asking:
        lane = RestLane(asking, results, ended)
        lane.ask(Question(restricted, 1, "one"))
        assert landed(results) == Landed("one", error)
        lane.ask(exchange.page(2))  # it goes on: whoever took the error decides
        assert landed(results) == Landed(2, 4)
        lane.close()


def test_an_end_reaches_a_lane_that_waits_for_its_budget(
    exchange: FakeExchange,
    results: queue.SimpleQueue[Landed],
    ended: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "pause", pausing(ended, lambda: True))
    with exchange.asking() as asking:
        lane = RestLane(asking, results, ended)
        lane.ask(exchange.page(1, weight=1_000_000))
        wait_until(lambda: not is_running(), DEADLINE_S, "its thread has ended")
        lane.close()
    assert results.empty()


def test_a_pause_ends_with_whatever_it_waits_for() -> None:
    ended = threading.Event()
    pausing(ended, lambda: False)(0.0)
    ended.set()
    with pytest.raises(Interrupted):
        pausing(ended, lambda: False)(DEADLINE_S)


def is_running() -> bool:
    return any(thread.name == "rest" for thread in threading.enumerate())
