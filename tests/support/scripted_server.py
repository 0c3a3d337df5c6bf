"""A small HTTP server on loopback that answers as it was told and remembers what it was asked."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

PATIENCE_S = 30.0


@dataclass(frozen=True)
class Scripted:
    """One answer.

    `cut_after` closes the connection after so many bytes of the body; `pause_s` waits between the bytes of
    the body, `silent` never answers.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    compressed: bool = False
    cut_after: int | None = None
    pause_s: float = 0.0
    silent: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came: the target still percent-encoded."""

    target: str
    headers: dict[str, str]


class ScriptedServer:
    """Gives the scripted answers in order, then the last one for ever."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.script: deque[Scripted] = deque()
        self.stopping = threading.Event()
        self._server = _Server(self)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def answers(self, *script: Scripted) -> None:
        self.script = deque(script)

    @classmethod
    @contextlib.contextmanager
    def running(cls, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
        server = cls(tls)
        server._thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server._server.hang_up()
            server._server.shutdown()
            server._server.server_close()
            server._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, scripted: ScriptedServer) -> None:
        self.scripted = scripted
        self._connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """End what clients keep open."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the script."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S
    server: _Server

    def do_GET(self) -> None:
        scripted = self.server.scripted
        scripted.asked.append(Asked(self.path, dict(self.headers.items())))
        answer = scripted.script.popleft() if len(scripted.script) > 1 else scripted.script[0]
        if answer.silent:
            scripted.stopping.wait(PATIENCE_S)
            self.close_connection = True
            return
        body = gzip.compress(answer.body) if answer.compressed else answer.body
        head = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Content-Length: {len(body)}"]
        head += ["Content-Encoding: gzip"] if answer.compressed else []
        # RFC 9112, 9.6: who will close says so, else the client may ask again on a connection that is going.
        head += ["Connection: close"] if self.close_connection or answer.cut_after is not None else []
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        self.wfile.write("\r\n".join([*head, "", ""]).encode())
        self._write_body(body[: answer.cut_after], answer.pause_s)
        self.close_connection = self.close_connection or answer.cut_after is not None

    def _write_body(self, body: bytes, pause_s: float) -> None:
        if not pause_s:
            self.wfile.write(body)
            return
        for byte in body:
            if self.server.scripted.stopping.wait(pause_s):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the test tells what it saw."""


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of loopback where nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # so that a test may have a server listen there
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        yield port
