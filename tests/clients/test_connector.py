"""binance-futures-connector, in a process of its own: its module is called `binance`, as python-binance's is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.readme import snippet
from tests.clients.served import PATIENCE_S, Served

REQUIREMENT = "binance-futures-connector >= 4.2.0"
PROGRAM = """
import json, queue, sys
messages = queue.SimpleQueue()
names = {"print": messages.put}
exec(sys.stdin.read(), names)
frames = []
try:
    while not (any(k["x"] for k in frames) and any(not k["x"] for k in frames)):
        event = json.loads(messages.get(timeout=float(sys.argv[1])))
        event = event.get("data", event)
        frames += [event["k"]] if "k" in event else []
finally:
    names["socket"].stop()
json.dump({"rows": names["rows"], "frames": frames}, sys.stdout)
"""


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the connector is installed; what it needs is there already.

    Skips without a package index, unless REQUIRE_CLIENTS=1 says that there has to be one.
    """
    folder = tmp_path_factory.mktemp("connector")
    command = [*(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--retries", "1", "--target")]
    done = subprocess.run([*command, str(folder), REQUIREMENT], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        reason = f"pip cannot install {REQUIREMENT}: {done.stderr.strip().splitlines()[-1]}"
        if os.environ.get("REQUIRE_CLIENTS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def ask(source: str, folder: Path) -> dict[str, Any]:
    """The rows that a snippet got, and the `k` of what its socket told."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(PATIENCE_S)],
        input=source,
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_rows_and_live_bars_are_the_exchanges(served: Served, folder: Path) -> None:
    answer = ask(snippet("binance-futures-connector", served.port), folder)
    assert len(answer["rows"]) == 100
    assert answer["rows"][:-1] == served.truth(answer["rows"], "1h")
    served.expect_live(answer["frames"])


def test_the_paths_that_the_exchange_has_retired_go_on(served: Served, folder: Path) -> None:
    source = snippet("binance-futures-connector", served.port)
    assert '/market", ' in source
    served.expect_live(ask(source.replace('/market", ', '", is_combined=True, '), folder)["frames"])
