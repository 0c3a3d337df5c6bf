"""Requests for the closed bars of one time wait here until the last bar is in, and hold no thread meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from bars import Interval
from storage import ChangeSignal, Reader, StorageError
from web.answers import Refusal
from web.closed import ClosedRequest, is_complete, parse_closed_request

logger = logging.getLogger(__name__)

PATH = "/api/closed"
WAITING_MAX = 1_000
"""Requests beyond are answered at once with what is there."""
POLL_S = 0.05

Receive = Callable[[], Awaitable[Any]]


@dataclass(slots=True, eq=False)
class _Moment:
    """One open time, and what wakes those who wait for it."""

    interval: Interval
    open_ms: int
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    is_new: bool = True


class ClosedHold:
    """Delays requests for `/api/closed`. `begin` and `end` are called in the event loop's thread.

    SQLite tells cheaply whether anything was committed, which is asked every 50 ms while somebody waits.
    """

    def __init__(self, reader: Reader, waiting_max: int = WAITING_MAX) -> None:
        self._reader = reader
        self._waiting_max = waiting_max
        self._waiting = 0
        self._moments: dict[tuple[Interval, int], _Moment] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._signal: ChangeSignal | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many requests wait. May be asked by any thread."""
        return self._waiting

    def begin(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="closed-hold")

    def release(self) -> None:
        """Let everybody go, and nobody wait any more."""
        self._waiting_max = 0
        for moment in self._moments.values():
            moment.complete.set()

    async def end(self) -> None:
        self.release()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown, cancel_futures=True)
        if self._signal is not None:
            self._signal.close()

    async def __call__(self, scope: dict[str, Any], receive: Receive) -> Receive | None:
        """Wait as the request asks for; returns what takes the place of `receive`, None when the client has left."""
        request = _request(scope) if scope["path"] == PATH else None
        if request is None or not request.wait_s or self._waiting >= self._waiting_max:
            return receive
        body = await receive()
        self._waiting += 1
        try:
            is_there = await self._wait(request, receive)
        finally:
            self._waiting -= 1
        return _again(body, receive) if is_there else None

    async def _wait(self, request: ClosedRequest, receive: Receive) -> bool:
        """Wait until all is in or time is over; False when the client left before."""
        key = request.interval, request.open_ms
        moment = self._moments.setdefault(key, _Moment(*key))
        moment.waiting += 1
        if self._task is None:
            self._task = asyncio.create_task(self._look())
        gone, complete = asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(moment.complete.wait())
        try:
            await asyncio.wait((gone, complete), timeout=request.wait_s, return_when=asyncio.FIRST_COMPLETED)
            return not gone.done()
        finally:
            gone.cancel()
            complete.cancel()
            moment.waiting -= 1
            if not moment.waiting:
                self._moments.pop(key, None)

    async def _look(self) -> None:
        """Look for what is complete, for as long as somebody waits."""
        try:
            while self._moments and self._thread is not None:
                moments = list(self._moments.values())
                found = await asyncio.get_running_loop().run_in_executor(self._thread, self._complete, moments)
                for moment in found:
                    moment.complete.set()
                await asyncio.sleep(POLL_S)
        finally:
            self._task = None

    def _complete(self, moments: Sequence[_Moment]) -> list[_Moment]:
        """Which of them have all their bars, if that can have changed."""
        try:
            if self._signal is None:
                self._signal = self._reader.change_signal()
            has_changed = self._signal.has_changed()
            due = [moment for moment in moments if has_changed or moment.is_new]
            for moment in due:
                moment.is_new = False
            return [moment for moment in due if self._is_complete(moment)]
        except StorageError as error:
            logger.error("waiting for closed bars: %s", error)
            return list(moments)

    def _is_complete(self, moment: _Moment) -> bool:
        return is_complete(self._reader.closed_at(moment.interval, moment.open_ms), self._reader)


def _request(scope: dict[str, Any]) -> ClosedRequest | None:
    """What is asked for; None for what is refused anyway."""
    with suppress(Refusal):
        return parse_closed_request(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return None


async def _gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _again(first: Any, receive: Receive) -> Receive:
    """A `receive` that gives the first message once more."""
    messages = [first]

    async def call() -> Any:
        return messages.pop() if messages else await receive()

    return call
