"""From the actors' threads to the event loop: many events for one wake-up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from wire.published import BarEvent

GATHER_S = 0.002
"""How long events are gathered before they are handled: a wake-up each would cost more than the events."""
WAITING_MAX = 200_000
"""More than two minutes of the busiest market: a loop that is so far behind is not waited for."""


class Inbox:
    """Hands events over to `handle`, in the loop's thread, in order.

    Args:
        overrun: called in the loop's thread after events had to be dropped.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handle: Callable[[Sequence[BarEvent]], object],
        overrun: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._handle = handle
        self._overrun = overrun
        self._events: deque[BarEvent] = deque()
        self._is_due = False
        self._has_dropped = False

    def put(self, event: BarEvent) -> bool:
        """Take an event, from any thread. False when there is no loop any more."""
        if len(self._events) < WAITING_MAX:
            self._events.append(event)
        else:
            self._has_dropped = True
        if self._is_due:
            return True
        self._is_due = True
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _wake(self) -> None:
        self._loop.call_later(GATHER_S, self._drain)

    def _drain(self) -> None:
        self._is_due = False  # before looking: what comes from here on may be too late for this look
        events = [self._events.popleft() for _ in range(len(self._events))]
        if self._has_dropped:
            self._has_dropped = False
            self._overrun()
        self._handle(events)
