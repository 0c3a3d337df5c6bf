"""run.py: as a real process, its signals, and the web server's address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import run
from actors.options import BadOption
from actors.settings import Settings

PROJECT = Path(run.__file__).parent
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("BARKEEP_")}
DEADLINE_S = 30.0


# As a process


def barkeep(*argv: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROJECT / "run.py"), *argv],
        cwd=cwd,
        env=CLEAN | variables,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_help_goes_to_stdout_with_status_0(tmp_path: Path) -> None:
    done = barkeep("--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: barkeep [command] [options]\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "variables", "line"),
    [
        (["--port", "x"], {}, "barkeep: --port: expected 0 to 65535, got 'x'"),
        (["data"], {"BARKEEP_SYMBOLS": "A/B"}, "barkeep: BARKEEP_SYMBOLS: expected symbols separated by commas, "
         "such as BTCUSDT,ETHUSDT, or all, got 'A/B'"),
        (["--a\nb"], {}, r"barkeep: '--a\nb': expected a known option, the nearest is --database, got '--a\nb'"),
    ],
)  # fmt: skip
def test_a_bad_option_is_exactly_one_line_and_status_2(
    argv: list[str], variables: dict[str, str], line: str, tmp_path: Path
) -> None:
    done = barkeep(*argv, cwd=tmp_path, **variables)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{line}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["web", "status", "audit", "export"])
def test_a_missing_database_is_one_line_and_status_4(command: str, tmp_path: Path) -> None:
    done = barkeep(command, cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 1)
    assert done.stderr.startswith("barkeep: ")
    assert "barkeep.db" in done.stderr


# Signals


class FakeSystem:
    """A system that never ends by itself."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        self._on_wait = on_wait

    def wait(self, timeout_s: float) -> bool:
        self._on_wait()
        return timeout_s < 0

    def status(self) -> dict[str, Any]:
        return {}


def test_the_first_signal_ends_the_watch() -> None:
    with run.signals() as stopping:
        system: Any = FakeSystem(lambda: signal.raise_signal(signal.SIGTERM))
        run.watch(system, stopping, Settings.of())
        assert stopping.requested
        assert stopping.wait(timeout_s=0)


def test_a_signal_wakes_who_waits_for_it() -> None:
    with run.signals() as stopping:
        assert not stopping.wait(timeout_s=0.01)
        subprocess.Popen([sys.executable, "-c", f"import os; os.kill({os.getpid()}, {signal.SIGINT.value})"]).wait()
        assert stopping.wait(timeout_s=DEADLINE_S)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with run.signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_ends_the_process_at_once() -> None:
    script = (
        "import run, signal\n"
        "with run.signals() as stopping:\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('stopping', flush=True)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('still here', flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "stopping\n")


# The web server's address


def test_a_taken_port_is_a_bad_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadOption, match=rf"^--port: expected a free port .*, got {port}$"):
            run.listen(an_app, Settings.of(port=port))


def test_a_service_that_cannot_have_its_port_says_so_in_one_line_and_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as silent:
        port = taken.getsockname()[1]
        # Requests to an exchange that never answers would keep a stop waiting.
        exchange = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = barkeep("--port", str(port), "--rest-url", exchange, "--ws-url", "ws://127.0.0.1:9", cwd=tmp_path)
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("barkeep: --port: expected a free port")
    assert done.stderr.count("\n") == 1


def test_an_address_of_another_machine_is_a_bad_option() -> None:
    with pytest.raises(BadOption, match=r"^--host: expected an address of this machine .*, got '192\.0\.2\.1'$"):
        run.listen(an_app, Settings.of(host="192.0.2.1", port=0))


def an_app(_environ: dict[str, Any], _start_response: Callable[..., Any]) -> list[bytes]:
    return []
