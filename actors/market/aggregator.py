"""The aggregator of one contract: from minute bars to the bars of all stored intervals."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from actors.messages import (
    BarsPublished,
    ContractChanged,
    MinuteClosed,
    MinuteProgressed,
    MinuteRevised,
    MinutesFrom,
    PairMemberStarted,
    Seeded,
    SeedWanted,
    Store,
    Stored,
    Tick,
    Watched,
)
from actors.runtime.cell import Actor, Address, UnexpectedMessage
from bars import LARGER, MINUTE, MINUTE_MS, Bar, Cascade, Contract, Interval, IntervalBar, UnitsOverflow
from storage import Change, ClosedBars, ContractsSeen, Origin, PartialBars
from wire.frames import KlineEvent

logger = logging.getLogger(__name__)

ASK_SEED_AGAIN_S = 10.0
ANNOUNCE_AGAIN_S = 5.0


class Aggregator(Actor):
    """Owns the bars in progress of one contract.

    A partial event replaces the newest partial minute and nothing else; a tick makes an aggregator that
    has changed send its partial bars to be stored. Closed bars go at once.
    """

    def __init__(self, contract: Contract, *, writer: Address, hub: Address, backfill: Address) -> None:
        self._contract = contract
        self._writer = writer
        self._hub = hub
        self._backfill = backfill
        self._cascade = Cascade()
        self._has_changed = False
        self._is_untold = False
        """Whether a minute was closed with more than its last frame had told: larger bars in progress hold that now."""
        self._begun_stored = -1
        self._stored_whole = frozenset(LARGER)
        """Of which intervals the disk may hold a bar in progress that is whole by itself. It is to go when it grows
        no more, for want of a minute; what began before a minute goes with that minute."""
        self._next_ms: int | None = None
        """The minute that comes next, unless the stream leaves some out; None until the stream says where it begins.

        Minutes that come before that were meant for a former life. The stream was restarted too and sends them again,
        together with one that was lost; if these were published now, that one could not be any more.
        """
        self._watched: frozenset[Interval] = frozenset()
        self._is_known = False
        """Whether the hub has answered."""
        self._announced_s: float | None = None
        self._asked_seed_s: float | None = None
        self._unstored: set[object] = set()
        """Tickets of revised minutes that are on their way to the disk."""
        self._left: dict[Interval, object] = {}
        """Of which intervals the last bar is made on the disk, since its beginning is not known here, by the ticket of
        the minute that ends it. What is completed here meanwhile is to go out after it, and is left to the disk too."""

    def begin(self) -> None:
        self._store([ContractsSeen([self._contract], only_new=True)])
        self._hub.tell(PairMemberStarted(self._contract.key, self.me))

    def receive(self, message: Any) -> None:
        try:
            self._handle(message)
        except UnitsOverflow as error:
            self._begin_anew(error)

    def _handle(self, message: Any) -> None:
        match message:
            case MinuteProgressed(bar, said):
                self._cascade.progress(bar)
                self._has_changed = True
                if self._watched:
                    self._publish_progress(self._watched, said)
            case MinuteClosed(bar, by_rest, said):
                if self._next_ms is not None:
                    self._close(bar, by_rest, said)
            case Tick(_, _, monotonic_s):
                self._on_tick(monotonic_s)
            case PairMemberStarted():
                self._next_ms = None
                self._hub.tell(message)
            case MinutesFrom(open_ms):
                self._next_ms = open_ms
                self._cascade.begin_at(open_ms)
            case MinuteRevised(bar, by_rest):
                self._revise(bar, by_rest)
            case Stored(ticket):
                self._unstored.discard(ticket)
                self._left = {interval: other for interval, other in self._left.items() if other is not ticket}
            case Seeded(bars, stop_ms):
                self._asked_seed_s = None
                if not self._unstored and self._cascade.needs_seed and self._cascade.seed(bars, stop_ms):
                    self._has_changed = True
            case Watched(intervals):
                self._is_known, self._watched = True, intervals
            case ContractChanged(contract):
                self._contract = contract
            case _:
                raise UnexpectedMessage(self, message)

    def _close(self, minute: Bar, by_rest: bool, said: KlineEvent | None) -> None:
        """Store every minute that comes, even one that the cascade has had: it may not have been committed."""
        was_whole = not self._cascade.needs_seed
        is_next = minute.open_ms == self._cascade.next_ms
        is_leap, self._next_ms = minute.open_ms != self._next_ms, minute.open_ms + MINUTE_MS
        self._is_untold = self._is_untold or (self._cascade.newest() != minute and not minute.is_empty)
        larger = self._grown(minute)
        ticket = self._leave(minute, larger)
        larger = [done for done in larger if done.interval not in self._left]
        # Where a larger bar ends the disk adds it up as well: of a repaired minute the message may not have come here.
        completes = ticket is not None or bool(larger) or not (was_whole and is_next)
        changes = [self._closed_bars(MINUTE, minute, _origin(by_rest), completes)._replace(is_news=ticket is not None)]
        changes += [self._closed_bars(interval, bar, Origin.AGGREGATED, completes=True) for interval, bar in larger]
        self._writer.tell(Store(changes, acknowledge=None if ticket is None else self.me, ticket=ticket))
        closed = [IntervalBar(MINUTE, minute), *larger]
        key = self._contract.key
        self._hub.tell(BarsPublished(key, closed, closed=True, said=said, is_leap=is_leap, by_rest=by_rest))
        self._has_changed = True

    def _leave(self, minute: Bar, larger: Sequence[IntervalBar]) -> object | None:
        """Leave to the disk what only it can complete; returns the minute's ticket if there is any such bar."""
        end_ms = minute.open_ms + MINUTE_MS
        grown = {done.interval for done in larger}
        left = [one for one in LARGER if one.floor(end_ms) == end_ms and (one not in grown or one in self._left)]
        if not left:
            return None
        ticket = object()
        self._left.update(dict.fromkeys(left, ticket))
        return ticket

    def _grown(self, minute: Bar) -> list[IntervalBar]:
        """The larger bars that a closed minute completes. It is stored itself even where a sum does not fit."""
        try:
            return self._cascade.close(minute)
        except UnitsOverflow as error:
            self._begin_anew(error)
            self._cascade.begin_at(minute.open_ms + MINUTE_MS)
            return []

    def _begin_anew(self, error: UnitsOverflow) -> None:
        """A sum does not fit: its bucket has no bar, and nothing else of the contract or of others suffers."""
        logger.error("%s: %s; a larger bar is left out", self._contract.symbol, error)
        self._cascade = Cascade()
        self._begun_stored = -1

    def _revise(self, minute: Bar, by_rest: bool) -> None:
        """Bars in progress begin anew from what is stored, and not before the minute is stored as it is now."""
        self._cascade.forget()
        ticket = object()
        self._unstored.add(ticket)
        change = self._closed_bars(MINUTE, minute, _origin(by_rest), completes=True)
        self._writer.tell(Store([change], acknowledge=self.me, ticket=ticket))

    def _on_tick(self, monotonic_s: float) -> None:
        if not self._is_known:
            self._announce_again(monotonic_s)
        if self._has_changed:
            self._has_changed = False
            self._store_progress()
        if self._is_untold:  # with the next trade it would be told too, but that may take minutes
            self._publish_progress(self._watched - {MINUTE}, None)
        next_ms = self._cascade.next_ms
        if not self._cascade.needs_seed or next_ms is None or self._unstored:
            return
        if self._asked_seed_s is None or monotonic_s - self._asked_seed_s > ASK_SEED_AGAIN_S:
            self._asked_seed_s = monotonic_s
            self._backfill.tell(SeedWanted(self._contract, next_ms, self.me))

    def _store_progress(self) -> None:
        minute = self._cascade.newest()
        if minute is None:
            # Nobody has traded since the last closed minute, which may hold more than its last frame told.
            so_far = self._cascade.so_far()
            if so_far:
                self._stored_whole |= {interval for interval, _ in so_far}
                self._store([PartialBars(self._contract.key, so_far)])
            return
        begun: Sequence[IntervalBar] = ()
        if self._cascade.begun_changes != self._begun_stored:
            self._begun_stored = self._cascade.begun_changes
            begun = self._cascade.begun()
        unknown: Sequence[Interval] = ()
        if self._stored_whole:
            known = {interval for interval, _ in begun}
            unknown = [interval for interval in LARGER if interval in self._stored_whole - known]
            self._stored_whole = frozenset()
        self._store([PartialBars(self._contract.key, [IntervalBar(MINUTE, minute)], begun, unknown)])

    def _announce_again(self, monotonic_s: float) -> None:
        """A hub that crashed on the first one does not tell what is watched: nobody would see bars in progress."""
        if self._announced_s is None:
            self._announced_s = monotonic_s
        elif monotonic_s - self._announced_s > ANNOUNCE_AGAIN_S:
            self._announced_s = monotonic_s
            self._hub.tell(PairMemberStarted(self._contract.key, self.me))

    def _publish_progress(self, wanted: frozenset[Interval], said: KlineEvent | None) -> None:
        self._is_untold = False
        cascade = self._cascade
        partials = cascade.so_far(wanted) if cascade.newest() is None else cascade.partials(wanted)
        if partials:
            self._hub.tell(BarsPublished(self._contract.key, partials, closed=False, said=said))

    def _closed_bars(self, interval: Interval, bar: Bar, origin: Origin, completes: bool) -> ClosedBars:
        return ClosedBars(self._contract.key, interval, [bar], origin, completes=completes)

    def _store(self, changes: Sequence[Change]) -> None:
        self._writer.tell(Store(changes))


def _origin(by_rest: bool) -> Origin:
    return Origin.REST if by_rest else Origin.STREAM
