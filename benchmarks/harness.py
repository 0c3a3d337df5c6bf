"""What every figure needs: its shape, processes under test, and what they cost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_CORES = tuple(sorted(os.sched_getaffinity(0)))
_PATIENCE_S = 60.0
_END_S = 20.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure beside its floor.

    `floor` is what the least thinkable way costs in the same run; None where there is none. `goal` is what
    the design promises, None for figures that are only shown; `at_most` when smaller is better.
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    goal: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the goal is met."""
        if self.goal is None:
            return True
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@contextmanager
def python(*arguments: str, log: Path | None = None, alone: bool = True) -> Iterator[subprocess.Popen[str]]:
    """`python <arguments>` in the project's folder, ended with the block. It is killed where it does not end.

    Its standard input and output are pipes; a child may take the end of its input for the order to stop.

    Args:
        log: where its standard error goes.
        alone: it is under test, and has a core that this process does not use.
    """
    error = log.open("a") if log is not None else None
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=error,
        text=True,
    )
    if alone:
        separate(process.pid)
    try:
        yield process
    finally:
        end(process)
        if error is not None:
            error.close()


def separate(pid: int) -> None:
    """Give a process the last core, and this one the others: neither runs in the other's way, nor hops about."""
    if len(_CORES) > 1:
        os.sched_setaffinity(pid, _CORES[-1:])
        os.sched_setaffinity(0, _CORES[:-1])


@contextmanager
def separated() -> Iterator[None]:
    """This process is under test itself while the block runs: it has the last core for that time."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _CORES[-1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def end(process: subprocess.Popen[str]) -> float:
    """Stop it in order, with SIGTERM and the end of its input; returns how long that took in seconds."""
    started_s = time.monotonic()
    if process.poll() is None:
        process.terminate()
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    took_s = time.monotonic() - started_s
    if process.stdout is not None:
        process.stdout.close()
    return took_s


def cpu_s(process: subprocess.Popen[str]) -> float:
    """CPU seconds of a process so far, all threads, user and system (proc(5), /proc/pid/stat)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def resident_mb(process: subprocess.Popen[str]) -> float:
    """Its resident memory, shared libraries included."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 1e6


def written_bytes(process: subprocess.Popen[str]) -> int:
    """What it caused to be written to disks (proc(5), /proc/pid/io)."""
    lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = _PATIENCE_S, every_s: float = 0.02) -> None:
    """Look often until something is so.

    Raises:
        TimeoutError: it was not within `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"measuring: waited {timeout_s:.0f} s in vain until {what}")
        time.sleep(every_s)


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def http_status(port: int, path: str) -> int | None:
    """What a web server of this machine answers; None while it does not."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return None
