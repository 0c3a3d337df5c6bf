"""Which actor runs on which thread: those that block have one of their own, the others share one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from actors.runtime.dispatcher import Dispatcher, Runnable, SeededDispatcher, ThreadDispatcher


class Threads(Protocol):
    """Where actors run."""

    def dispatcher(self, name: str, own_thread: bool) -> Dispatcher:
        """The dispatcher for an actor of this name."""

    def release(self, name: str) -> None:
        """The actor of this name has ended for good."""

    def unstick(self, patience_s: float) -> Iterator[Runnable]:
        """Yield each cell that has been in one turn for longer than `patience_s`; then replace its thread.

        Whoever is given the cell restarts it, so that the new thread meets no actor that the old one is in.
        """


class RealThreads:
    """Threads of the operating system."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._shared = ThreadDispatcher("actors", monotonic)
        self._own: dict[str, ThreadDispatcher] = {}
        self._ending: list[ThreadDispatcher] = []

    def dispatcher(self, name: str, own_thread: bool) -> Dispatcher:
        if not own_thread:
            return self._shared
        dispatcher = self._own[name] = ThreadDispatcher(name, self._monotonic)
        return dispatcher

    def release(self, name: str) -> None:
        dispatcher = self._own.pop(name, None)
        if dispatcher is not None:
            dispatcher.close(timeout_s=0.0)
            self._ending = [other for other in self._ending if other.is_alive] + [dispatcher]

    def unstick(self, patience_s: float) -> Iterator[Runnable]:
        for dispatcher in [self._shared, *self._own.values()]:
            cell = dispatcher.stuck_cell(patience_s)
            if cell is not None:
                yield cell
                dispatcher.replace_thread()

    def close(self, timeout_s: float) -> None:
        """End all threads, each after the turns that are scheduled; waits for `timeout_s` at most, all in all."""
        deadline_s = self._monotonic() + timeout_s
        dispatchers = [*self._ending, *self._own.values(), self._shared]
        for dispatcher in dispatchers:
            dispatcher.close(0.0)
        for dispatcher in dispatchers:
            dispatcher.join(max(0.0, deadline_s - self._monotonic()))


class SeededThreads:
    """No threads at all: every actor runs on one seeded dispatcher (tests)."""

    def __init__(self, seed: int) -> None:
        self.seeded = SeededDispatcher(seed)

    def dispatcher(self, name: str, own_thread: bool) -> Dispatcher:  # noqa: ARG002
        return self.seeded

    def release(self, name: str) -> None:
        """Nothing to release."""

    def unstick(self, patience_s: float) -> Iterator[Runnable]:  # noqa: ARG002
        return iter(())
