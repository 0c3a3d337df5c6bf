"""A server on loopback that passes requests on to an exchange, or answers with far more than anybody asked for."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import selectors
import socket
import socketserver
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import repeat
from types import MappingProxyType

HOST = "127.0.0.1"
PIECE_BYTES = 1 << 16
SENT_BYTES_MAX = 300 << 20
"""The most of one answer: endless ones end here."""
BOMB_BYTES = 2 << 30
TIMEOUT_S = 15.0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3."""

_ROW = (
    b'[1792659660000,"83137.90","83155.70","83082.90","83084.90","102.437",1792659719999,"8514292.61220",4409,"49.832",'
    b'"4141805.93340","0"]'
)
Giant = Callable[[bytes], Iterator[bytes]]
"""What is answered to a request of which this is the head, piece by piece."""
_ROWS = (_ROW + b",") * (PIECE_BYTES // len(_ROW))


def _rows() -> Iterator[bytes]:
    yield b"["
    yield from repeat(_ROWS, SENT_BYTES_MAX // len(_ROWS))
    yield _ROW + b"]"


def _with_length(_: bytes) -> Iterator[bytes]:
    pieces = SENT_BYTES_MAX // len(_ROWS)
    yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * len(_ROWS) + len(_ROW) + 2)
    yield from _rows()


def _without_length(_: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    yield from _rows()


def _chunked(_: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for piece in _rows():
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _much_in_one(size_bytes: int) -> Giant:
    """Sound rows, that a client which allows so much would take in whole."""

    def answer(_: bytes) -> Iterator[bytes]:
        pieces = size_bytes // len(_ROWS)
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n[" % (pieces * len(_ROWS) + len(_ROW) + 2)
        yield from repeat(_ROWS, pieces)
        yield _ROW + b"]"

    return answer


def _failing(_: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: %d\r\n\r\n" % SENT_BYTES_MAX
    yield from repeat(b"<" * PIECE_BYTES, SENT_BYTES_MAX // PIECE_BYTES)


def _deep(_: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 << 20)
    yield from repeat(b"[" * PIECE_BYTES, (8 << 20) // PIECE_BYTES)


def _endless_head(_: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from repeat(b"X: " + b"a" * 60_000 + b"\r\n", SENT_BYTES_MAX // 60_000)


def _endless_line(_: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 "
    yield from repeat(b"a" * PIECE_BYTES, SENT_BYTES_MAX // PIECE_BYTES)


def endless_frame(head: bytes) -> Iterator[bytes]:
    """A WebSocket, and on it a text frame of a terabyte."""
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
    accept = b64encode(hashlib.sha1((key[1] if key else b"") + _GUID).digest())
    yield (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
    yield b"\x81\x7f" + (1 << 40).to_bytes(8, "big")
    yield from repeat(b"a" * PIECE_BYTES, SENT_BYTES_MAX // PIECE_BYTES)


def bomb(layers: int, size_bytes: int) -> bytes:
    """So many zeros, compressed so many times."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        for _ in range(size_bytes // (1 << 20)):
            file.write(bytes(1 << 20))
    data = packed.getvalue()
    for _ in range(layers - 1):
        data = gzip.compress(data, mtime=0)
    return data


def _bomb(layers: int) -> Giant:
    data = bomb(layers, BOMB_BYTES)

    def answer(_: bytes) -> Iterator[bytes]:
        encoding = b", ".join([b"gzip"] * layers)
        yield b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(data))
        yield data

    return answer


def answers() -> Mapping[str, Giant]:
    """Every kind of answer that is too much, by name."""
    return MappingProxyType(
        {
            "300 MB with a length": _with_length,
            "300 MB without one": _without_length,
            "300 MB in chunks": _chunked,
            "60 MB of rows": _much_in_one(60 << 20),
            "a refusal of 300 MB": _failing,
            "2 GB in one gzip": _bomb(1),
            "2 GB in two gzips": _bomb(2),
            "8 MB of brackets": _deep,
            "300 MB of headers": _endless_head,
            "300 MB of status line": _endless_line,
        }
    )


class GiantServer:
    """Passes on, or answers every request with `giant`. May be used in a `with` statement. `seen` counts answers,
    their bytes, and what was passed on."""

    def __init__(self, target_port: int) -> None:
        self.giant: Giant | None = None
        self.seen: Counter[str] = Counter()
        self.target_port = target_port
        self.is_over = False
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> GiantServer:  # noqa: PYI034 - Self came with Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over = True
        self._server.shutdown()
        self._server.server_close()

    def url(self, scheme: str) -> str:
        return f"{scheme}://{HOST}:{self.port}"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, giants: GiantServer) -> None:
        self.giants = giants
        super().__init__((HOST, 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has had enough is what is wanted."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server
    request: socket.socket

    def handle(self) -> None:
        giants = self.server.giants
        self.request.settimeout(TIMEOUT_S)
        with suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := self.request.recv(PIECE_BYTES)):
                    return
                head += data
            if giants.giant is None:
                self._pass_on(head)
            else:
                giants.seen["answers"] += 1
                for piece in giants.giant(head):
                    self.request.sendall(piece)
                    giants.seen["bytes"] += len(piece)

    def _pass_on(self, head: bytes) -> None:
        """One request and its answer; a WebSocket for as long as it lasts."""
        if b"upgrade: websocket" not in head.lower():
            head = head.replace(b"Connection: keep-alive", b"Connection: close")
        self.server.giants.seen["passed"] += 1
        with socket.create_connection((HOST, self.server.giants.target_port), TIMEOUT_S) as upstream:
            upstream.sendall(head)
            other = {self.request: upstream, upstream: self.request}
            with selectors.DefaultSelector() as selector:
                for either in other:
                    selector.register(either, selectors.EVENT_READ, data=either)
                while not self.server.giants.is_over:
                    for key, _ in selector.select(0.5):
                        end: socket.socket = key.data
                        if not (data := end.recv(PIECE_BYTES)):
                            return
                        other[end].sendall(data)
