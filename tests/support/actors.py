"""Small actors that keep what they are told, and a stage without threads for them to play on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actors.runtime.cell import Actor, Address, Before, Cell, Crash
from actors.runtime.dispatcher import Dispatcher, SeededDispatcher


class Fall(Exception):
    """What a letter that kills raises."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A letter that kills its reader."""

    error: BaseException = field(default_factory=lambda: Fall("killed"))


class Recorder(Actor):
    """Keeps what it is told, with all its lives, in `told`; answers an ask with how much that is."""

    def __init__(self, told: list[Any], on_end: Callable[[], object] = lambda: None) -> None:
        self.told = told
        self._on_end = on_end

    def receive(self, message: Any) -> int:
        if isinstance(message, Kill):
            raise message.error
        self.told.append(message)
        return len(self.told)

    def end(self) -> None:
        self._on_end()


@dataclass
class Heard:
    """A recorder on stage."""

    cell: Cell
    told: list[Any]

    @property
    def address(self) -> Address:
        return self.cell.address

    def of(self, kind: type) -> list[Any]:
        """The messages of one type."""
        return [message for message in self.told if isinstance(message, kind)]

    def taken(self) -> list[Any]:
        """What was told since the last time."""
        told = list(self.told)
        self.told.clear()
        return told


class Stage:
    """Cells on a dispatcher, a seeded one by default; keeps their crashes and ends."""

    def __init__(self, seed: int = 0, before: Before | None = None, dispatcher: Dispatcher | None = None) -> None:
        self.seeded = SeededDispatcher(seed)
        self.crashes: list[Crash] = []
        self.ended: list[str] = []
        self.cells: list[Cell] = []
        self._before = before
        self._dispatcher = dispatcher or self.seeded

    def play(self, name: str, make: Callable[[], Actor]) -> Cell:
        """Launch an actor."""
        cell = Cell(name, make, self._dispatcher, self.crashes.append, self.ended.append, self._before)
        self.cells.append(cell)  # an address alone does not keep a cell
        cell.launch()
        return cell

    def recorder(self, name: str) -> Heard:
        told: list[Any] = []
        return Heard(self.play(name, lambda: Recorder(told)), told)

    def settle(self) -> None:
        """Until nobody has letters."""
        self.seeded.run_until_idle()
