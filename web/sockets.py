"""One client's socket, for what ASGI has no words for.

A frame that many clients get is made once and written to each socket as the same bytes; a client that does not
read is noticed; pings carry the time as the exchange's do; and what a client may send is limited.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from wire.framing import ping_frame
from wire.pace import MessagePace

STATE_KEY = "socket"
"""Under this key of the ASGI scope's `state` an application finds its connection's `ClientSocket`."""
MESSAGE_BYTES_MAX = 64 * 1024
"""A request for all streams that a connection may have takes half of that."""
WAITING_MAX = 8_192
"""Frames that wait for a client: with one stream more than half an hour of them, with 1,024 some seconds."""
SEND_BUFFER_BYTES = 256 * 1024
"""What the system holds for a client that does not read; by default it takes up to megabytes."""
FRAMES_AT_ONCE = 64
CLOSE_TIMEOUT_S = 2.0

INVALID_DATA = 1007
POLICY = 1008
TRY_AGAIN_LATER = 1013
_UNREADABLE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_FAST = "Too many requests"
TOO_SLOW = "Too slow: frames wait faster than they are read"


class ClientSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with the socket within the application's reach."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._has_ponged = False
        self._waiting: deque[bytes] = deque()
        self._pace = MessagePace()
        self._is_junk = False

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not self.close_sent and not self.disconnected

    def write(self, frames: Sequence[bytes]) -> None:
        """Send whole frames, made by `wire.framing`, after those that wait; with too many waiting, close instead."""
        if not self.is_open or self.transport.is_closing():
            return
        if self.writable.is_set() and not self._waiting:
            self.transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
            return
        self._waiting.extend(frames)
        if len(self._waiting) > WAITING_MAX:
            self.close(POLICY, TOO_SLOW)

    def ping(self, payload: bytes) -> None:
        self.write((ping_frame(payload),))

    def may_talk(self) -> bool:
        """Count what a client sent; whoever talks too fast is closed. Messages are counted as they are answered."""
        if not self._pace.is_too_fast(self.loop.time()):
            return True
        self.close(POLICY, TOO_FAST)
        return False

    def take_pong(self) -> bool:
        """Whether a pong has come since this was last asked."""
        has_ponged, self._has_ponged = self._has_ponged, False
        return has_ponged

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake, without what waits, and end the application's `receive`."""
        if not self.is_open:
            return
        self._waiting.clear()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._closed(code, reason)

    def abort(self) -> None:
        """Break the connection without a word."""
        self.transport.abort()

    # --- what uvicorn and asyncio call

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        plain = transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # with a refusal; uvicorn would log an error

    def shutdown(self) -> None:
        super().shutdown()
        if self._waiting or not self.writable.is_set():
            self.transport.abort()  # nobody reads: the server does not stop later for that

    def resume_writing(self) -> None:
        super().resume_writing()
        while self._waiting and self.writable.is_set() and self.is_open:
            frames = list(islice(self._waiting, FRAMES_AT_ONCE))
            for _ in frames:
                self._waiting.popleft()
            self.transport.write(b"".join(frames))

    def data_received(self, data: bytes) -> None:
        if self._is_junk:
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The request cannot even be read, as with a line of more than 8,192 bytes: uvicorn passes no answer on.
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()) or _UNREADABLE)
            self.transport.close()

    def handle_parser_exception(self) -> None:
        """Close with the code that websockets found fit, and read on a while: with data unread the system would break
        the connection, and the client never learn why."""
        self._is_junk = True
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.transport.write(b"".join(self.conn.data_to_send()))
        self._closed(code, reason)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # a refused handshake gets none
            self.scope["state"][STATE_KEY] = self

    def handle_cont(self, event: Frame) -> None:
        if self.may_talk():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.may_talk():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        self._has_ponged = True
        if self.may_talk():
            super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            self.close(INVALID_DATA, "Invalid UTF-8")
            return
        super().send_receive_event_to_app()

    def _closed(self, code: int, reason: str) -> None:
        """The close was sent: end the application's `receive`, and wait a little for the client's own close."""
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
