"""The port's door: accepts connections as far as there are places, and closes those that keep one for nothing.

uvicorn bounds neither how long a client may take over a request, nor how long it may leave an answer unread; and
asyncio accepts thousands of connections in one go, out of file descriptors too. So the listening socket and the two
protocols are of our own make here, each a few rules more than the library's.

    first byte of a request   20 s after connecting, KEEP_ALIVE_S (server.py) after an answer
    its last header           10 s after its first byte
    a piece of an answer      read within 20 s; the whole of it at 16 KB/s (places.py)
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections import Counter
from contextlib import suppress
from typing import Any, TypeVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from web.places import Client, Handover, Places
from web.sockets import ClientSocket

logger = logging.getLogger(__name__)

FIRST_BYTE_S = 20.0
HEADERS_S = 10.0
STUCK_S = 20.0
HEADER_BYTES_MAX = 16 * 1024
"""Request line and headers, as far as they are waited for. What comes in one go is judged later (access.py)."""
STREAM_UNREAD_MAX = 1024 * 1024
"""What a WebSocket's transport may hold back: beyond uvicorn's own limit only answers to pings come to that."""
LOOK_S = 1.0
REPORT_S = 60.0
ACCEPTED_AT_ONCE = 32
"""After so many new connections the others have their turn."""

_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_HEADERS = (
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nAccess-Control-Allow-Origin: *\r\n\r\n"
)


def _ready_made(status: bytes, code: bytes, message: bytes) -> bytes:
    body = b'{"error":{"code":"%s","message":"%s"}}' % (code, message)
    return b"HTTP/1.1 %s\r\n" % status + _HEADERS % len(body) + body


_FULL = _ready_made(b"503 Service Unavailable", b"too_many_clients", b"All places are taken; try again soon.")
_JUNK = _ready_made(b"400 Bad Request", b"bad_request", b"Expected an HTTP request with less than 16 KB of headers.")


class HttpConnection(H11Protocol):
    """One client. It holds a place from its first moment on."""

    door: Door
    moved_s = 0.0
    """When all that was sent was last seen to have left."""
    since_s = 0.0
    """When it came, or was last answered."""
    begun_s: float | None = None
    """When the first byte of the request that is being read came; None between requests."""
    has_asked = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.since_s = self.moved_s = self.loop.time()
        self.door.places.enter(self)
        self.door.attend(self)
        if self.client is not None:
            self.door.by_client[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.forget(self, self.client)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.begun_s is None:
            self.begun_s = self.loop.time()
        super().data_received(data)
        self._tell_if_busy()

    def resume_writing(self) -> None:
        self.moved_s = self.loop.time()
        super().resume_writing()

    def on_response_complete(self) -> None:
        self.since_s = self.loop.time()
        self.begun_s = self.since_s if self.conn.trailing_data[0] else None
        self.door.places.waiting(self)
        super().on_response_complete()
        self._tell_if_busy()

    def handle_websocket_upgrade(self, event: Any) -> None:
        if self.door.places.streams_full:
            self.door.tally["WebSockets refused for want of places"] += 1
            self.transport.write(_FULL)
            self.transport.close()
            return
        self.door.forget(self, self.client)
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        self.door.tally["connections with no HTTP in them"] += 1
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_JUNK)
        self.transport.close()

    @property
    def is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def fault(self, now_s: float) -> str | None:
        """Why the connection is to be closed, if it is."""
        if self.transport.get_write_buffer_size() == 0:
            self.moved_s = now_s
        elif now_s - self.moved_s > STUCK_S:
            return "clients that did not read"
        if self.is_answered:
            if self.begun_s is not None:
                return "clients that took too long over a request" if now_s - self.begun_s > HEADERS_S else None
            if not self.has_asked and now_s - self.since_s > FIRST_BYTE_S:
                return "clients that asked nothing"
        return None

    def _tell_if_busy(self) -> None:
        if not self.is_answered:
            self.has_asked = True
            self.door.places.busy(self)


class StreamConnection(ClientSocket):
    """One WebSocket, from its handshake on. Whether it reads its stream is for the stream's sender to judge."""

    door: Door
    moved_s = 0.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.moved_s = self.loop.time()
        self.door.places.enter_stream(self)
        self.door.attend(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.forget(self, None)
        super().connection_lost(exc)

    def fault(self, now_s: float) -> str | None:
        """Why the connection is to be cut, if it is."""
        unread = self.transport.get_write_buffer_size()
        if unread == 0:
            self.moved_s = now_s
        is_stuck = self.transport.is_closing() and now_s - self.moved_s > STUCK_S
        return "WebSockets that did not read" if is_stuck or unread > STREAM_UNREAD_MAX else None


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
        self.http = _with_door(HttpConnection, self)
        self.websocket = _with_door(StreamConnection, self)

    def listener(self, bound: socket.socket) -> Listener:
        """The listening socket in the place of `bound`, which is spent."""
        return Listener(bound, self)

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


class Listener(socket.socket):
    """A listening socket that turns away whom there is no place for, and lives on when descriptors run out.

    A spare descriptor is kept: given up for a moment it lets a connection be accepted and closed, which otherwise
    would wait in the system's queue, and keep the loop spinning over it.
    """

    def __init__(self, bound: socket.socket, door: Door) -> None:
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self._door = door
        self._spare: int | None = None
        self._accepted = 0
        self._keep_spare()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that may stay.

        Raises:
            BlockingIOError: none waits, or the others are to have their turn first.
            OSError: descriptors have run out, the spare one included; asyncio tries again in a second.
        """
        while self._accepted < ACCEPTED_AT_ONCE and not self._door.places.is_settling:
            self._accepted += 1
            self._keep_spare()
            try:
                connection, address, may_stay = self._next()
            except BlockingIOError:
                self._accepted = 0
                raise
            except OSError:
                self._accepted = ACCEPTED_AT_ONCE  # asyncio asks again at once, though it has set a timer
                raise
            if may_stay and self._door.admits():
                return connection, address
            _turn_away(connection)
        self._accepted = 0
        raise BlockingIOError

    def close(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        super().close()

    def _next(self) -> tuple[socket.socket, Any, bool]:
        """The next connection, where from, and whether there are descriptors enough for it to stay."""
        try:
            return *super().accept(), True
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS or self._spare is None:
                raise
        os.close(self._spare)
        self._spare = None
        self._door.make_way()
        refused = super().accept()
        self._door.tally["connections refused for want of file descriptors"] += 1
        return *refused, False

    def _keep_spare(self) -> None:
        if self._spare is None:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)


_Protocol = TypeVar("_Protocol", HttpConnection, StreamConnection)


def _with_door(kind: type[_Protocol], door: Door) -> type[_Protocol]:
    """uvicorn makes connections by their class alone."""
    return type(kind.__name__, (kind,), {"door": door})


def _turn_away(connection: socket.socket) -> None:
    """Say that there is no place. What the client has said already is taken first, or it would see a reset only."""
    with connection, suppress(OSError):
        connection.setblocking(False)
        with suppress(BlockingIOError):
            connection.recv(HEADER_BYTES_MAX)
        connection.send(_FULL)


def _monotonic_s() -> float:
    return asyncio.get_running_loop().time()
