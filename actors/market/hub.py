"""The hub: owns the live subscribers and keeps each series in order for them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from actors.messages import (
    BarsPublished,
    FeedStarted,
    Listening,
    PairMemberStarted,
    Subscribe,
    Tick,
    Unsubscribe,
    Watched,
)
from actors.runtime.cell import Actor, Address
from bars import LARGER, MINUTE, MINUTE_MS, STORED, ContractKey, Interval, IntervalBar, Span
from wire.published import BarEvent

logger = logging.getLogger(__name__)

HELD_S = 600.0
"""A larger bar whose forerunner has not come waits as long as a missing minute is waited for. By our own clock: what
delays the forerunner are crashed actors, which begin anew by that one."""
STEP_S = 5.0
"""The most that counts as waiting from one tick to the next: while the machine slept nothing could come."""


@dataclass(frozen=True, slots=True)
class _Held:
    completed: IntervalBar
    until_s: float
    """By the book's `awake_s`."""


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
    leaps: dict[ContractKey, Span] = field(default_factory=dict)
    """The minutes that were left out last, which will not be told of. Those that are lost here by a crash are no such
    leap: the larger bars that hold them still come."""
    held: dict[ContractKey, list[_Held]] = field(default_factory=dict)
    """Larger bars whose forerunners are still to come."""
    awake_s: float = 0.0
    """For how long anything could come."""
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

    def lacks(self, key: ContractKey, completed: IntervalBar) -> bool:
        """Whether a larger bar is missing between the last that was told of and this one, and is still to come."""
        next_ms = self._next_ms(key, completed.interval)
        return next_ms is not None and next_ms < completed.bar.open_ms

    def told_until_ms(self, key: ContractKey) -> int | None:
        """The last minute such that it, all before it, and all larger bars that ended by then were told of."""
        minute_ms = self.finals_ms.get((key, MINUTE))
        if minute_ms is None:
            return None
        until_ms = minute_ms
        for interval in LARGER:
            next_ms = self._next_ms(key, interval)
            if next_ms is not None and next_ms < interval.floor(minute_ms + MINUTE_MS):
                until_ms = min(until_ms, next_ms - MINUTE_MS)
        return until_ms

    def _next_ms(self, key: ContractKey, interval: Interval) -> int | None:
        """The open time of the larger bar that is to be told of next: the next one that lacks no minute."""
        last_ms = self.finals_ms.get((key, interval))
        if last_ms is None:
            return None
        next_ms, leap = interval.next_open(last_ms), self.leaps.get(key)
        if leap is not None and next_ms < leap.stop_ms and leap.start_ms < interval.next_open(next_ms):
            return interval.ceil(leap.stop_ms)
        return next_ms

    def for_symbol(self, symbol: str) -> list[Subscribe]:
        """Who listens to a symbol, those to all symbols included."""
        everybody = self.by_symbol.get(None)
        of_symbol = self.by_symbol.get(symbol)
        return [*(everybody.values() if everybody else ()), *(of_symbol.values() if of_symbol else ())]


class Hub(Actor):
    """Hands bars to the subscribers that want them.

    After a bar's final, nothing of that bar or of an earlier one of its series goes out. A larger bar waits for the one
    before it, which a crash may have delayed, for a while. A subscriber that cannot take a bar at once, or raises, is
    cut off, never waited for.
    """

    def __init__(self, book: HubBook) -> None:
        self._book = book
        self._now_s: float | None = None

    def receive(self, message: Any) -> None:
        match message:
            case BarsPublished(key, bars, is_history=is_history):
                if not is_history or all(self._is_past(key, one) for one in bars):
                    self._publish(message)
            case Tick(_, _, monotonic_s):
                self._passed(monotonic_s)
            case PairMemberStarted(key, member, life):
                self._book.members.setdefault(key, {})[member.name] = member
                self._book.keys.setdefault(key.symbol, set()).add(key)
                self._tell_watched(key, life)
            case FeedStarted(feed):
                still = {name: one for name, one in self._book.feeds.items() if not one.has_ended}  # they rotate daily
                self._book.feeds = {**still, feed.name: feed}
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

    def _passed(self, now_s: float) -> None:
        if self._now_s is not None:
            self._book.awake_s += min(now_s - self._now_s, STEP_S)
        self._now_s = now_s
        for key in list(self._book.held):
            self._let_go(key)

    def _is_past(self, key: ContractKey, completed: IntervalBar) -> bool:
        """Whether the last minute of a larger bar was told of."""
        final_ms = self._book.finals_ms.get((key, MINUTE))
        return final_ms is not None and completed.interval.next_open(completed.bar.open_ms) <= final_ms + MINUTE_MS

    def _publish(self, published: BarsPublished) -> None:
        key, closed, finals_ms = published.key, published.closed, self._book.finals_ms
        subscribers = self._book.for_symbol(key.symbol)
        for completed in published.bars:
            interval, bar = completed
            last_ms = finals_ms.get((key, interval), -1)
            if bar.open_ms <= last_ms:
                continue
            if closed:
                if interval is MINUTE:
                    if published.is_leap and bar.open_ms != last_ms + MINUTE_MS:
                        self._book.leaps[key] = Span(last_ms + MINUTE_MS, bar.open_ms)
                elif self._book.lacks(key, completed):
                    self._book.held.setdefault(key, []).append(_Held(completed, self._book.awake_s + HELD_S))
                    continue
                finals_ms[key, interval] = bar.open_ms
            if subscribers:
                event = BarEvent(key, interval, bar, closed, published.said, published.by_rest)
                self._deliver(event, subscribers)
        if closed and key in self._book.held:
            self._let_go(key)

    def _let_go(self, key: ContractKey) -> None:
        """Tell of the larger bars that wait no longer: what they waited for was told of, or has not come for long."""
        for held in sorted(self._book.held.pop(key), key=lambda one: one.completed.bar.open_ms):
            if held.until_s <= self._book.awake_s or not self._book.lacks(key, held.completed):
                self._tell_final(key, held.completed)
            else:
                self._book.held.setdefault(key, []).append(held)

    def _tell_final(self, key: ContractKey, completed: IntervalBar) -> None:
        interval, bar = completed
        if bar.open_ms > self._book.finals_ms.get((key, interval), -1):
            self._book.finals_ms[key, interval] = bar.open_ms
            self._deliver(BarEvent(key, interval, bar, True, None), self._book.for_symbol(key.symbol))

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

    def _tell_watched(self, key: ContractKey, life: object = None) -> None:
        intervals: set[Interval] = set()
        for subscriber in self._book.for_symbol(key.symbol):
            intervals.update(STORED if subscriber.interval is None else (subscriber.interval,))
        watched = Watched(frozenset(intervals), self._book.told_until_ms(key), life)
        for member in self._book.members[key].values():
            member.tell(watched)


def _takes(subscriber: Subscribe, event: BarEvent) -> bool:
    """Whether the subscriber took the bar. Its code is not ours: what it raises is no crash of the hub."""
    try:
        return subscriber.deliver(event)
    except Exception:
        logger.exception("a subscriber of %s %s failed", event.key.symbol, event.interval)
        return False
