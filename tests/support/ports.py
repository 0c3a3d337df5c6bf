"""Talks to a port in bytes, as well-behaved clients do not."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import NamedTuple

HOST = "127.0.0.1"
PATIENCE_S = 30.0
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


class Reply(NamedTuple):
    """An answer; the names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def connected(port: int, timeout_s: float = PATIENCE_S) -> socket.socket:
    return socket.create_connection((HOST, port), timeout_s)


def request(path: str = "/", *headers: str) -> bytes:
    """A GET of `path`, and the client's name for the host."""
    return GET % (path.encode(), "".join(f"{header}\r\n" for header in headers).encode())


def read_reply(client: socket.socket) -> Reply:
    """One answer with a length, or one that ends with the connection.

    Raises:
        ConnectionError: it ended before its headers did.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        data += (part := client.recv(65_536))
        if not part:
            raise ConnectionError(f"expected an answer, got {data!r}")
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 1 << 40)):
        if not (part := client.recv(65_536)):
            break
        body += part
    return Reply(int(status.split()[1]), headers, body)


def ask(port: int, data: bytes) -> Reply:
    """The answer to `data` on a connection of its own."""
    with connected(port) as client:
        client.sendall(data)
        return read_reply(client)


def is_closed(client: socket.socket) -> bool:
    """Whether the other side has closed, now or within the socket's timeout; what it said is dropped."""
    try:
        while client.recv(65_536):
            pass
    except (ConnectionError, BrokenPipeError):
        return True
    except TimeoutError:
        return False
    return True


def until(condition: Callable[[], bool], what: str) -> None:
    """Look until something is so.

    Raises:
        AssertionError: it was not within `PATIENCE_S`.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain until {what}"
        time.sleep(0.01)
