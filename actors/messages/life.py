"""Time, and the beginning and end of actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.runtime.cell import Crash


@dataclass(frozen=True, slots=True)
class Begin:
    """Start all parts; answered with the `Entrances`."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The metronome struck, once in each step of a beat; `monotonic_s` is the local monotonic clock."""

    monotonic_s: float


@dataclass(frozen=True, slots=True)
class TimeObserved:
    """The exchange named its time; `is_frame`: in a frame, one of many, which may be damaged."""

    exchange_ms: int
    monotonic_s: float
    is_frame: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """What time it is: on the exchange (estimated, and as last named by it; None before the first), and here."""

    now_ms: int | None
    observed_ms: int | None
    monotonic_s: float


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to make one actor, and who falls and rises with it.

    `own_thread`: it blocks. `every_beats`: how often it is told a `Tick`; 0 for never. `stops_with`: its
    place in the order of stopping, sources first; `ends_within_s`: how long the others wait for it then.
    `takes_along`: after a crash, the actors for whose names
    this is true start anew as well.
    """

    name: str
    make: Callable[[], Any]
    own_thread: bool = False
    every_beats: int = 1
    stops_with: int = 0
    ends_within_s: float = 15.0
    takes_along: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start it, unless one of that name lives; one that is about to stop ends before. An ask is answered with
    the address of the one that lives."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class StopChild:
    name: str


@dataclass(frozen=True, slots=True)
class ChildCrashed:
    crash: Crash


@dataclass(frozen=True, slots=True)
class ChildEnded:
    name: str


@dataclass(frozen=True, slots=True)
class StopAll:
    """Stop everything in the order of the data's flow, each part after what feeds it has ended."""


@dataclass(frozen=True, slots=True)
class Report:
    """Facts for the status page, replacing those the reporter sent before."""

    section: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StatusMade:
    """The whole status, to be stored beside the bars."""

    status: str
    exchange_ms: int
