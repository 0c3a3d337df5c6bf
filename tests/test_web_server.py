"""The HTTP server on real loopback sockets."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.ports import ask
from web import WebServer

HOST = "127.0.0.1"
PATIENCE_S = 30.0


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    body = environ["PATH_INFO"].encode("latin1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def server() -> Iterator[WebServer]:
    server = WebServer(echo, HOST, 0)
    server.start()
    yield server
    server.stop()


def get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def said_to(port: int, data: bytes) -> bytes:
    """All that comes back for `data` until the server closes, or says nothing more for half a second."""
    answer = b""
    with socket.create_connection((HOST, port), timeout=0.5) as connection:
        connection.sendall(data)
        try:
            while part := connection.recv(65_536):
                answer += part
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def is_stopped(server: WebServer) -> bool:
    """Stop it; whether it ended by itself, within a time that no open connection needs."""
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    stopper.join(PATIENCE_S)
    return not stopper.is_alive()


def test_port_0_picks_a_free_port_and_names_it(server: WebServer) -> None:
    assert server.port > 0
    assert get(server.port, "/here") == b"/here"


def test_a_taken_port_fails_in_the_constructor_and_the_error_names_it() -> None:
    first = WebServer(echo, HOST, 0)
    with pytest.raises(OSError, match=rf"listening on {HOST}:{first.port}: .*in use"):
        WebServer(echo, HOST, first.port)
    first.stop()


def test_a_host_that_is_not_ours_fails_in_the_constructor_and_the_error_names_it() -> None:
    with pytest.raises(OSError, match=r"listening on 192\.0\.2\.1:0: "):
        WebServer(echo, "192.0.2.1", 0)


def test_several_servers_live_in_one_process(server: WebServer) -> None:
    other = WebServer(echo, HOST, 0)
    other.start()
    assert get(server.port, "/one") == b"/one"
    assert get(other.port, "/two") == b"/two"
    other.stop()
    assert get(server.port, "/three") == b"/three"


def test_a_port_is_free_again_after_stop() -> None:
    first = WebServer(echo, HOST, 0)
    first.start()
    get(first.port, "/")
    first.stop()
    second = WebServer(echo, HOST, first.port)
    second.start()
    assert get(second.port, "/again") == b"/again"
    second.stop()


def test_stop_waits_for_no_idle_connection_and_leaves_no_thread() -> None:
    threads_before = set(threading.enumerate())
    server = WebServer(echo, HOST, 0)
    server.start()
    silent = socket.create_connection((HOST, server.port))
    halfway = socket.create_connection((HOST, server.port))
    halfway.sendall(b"GET / HT")
    kept_alive = http.client.HTTPConnection(HOST, server.port)
    kept_alive.request("GET", "/")
    kept_alive.getresponse().read()
    assert is_stopped(server)
    assert set(threading.enumerate()) <= threads_before
    for client in (silent, halfway, kept_alive):
        client.close()


def test_stop_does_not_wait_for_a_client_that_does_not_read_and_leaves_no_thread() -> None:
    threads_before = set(threading.enumerate())

    def endless(_environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [bytes(50_000_000)]

    server = WebServer(endless, HOST, 0)
    server.start()
    with socket.create_connection((HOST, server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100)
        assert is_stopped(server)
    assert set(threading.enumerate()) <= threads_before


def test_stop_waits_for_an_answer_in_the_making_and_leaves_no_thread() -> None:
    threads_before = set(threading.enumerate())
    asked, answer = threading.Event(), threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        asked.set()
        assert answer.wait(PATIENCE_S)
        return echo(environ, start_response)

    server = WebServer(slow, HOST, 0)
    server.start()
    bodies: list[bytes] = []
    client = threading.Thread(target=lambda: bodies.append(get(server.port, "/slow")))
    client.start()
    assert asked.wait(PATIENCE_S)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    answer.set()
    stopper.join(PATIENCE_S)
    client.join(PATIENCE_S)
    assert bodies == [b"/slow"]
    assert set(threading.enumerate()) <= threads_before


def test_a_second_stop_does_nothing_and_stop_without_start_frees_the_port() -> None:
    server = WebServer(echo, HOST, 0)
    server.stop()
    server.stop()
    again = WebServer(echo, HOST, server.port)
    again.stop()


JUNK = [
    b"\x00\x01\x02\xff" * 50,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET /\xff\xe5?x=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGARBAGE\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ?\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
]


def test_a_websocket_handshake_is_refused(server: WebServer) -> None:
    handshake = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert ask(server.port, handshake).status == 403


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_junk_is_answered_or_cut_off_but_never_logged_with_a_traceback(
    server: WebServer, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):  # the root logger's level, as an application sets it
        answer = said_to(server.port, junk)
        assert get(server.port, "/still-here") == b"/still-here"
    assert not answer.startswith(b"HTTP/1.1 5")
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_body_that_breaks_off_in_junk_is_refused_and_never_logged_with_a_traceback(
    server: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), socket.create_connection((HOST, server.port), timeout=PATIENCE_S) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        client.sendall(b"zz\r\n")
        assert client.recv(10_000).startswith(b"HTTP/1.1 400")
        while client.recv(10_000):
            pass
        assert get(server.port, "/still-here") == b"/still-here"
    assert [record for record in caplog.records if record.exc_info] == []
