"""A client's connection, HTTP or WebSocket: how long it may take over what, and what it is told when it does not fit.

uvicorn bounds neither how long a client may take over a request, nor how long it may leave an answer unread. So the
two protocols are of our own make here, each a few rules more than the library's.

    first byte of a request   20 s after connecting, KEEP_ALIVE_S (server.py) after an answer
    its last header           10 s after its first byte
    a piece of an answer      read within 20 s; the whole of it at 16 KB/s (places.py)
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from web.door import Door
from web.sockets import ClientSocket

FIRST_BYTE_S = 20.0
HEADERS_S = 10.0
STUCK_S = 20.0
HEADER_BYTES_MAX = 16 * 1024
"""Request line and headers, as far as they are waited for. What comes in one go is judged later (access.py)."""
STREAM_UNREAD_MAX = 1024 * 1024
"""What a WebSocket's transport may hold back: beyond uvicorn's own limit only answers to pings come to that."""

_HEADERS = (
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nAccess-Control-Allow-Origin: *\r\n\r\n"
)


def _answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\n" % status + _HEADERS % len(body) + body


def _ready_made(status: bytes, code: bytes, message: bytes) -> bytes:
    return _answer(status, b'{"error":{"code":"%s","message":"%s"}}' % (code, message))


FULL = _ready_made(b"503 Service Unavailable", b"too_many_clients", b"All places are taken; try again soon.")
_EXPECTED = (
    b"Expected an HTTP request with an address in ASCII, all else percent-encoded, and less than 16 KB of headers."
)
_JUNK = _ready_made(b"400 Bad Request", b"bad_request", _EXPECTED)
_ILLEGAL_CHARACTERS = _answer(
    b"400 Bad Request", b'{"code":-1100,"msg":"Illegal characters found in a parameter. %s"}' % _EXPECTED
)
"""As the exchange answers a symbol in Chinese that is not percent-encoded."""
_COMPATIBLE = (b"GET /fapi/", b"GET /api/v3/")


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
    is_compatible = False
    """Whether the request that is being read is one of the exchange's."""

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
            self.is_compatible = data.startswith(_COMPATIBLE)
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
            self.transport.write(FULL)
            self.transport.close()
            return
        self.door.forget(self, self.client)
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        self.door.tally["connections with no HTTP in them"] += 1
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_ILLEGAL_CHARACTERS if self.is_compatible else _JUNK)
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


_Protocol = TypeVar("_Protocol", HttpConnection, StreamConnection)


def with_door(kind: type[_Protocol], door: Door) -> type[_Protocol]:
    """Connections of this kind at this door: uvicorn makes them by their class alone."""
    return type(kind.__name__, (kind,), {"door": door})
