"""The proxy that does harm to connections, against a server that sends back what it is told; and the list of faults."""

from __future__ import annotations

import re
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.giant import GiantServer, bomb
from tests.faults.proxy import FAIR, FaultyProxy, Weather
from tests.faults.table import FAULTS
from tests.support.ports import connected, until

ROOT = Path(__file__).parent.parent
KLINE = b'{"k":{"t":1,"o":"10.5","c":"11","h":"12","l":"10.25","v":"3","x":false}}'


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        connection: socket.socket = self.request
        try:
            while data := connection.recv(65_536):
                connection.sendall(data)
        except OSError:
            return


@pytest.fixture(scope="module")
def echo_port() -> Iterator[int]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def a_proxy(port: int, weather: Weather = FAIR) -> Iterator[FaultyProxy]:
    with FaultyProxy(port) as proxy:
        proxy.weather = weather
        yield proxy


def said(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    got = b""
    while len(got) < len(data) and (part := client.recv(65_536)):
        got += part
    return got


def test_in_fair_weather_all_passes_both_ways_and_an_end_is_passed_on(echo_port: int) -> None:
    with a_proxy(echo_port) as proxy, connected(proxy.port) as client:
        for data in (b"a", b"b" * 300_000):
            assert said(client, data) == data
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_swallowed_connection_is_silent_in_both_directions_and_does_not_end_while_new_ones_work(
    echo_port: int,
) -> None:
    with a_proxy(echo_port) as proxy, connected(proxy.port) as old:
        assert said(old, b"a") == b"a"
        proxy.swallow()
        old.sendall(b"b")
        old.settimeout(0.2)
        with pytest.raises(TimeoutError):
            old.recv(1)
        with connected(proxy.port) as new:
            assert said(new, b"c") == b"c"
        proxy.weather = Weather(is_dead=True)
        with connected(proxy.port) as dead:
            dead.sendall(b"d")
            dead.settimeout(0.2)
            with pytest.raises(TimeoutError):
                dead.recv(1)
        assert proxy.seen["swallowed"] == 2


def test_a_cut_connection_ends_in_the_middle_by_either_way(echo_port: int) -> None:
    with a_proxy(echo_port, Weather(cut=0.5)) as proxy:
        ends: set[str] = set()
        for _ in range(500):
            with connected(proxy.port) as client:
                try:
                    ends.add("whole" if said(client, b"a" * 1000) == b"a" * 1000 else "ended")
                except ConnectionError:
                    ends.add("reset")
            if len(ends) == 3:
                break
        assert ends == {"whole", "ended", "reset"}
        assert proxy.seen["cut"] >= 2


def test_corrupting_changes_one_byte_into_what_no_text_has(echo_port: int) -> None:
    with a_proxy(echo_port, Weather(corrupt=1.0)) as proxy, connected(proxy.port) as client:
        got = said(client, KLINE)
    changed = [(was, now) for was, now in zip(KLINE, got, strict=True) if was != now]
    assert [now for _, now in changed] == [changed[0][0] | 0x80]
    assert proxy.seen["corrupted"] == 1


def test_a_lie_changes_one_digit_of_one_value_and_nothing_else(echo_port: int) -> None:
    with a_proxy(echo_port, Weather(lie=1.0)) as proxy, connected(proxy.port) as client:
        for _ in range(20):
            got = said(client, KLINE)
            changed = [at for at, (was, now) in enumerate(zip(KLINE, got, strict=True)) if was != now]
            assert len(changed) == 1
            assert got[changed[0] : changed[0] + 1].isdigit()
            assert got.startswith(b'{"k":{"t":1,"o":"')
        assert said(client, b"no value here 5") == b"no value here 5"


def test_a_delay_changes_no_order(echo_port: int) -> None:
    with a_proxy(echo_port, replace(FAIR, delay_s=0.01)) as proxy, connected(proxy.port) as client:
        data = b"".join(b"%06d" % number for number in range(20_000))
        assert said(client, data) == data


def test_the_giant_passes_on_until_it_is_told_to_answer_itself(echo_port: int) -> None:
    with GiantServer(echo_port) as giants:
        with connected(giants.port) as client:
            assert said(client, b"GET / HTTP/1.1\r\n\r\n") == b"GET / HTTP/1.1\r\n\r\n"
        giants.giant = lambda head: iter([b"HTTP/1.1 200 OK\r\n\r\n", head])
        with connected(giants.port) as client:
            client.sendall(b"GET /b HTTP/1.1\r\n\r\n")
            got = b""
            while part := client.recv(65_536):
                got += part
        assert got == b"HTTP/1.1 200 OK\r\n\r\nGET /b HTTP/1.1\r\n\r\n"
        until(lambda: giants.seen["bytes"] == len(got), "it has counted what it sent")


def test_a_bomb_is_small_before_it_goes_off() -> None:
    assert len(bomb(1, 1 << 24)) < 1 << 15
    assert len(bomb(2, 1 << 24)) < 1 << 10


def test_every_fault_is_listed_by_the_command_and_in_the_table_of_the_docs() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "tests.faults"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    documented = re.findall(r"`python -m tests\.faults ([a-z-]+)`", (ROOT / "docs/reliability.md").read_text())
    for name in FAULTS:
        assert re.search(rf"^  {name} ", listed.stdout, re.MULTILINE)
    assert sorted(set(documented) - {"all"}) == sorted(FAULTS)


def test_an_unknown_fault_is_refused_with_the_names_of_all() -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "tests.faults", "lightning"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (asked.returncode, asked.stdout) == (2, "")
    assert asked.stderr.startswith("expected one of kill, ")
