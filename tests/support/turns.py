"""Who has a turn when, where there are no threads: decided by a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from actors.runtime.cell import Cell
from actors.runtime.dispatcher import Dispatcher, Runnable

LAZY_SHARE = 0.3
LOOKS_MAX = 3


class Turns:
    """A dispatcher that runs all cells in the caller's thread, one letter at a time; any that has letters may be next.

    Some are lazy: they come late more often than not, as a thread on a busy machine, and their letters pile up.

    Args:
        is_idle: whether what a cell of this name would do with its one letter is to wait.
    """

    def __init__(self, seed: str, is_idle: Callable[[str], bool]) -> None:
        self.taken = 0
        """How many turns there were so far."""
        self._random = Random(f"{seed}/turns")
        self._is_idle = is_idle
        self._ready: list[Cell] = []
        self._cells: dict[str, Cell] = {}
        self._lazy: dict[str, bool] = {}
        self._held: dict[str, float] = {}

    def schedule(self, cell: Runnable) -> None:
        assert isinstance(cell, Cell)
        self._cells[cell.name] = cell
        if cell not in self._ready:
            self._ready.append(cell)

    def step(self) -> Cell | None:
        """Let one cell handle one letter; returns which, or None when all that there is to do is to wait."""
        ready = self._ready
        if self._held:
            ready = [cell for cell in ready if cell.name not in self._held]
        while ready:
            cell = self._drawn(ready)
            if cell.waiting > 1 or not self._is_idle(cell.name):
                self._ready.remove(cell)
                self.taken += 1
                cell.run(1)
                return cell
            ready = [other for other in ready if other is not cell]
        return None

    @property
    def names(self) -> list[str]:
        """All that ever had a turn."""
        return list(self._lazy)

    def waiting(self) -> Iterator[tuple[str, object]]:
        """Whose letters wait, and what they say; those for a cell that is yet to begin anew too."""
        for cell in self._cells.values():
            for letter in cell._mailbox.letters:  # noqa: SLF001
                yield cell.name, letter.message

    def hold(self, name: str, until_s: float) -> None:
        """Give this cell no turn before that time."""
        self._held[name] = until_s

    def release(self, now_s: float) -> None:
        """Let those go on whose time has come."""
        if self._held:
            self._held = {name: until_s for name, until_s in self._held.items() if until_s > now_s}

    def unstick(self, longer_than_s: float) -> Iterator[Cell]:
        """Those that would be held until long after; they go on at once."""
        for cell in [cell for cell in self._ready if self._held.get(cell.name, 0.0) > longer_than_s]:
            yield cell
            self._held.pop(cell.name, None)

    def _drawn(self, ready: list[Cell]) -> Cell:
        for _ in range(LOOKS_MAX):
            cell = ready[int(self._random.random() * len(ready))]
            lazy = self._lazy.get(cell.name)
            if lazy is None:
                lazy = self._lazy[cell.name] = self._random.random() < LAZY_SHARE
            if not lazy:
                break
        return cell


class VirtualThreads:
    """No threads at all: every actor runs where `Turns` are taken.

    Args:
        turns: who has one when.
        monotonic: what time it is.
    """

    def __init__(self, turns: Turns, monotonic: Callable[[], float]) -> None:
        self._turns = turns
        self._monotonic = monotonic

    def dispatcher(self, name: str, own_thread: bool) -> Dispatcher:  # noqa: ARG002
        return self._turns

    def release(self, name: str) -> None:
        """Nothing to release."""

    def unstick(self, patience_s: float) -> Iterator[Runnable]:
        """Whoever is held for longer than anybody's patience: found out late, but found out."""
        yield from self._turns.unstick(self._monotonic() + patience_s)
