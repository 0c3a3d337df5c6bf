"""What commands that do one thing and end print, and with which status."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.settings import Settings
from actors.shell.errands import status
from storage import BarStore, ServiceState


@pytest.fixture
def database(tmp_path: Path) -> Iterator[BarStore]:
    store = BarStore.open(tmp_path / "bars.db")
    yield store
    store.close()


def say(database: BarStore, *, seconds_ago: int) -> None:
    """Let a data service have committed so long ago."""
    state = json.dumps({"state": "live", "version": "0.1.0", "database": {"path": "[a]/币.db"}})
    database.commit([ServiceState(state, 0, time.time_ns() // 1_000_000 - seconds_ago * 1_000)])


def test_status_prints_a_table(database: BarStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say(database, seconds_ago=0)
    assert status(Settings.of(database=tmp_path / "bars.db"), as_json=False) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["state", "live"], ["version", "0.1.0"], ["database", "[a]/币.db"]]


def test_status_prints_json(database: BarStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say(database, seconds_ago=0)
    assert status(Settings.of(database=tmp_path / "bars.db"), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "live"


def test_status_tells_when_the_service_has_stopped(
    database: BarStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.of(database=tmp_path / "bars.db")
    assert status(settings, as_json=False) == 1
    assert tuple(capsys.readouterr()) == ("", "barkeep: no data service has written to the database yet\n")
    say(database, seconds_ago=3_600)
    assert status(settings, as_json=True) == 1
    assert capsys.readouterr().err.startswith("barkeep: the data service's last commit is 36")
