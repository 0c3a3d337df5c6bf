"""The feed pool: which feed carries which streams, and when each may connect."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from actors.messages import (
    Carry,
    ChildSpec,
    Connect,
    Drop,
    FeedSettled,
    FeedStats,
    FeedWaiting,
    GarbageSeen,
    Report,
    StartChild,
    StopChild,
    Tick,
)
from actors.runtime.cell import Actor, Address
from bars.interval import HOUR_MS, MINUTE_MS
from exchange import Backoff, ConnectionPacer
from wire.subscriptions import STREAMS_PER_CONNECTION

logger = logging.getLogger(__name__)

ROTATE_MS = 23 * HOUR_MS
"""The exchange cuts a connection after 24 hours of its time; its successor is settled before that."""
ROTATE_SPREAD_MS = 10 * MINUTE_MS
"""Feeds that were born together do not rotate together."""
SUCCESSOR_S = 60.0
COMPLAIN_EVERY_S = 60.0


@dataclass(slots=True)
class _Feed:
    name: str
    address: Address | None = None
    connected_ms: int | None = None
    is_waiting: bool = False
    retry_s: float = 0.0
    reconnects: int = -1
    stats: FeedStats | None = None


@dataclass(slots=True)
class _Slot:
    """Up to 200 streams, carried by one feed; by two while it rotates."""

    number: int
    backoff: Backoff
    streams: dict[str, Address] = field(default_factory=dict)
    current: _Feed | None = None
    successor: _Feed | None = None
    successor_since_s: float = 0.0
    generation: int = 0
    is_dirty: bool = True


class FeedPool(Actor):
    """Owns the assignment of streams to feeds, the pace of connecting, and the rotation.

    Args:
        feed_spec: makes the specification of a feed of a name.
    """

    def __init__(self, feed_spec: Callable[[str], ChildSpec], random: Random, *, supervisor: Address) -> None:
        self._feed_spec = feed_spec
        self._random = random
        self._supervisor = supervisor
        self._slots: list[_Slot] = []
        self._pacer = ConnectionPacer()
        self._now_s = 0.0
        self._now_ms: int | None = None
        self._complaints = 0
        self._complained_s = -COMPLAIN_EVERY_S
        self._complaint = ""

    def receive(self, message: Any) -> None:
        match message:
            case Tick(now_ms, _, monotonic_s):
                self._now_ms, self._now_s = now_ms, monotonic_s
                self._on_tick()
            case Carry(streams):
                for name, stream in streams.items():
                    self._assign(name, stream)
            case Drop(names):
                for slot in self._slots:
                    slot.is_dirty = slot.is_dirty or not names.isdisjoint(slot.streams)
                    slot.streams = {name: stream for name, stream in slot.streams.items() if name not in names}
            case FeedWaiting(name, address, reason, lived_s):
                self._waiting(name, address, reason, lived_s)
            case FeedSettled(name):
                self._settled(name)
            case FeedStats(name):
                feed = self._find(name)
                if feed is not None:
                    feed.stats = message
            case GarbageSeen(source, reason):
                self._complaints += 1
                self._complaint = f"{source}: {reason}"
            case _:
                super().receive(message)

    def _assign(self, name: str, stream: Address) -> None:
        slot = next((slot for slot in self._slots if name in slot.streams), None)
        slot = slot or next((slot for slot in self._slots if len(slot.streams) < STREAMS_PER_CONNECTION), None)
        if slot is None:
            slot = _Slot(len(self._slots) + 1, Backoff(self._random))
            self._slots.append(slot)
        slot.is_dirty = slot.is_dirty or slot.streams.get(name) is not stream
        slot.streams[name] = stream

    def _on_tick(self) -> None:
        for slot in self._slots:
            if slot.is_dirty:
                self._carry(slot)
            self._rotate(slot)
            for feed in (slot.current, slot.successor):
                if feed is not None:
                    self._grant(feed)
        self._complain()
        self._report()

    def _carry(self, slot: _Slot) -> None:
        slot.is_dirty = False
        if slot.current is None:
            slot.current = self._start(slot)
        for feed in (slot.current, slot.successor):
            if feed is not None and feed.address is not None:
                feed.address.tell(Carry(dict(slot.streams)))

    def _start(self, slot: _Slot) -> _Feed:
        name = f"feed {slot.number}" + (f".{slot.generation}" if slot.generation else "")
        slot.generation += 1
        self._supervisor.tell(StartChild(self._feed_spec(name)))
        return _Feed(name)

    def _waiting(self, name: str, address: Address, reason: str, lived_s: float) -> None:
        slot, feed = self._slot_of(name), self._find(name)
        if slot is None or feed is None:
            self._supervisor.tell(StopChild(name))  # left over from before this pool began anew
            return
        if lived_s > 0:
            slot.backoff.succeeded(self._now_s - lived_s)
        delay_s = slot.backoff.failed(self._now_s) if feed.address is not None else 0.0
        if feed.address is not None:
            logger.warning("%s: %s; connecting again in %.1f s", name, reason, delay_s)
        feed.address, feed.is_waiting, feed.connected_ms = address, True, None
        feed.retry_s = self._now_s + delay_s
        address.tell(Carry(dict(slot.streams)))

    def _grant(self, feed: _Feed) -> None:
        if not feed.is_waiting or feed.address is None or self._now_s < feed.retry_s:
            return
        if self._pacer.may_connect(self._now_s) > 0:
            return
        self._pacer.connecting(self._now_s)
        feed.is_waiting = False
        feed.reconnects += 1
        feed.address.tell(Connect())

    def _settled(self, name: str) -> None:
        slot, feed = self._slot_of(name), self._find(name)
        if slot is None or feed is None:
            return
        feed.connected_ms = self._now_ms
        logger.info("%s is live with %d streams", name, len(slot.streams))
        if feed is slot.successor:
            old, slot.current, slot.successor = slot.current, feed, None
            if old is not None:
                self._supervisor.tell(StopChild(old.name))

    def _rotate(self, slot: _Slot) -> None:
        current = slot.current
        if slot.successor is not None:
            if self._now_s - slot.successor_since_s > SUCCESSOR_S:
                self._supervisor.tell(StopChild(slot.successor.name))
                slot.successor = None
            return
        if current is None or current.connected_ms is None or self._now_ms is None or not slot.streams:
            return
        if self._now_ms - current.connected_ms >= ROTATE_MS - slot.number * ROTATE_SPREAD_MS % HOUR_MS:
            slot.successor = self._start(slot)
            slot.successor_since_s = self._now_s

    def _slot_of(self, name: str) -> _Slot | None:
        for slot in self._slots:
            for feed in (slot.current, slot.successor):
                if feed is not None and feed.name == name:
                    return slot
        return None

    def _find(self, name: str) -> _Feed | None:
        slot = self._slot_of(name)
        feeds = (slot.current, slot.successor) if slot is not None else ()
        return next((feed for feed in feeds if feed is not None and feed.name == name), None)

    def _complain(self) -> None:
        if self._complaint and self._now_s - self._complained_s >= COMPLAIN_EVERY_S:
            logger.warning(
                "%d frames or answers could not be read so far; last %.300s", self._complaints, self._complaint
            )
            self._complained_s, self._complaint = self._now_s, ""

    def _report(self) -> None:
        feeds = [feed for slot in self._slots for feed in (slot.current, slot.successor) if feed is not None]
        last_frames_s = [feed.stats.last_frame_s for feed in feeds if feed.stats and feed.stats.last_frame_s]
        facts = {
            "feeds": [
                {
                    "name": feed.name,
                    "state": feed.stats.state,
                    "streams": feed.stats.streams,
                    "proved": feed.stats.proved,
                    "frames": feed.stats.frames,
                    "garbage": feed.stats.garbage,
                    "reconnects": max(feed.reconnects, 0),
                }
                for feed in feeds
                if feed.stats is not None
            ],
            "garbage": self._complaints,
            "last_frame_s": max(last_frames_s, default=None),
        }
        self._supervisor.tell(Report("feeds", facts))
