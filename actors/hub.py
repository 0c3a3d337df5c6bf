"""The hub: owns the live subscribers and keeps each series in order for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.cell import Actor, Address
from actors.messages import BarsPublished, PairMemberStarted, Subscribe, Unsubscribe, Watched
from bars import STORED, Bar, ContractKey, Interval, IntervalBar

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class HubBook:
    """What the hub knows; kept when its actor begins anew, since subscribers cannot be asked again."""

    subscribers: dict[object, Subscribe] = field(default_factory=dict)
    members: dict[ContractKey, dict[str, Address]] = field(default_factory=dict)
    finals_ms: dict[tuple[ContractKey, Interval], int] = field(default_factory=dict)


class Hub(Actor):
    """Hands bars to the subscribers that want them.

    After a bar's final, nothing of that bar or of an earlier one of its series goes out. A subscriber that
    cannot take a bar at once, or raises, is cut off, never waited for.
    """

    def __init__(self, book: HubBook) -> None:
        self._book = book

    def receive(self, message: Any) -> None:
        match message:
            case BarsPublished(key, bars, closed):
                self._publish(key, bars, closed)
            case PairMemberStarted(key, member):
                self._book.members.setdefault(key, {})[member.name] = member
                self._tell_watched(key)
            case Subscribe(token):
                self._book.subscribers[token] = message
                self._tell_all_watched(message.symbol)
            case Unsubscribe(token):
                gone = self._book.subscribers.pop(token, None)
                if gone is not None:
                    self._tell_all_watched(gone.symbol)
            case _:
                super().receive(message)

    def _publish(self, key: ContractKey, bars: Sequence[IntervalBar], closed: bool) -> None:
        finals_ms = self._book.finals_ms
        for interval, bar in bars:
            if bar.open_ms <= finals_ms.get((key, interval), -1):
                continue
            if closed:
                finals_ms[key, interval] = bar.open_ms
            self._deliver(key, interval, bar, closed)

    def _deliver(self, key: ContractKey, interval: Interval, bar: Bar, closed: bool) -> None:
        for token, subscriber in list(self._book.subscribers.items()):
            if subscriber.symbol not in (None, key.symbol) or subscriber.interval not in (None, interval):
                continue
            if not _takes(subscriber, key, interval, bar, closed):
                logger.error("a subscriber of %s %s could not keep up and is cut off", key.symbol, interval)
                self._book.subscribers.pop(token, None)
                self._tell_all_watched(subscriber.symbol)

    def _tell_all_watched(self, symbol: str | None) -> None:
        for key in self._book.members:
            if symbol in (None, key.symbol):
                self._tell_watched(key)

    def _tell_watched(self, key: ContractKey) -> None:
        intervals: set[Interval] = set()
        for subscriber in self._book.subscribers.values():
            if subscriber.symbol in (None, key.symbol):
                intervals.update(STORED if subscriber.interval is None else (subscriber.interval,))
        for member in self._book.members[key].values():
            member.tell(Watched(frozenset(intervals)))


def _takes(subscriber: Subscribe, key: ContractKey, interval: Interval, bar: Bar, closed: bool) -> bool:
    """Whether the subscriber took the bar. Its code is not ours: what it raises is no crash of the hub."""
    try:
        return subscriber.deliver(key, interval, bar, closed)
    except Exception:
        logger.exception("a subscriber of %s %s failed", key.symbol, interval)
        return False
