"""A service that is done harm, and whether in the end it holds what the exchange has."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bars import MINUTE, MINUTE_MS
from exchange.simulated import SimulatedExchange, default_plan
from storage import Reader
from tests.support.ports import HOST, Reply, read_reply, request
from tests.support.service import ROOT, SHORT_HISTORY, differences, last_minute_ms, stop_service, wait_until

START_S = 60.0
WELL_S = 90.0
TRUTH_S = 180.0
ANSWER_S = 20.0
LOOK_EVERY_S = 0.5
KLINES = "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=5"


def options(
    name: str,
    description: str | None,
    arguments: Sequence[str],
    *,
    symbols: int,
    speed: float,
    seconds: float,
    of_seconds: str = "for how long",
) -> argparse.Namespace:
    """What was asked of a fault, with these where nothing was."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.faults {name}", description=description)
    parser.add_argument("--symbols", type=int, default=symbols)
    parser.add_argument("--speed", type=float, default=speed)
    parser.add_argument("--seconds", type=float, default=seconds, help=of_seconds)
    return parser.parse_args(arguments)


@dataclass
class Trial:
    """`run.py serve` on a simulated exchange.

    Args:
        folder: where the database is.
        logs: where its log is; may be the same.
        options: of the command line, behind those that every trial has.
        before: what comes before the command, and runs it.
        program: what Python is to run.
        environment: beside that of this process.
    """

    exchange: SimulatedExchange
    folder: Path
    logs: Path
    options: Sequence[str] = ()
    before: Sequence[str] = ()
    program: Sequence[str] = ("run.py",)
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    _log_begins: int = 0

    @property
    def database(self) -> Path:
        return self.folder / "bars.db"

    @property
    def log(self) -> Path:
        return self.logs / "service.log"

    @property
    def running(self) -> subprocess.Popen[str]:
        assert self.process is not None, "the service was not started"
        return self.process

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        command = [
            *(*self.before, sys.executable, *self.program, "serve", "--port", "0", "--database", str(self.database)),
            *("--rest-url", self.exchange.rest_url, "--ws-url", self.exchange.ws_url),
            *("--history", SHORT_HISTORY, *self.options),
        ]
        environment = {**os.environ, **self.environment}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stderr=log, text=True, env=environment, start_new_session=True
            )

    def start(self) -> None:
        """Start the process, and wait until it serves."""
        self.launch()
        wait_until(lambda: "serving on" in self.words() or self.has_ended, START_S, "the service runs")
        assert not self.has_ended, f"the service has ended: {self.words()}"

    def expect_refusal(self) -> None:
        """Start it, and see it end with status 4 and one line."""
        self.launch()
        until(lambda: self.has_ended, START_S, "the start was given up")
        assert self.running.returncode == 4, self.words()
        assert self.words().count("\n") == 1, self.words()

    def words(self) -> str:
        """The log since the last start."""
        return self.log.read_bytes()[self._log_begins :].decode(errors="replace")

    @property
    def has_ended(self) -> bool:
        return self.running.poll() is not None

    def kill(self) -> None:
        self.running.kill()
        self.running.wait()

    def stop(self) -> int:
        """Stop it in order; its exit status."""
        return stop_service(self.running, 30)

    @property
    def port(self) -> int:
        match = re.search(r"serving on http://[^:]+:(\d+)", self.words())
        assert match is not None, "the service does not serve"
        return int(match[1])

    def ask(self, path: str, timeout_s: float = ANSWER_S) -> Reply:
        """One answer, on a connection of its own.

        Raises:
            OSError: none came.
        """
        with socket.create_connection((HOST, self.port), timeout_s) as client:
            client.sendall(request(path, "Connection: close"))
            return read_reply(client)

    def expect_answers(self, until_s: float, *expected: int) -> Counter[int]:
        """Ask for bars all the time, until the monotonic clock shows `until_s`; how often the answer had which of the
        expected statuses."""
        answers = Counter[int]()
        while time.monotonic() < until_s:
            reply = self.ask(KLINES)
            assert reply.status in expected, reply
            answers[reply.status] += 1
            time.sleep(0.2)
        return answers

    def status(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.ask("/api/status").body)
        return facts

    def illness(self) -> str:
        """Why it is not well; empty when it is."""
        try:
            reply = self.ask("/healthz")
        except OSError as error:
            return repr(error)
        return "" if reply.status == 200 else reply.body.decode(errors="replace").strip()

    def expect_well(self, timeout_s: float = WELL_S) -> float:
        """Wait until it is well; how long that took."""
        try:
            return until(lambda: not self.illness(), timeout_s, "the service is well")
        except AssertionError as error:
            self.running.send_signal(signal.SIGUSR1)  # all its stacks, into the log
            raise AssertionError(f"{error}: {self.illness()}") from None

    def expect_ill(self, why: str, timeout_s: float) -> float:
        """Wait until it says that it is not well, and why; how long that took."""
        return until(lambda: why in self.illness(), timeout_s, f"the service says {why!r}")

    def expect_truth(self, timeout_s: float = TRUTH_S) -> tuple[int, float]:
        """Wait until it has all that is closed by now, and every bar is the exchange's.

        How many bars there are then, and how long it took.
        """
        now_ms = self.exchange.now_ms()
        with closing(Reader(self.database)) as reader:
            caught_up_s = until(
                lambda: last_minute_ms(reader, MINUTE) + MINUTE_MS >= now_ms - MINUTE_MS, timeout_s, "it has caught up"
            )
            different: list[str] = []

            def is_the_same() -> bool:
                different[:] = differences(reader, self.exchange.world)
                return not different

            try:
                equal_s = until(is_the_same, timeout_s, "no bar differs or is missing")
            except AssertionError as error:
                raise AssertionError(f"{error}: {len(different)}, such as {different[:5]}") from None
            return reader.bars_count(), caught_up_s + equal_s

    def expect_sound(self) -> None:
        """What is stored is right, though not all need be there."""
        with closing(Reader(self.database)) as reader:
            wrong = [line for line in differences(reader, self.exchange.world) if not line.endswith("is missing")]
        assert not wrong, f"{len(wrong)} bars are wrong, such as {wrong[:5]}"

    def expect_no_traceback(self) -> None:
        assert "Traceback" not in self.log.read_text(errors="replace"), "there is a traceback in the log"

    def begin(self) -> tuple[int, float]:
        """Start it, and wait until it is well and has the truth; the same as `expect_truth`."""
        self.start()
        self.expect_well()
        return self.expect_truth()

    def memory_mb(self) -> int:
        """Resident now."""
        return self._memory_mb("VmRSS")

    def peak_mb(self) -> int:
        """The most that was resident, since the start or the last `forget_peak`."""
        return self._memory_mb("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.running.pid}/clear_refs").write_text("5")

    def _memory_mb(self, name: str) -> int:
        match = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{self.running.pid}/status").read_text())
        return int(match[1]) // 1024 if match else 0


@contextmanager
def trial(
    *,
    symbols: int = 40,
    speed: float = 60.0,
    seed: int = 5,
    frames_per_minute: int = 8,
    folder: Path | None = None,
    **settings: Any,
) -> Iterator[Trial]:
    """A trial on an exchange of so many symbols; whatever happens, nothing of it runs on afterwards."""
    plan = default_plan(seed, symbols, history_days=3, frames_per_minute=frames_per_minute, changes=False)
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="barkeep-fault-")))
        exchange = stack.enter_context(SimulatedExchange(plan, speed=speed))
        one = Trial(exchange, folder or logs, logs, **settings)
        try:
            yield one
            one.expect_no_traceback()
        except BaseException:
            if one.log.exists():
                print("the end of the service's log:", one.log.read_text(errors="replace")[-30_000:], sep="\n")
            raise
        finally:
            if one.process is not None and not one.has_ended:
                one.kill()


def until(condition: Any, timeout_s: float, what: str) -> float:
    """Look now and then until something is so; how long that took.

    Raises:
        AssertionError: it was not within `timeout_s`.
    """
    started_s = time.monotonic()
    while not condition():
        assert time.monotonic() - started_s < timeout_s, f"waited {timeout_s:.0f} s in vain until {what}"
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - started_s
