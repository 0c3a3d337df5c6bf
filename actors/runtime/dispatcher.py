"""Who runs which actor, on which thread.

A dispatcher is one thread with a queue of cells that have letters. Actors that never block share one;
an actor that blocks (on a socket, on the disk) gets one for itself. For tests there is a third kind that
has no thread at all: a seed decides who runs next.

This is the only place with concurrency in it. One thread per dispatcher means that a cell never runs
twice at once, so actors need no locks.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from random import Random
from typing import Protocol

LETTERS_PER_TURN = 64
"""How many letters a cell may handle before the next cell's turn."""


class Runnable(Protocol):
    """What a dispatcher runs."""

    name: str

    def run(self, letters_max: int) -> None:
        """Handle at most `letters_max` letters, and ask to be scheduled again when more wait."""


class Dispatcher(Protocol):
    """Runs the cells that were scheduled, one at a time."""

    def schedule(self, cell: Runnable) -> None:
        """Give the cell a turn soon. May be called from any thread, and twice."""


class ThreadDispatcher:
    """Runs its cells on one thread of its own.

    Args:
        name: the thread's name.
        monotonic: the clock by which a turn that does not end is noticed.
    """

    def __init__(self, name: str, monotonic: Callable[[], float]) -> None:
        self.name = name
        self._monotonic = monotonic
        self._ready: queue.SimpleQueue[Runnable | None] = queue.SimpleQueue()
        self._turn: tuple[Runnable, float] | None = None
        self._start_thread()

    def schedule(self, cell: Runnable) -> None:
        self._ready.put(cell)

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def stuck_cell(self, patience_s: float) -> Runnable | None:
        """The cell whose turn has lasted longer than `patience_s`, if any."""
        turn = self._turn
        if turn is not None and self._monotonic() - turn[1] > patience_s:
            return turn[0]
        return None

    def replace_thread(self) -> None:
        """Leave a thread that is stuck to itself and go on with a new one.

        Python cannot end a thread. Should the old one ever return, it finds that it was replaced, and ends.
        """
        self._turn = None
        self._start_thread()

    def close(self, timeout_s: float) -> None:
        """End the thread after the turns that are scheduled; waits for it."""
        self._ready.put(None)
        self.join(timeout_s)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end, unless this is the thread."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        me = threading.current_thread()
        while True:
            cell = self._ready.get()
            if self._thread is not me:
                self._ready.put(cell)  # replaced while it took this: the successor's turn
                return
            if cell is None:
                return
            self._turn = (cell, self._monotonic())
            cell.run(LETTERS_PER_TURN)
            if self._thread is not me:
                return
            self._turn = None


class SeededDispatcher:
    """Runs all cells in the caller's thread, one letter at a time, in an order that the seed decides.

    The same seed and the same letters give the same run. Cells take turns like threads on a busy machine:
    any one with letters may be next.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._ready: dict[Runnable, None] = {}

    def schedule(self, cell: Runnable) -> None:
        self._ready[cell] = None

    def step(self) -> Runnable | None:
        """Let one cell handle one letter; returns which, or None when nobody has any."""
        if not self._ready:
            return None
        cell = self._random.choice(list(self._ready))
        del self._ready[cell]
        cell.run(1)
        return cell

    def run_until_idle(self, steps_max: int = 1_000_000) -> int:
        """Step until nobody has letters; returns the number of steps.

        Raises:
            RuntimeError: it did not come to rest within `steps_max`.
        """
        for steps in range(steps_max):
            if self.step() is None:
                return steps
        raise RuntimeError(f"running actors: expected rest within {steps_max} steps")
