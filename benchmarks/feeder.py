"""A WebSocket server that sends ready-made frames as fast as they are taken.

The simulated exchange renders each frame when it is due, which costs more than any client's reading; here nothing
is left to do but to write. It answers requests as the exchange does, on any path of the exchange's.
"""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import unquote

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from benchmarks.frames import MadeFrame
from wire.subscriptions import Publisher

HOST = "127.0.0.1"
SLICE_MS = 500
"""All connections get what is due in this much of the exchange's time before any gets more."""
_SEND_BUFFER_BYTES = 256 * 1024


@dataclass(slots=True, eq=False)
class _Client:
    connection: ServerConnection
    publisher: Publisher


class Feeder:
    """Serves until it is closed; for one `send` at a time."""

    def __init__(self) -> None:
        self._clients: dict[_Client, None] = {}
        self._server: Server = serve(self._serve, HOST, 0, compression=None, ping_interval=None, max_size=None)
        self.url = f"ws://{HOST}:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Feeder:  # noqa: PYI034 - Self came with Python 3.11
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for client in list(self._clients):
            with suppress(OSError):  # closed just now
                client.connection.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._thread.join()

    def subscribed(self) -> int:
        """How many streams somebody listens to."""
        return len({name for client in list(self._clients) for name in list(client.publisher.names)})

    def send(self, frames: Iterable[MadeFrame], each_slice: Callable[[int], None] = lambda _: None) -> int:
        """Send every frame to whoever subscribed its stream; returns how many were sent.

        Args:
            each_slice: called with the exchange's time before what is due then is sent.
        """
        sent = 0
        batches = self._batches(frames)
        for due_ms in sorted(batches):
            each_slice(due_ms)
            for client, payloads in batches[due_ms].items():
                with client.connection.protocol_mutex:  # its own thread answers pings
                    client.connection.socket.sendall(b"".join(payloads))
                sent += len(payloads)
        return sent

    def _batches(self, frames: Iterable[MadeFrame]) -> dict[int, dict[_Client, list[bytes]]]:
        listeners: dict[str, list[_Client]] = defaultdict(list)
        for client in list(self._clients):
            for name in client.publisher.names:
                listeners[name].append(client)
        batches: dict[int, dict[_Client, list[bytes]]] = defaultdict(lambda: defaultdict(list))
        for due_ms, stream, event in frames:
            for client in listeners[stream]:
                is_combined = client.publisher.combined
                payload = b'{"stream":"%b","data":%b}' % (stream.encode(), event) if is_combined else event
                batches[due_ms // SLICE_MS * SLICE_MS][client].append(_framed(payload))
        return batches

    def _serve(self, connection: ServerConnection) -> None:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        path, _, query = (connection.request.path if connection.request else "").partition("?")
        client = _Client(connection, Publisher(combined=path.endswith("/stream")))
        names = query.removeprefix("streams=").split("/") if query else path.rpartition("/ws/")[2].split("/")
        client.publisher.subscribe(unquote(name) for name in names if "@" in name)
        self._clients[client] = None
        with suppress(ConnectionClosed):
            for request in connection:
                connection.send(client.publisher.on_request(request))
        self._clients.pop(client, None)


def _framed(payload: bytes) -> bytes:
    """A text frame of 126 to 65,535 bytes (RFC 6455, section 5.2)."""
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload
