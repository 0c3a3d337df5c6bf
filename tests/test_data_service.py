"""The data service seen from another process, on a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.data_service import DataService
from storage import BarStore, Reader, ServiceState

EXCHANGE_MS = 1_791_382_992_723
COMMITTED_MS = 1_700_000_000_000  # a local clock that is years behind


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BarStore]:
    store = BarStore.open(tmp_path / "bars.db")
    yield store
    store.close()


@pytest.fixture
def reader(store: BarStore, tmp_path: Path) -> Iterator[Reader]:
    del store  # the file is there once it is open
    reader = Reader(tmp_path / "bars.db")
    yield reader
    reader.close()


def seen(reader: Reader, *, after_ms: int) -> DataService:
    return DataService(reader, lambda: COMMITTED_MS + after_ms)


def test_a_service_that_never_ran_says_nothing(reader: Reader) -> None:
    service = seen(reader, after_ms=0)
    assert (service.now_ms(), service.status()) == (None, {})
    assert service.health() == "no data service has written to the database yet"


@pytest.mark.parametrize(
    ("after_ms", "passed_ms", "health"),
    [
        (-5_000, 0, None),
        (0, 0, None),
        (30_000, 30_000, None),
        (30_001, 30_000, "the data service's last commit is 30 s old"),
        (3_600_000, 30_000, "the data service's last commit is 3600 s old"),
    ],
)
def test_its_clock_runs_on_until_it_falls_silent(
    store: BarStore, reader: Reader, after_ms: int, passed_ms: int, health: str | None
) -> None:
    status = {"state": "live", "symbols": {"total": 3}}
    store.commit([ServiceState(json.dumps(status), EXCHANGE_MS, COMMITTED_MS)])
    service = seen(reader, after_ms=after_ms)
    assert (service.now_ms(), service.health()) == (EXCHANGE_MS + passed_ms, health)


def test_its_status_is_what_it_said_last_until_it_falls_silent(store: BarStore, reader: Reader) -> None:
    said = {"state": "live", "reason": None, "symbols": {"total": 3}}
    store.commit([ServiceState(json.dumps(said), EXCHANGE_MS, COMMITTED_MS)])
    assert seen(reader, after_ms=30_000).status() == said
    silence = "the data service's last commit is 31 s old"
    assert seen(reader, after_ms=31_000).status() == {**said, "state": "degraded", "reason": silence}
