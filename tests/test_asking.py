"""Asking many questions within a weight budget: against an exchange whose clock moves only while we wait."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from actors.commands.asking import ATTEMPTS_MAX, Asking, Question
from bars import MINUTE_MS
from exchange import Banned, ExchangeError, Refused, Reply, RestClient, Restricted, ServerFault, Unreachable

START_MS = 1_791_201_450_000


@dataclass
class FakeExchange:
    """Counts weight by minute. Its clock is moved by `pause`, the only way in which the asker waits for it."""

    now_s: float = 0.0
    speed: float = 1.0
    weights: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now_ms(self) -> int:
        return START_MS + int(self.now_s * 1_000 * self.speed)

    def pause(self, seconds: float) -> None:
        self.now_s += seconds

    def weigh(self, value: Any, weight: int) -> Reply[Any]:
        with self.lock:
            minute = self.now_ms() // MINUTE_MS
            self.weights[minute] += weight
            return Reply(value, self.weights[minute])

    def time(self) -> Reply[int]:
        return self.weigh(self.now_ms(), 1)

    def close(self) -> None:
        """As a client's."""

    def asking(self, share: float = 0.5, unreachable_s: float = 60.0) -> Asking:
        return Asking(
            lambda: cast(RestClient, self),
            share,
            monotonic=lambda: self.now_s,
            pause=self.pause,
            unreachable_s=unreachable_s,
        )

    def page(self, number: int, weight: int = 2) -> Question:
        return Question(lambda _: self.weigh(number * number, weight), weight, number)


@pytest.fixture
def exchange() -> FakeExchange:
    return FakeExchange()


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_the_allowed_weight_is_used_up_and_never_exceeded_in_any_minute(exchange: FakeExchange, speed: float) -> None:
    exchange.speed = speed
    with exchange.asking(share=0.1) as asking:
        answers = [(question.ticket, answer) for question, answer in asking.answers(map(exchange.page, range(400)))]
    assert sorted(answers) == [(number, number * number) for number in range(400)]
    assert max(exchange.weights.values()) <= 240
    assert sum(exchange.weights.values()) <= 800 * 1.1
    if speed == 1.0:
        assert sorted(exchange.weights.values())[-3:] >= [216, 216, 216]


def test_a_question_that_fails_is_asked_again_until_it_is_answered(exchange: FakeExchange) -> None:
    failures = iter([Unreachable("no answer"), ServerFault("HTTP 503")])

    def fail_twice(_: RestClient) -> Reply[str]:
        error = next(failures, None)
        if error is not None:
            raise error
        return exchange.weigh("at last", 1)

    with exchange.asking() as asking:
        assert asking.answer(Question(fail_twice, 1)) == "at last"


def test_a_question_that_fails_for_ever_is_given_up_and_the_others_are_answered(exchange: FakeExchange) -> None:
    tries = Counter[str]()

    def fail(_: RestClient) -> Reply[str]:
        tries["bad"] += 1
        raise ServerFault("HTTP 500")

    bad = Question(fail, 1)
    with exchange.asking(unreachable_s=1e9) as asking:
        answers = dict(asking.answers([bad, *map(exchange.page, range(20))]))
    assert isinstance(answers.pop(bad), ServerFault)
    assert tries["bad"] == ATTEMPTS_MAX
    assert sorted(answers.values()) == [number * number for number in range(20)]


def test_a_refusal_is_an_answer(exchange: FakeExchange) -> None:
    def refuse(_: RestClient) -> Reply[str]:
        raise Refused("HTTP 400", status=400, code=-1121, message="Invalid symbol.")

    with exchange.asking() as asking:
        ((_, answer),) = asking.answers([Question(refuse, 1)])
        assert isinstance(answer, Refused)
        with pytest.raises(Refused):
            asking.answer(Question(refuse, 1))


@pytest.mark.parametrize(("error", "unreachable_s"), [(Restricted("HTTP 451"), 60.0), (Unreachable("no answer"), 5.0)])
def test_an_exchange_that_cannot_be_used_ends_it(
    exchange: FakeExchange, error: ExchangeError, unreachable_s: float
) -> None:
    def fail(_: RestClient) -> Reply[str]:
        raise error

    with exchange.asking(unreachable_s=unreachable_s) as asking, pytest.raises(type(error)):
        list(asking.answers(Question(fail, 1) for _ in range(5)))


@pytest.mark.parametrize("error", [None, ServerFault("HTTP 500")])
def test_what_was_under_way_when_it_failed_is_no_answer_to_later_questions(
    exchange: FakeExchange, error: ExchangeError | None
) -> None:
    gate, tries = threading.Event(), []

    def slow(_: RestClient) -> Reply[str]:
        tries.append("slow")
        assert gate.wait(30)
        if error is not None:
            raise error
        return exchange.weigh("late", 1)

    def restricted(_: RestClient) -> Reply[str]:
        raise Restricted("HTTP 451")

    with exchange.asking() as asking:
        with pytest.raises(Restricted):
            list(asking.answers([Question(slow, 1), Question(restricted, 1)]))
        gate.set()
        assert [(question.ticket, answer) for question, answer in asking.answers([exchange.page(2)])] == [(2, 4)]
    assert tries == ["slow"]


def test_questions_are_taken_only_as_they_can_be_asked(exchange: FakeExchange) -> None:
    taken = 0

    def questions() -> Any:
        nonlocal taken
        for number in range(1_000):
            taken += 1
            yield exchange.page(number)

    with exchange.asking() as asking:
        next(asking.answers(questions()))
    assert taken < 20


def test_the_time_is_asked_for_again_where_it_could_not_be_learnt(
    exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[ExchangeError] = [Unreachable("asking for the time: nobody"), ServerFault("asking for the time")]
    tell = exchange.time

    def time() -> Reply[int]:
        if failures:
            raise failures.pop()
        return tell()

    monkeypatch.setattr(exchange, "time", time)
    with exchange.asking() as asking:
        assert asking.answer(exchange.page(3)) == 9
        assert asking.observed_ms >= START_MS
    assert failures == []


def test_while_the_time_is_not_known_a_ban_is_not_prolonged_by_asking(
    exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_s = []

    def time() -> Reply[int]:
        asked_s.append(exchange.now_s)
        raise Banned("HTTP 418", until_ms=START_MS + 20 * MINUTE_MS, left_s=1_200.0)

    monkeypatch.setattr(exchange, "time", time)
    with exchange.asking() as asking, pytest.raises(Banned):
        asking.answer(exchange.page(1))
    assert len(asked_s) == 2
    assert asked_s[1] - asked_s[0] >= 120
