"""Small real proxies on loopback: HTTP (CONNECT tunnels and absolute targets) and SOCKS5, with or without passwords."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import urlsplit

_TIMEOUT_S = 30.0


class LoopbackProxy:
    """Accepts connections until it is stopped; remembers where it was sent and how many bytes went through.

    Host names under `.test` lead to loopback: so a test can tell who resolved a name.
    """

    kind = ""

    def __init__(self, user: str | None = None, password: str | None = None) -> None:
        self.targets: list[tuple[str, int]] = []
        self.bytes_passed = 0
        self.refused = 0
        self._credentials = None if user is None else (user, password or "")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.05)
        self.port: int = self._listening.getsockname()[1]
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def url(self, credentials: str = "") -> str:
        return f"{self.kind}://{credentials}127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[LoopbackProxy]:
        self._threads[0].start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()
            self._listening.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            client.settimeout(_TIMEOUT_S)
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            upstream = self._open(client)
            if upstream is None:
                self.refused += 1
                return
            with upstream:
                self._relay(client, upstream)

    def _open(self, client: socket.socket) -> socket.socket | None:
        raise NotImplementedError

    def _connect(self, host: str, port: int) -> socket.socket:
        self.targets.append((host, port))
        return socket.create_connection(("127.0.0.1" if host.endswith(".test") else host, port), timeout=_TIMEOUT_S)

    def _relay(self, client: socket.socket, upstream: socket.socket) -> None:
        other = {client: upstream, upstream: client}
        with selectors.DefaultSelector() as selector:
            for both in other:
                selector.register(both, selectors.EVENT_READ, data=both)
            while not self._stopping.is_set():
                for key, _ in selector.select(0.05):
                    end: socket.socket = key.data
                    data = end.recv(65_536)
                    if not data:
                        return
                    other[end].sendall(data)
                    self.bytes_passed += len(data)


class HttpProxy(LoopbackProxy):
    """CONNECT for tunnels; a plain GET with an absolute target is passed on, one for each connection."""

    kind = "http"

    def _open(self, client: socket.socket) -> socket.socket | None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1) or _ended()
        lines = head.decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        if self._credentials is not None:
            expected = "Basic " + b64encode(":".join(self._credentials).encode()).decode()
            if headers.get("proxy-authorization") != expected:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return None
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            upstream = self._connect(host, int(port))
            client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
            return upstream
        parts = urlsplit(target)
        upstream = self._connect(parts.hostname or "", parts.port or 80)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        kept = [line for line in lines[1:] if not line.lower().startswith(("connection:", "proxy-"))]
        request = "\r\n".join([f"{method} {path} {version}", "Connection: close", *kept]).encode("latin-1")
        upstream.sendall(request)
        self.bytes_passed += len(request)
        return upstream


class SocksProxy(LoopbackProxy):
    """SOCKS5 (RFC 1928), CONNECT only, with user and password (RFC 1929) where they are set."""

    kind = "socks5h"

    def _open(self, client: socket.socket) -> socket.socket | None:
        version, count = _exactly(client, 2)
        methods = _exactly(client, count)
        wanted = 0 if self._credentials is None else 2
        if version != 5 or wanted not in methods:
            client.sendall(b"\x05\xff")
            return None
        client.sendall(bytes([5, wanted]))
        if self._credentials is not None and not self._is_authenticated(client):
            return None
        host, port = self._target(client)
        upstream = self._connect(host, port)
        client.sendall(b"\x05\x00\x00\x01" + socket.inet_aton("127.0.0.1") + struct.pack("!H", port))
        return upstream

    def _is_authenticated(self, client: socket.socket) -> bool:
        _, length = _exactly(client, 2)
        user = _exactly(client, length).decode()
        password = _exactly(client, _exactly(client, 1)[0]).decode()
        accepted = (user, password) == self._credentials
        client.sendall(b"\x01\x00" if accepted else b"\x01\x01")
        return accepted

    def _target(self, client: socket.socket) -> tuple[str, int]:
        _, _, _, kind = _exactly(client, 4)
        if kind == 3:
            host = _exactly(client, _exactly(client, 1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, _exactly(client, size))
        return host, struct.unpack("!H", _exactly(client, 2))[0]


def _exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += client.recv(count - len(data)) or _ended()
    return data


def _ended() -> bytes:
    raise EOFError("the client left in the middle of a request")
