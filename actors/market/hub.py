"""The hub: owns the live subscribers and keeps each series in order for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.messages import BarsPublished, FeedStarted, Listening, PairMemberStarted, Subscribe, Unsubscribe, Watched
from actors.runtime.cell import Actor, Address
from bars import MINUTE, MINUTE_MS, STORED, ContractKey, Interval, IntervalBar
from wire.frames import KlineEvent
from wire.published import BarEvent

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class HubBook:
    """What the hub knows; kept when its actor begins anew, since subscribers cannot be asked again."""

    subscribers: dict[object, Subscribe] = field(default_factory=dict)
    by_symbol: dict[str | None, dict[object, Subscribe]] = field(default_factory=dict)
    """The same ones by the symbol they want, so that a bar costs no more the more there are for others."""
    members: dict[ContractKey, dict[str, Address]] = field(default_factory=dict)
    keys: dict[str, set[ContractKey]] = field(default_factory=dict)
    """The contracts that have members, by symbol."""
    finals_ms: dict[tuple[ContractKey, Interval], int] = field(default_factory=dict)
    feeds: dict[str, Address] = field(default_factory=dict)

    def add(self, subscriber: Subscribe) -> None:
        self.subscribers[subscriber.token] = subscriber
        self.by_symbol.setdefault(subscriber.symbol, {})[subscriber.token] = subscriber

    def remove(self, token: object) -> Subscribe | None:
        gone = self.subscribers.pop(token, None)
        if gone is not None:
            of_symbol = self.by_symbol[gone.symbol]
            del of_symbol[token]
            if not of_symbol:
                del self.by_symbol[gone.symbol]
        return gone

    def for_symbol(self, symbol: str) -> list[Subscribe]:
        """Who listens to a symbol, those to all symbols included."""
        everybody = self.by_symbol.get(None)
        of_symbol = self.by_symbol.get(symbol)
        return [*(everybody.values() if everybody else ()), *(of_symbol.values() if of_symbol else ())]


class Hub(Actor):
    """Hands bars to the subscribers that want them.

    After a bar's final, nothing of that bar or of an earlier one of its series goes out. A subscriber that
    cannot take a bar at once, or raises, is cut off, never waited for.
    """

    def __init__(self, book: HubBook) -> None:
        self._book = book

    def receive(self, message: Any) -> None:
        match message:
            case BarsPublished(key, bars, closed, said, is_history):
                if not is_history or all(self._is_past(key, one) for one in bars):
                    self._publish(key, bars, closed, said)
            case PairMemberStarted(key, member):
                self._book.members.setdefault(key, {})[member.name] = member
                self._book.keys.setdefault(key.symbol, set()).add(key)
                self._tell_watched(key)
            case FeedStarted(feed):
                self._book.feeds[feed.name] = feed
                feed.tell(Listening(bool(self._book.subscribers)))
            case Subscribe():
                self._book.add(message)
                self._tell_all_watched(message.symbol)
                if len(self._book.subscribers) == 1:
                    self._tell_feeds()
            case Unsubscribe(token):
                self._remove(token)
            case _:
                super().receive(message)

    def _is_past(self, key: ContractKey, completed: IntervalBar) -> bool:
        """Whether the last minute of a larger bar was told of."""
        final_ms = self._book.finals_ms.get((key, MINUTE))
        return final_ms is not None and completed.interval.next_open(completed.bar.open_ms) <= final_ms + MINUTE_MS

    def _publish(self, key: ContractKey, bars: Sequence[IntervalBar], closed: bool, said: KlineEvent | None) -> None:
        finals_ms = self._book.finals_ms
        subscribers = self._book.for_symbol(key.symbol)
        for interval, bar in bars:
            if bar.open_ms <= finals_ms.get((key, interval), -1):
                continue
            if closed:
                finals_ms[key, interval] = bar.open_ms
            if subscribers:
                self._deliver(BarEvent(key, interval, bar, closed, said), subscribers)

    def _deliver(self, event: BarEvent, subscribers: list[Subscribe]) -> None:
        for subscriber in subscribers:
            if subscriber.interval not in (None, event.interval) or subscriber.token not in self._book.subscribers:
                continue
            if not _takes(subscriber, event):
                logger.error("a subscriber of %s %s could not keep up and is cut off", event.key.symbol, event.interval)
                self._remove(subscriber.token)

    def _remove(self, token: object) -> None:
        gone = self._book.remove(token)
        if gone is not None:
            self._tell_all_watched(gone.symbol)
            if not self._book.subscribers:
                self._tell_feeds()

    def _tell_feeds(self) -> None:
        for feed in self._book.feeds.values():
            feed.tell(Listening(bool(self._book.subscribers)))

    def _tell_all_watched(self, symbol: str | None) -> None:
        for key in self._book.members if symbol is None else self._book.keys.get(symbol, ()):
            self._tell_watched(key)

    def _tell_watched(self, key: ContractKey) -> None:
        intervals: set[Interval] = set()
        for subscriber in self._book.for_symbol(key.symbol):
            intervals.update(STORED if subscriber.interval is None else (subscriber.interval,))
        watched = Watched(frozenset(intervals), self._book.finals_ms.get((key, MINUTE)))
        for member in self._book.members[key].values():
            member.tell(watched)


def _takes(subscriber: Subscribe, event: BarEvent) -> bool:
    """Whether the subscriber took the bar. Its code is not ours: what it raises is no crash of the hub."""
    try:
        return subscriber.deliver(event)
    except Exception:
        logger.exception("a subscriber of %s %s failed", event.key.symbol, event.interval)
        return False
