"""Who carries which streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors.runtime.cell import Address


@dataclass(frozen=True, slots=True)
class Carry:
    """A contract's frames are to reach `stream`; a feed is told all of its own at once, by stream name."""

    streams: Mapping[str, Address]


@dataclass(frozen=True, slots=True)
class Drop:
    """Nobody wants these streams any more."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class FeedWaiting:
    """A feed has no connection, and would like one."""

    name: str
    feed: Address
    reason: str
    lived_s: float


@dataclass(frozen=True, slots=True)
class Connect:
    """A feed may connect now."""


@dataclass(frozen=True, slots=True)
class Receive:
    """A feed's note to itself: read what has come, then note this again."""


@dataclass(frozen=True, slots=True)
class FeedSettled:
    """A feed's requests are answered and frames flow."""

    name: str


@dataclass(frozen=True, slots=True)
class FeedStats:
    """What one feed has seen since its start."""

    name: str
    state: str
    streams: int
    proved: int
    frames: int
    garbage: int
    last_frame_s: float | None


@dataclass(frozen=True, slots=True)
class GarbageSeen:
    """A frame that is no bar, or a damaged answer of REST. Counted, and logged once a minute at most."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class FeedStarted:
    """A feed begins, and wants to be told whether anybody listens."""

    feed: Address


@dataclass(frozen=True, slots=True)
class Listening:
    """Whether anybody waits for what comes, so that milliseconds count."""

    anybody: bool
