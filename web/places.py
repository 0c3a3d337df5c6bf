"""Who may stay: bookkeeping of connections and of what they have not read yet, without sockets and clocks.

A server has a number of places. Somebody who only waits makes way for somebody new, longest here first: strangers, who
never asked anything, as long as they hold more than their share, then those between two requests, then strangers
again. Who is being answered stays, and so does a WebSocket.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)
Client = tuple[str, int]

STREAM_SHARE = 0.75
"""The most of the places that WebSockets may hold: the others are for questions."""
STRANGER_SHARE = 0.25
"""How many of the places are for newcomers if need be: without, each would have to leave for the next one before its
request has arrived, once those who wait between requests hold all the others."""
UNREAD_BYTES_MAX = 128 * 1024 * 1024
"""Answers that wait to be read, of all clients together."""
READ_GRACE_S = 20.0
READ_BYTES_PER_S = 16 * 1024
"""A client that reads more slowly, after a while of grace, is cut off."""

RESERVED_DESCRIPTORS = 320
"""For everything else in the process: the database (three for each worker thread), feeds, REST, archive files, and
connections that were accepted a moment ago."""


def clients_within(wanted: int, descriptors: int) -> int:
    """How many clients fit into a process that may have `descriptors` open files: `wanted`, or fewer."""
    return max(1, min(wanted, max(descriptors - RESERVED_DESCRIPTORS, descriptors // 4)))


class Places(Generic[T]):
    """Who holds a place.

    Args:
        limit: how many there are.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._coming = 0
        self._strangers: OrderedDict[T, None] = OrderedDict()
        self._waiting: OrderedDict[T, None] = OrderedDict()
        self._busy: set[T] = set()
        self._streams: set[T] = set()

    def __len__(self) -> int:
        return self._coming + len(self._strangers) + len(self._waiting) + len(self._busy) + len(self._streams)

    @property
    def is_settling(self) -> bool:
        """Whether all places are taken, some by those who have not entered yet: soon one of them may make way."""
        return self._coming > 0 and len(self) >= self.limit

    @property
    def streams_full(self) -> bool:
        """Whether no more WebSocket may come."""
        return len(self._streams) >= max(1, int(self.limit * STREAM_SHARE))

    def make_room(self) -> tuple[bool, T | None]:
        """Whether somebody may come in, whose place is kept then, and who has to leave for it, which has none now."""
        leaving = None
        if len(self) >= self.limit:
            leaving = self.first_to_leave()
            if leaving is None:
                return False, None
        self._coming += 1
        return True, leaving

    def first_to_leave(self) -> T | None:
        """Who of those that only wait has to leave now; it holds no place any more."""
        has_strangers_to_spare = not self._waiting or len(self._strangers) > int(self.limit * STRANGER_SHARE)
        queue = self._strangers if has_strangers_to_spare else self._waiting
        return queue.popitem(last=False)[0] if queue else None

    def enter(self, one: T) -> None:
        """Somebody for whom there was room, and who has not asked anything yet."""
        self._coming = max(0, self._coming - 1)
        self._strangers[one] = None

    def forget_coming(self) -> None:
        """Who was to come and has not entered by now does not come."""
        self._coming = 0

    def enter_stream(self, one: T) -> None:
        self._streams.add(one)

    def busy(self, one: T) -> None:
        """It asked something; nobody makes it leave until it was answered."""
        if self._is_waiting(one):
            self._busy.add(one)

    def waiting(self, one: T) -> None:
        """It was answered."""
        if one in self._busy:
            self._busy.discard(one)
            self._waiting[one] = None

    def leave(self, one: T) -> None:
        """It has gone; also said of those who hold no place."""
        self._is_waiting(one)
        self._busy.discard(one)
        self._streams.discard(one)

    def _is_waiting(self, one: T) -> bool:
        """Take it out of the queues; whether it stood in one."""
        for queue in (self._strangers, self._waiting):
            if one in queue:
                del queue[one]
                return True
        return False


class Handing:
    """One answer on its way to its client."""

    def __init__(self, owner: Handover, client: Client | None) -> None:
        self.client = client
        self.unread = 0
        self.due_s = 0.0
        self.has_ended = False
        self._owner = owner

    def add(self, size: int) -> None:
        """From now on `size` more bytes wait for the client."""
        self._owner.add(self, size)

    def end(self) -> None:
        self._owner.end(self)


class Handover:
    """What clients have asked for and not read yet, beyond what fits into their connections.

    Args:
        drop: cuts a client off.
        now_s: local monotonic seconds.
    """

    def __init__(
        self, drop: Callable[[Client], None], now_s: Callable[[], float], unread_max: int = UNREAD_BYTES_MAX
    ) -> None:
        self._drop = drop
        self._now_s = now_s
        self.unread_max = unread_max
        self.unread = 0
        self._open: OrderedDict[Handing, None] = OrderedDict()

    def begin(self, client: Client | None) -> Handing:
        """An answer begins; `end` it, whatever happens."""
        return Handing(self, client)

    def add(self, handing: Handing, size: int) -> None:
        if handing.has_ended:  # cut off; what is still said to it goes nowhere
            return
        handing.due_s = self._now_s() + READ_GRACE_S + (handing.unread + size) / READ_BYTES_PER_S
        handing.unread += size
        self.unread += size
        self._open[handing] = None
        while self.unread > self.unread_max and len(self._open) > 1:
            self._cut_off(next(iter(self._open)))

    def end(self, handing: Handing) -> None:
        handing.has_ended = True
        if handing in self._open:
            del self._open[handing]
            self.unread -= handing.unread

    def cut_off_overdue(self) -> int:
        """Cut off who takes too long to read; how many."""
        now_s = self._now_s()
        overdue = [handing for handing in self._open if handing.due_s < now_s]
        for handing in overdue:
            self._cut_off(handing)
        return len(overdue)

    def _cut_off(self, handing: Handing) -> None:
        self.end(handing)
        if handing.client is not None:
            self._drop(handing.client)
