"""One WebSocket connection's bare socket, for what ASGI has no words for.

The exchange's pings carry its time; connections break without a close; text frames may hold no text; and
one rendered frame goes to many connections as the same bytes (`wire.framing`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

STATE_KEY = "socket"
"""Under this key of the ASGI scope's `state` an application finds its connection's `Socket`."""
BUFFER_MAX = 64 * 1024 * 1024
"""A client is cut off once this many bytes wait for it."""
CLOSE_TIMEOUT_S = 2.0


class Socket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with the socket within the application's reach."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.last_pong_s: float | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.close()  # the request cannot even be read, as with a line too long

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # a refused handshake gets none
            self.scope["state"][STATE_KEY] = self

    def handle_pong(self, event: Frame) -> None:
        self.last_pong_s = asyncio.get_running_loop().time()
        super().handle_pong(event)

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not self.close_sent and not self.disconnected

    def write(self, frames: bytes) -> None:
        """Send whole frames, made by `wire.framing`."""
        if not self.is_open or self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size() > BUFFER_MAX:
            self.transport.abort()
            return
        self.transport.write(frames)

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake, and end the application's `receive`."""
        if not self.is_open:
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.close)

    def abort(self) -> None:
        """Break the connection without a word."""
        self.transport.abort()
