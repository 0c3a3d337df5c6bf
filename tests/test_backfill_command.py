"""`python run.py backfill` as a process: options, plan, summary, exit status, signals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from actors.options import BadOption
from actors.shell.command_line import parse
from bars import DAY, MINUTE, STORED
from bars.interval import DAY_MS, HOUR_MS
from exchange.simulated import ContractPlan, FaultPlan, SimulatedClock, SimulatedExchange, WorldPlan
from storage import BarStore
from tests.support.backfill import Backfill, start_backfill

JULY_MS = 1_782_864_000_000  # 2026-07-01
NOW_MS = JULY_MS + 3 * DAY_MS + 10 * HOUR_MS
PLAIN = ContractPlan("AUSDT", "A", "USDT", onboard_ms=JULY_MS, price_decimals=2, quantity_decimals=1, price_ticks=5_000)
TIMEOUT_S = 60


@pytest.fixture
def exchange() -> Iterator[SimulatedExchange]:
    clock = SimulatedClock(NOW_MS, monotonic=lambda: 0.0)
    with SimulatedExchange(WorldPlan(1, NOW_MS, (PLAIN,)), clock=clock) as running:
        yield running


def test_the_options_have_defaults_and_are_read() -> None:
    assert parse(["backfill"], {}).own == {"intervals": STORED, "from": None, "to": None, "source": "auto"}
    given = parse(
        ["backfill", "--intervals", "1d,1m", "--from", "2026-07-01", "--to=1783000000000", "--source", "REST"], {}
    ).own
    assert given == {"intervals": (MINUTE, DAY), "from": JULY_MS, "to": 1_783_000_000_000, "source": "rest"}
    assert parse(["backfill"], {"BARKEEP_FROM": "2026-07-01T01:00"}).own["from"] == JULY_MS + HOUR_MS


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--intervals", "1h", "intervals separated by commas, of 1m, 5m, 30m, 4h, 1d, 1w, or all"),
        ("--from", "yesterday", "a date (2025-01-31)"),
        ("--to", "2026-13-01", "a date (2025-01-31)"),
        ("--source", "ftp", "auto, rest or archive"),
    ],
)
def test_a_bad_option_is_refused_by_name(option: str, value: str, expected: str) -> None:
    with pytest.raises(BadOption) as raised:
        parse(["backfill", option, value], {})
    assert str(raised.value).startswith(f"{option}: expected {expected}")


def test_plan_and_summary_are_printed_and_the_status_is_0(exchange: SimulatedExchange, tmp_path: Path) -> None:
    backfill = Backfill(exchange, tmp_path / "bars.db")
    process = start_backfill(exchange, backfill.database, "--intervals", "1m", "--from", "2026-07-02")
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert output.startswith("plan:\n  1m      1 series")
    assert "\nadded " in output
    start_ms = JULY_MS + DAY_MS
    assert backfill.differences("AUSDT", MINUTE, start_ms, NOW_MS - 60_000) == []


def test_what_is_missing_is_named_on_the_last_lines_and_the_status_is_3(
    exchange: SimulatedExchange, tmp_path: Path
) -> None:
    exchange.faults = FaultPlan(wrong_checksums=1.0)
    options = ("--intervals", "1m", "--from", "2026-07-02", "--to", "2026-07-03", "--source", "archive")
    process = start_backfill(exchange, tmp_path / "bars.db", *options)
    output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 3, errors
    summary, missing = output.splitlines()[-2:]
    assert summary == "missing: 1,440 bars in 1 spans"
    assert missing.startswith("  AUSDT 1m from 2026-07-02 to 2026-07-03: archive: GET /data/futures/um/daily/klines/")
    assert "expected the SHA-256" in missing


@pytest.mark.parametrize(
    ("options", "status", "text"),
    [
        (("--from", "2026-07-02", "--to", "2026-07-01"), 2, "barkeep: --to: expected a time after --from"),
        (("--symbols", "NOUSDT"), 2, "barkeep: --symbols: expected symbols that the exchange lists, got 'NOUSDT'"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(
    exchange: SimulatedExchange, tmp_path: Path, options: tuple[str, ...], status: int, text: str
) -> None:
    process = start_backfill(exchange, tmp_path / "bars.db", *options)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, len(errors.splitlines())) == (status, 1)
    assert errors.startswith(text)


def test_beside_a_writing_service_it_refuses_with_status_4(exchange: SimulatedExchange, tmp_path: Path) -> None:
    database = tmp_path / "bars.db"
    with closing(BarStore.open(database)):
        process = start_backfill(exchange, database)
        output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, output) == (4, "")
    assert errors.startswith(f"barkeep: opening {database}: expected to be its only writer, got one at work already")


def test_an_exchange_that_does_not_serve_here_is_status_3(exchange: SimulatedExchange, tmp_path: Path) -> None:
    exchange.faults = FaultPlan(only_status=451)
    process = start_backfill(exchange, tmp_path / "bars.db")
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 3
    assert "geo block" in errors.splitlines()[-1]


def test_a_signal_ends_it_soon_and_what_was_fetched_stays(exchange: SimulatedExchange, tmp_path: Path) -> None:
    exchange.faults = FaultPlan(delays=1.0, delay_s=1.0)
    backfill = Backfill(exchange, tmp_path / "bars.db")
    process = start_backfill(exchange, backfill.database, "--from", "2026-07-01")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("  in all"):
            break
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 3
    assert "interrupted: what was fetched is stored, and the same command goes on from there" in output
    exchange.faults = FaultPlan()
    assert backfill.run(start_ms=JULY_MS).is_complete
