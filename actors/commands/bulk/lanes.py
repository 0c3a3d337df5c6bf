"""The two ways in, side by side: archive files over some threads, REST pages within the weight budget."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from actors.commands.asking import Asking, Question
from exchange import ArchiveClient, Backoff, ExchangeError

DOWNLOADS = 6
"""Side by side; there is no published limit."""
ATTEMPTS = 5
CLOSE_S = 3.0
FAILURES_MAX = 5
"""After this many files in a row for which all attempts failed, the archive is taken for unreachable."""


class Interrupted(Exception):
    """The user wants an end."""


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of a job: what was asked for, or an `ExchangeError`; any other error is to be raised."""

    ticket: Any
    value: Any


class ArchiveLane:
    """Threads with a client each. What they bring goes to `results`.

    Args:
        open_client: makes a client.
        ended: set when nobody waits for anything any more.
    """

    def __init__(
        self, open_client: Callable[[], ArchiveClient], results: queue.SimpleQueue[Landed], ended: threading.Event
    ) -> None:
        self._results = results
        self._ended = ended
        self._waiting: queue.SimpleQueue[tuple[object, Callable[[ArchiveClient], object]] | None] = queue.SimpleQueue()
        self._failures = 0
        self.under_way = 0
        self._threads = [
            threading.Thread(target=self._work, args=(open_client,), name=f"download {number}", daemon=True)
            for number in range(DOWNLOADS)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, ticket: object, ask: Callable[[ArchiveClient], object]) -> None:
        """Begin a job; `taken` is to be called with what comes of it."""
        self.under_way += 1
        self._waiting.put((ticket, ask))

    def taken(self, landed: Landed) -> None:
        """Note that a result was taken, and whether the archive answers at all."""
        self.under_way -= 1
        failed = isinstance(landed.value, ExchangeError) and landed.value.retryable
        self._failures = self._failures + 1 if failed else 0

    def close(self) -> None:
        """End the threads; a request that takes long ends with the process."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(CLOSE_S / len(self._threads))

    def _work(self, open_client: Callable[[], ArchiveClient]) -> None:
        with closing(open_client()) as client:
            while (job := self._waiting.get()) is not None and not self._ended.is_set():
                ticket, ask = job
                try:
                    self._results.put(Landed(ticket, self._attempts(partial(ask, client))))
                except Exception as error:  # whoever waits for the result raises it
                    self._results.put(Landed(ticket, error))

    def _attempts(self, ask: Callable[[], object]) -> object:
        """The answer, or the error after which no further attempt was made."""
        backoff = Backoff(Random(), first_s=0.5, cap_s=10.0)
        attempt = 0
        while True:
            attempt += 1
            try:
                return ask()
            except ExchangeError as error:
                last = attempt == ATTEMPTS or self._failures >= FAILURES_MAX or not error.retryable
                if last or self._ended.wait(backoff.failed(0.0)):
                    return error


class RestLane:
    """One thread that asks REST through an `Asking`, which is its own from now on."""

    def __init__(self, asking: Asking, results: queue.SimpleQueue[Landed], ended: threading.Event) -> None:
        self._asking = asking
        self._results = results
        self._ended = ended
        self._waiting: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)
        self._thread.start()

    def ask(self, question: Question) -> None:
        """Ask as soon as the budget lets it; the result carries the question's ticket."""
        self._waiting.put(question)

    def close(self) -> None:
        """End after what is under way, if `ended` is set, else after all questions."""
        self._waiting.put(None)
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while (question := self._waiting.get()) is not None and not self._ended.is_set():
            taken = [question]
            try:
                for answered, answer in self._asking.answers(self._questions(taken)):
                    taken.remove(answered)
                    self._results.put(Landed(answered.ticket, answer))
            except Interrupted:
                return
            except Exception as error:  # an ExchangeError: nothing can be reached; another: to be raised by the taker
                for lost in taken:
                    self._results.put(Landed(lost.ticket, error))

    def _questions(self, taken: list[Question]) -> Iterator[Question]:
        """What waits now. Questions that come later are taken in the next round."""
        yield taken[0]
        while not self._ended.is_set():
            try:
                question = self._waiting.get_nowait()
            except queue.Empty:
                return
            if question is None:
                self._waiting.put(None)
                return
            taken.append(question)
            yield question


def pausing(ended: threading.Event, is_stopped: Callable[[], bool]) -> Callable[[float], None]:
    """How an `Asking` waits: as long as it likes, unless it is to end."""

    def pause(seconds: float) -> None:
        if ended.wait(seconds) or is_stopped():
            raise Interrupted

    return pause
