"""The port's door: decides who may come in and stay, and closes connections that keep a place for nothing."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

from web.places import Client, Handover, Places

logger = logging.getLogger(__name__)

LOOK_S = 1.0
REPORT_S = 60.0


class Door:
    """What decides about connections. It belongs to the thread of the server's loop.

    Args:
        limit: how many connections there may be.
    """

    def __init__(self, limit: int) -> None:
        self.places: Places[Any] = Places(limit)
        self.by_client: dict[Client, asyncio.Transport] = {}
        self.tally: Counter[str] = Counter()
        self._present: set[Any] = set()
        self._next_look: asyncio.TimerHandle | None = None
        self._report_s = 0.0
        self.handover = Handover(self._drop, _monotonic_s)

    def admits(self) -> bool:
        """Whether there is a place, after somebody who only waits has left it if need be."""
        has_room, leaving = self.places.make_room()
        self._close(leaving)
        if not has_room:
            self.tally["connections refused for want of places"] += 1
        return has_room

    def make_way(self) -> None:
        """Have somebody leave who only waits, so that there is a file descriptor for the next one."""
        self._close(self.places.first_to_leave())

    def _close(self, leaving: Any) -> None:
        if leaving is not None:
            self.tally["waiting connections closed to make room"] += 1
            leaving.transport.abort()

    def forget(self, connection: Any, client: Client | None) -> None:
        self.places.leave(connection)
        self._present.discard(connection)
        if client is not None:
            self.by_client.pop(client, None)

    def attend(self, connection: Any) -> None:
        """Look at this connection from now on, until it is forgotten."""
        self._present.add(connection)
        if self._next_look is None:
            loop = asyncio.get_running_loop()
            self._report_s = loop.time() + REPORT_S
            self._look_later(loop)

    def look(self, now_s: float) -> None:
        """Close what keeps a place for nothing."""
        self.places.forget_coming()
        for connection in list(self._present):
            fault = connection.fault(now_s)
            if fault is not None:
                self.tally[fault] += 1
                connection.transport.abort()
        self.tally["clients that read too slowly"] += self.handover.cut_off_overdue()

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_look = loop.call_later(LOOK_S, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.look(loop.time())
        if loop.time() >= self._report_s:
            self._report_s = loop.time() + REPORT_S
            self.report()
        self._look_later(loop)

    def report(self) -> None:
        """One line about the last minute, if there is anything to say."""
        told = ", ".join(f"{count} {what}" for what, count in self.tally.items() if count)
        self.tally.clear()
        if told:
            logger.warning("web clients in the last minute: %s", told)

    def _drop(self, client: Client) -> None:
        transport = self.by_client.get(client)
        if transport is not None:
            transport.abort()


def _monotonic_s() -> float:
    return asyncio.get_running_loop().time()
