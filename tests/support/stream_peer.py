"""The other end of a WebSocket connection, played by the test byte by byte."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import struct
import threading
from base64 import b64encode
from collections.abc import Iterator

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TIMEOUT_S = 30.0


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, first_bits: int = 0) -> bytes:
    """One frame as a server sends it."""
    head = bytes([(0x80 if final else 0) | first_bits | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 65_536:
        return head + b"\x7e" + struct.pack("!H", len(payload)) + payload
    return head + b"\x7f" + struct.pack("!Q", len(payload)) + payload


class StreamPeer:
    """Accepts one connection, does the handshake (or answers with `refusal`), and leaves the rest to the test."""

    def __init__(self, refusal: bytes | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.request = b""
        self._refusal = refusal
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(_TIMEOUT_S)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"{'ws' if tls is None else 'wss'}://127.0.0.1:{self.port}/market/stream"
        self._connection: socket.socket | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._accept)

    @classmethod
    @contextlib.contextmanager
    def running(cls, refusal: bytes | None = None, tls: ssl.SSLContext | None = None) -> Iterator[StreamPeer]:
        peer = cls(refusal, tls)
        peer._thread.start()
        try:
            yield peer
        finally:
            with contextlib.suppress(OSError):
                peer._listening.shutdown(socket.SHUT_RDWR)  # wakes who still waits for a client
            peer._listening.close()
            peer._thread.join()
            if peer._connection is not None:
                peer._connection.close()

    @property
    def connection(self) -> socket.socket:
        assert self._ready.wait(_TIMEOUT_S), "nobody connected"
        assert self._connection is not None
        return self._connection

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def end(self) -> None:
        """Hang up without a word."""
        self.connection.close()

    def receive(self) -> tuple[int, bytes]:
        """The next frame from the client: opcode and payload, unmasked."""
        first, second = self._exactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(self._exactly(2 if length == 126 else 8), "big")
        mask, payload = self._exactly(4), self._exactly(length)
        return first & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            received = self.connection.recv(count - len(data))
            assert received, "the client hung up"
            data += received
        return data

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listening.accept()
            connection.settimeout(_TIMEOUT_S)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._connection = connection
            while b"\r\n\r\n" not in self.request and (received := connection.recv(4_096)):
                self.request += received
            connection.sendall(self._refusal if self._refusal is not None else self._welcome())
            if self._refusal is not None:
                connection.close()
            self._ready.set()

    def _welcome(self) -> bytes:
        headers = dict(line.split(": ", 1) for line in self.request.decode().split("\r\n")[1:] if line)
        accept = b64encode(hashlib.sha1(headers["Sec-WebSocket-Key"].encode() + _GUID).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
