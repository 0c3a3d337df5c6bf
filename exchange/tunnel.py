"""Connected sockets, straight or through a proxy.

websocket-client could connect by itself, but reads proxies from the process's environment even when told
one, follows redirections past the proxy, and needs a second SOCKS library beside the one of requests.
"""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from urllib.parse import urlsplit

import socks  # type: ignore[import-untyped]

from exchange.proxy import Proxy, parse_proxy
from exchange.tls import trusting_context

_HEAD_BYTES_MAX = 16_384


def connect_to(url: str, proxy: str | None, timeout_s: float, tls: ssl.SSLContext | None = None) -> socket.socket:
    """A socket to the host of `url`, over TLS for `wss`, its time-out set to `timeout_s`.

    Raises:
        OSError: nothing there, no such name, not trusted, too slow, or refused by the proxy.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"opening a stream: expected ws://host or wss://host, got {url!r:.120}")
    is_secure = parts.scheme == "wss"
    connected = _connect(parts.hostname, parts.port or (443 if is_secure else 80), proxy, timeout_s)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if not is_secure:
            return connected
        return (tls or trusting_context()).wrap_socket(connected, server_hostname=parts.hostname)
    except BaseException:
        connected.close()
        raise


def _connect(host: str, port: int, proxy: str | None, timeout_s: float) -> socket.socket:
    if proxy is None:
        return socket.create_connection((host, port), timeout=timeout_s)
    via = parse_proxy(proxy)
    return (_through_http if via.kind == "http" else _through_socks)(host, port, via, timeout_s)


def _through_socks(host: str, port: int, via: Proxy, timeout_s: float) -> socket.socket:
    connected = socks.create_connection(
        (host, port),
        timeout=timeout_s,
        proxy_type=socks.SOCKS5,
        proxy_addr=via.host,
        proxy_port=via.port,
        proxy_rdns=via.kind == "socks5h",
        proxy_username=via.user,
        proxy_password=via.password,
    )
    plain = socket.socket(fileno=connected.detach())  # PySocks' own class reads through Python code
    plain.settimeout(timeout_s)
    return plain


def _through_http(host: str, port: int, via: Proxy, timeout_s: float) -> socket.socket:
    connected = socket.create_connection((via.host, via.port), timeout=timeout_s)
    try:
        connected.sendall(_connect_request(host, port, via))
        head = _read_head(connected)
        status = head.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or status[1] != b"200":
            raise ConnectionError(f"proxy {via.host}:{via.port}: expected a tunnel, got {head[:80]!r}")
    except BaseException:
        connected.close()
        raise
    return connected


def _connect_request(host: str, port: int, via: Proxy) -> bytes:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if via.user is not None:
        credentials = b64encode(f"{via.user}:{via.password or ''}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    return "\r\n".join([*lines, "", ""]).encode()


def _read_head(connected: socket.socket) -> bytes:
    # Nothing may follow the head: in HTTP, TLS and WebSocket alike the client speaks first.
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = connected.recv(4096)
        head += received
        if not received or len(head) > _HEAD_BYTES_MAX or (b"\r\n\r\n" in head and not head.endswith(b"\r\n\r\n")):
            raise ConnectionError(f"proxy: expected the head of an answer to CONNECT, got {head[:80]!r}")
    return head
