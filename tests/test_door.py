"""The port's door: slow, silent, greedy and many clients against one that only wants its answer."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.support.ports import HOST, PATIENCE_S, ask, connected, is_closed, read_reply, request, until
from tests.support.service import ROOT
from tests.test_guard import Server, handshake
from web import Access

QUICK_S = 0.05
BIG = bytes(8_000_000)
"""More than the two ends of a loopback connection hold between them."""


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """A small answer; below /big one that does not fit into a connection, below /parts the same as a hundred parts."""
    path = environ["PATH_INFO"]
    body = BIG if path in ("/big", "/parts") else b"ok"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return (body[:80_000] for _ in range(100)) if path == "/parts" else [body]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience in hundredths of a second, as far as the clients of these tests are slow on purpose."""
    monkeypatch.setattr("web.door.LOOK_S", QUICK_S)
    for name in ("FIRST_BYTE_S", "HEADERS_S", "STUCK_S"):
        monkeypatch.setattr(f"web.connections.{name}", 5 * QUICK_S)


def running(clients: int = 2048) -> Iterator[Server]:
    server = Server(wsgi, HOST, 0, access=Access.of(HOST), clients=clients)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    yield from running()


@pytest.fixture
def small() -> Iterator[Server]:
    yield from running(clients=8)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "said", [b"", b"G", request()[:-2], request() + b"GET"], ids=["nothing", "a letter", "no end", "one and a part"]
)
def test_a_client_that_never_ends_its_request_is_closed(server: Server, said: bytes) -> None:
    with connected(server.port) as client:
        client.sendall(said)
        assert is_closed(client)


@pytest.mark.usefixtures("quick")
def test_a_byte_now_and_then_does_not_keep_a_place(server: Server) -> None:
    with connected(server.port, QUICK_S) as client:

        def is_cut() -> bool:
            try:
                client.sendall(b"a")
            except OSError:
                return True
            return is_closed(client)

        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        until(is_cut, "the slow client was closed")


def test_a_client_between_two_requests_is_left_in_peace(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.door.LOOK_S", 0.1)
    for name in ("FIRST_BYTE_S", "HEADERS_S", "STUCK_S"):
        monkeypatch.setattr(f"web.connections.{name}", 3.0)
    with connected(server.port) as idle, connected(server.port) as slow:
        idle.sendall(request())
        read_reply(idle)
        slow.sendall(b"G")
        assert is_closed(slow)  # the idle one has been looked at as often
        idle.sendall(request())
        assert read_reply(idle).status == 200


def test_a_hundred_slow_clients_keep_nobody_waiting(server: Server) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(server.port)) for _ in range(100)]
        for number, client in enumerate(clients):
            client.sendall((b"", b"GET /", request()[:-2], request("/big"), request("/parts"))[number % 5])
        for _ in range(50):
            assert ask(server.port, request()).body == b"ok"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("path", ["/big", "/parts"])
def test_a_client_that_does_not_read_is_cut_off(server: Server, path: str) -> None:
    door = server.door
    with connected(server.port) as client:
        client.sendall(request(path))
        until(lambda: door.tally["clients that did not read"] == 1, "the client was cut off")
        assert len(client.recv(1 << 24)) < len(BIG)
        until(lambda: len(door.places) == 0, "its place was free again")
    until(lambda: door.handover.unread == 0, "its answer was given up")


def test_a_client_that_reads_all_the_time_but_too_slowly_is_cut_off(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.door.LOOK_S", QUICK_S)
    monkeypatch.setattr("web.places.READ_GRACE_S", 5 * QUICK_S)
    monkeypatch.setattr("web.places.READ_BYTES_PER_S", 1 << 40)
    with connected(server.port) as client:
        client.sendall(request("/big"))

        def is_cut() -> bool:
            client.recv(1)
            return server.door.tally["clients that read too slowly"] == 1

        until(is_cut, "the client was cut off")


def test_when_too_much_waits_to_be_read_the_oldest_makes_way(server: Server) -> None:
    server.door.handover.unread_max = 3 * len(BIG) // 2
    with connected(server.port) as first, connected(server.port) as second:
        first.sendall(request("/big"))
        until(lambda: server.door.handover.unread == len(BIG), "the first answer waited to be read")
        second.sendall(request("/big"))
        assert len(read_reply(second).body) == len(BIG)
        assert len(read_to_end(first)) < len(BIG)


def test_who_waits_makes_way_for_who_comes_and_strangers_first(small: Server) -> None:
    with ExitStack() as stack:
        regular = stack.enter_context(connected(small.port))
        regular.sendall(request())
        read_reply(regular)
        silent = [stack.enter_context(connected(small.port)) for _ in range(40)]
        assert ask(small.port, request()).body == b"ok"
        assert is_closed(silent[0])
        regular.sendall(request())
        assert read_reply(regular).body == b"ok"
        assert len(small.door.places) <= 8


def test_when_all_are_being_served_the_next_is_refused_at_once_and_served_later(small: Server) -> None:
    with ExitStack() as stack:
        greedy = [stack.enter_context(connected(small.port)) for _ in range(8)]
        for client in greedy:
            client.sendall(request("/big"))
            assert client.recv(1)
        refused = ask(small.port, request())
        assert refused.status == 503
        assert json.loads(refused.body)["error"]["code"] == "too_many_clients"
        greedy[0].close()
        until(lambda: ask(small.port, request()).status == 200, "a place was free")


def test_streams_leave_places_for_questions(small: Server) -> None:
    with ExitStack() as stack:
        for _ in range(6):
            client = stack.enter_context(connected(small.port))
            client.sendall(handshake())
            assert client.recv(12) == b"HTTP/1.1 101"
        assert ask(small.port, handshake()).status == 503
        assert ask(small.port, request()).status == 200


def frame(opcode: int, payload: bytes = b"", *, is_last: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    assert len(payload) < 126
    return bytes([0x80 * is_last | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(1, b"a\xff"), 1007),
        (frame(1, b"a", is_last=False) + frame(0, is_last=False) * 1_000 + frame(0), 1008),
        (frame(3), 1002),
        (frame(0), 1002),
        (b"\x81\x01a", 1002),
        (bytes([0x81, 0xFF]) + (1 << 40).to_bytes(8, "big") + bytes(4), 1009),
    ],
    ids=["no UTF-8", "a thousand fragments", "no such opcode", "a fragment of nothing", "no mask", "a terabyte"],
)
def test_junk_on_a_stream_closes_it_with_the_reason_and_is_not_logged(
    server: Server, said: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), connected(server.port) as client:
        client.sendall(handshake())
        until(lambda: client.recv(1) == b"\n" and client.recv(3) == b"\r\n\x81", "the stream was open")
        assert client.recv(1) == b"\x00"
        client.sendall(said)
        answer = b""
        while part := client.recv(100):
            answer += part
    assert answer[-100:][answer.index(b"\x88") + 2 :][:2] == code.to_bytes(2, "big")
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_client_that_pings_and_does_not_read_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.door.LOOK_S", QUICK_S)
    monkeypatch.setattr("web.connections.STREAM_UNREAD_MAX", 10_000)
    with connected(server.port) as client:
        client.sendall(handshake())
        pings = frame(9, bytes(125)) * 100
        with pytest.raises(ConnectionError):
            flood(client, pings)


def flood(client: socket.socket, data: bytes) -> None:
    for _ in range(100_000):
        client.sendall(data)


def read_to_end(client: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionError):
        while part := client.recv(1 << 20):
            said += part
    return said


def test_what_was_done_to_clients_is_told_once_in_a_line(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert ask(server.port, b"\x00\r\n\r\n").status == 400
    with caplog.at_level(logging.INFO, logger="web.door"):
        server.door.report()
        server.door.report()
    assert caplog.messages == ["web clients in the last minute: 3 connections with no HTTP in them"]


SCARCE = """
import os, resource, socket, sys, threading
from tests.support.ports import HOST, ask, connected, is_closed, request, until
from tests.test_door import wsgi
from web import WebServer, room_for

resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
clients = int(sys.argv[1]) or room_for(2048)
server = WebServer(wsgi, HOST, 0, clients=clients)
server.start()
print(server.port, flush=True)
for line in sys.stdin:
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)] if line == "open files\\n" else []
    for descriptor in held:
        os.close(descriptor)
    print(len(held), len(os.listdir("/proc/self/fd")), flush=True)
server.stop()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of open files on Windows")
@pytest.mark.parametrize("limit", [0, 1_000], ids=["places fit the limit", "descriptors run out"])
def test_more_clients_than_file_descriptors_harm_neither_each_other_nor_the_process(limit: int) -> None:
    command = [sys.executable, "-c", SCARCE, str(limit)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with ExitStack() as stack:
            silent = [stack.enter_context(connected(port)) for _ in range(300)]
            if limit == 0:
                assert ask(port, request()).body == b"ok"
                process.stdin.write("open files\n")
                process.stdin.flush()
                opened, _ = process.stdout.readline().split()
                assert opened == "20"
            else:
                for client in silent:
                    client.settimeout(0.001)
                until(lambda: any(map(is_closed, silent)), "somebody was turned away")
        until(lambda: ask_or_none(port) == b"ok", "the process served again")
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


def ask_or_none(port: int) -> bytes | None:
    try:
        return ask(port, request()).body
    except ConnectionError:
        return None
