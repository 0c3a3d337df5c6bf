"""Many questions to the exchange within one weight budget, a few at a time. No actor: for commands that end."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from random import Random
from typing import Any

from bars import ExchangeClock
from exchange import Backoff, Charge, ExchangeError, RateLimited, Refused, Reply, RestClient, WeightBudget, wait_s
from exchange.pacing import WITHOUT_A_CLOCK_S

logger = logging.getLogger(__name__)

CLIENTS = 4
LOOK_EVERY_S = 0.02
"""How long to wait between looks at a budget that is used up; a simulated minute may last a second."""
ATTEMPTS_MAX = 8
"""Of one question; other questions may be answered meanwhile."""
UNREACHABLE_S = 60.0
BACKOFF_CAP_S = 10.0
COMPLAIN_EVERY_S = 30.0


@dataclass(slots=True, eq=False)
class Question:
    """One request. `ask` runs in another thread; `ticket` is the asker's own."""

    ask: Callable[[RestClient], Reply[Any]]
    weight: int
    ticket: Any = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Question
    client: RestClient
    charge: Charge


class Asking:
    """Owns the budget, the exchange's clock and the HTTP clients; use it in a `with` statement, in one thread.

    Args:
        open_client: makes a client; each is used by one thread at a time.
        share: the most of the exchange's weight to use, above 0 and up to 1.
        unreachable_s: after this long without any answer it gives up.
    """

    def __init__(
        self,
        open_client: Callable[[], RestClient],
        share: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        unreachable_s: float = UNREACHABLE_S,
    ) -> None:
        self._monotonic = monotonic
        self._pause = pause
        self._unreachable_s = unreachable_s
        self._clock = ExchangeClock()
        self._budget = WeightBudget(share)
        self._backoff = Backoff(Random(), first_s=0.5, cap_s=BACKOFF_CAP_S, stable_s=BACKOFF_CAP_S)
        self._clients = [open_client() for _ in range(CLIENTS)]
        self._idle = list(self._clients)
        self._threads = ThreadPoolExecutor(CLIENTS, thread_name_prefix="asking")
        self._under_way: dict[Future[Reply[Any]], _Asked] = {}
        self._again: deque[Question] = deque()
        self._time = Question(lambda client: client.time(), weight=1)
        self._hold_off_s = 0.0
        self._failing_since_s: float | None = None
        self._complained_s = -COMPLAIN_EVERY_S

    def __enter__(self) -> Asking:  # noqa: PYI034 - Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for client in self._clients:
            client.close()

    @property
    def observed_ms(self) -> int:
        """The latest time that the exchange has named; it has named one before it answers anything else."""
        return self._clock.observed_ms or 0

    def set_limit(self, weight_per_minute: int) -> None:
        """Take over the limit that exchangeInfo names."""
        self._budget.set_limit(weight_per_minute)

    def answer(self, question: Question) -> Any:
        """The answer to one question.

        Raises:
            ExchangeError: there is none.
        """
        ((_, answer),) = self.answers([question])
        if isinstance(answer, ExchangeError):
            raise answer
        return answer

    def answers(self, questions: Iterable[Question]) -> Iterator[tuple[Question, Any]]:
        """Each question with its answer, or with the error after which it was given up, in the order in which they
        come. Questions are taken only as they can be asked.

        Raises:
            ExchangeError: the exchange cannot be reached at all, or does not serve this location. Questions that were
                taken and have no answer yet get none, in a later call either.
        """
        left = self._left_under_way()
        waiting = iter(questions)
        while True:
            is_done = self._send(waiting)
            if is_done and not self._under_way:
                return
            for future in self._finished():
                asked, answer = self._landed(future)
                if asked is not self._time and asked not in self._again and asked not in left:
                    yield asked, answer

    def _left_under_way(self) -> set[Question]:
        """What a call that failed has left under way: nobody waits for it any more, and it is not asked again."""
        self._again.clear()
        left = {asked.question for asked in self._under_way.values() if asked.question is not self._time}
        for question in left:
            question.attempts = ATTEMPTS_MAX
        return left

    def _finished(self) -> Iterable[Future[Reply[Any]]]:
        if not self._under_way:
            self._pause(LOOK_EVERY_S)
            return ()
        return wait(self._under_way, LOOK_EVERY_S, FIRST_COMPLETED).done

    def _send(self, waiting: Iterator[Question]) -> bool:
        """Ask whatever may be asked now; whether there was nothing left to ask."""
        while self._idle and self._monotonic() >= self._hold_off_s:
            now_s = self._monotonic()
            now_ms, observed_ms = self._clock.now_ms(now_s), self._clock.observed_ms
            self._budget.tick(now_s)
            if self._budget.needs_proof(now_ms, observed_ms):
                charge = self._budget.take_proof(now_ms, observed_ms)
                if charge is None:
                    return False
                self._ask(self._time, charge)
                continue
            if observed_ms is None:
                return False
            question = self._again.popleft() if self._again else next(waiting, None)
            if question is None:
                return True
            charge = self._budget.take(question.weight, now_ms, observed_ms)
            if charge is None:
                self._again.appendleft(question)
                return False
            self._ask(question, charge)
        return False

    def _ask(self, question: Question, charge: Charge) -> None:
        client = self._idle.pop()
        self._under_way[self._threads.submit(question.ask, client)] = _Asked(question, client, charge)

    def _landed(self, future: Future[Reply[Any]]) -> tuple[Question, Any]:
        """What became of a question; one that is to be asked again is put back."""
        asked = self._under_way.pop(future)
        self._idle.append(asked.client)
        now_s = self._monotonic()
        try:
            reply = future.result()
        except ExchangeError as error:
            self._budget.failed(asked.charge, error, self._clock.now_ms(now_s))
            self._failed(asked.question, error, now_s)
            return asked.question, error
        is_time = asked.question is self._time
        if is_time:
            self._clock.observe(reply.value, now_s)
        self._budget.answered(asked.charge, reply.used_weight, reply.value if is_time else None)
        self._backoff.succeeded(now_s)
        self._failing_since_s = None
        return asked.question, reply.value

    def _failed(self, question: Question, error: ExchangeError, now_s: float) -> None:
        if isinstance(error, Refused):
            return
        if not error.retryable:
            raise error
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        if now_s - self._failing_since_s >= self._unreachable_s:
            raise error
        knows_time = self._clock.observed_ms is not None
        delay_s = wait_s(error, self._backoff.failed(now_s), knows_time=knows_time)
        if not knows_time:  # nothing was done yet: to end with the reason is better than to wait for hours
            delay_s = min(delay_s, WITHOUT_A_CLOCK_S)
        self._hold_off_s = max(self._hold_off_s, now_s + delay_s)
        if now_s - self._complained_s >= COMPLAIN_EVERY_S:
            self._complained_s = now_s
            logger.warning("%s; trying again in %.0f s", error, delay_s)
        if question is self._time:
            return
        question.attempts += not isinstance(error, RateLimited)
        if question.attempts < ATTEMPTS_MAX:
            self._again.append(question)
