"""A WebSocket's handshake, bounded in size and time: websocket-client accepts any length and any slowness."""

from __future__ import annotations

import socket
import time
from typing import Any

HANDSHAKE_BYTES_MAX = 64 * 1024
"""Of the answer's head and, where it is a refusal, its body. The exchange's have some 500 bytes."""


class HandshakeSocket:
    """A connected socket for as long as the handshake lasts.

    Args:
        timeout_s: for the whole handshake; the socket's own time-out is for each wait.
    """

    def __init__(self, connected: socket.socket, timeout_s: float, bytes_max: int = HANDSHAKE_BYTES_MAX) -> None:
        self._connected = connected
        self._timeout_s = timeout_s
        self._deadline_s = time.monotonic() + timeout_s
        self._bytes_max = bytes_max
        self._received = 0

    def recv(self, size: int) -> bytes:
        """As a socket's.

        Raises:
            OSError: as a socket's; and when the answer is too long, or takes too long.
        """
        data = self._connected.recv(min(size, self._bytes_max))
        self._received += len(data)
        if self._received > self._bytes_max:
            raise ConnectionError(f"expected an answer of at most {self._bytes_max} bytes, got more")
        if time.monotonic() > self._deadline_s:
            raise ConnectionError(f"expected an answer within {self._timeout_s} s, got {self._received} bytes")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)
