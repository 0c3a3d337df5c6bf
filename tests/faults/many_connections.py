"""Twenty thousand connections to the web port, and whether bars are still committed and questions still answered.

    python -m tests.faults many-connections [--connections 20000] [--kind silent|slow|keep|mixed]

Starts `run.py demo`, opens the connections from several processes and loopback addresses (one address has some
28,000 ports, and one process as many files as its limit says), and meanwhile asks for /healthz and for bars on new
connections, ten times a second, and looks into the database. `silent` clients say nothing, `slow` ones send a letter
of a request every second, `keep` ones ask once and stay, `mixed` is all three; who is closed comes again. It holds
when every minute was committed, every question was answered, and the service stopped in order.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bars import MINUTE, MINUTE_MS
from storage import Reader
from tests.faults.outcome import Impossible
from tests.support.ports import HOST, ask, connected, read_reply, request
from tests.support.service import ROOT, last_minute_ms, wait_until

PER_PROCESS = 5_000
PER_ADDRESS = 10_000
HOLD_S = 30.0
ALONE_S = 5.0
AGAIN_PER_S = 100
LETTER_S = 1.0
SPEED = "20"
KINDS = ("silent", "slow", "keep")
QUESTIONS = [
    request(path, "Connection: close") for path in ("/healthz", "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=5")
]

Counts = Any
"""Integers that processes share."""


def run(arguments: Sequence[str] = ()) -> str:
    """Run it all; what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults many-connections", description=__doc__)
    parser.add_argument("--connections", type=int, default=20_000)
    parser.add_argument("--kind", choices=[*KINDS, "mixed"], default="mixed")
    parser.add_argument("--max-clients", default="2048", help="the service's option")
    chosen = parser.parse_args(arguments)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < PER_PROCESS + 1_000:
        raise Impossible(f"{PER_PROCESS + 1_000} open files (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with TemporaryDirectory() as folder:
            return attacked(Path(folder), chosen.connections, chosen.kind, chosen.max_clients)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def attacked(folder: Path, connections: int, kind: str, max_clients: str) -> str:
    database, log = folder / "demo.db", folder / "demo.log"
    with log.open("w") as file:
        command = [
            *(sys.executable, "run.py", "demo", "--port", "0", "--speed", SPEED),
            *("--database", str(database), "--max-clients", max_clients),
        ]
        service = subprocess.Popen(command, cwd=ROOT, stderr=file)
    try:
        seen = judged(service, database, log, connections, kind)
    finally:
        service.send_signal(signal.SIGTERM)
        status = service.wait(30)
    warnings = [f"  {line}" for line in log.read_text().splitlines() if " INFO " not in line]
    print("  the service's warnings:", *warnings[:12], sep="\n")
    assert status == 0, f"the service ended with status {status}"
    return seen


def judged(service: subprocess.Popen[bytes], database: Path, log: Path, count: int, kind: str) -> str:
    """What was seen; some of it is printed on the way."""
    wait_until(lambda: "serving on" in log.read_text(), 60, "the service runs")
    match = re.search(r"serving on http://[^:]+:(\d+)", log.read_text())
    assert match is not None
    port = int(match[1])
    wait_until(lambda: all(ask(port, one).status == 200 for one in QUESTIONS), 60, "it is well")
    with closing(Reader(database)) as reader:
        alone, used_before = questions(port, ALONE_S), use(service)
        print(f"  before: {alone}; {used_before}")
        before_ms, started_s = last_minute_ms(reader, MINUTE), time.monotonic()
        storm, counts, used = under_attack(service, port, count, kind)
        after_ms, took_s = last_minute_ms(reader, MINUTE), time.monotonic() - started_s
        print(f"  meanwhile: {storm}; {use(service)}")
        calm = questions(port, ALONE_S)
        print(f"  afterwards: {calm}; {use(service)}")
        minutes, expected = (after_ms - before_ms) // MINUTE_MS, took_s * int(SPEED) / 60
        gaps = sum(series.gaps for series in reader.series() if series.interval is MINUTE)
    assert not storm.failed, f"meanwhile: {storm}"
    assert not calm.failed, f"afterwards: {calm}"
    assert minutes >= expected - 3, f"{minutes} minutes were committed of about {expected:.0f}"
    assert gaps == 0, f"{gaps} minutes are missing"
    return (
        f"{counts[0]:,} connections opened, {counts[1]:,} of them closed by the service, {used} with all of them "
        f"({used_before} before); meanwhile {storm}; all {minutes} minutes committed, no gap; afterwards {use(service)}"
    )


def under_attack(
    service: subprocess.Popen[bytes], port: int, count: int, kind: str
) -> tuple[Questions, list[int], str]:
    """Questions while so many connections are opened and kept, what `hold` counts, and what the service has of the
    machine with all of them."""
    done = multiprocessing.Event()
    firsts = range(0, count, PER_PROCESS)
    counts: list[Counts] = [multiprocessing.Array("i", 3, lock=False) for _ in firsts]
    clients = [
        multiprocessing.Process(
            target=hold, args=(port, first, min(PER_PROCESS, count - first), kind, done, its), daemon=True
        )
        for first, its in zip(firsts, counts, strict=True)
    ]
    for client in clients:
        client.start()
    asked, all_open_s = Questions(), None
    while all_open_s is None or time.monotonic() < all_open_s + HOLD_S:
        asked.add(port)
        if all_open_s is None and sum(its[0] for its in counts) >= count:
            all_open_s = time.monotonic()
        assert all(client.is_alive() for client in clients), "a process of clients has died"
    used = use(service)
    done.set()
    for client in clients:
        client.join(60)
    return asked, [sum(its[index] for its in counts) for index in range(3)], used


class Questions:
    """Questions on connections of their own, and how they were answered."""

    def __init__(self) -> None:
        self.took_s: list[float] = []
        self.connecting_s: list[float] = []
        self.failed: list[str] = []

    def add(self, port: int) -> None:
        for question in QUESTIONS:
            started_s = time.monotonic()
            try:
                with connected(port) as client:
                    self.connecting_s.append(time.monotonic() - started_s)
                    client.sendall(question)
                    answer = read_reply(client)
                if answer.status != 200:
                    self.failed.append(str(answer))
            except OSError as error:
                self.failed.append(repr(error))
            self.took_s.append(time.monotonic() - started_s)
        time.sleep(0.1)

    def __str__(self) -> str:
        took = sorted(self.took_s)
        of_interest = took[len(took) // 2], took[-len(took) // 50], took[-1], max(self.connecting_s, default=0.0)
        median, late, last, connecting = (f"{took_s * 1000:.0f} ms" for took_s in of_interest)
        failed = f"{len(self.failed)} failed {self.failed[:3]}" if self.failed else "none failed"
        return f"{len(took)} questions, {failed}, median {median}, p98 {late}, most {last} (to connect {connecting})"


def questions(port: int, seconds: float) -> Questions:
    asked, stop_s = Questions(), time.monotonic() + seconds
    while time.monotonic() < stop_s:
        asked.add(port)
    return asked


def hold(port: int, first: int, count: int, kind: str, done: Event, counts: Counts) -> None:
    """Keep so many connections open until all is done: those that the service closes are opened again, some a second.

    `counts` are how many were opened, how many of those the service closed, and how many are left at the end.
    """
    clients: dict[int, socket.socket] = {}
    for number in range(first, first + count):
        clients[number] = opened(port, number, kind)
        counts[0] += 1
    while not done.wait(LETTER_S):
        for number, client in clients.items():
            if kind_of(number, kind) == "slow":
                say(client, b"a")
        over = [number for number, client in clients.items() if is_over(client)]
        for number in over[:AGAIN_PER_S]:
            clients[number].close()
            clients[number] = opened(port, number, kind)
            counts[0] += 1
            counts[1] += 1
    counts[2] = sum(not is_over(client) for client in clients.values())


def opened(port: int, number: int, kind: str) -> socket.socket:
    """A connection from an address that has ports enough, and the first that its client says."""
    client = socket.socket()
    client.settimeout(30)
    client.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
    client.connect((HOST, port))
    client.setblocking(False)
    first_words = {"silent": b"", "slow": b"GET / HTTP/1.1\r\nX: ", "keep": request("/healthz")}
    say(client, first_words[kind_of(number, kind)])
    return client


def kind_of(number: int, kind: str) -> str:
    return KINDS[number % len(KINDS)] if kind == "mixed" else kind


def say(client: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        client.send(data)


def is_over(client: socket.socket) -> bool:
    try:
        while client.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def use(service: subprocess.Popen[bytes]) -> str:
    """What the service has of the machine now."""
    status = Path(f"/proc/{service.pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+)", status)
    files = len(list(Path(f"/proc/{service.pid}/fd").iterdir()))
    return f"{files} open files, {int(match[1]) // 1024 if match else 0} MB"
