"""Recorded months served as an archive, with holes and corruption: rows, ledger and audit then agree with the record.

What is to be found is written down beside the data: falsely empty minutes of FILUSDT, pauses of the exchange.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from bars import DAY, FIVE_MINUTES, INTERVALS, MINUTE, MINUTE_MS, Bar, Interval, Scale, Span, aggregate_all
from bars.interval import DAY_MS, HOUR_MS
from exchange.simulated import (
    ContractPlan,
    FaultPlan,
    RecordedSeries,
    SimulatedExchange,
    WorldPlan,
)
from storage import Reader
from tests.support.backfill import Backfill
from tests.support.recorded import DATA, Recorded
from tests.support.service import ROOT
from tests.support.wsgi import call
from web import Sources, make_app
from wire.archive_plan import Source
from wire.rows import FIELDS, row_from_bar


def ms(text: str) -> int:
    """A time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * 1_000


def span(start: str, stop: str) -> Span:
    return Span(ms(start), ms(stop))


def a_record(symbol: str, *paths: Path, onboard_ms: int) -> RecordedSeries:
    """A contract of recorded files that was launched as the first of them begins."""
    plan = ContractPlan(
        symbol, symbol.removesuffix("USDT"), "USDT", onboard_ms=onboard_ms, price_decimals=4, quantity_decimals=1,
        price_ticks=1,
    )  # fmt: skip
    return RecordedSeries(plan, paths)


Make = Callable[..., Backfill]


@pytest.fixture
def make(tmp_path: Path, recorded: Recorded) -> Iterator[Make]:  # noqa: ARG001 - without the data there is nothing to do
    """Makes backfills, each on an exchange of its own."""
    running: list[SimulatedExchange] = []

    def make(
        now_ms: int,
        *records: RecordedSeries,
        contracts: Sequence[ContractPlan] = (),
        faults: FaultPlan | None = None,
        halts: tuple[Span, ...] = (),
    ) -> Backfill:
        plan = WorldPlan(1, now_ms, tuple(contracts), halts)
        exchange = SimulatedExchange(plan, faults, recorded=records, pushes=False)
        exchange.start()
        running.append(exchange)
        return Backfill(exchange, tmp_path / f"bars{len(running)}.db")

    yield make
    for exchange in running:
        exchange.stop()


def gaps(backfill: Backfill, now_ms: int) -> list[tuple[str, str, Span, str, str]]:
    """Every gap of `/api/gaps` but what is before a launch or after the record."""
    with closing(Reader(backfill.database)) as reader:
        app = make_app(Sources(reader, now_ms=lambda: now_ms, health=lambda: None, status=dict))
        answered = call(app, "/api/gaps")
    assert answered.status == 200
    return [
        (gap["symbol"], gap["interval"], Span(gap["from"], gap["to"]), gap["reason"], gap["state"])
        for gap in answered.json["gaps"]
    ]


def audit(backfill: Backfill, *options: str) -> dict[str, Any]:
    """What `run.py audit` says, which finds nothing wrong."""
    arguments = [sys.executable, "run.py", "audit", "--database", str(backfill.database)]
    arguments += ["--rest-url", backfill.exchange.rest_url, "--json", *options]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def findings(report: dict[str, Any], kind: str) -> list[tuple[str, str, Span, int]]:
    return [
        (one["symbol"], one["interval"], Span(one["from"], one["to"]), one["bars"])
        for one in report["findings"]
        if one["kind"] == kind
    ]


def held(backfill: Backfill, symbol: str, interval: Interval) -> list[Bar]:
    return [stored.bar for stored in backfill.stored(symbol, interval)]


def test_months_with_holes_and_wrong_checksums_are_stored_to_the_bar_and_their_halt_is_a_pause(make: Make) -> None:
    month = span("2023-09-01", "2023-10-01")
    records = [
        a_record(symbol, DATA / "um_1m" / f"{symbol}-1m-2023-09.csv.gz", onboard_ms=month.start_ms)
        for symbol in ("NEARUSDT", "AVAXUSDT")
    ]
    faults = FaultPlan(monthly_holes=1.0, wrong_checksums=0.5)
    backfill = make(month.stop_ms + 20 * DAY_MS, *records, faults=faults)
    outcome = backfill.run([MINUTE], start_ms=month.start_ms, stop_ms=month.stop_ms)
    assert outcome.missing == []
    assert outcome.added[MINUTE, "archive"] < outcome.added[MINUTE, "archive"] + outcome.added[MINUTE, "rest"] == 86_400
    for record, empty in zip(records, (144, 22), strict=True):
        symbol = record.contract.symbol
        for interval in (MINUTE, FIVE_MINUTES, DAY):
            assert backfill.differences(symbol, interval, *month) == []
        assert sum(bar.is_empty for bar in held(backfill, symbol, MINUTE)) == empty
    halts = [
        ("1m", span("2023-09-12T08:34", "2023-09-12T08:53"), 19),
        ("5m", span("2023-09-12T08:35", "2023-09-12T08:50"), 3),
    ]
    symbols = ("AVAXUSDT", "NEARUSDT")
    assert gaps(backfill, month.stop_ms) == [
        (symbol, name, halt, "exchange pause", "explained") for symbol in symbols for name, halt, _ in halts
    ]
    report = audit(backfill, "--intervals", "1m,5m", "--from", "2023-09-12", "--to", "2023-09-13")
    assert findings(report, "pause") == [(symbol, *halt) for symbol in symbols for halt in halts]
    assert {(one["compared"], one["equal"]) for one in report["series"]} == {(1_440, 1_440), (288, 288)}


def test_files_that_are_wrong_twice_are_archive_holes_until_rest_has_filled_them(make: Make) -> None:
    wanted = span("2023-09-11", "2023-09-14")
    path = DATA / "um_1m" / "NEARUSDT-1m-2023-09.csv.gz"
    record = a_record("NEARUSDT", path, onboard_ms=ms("2023-09-01"))
    backfill = make(ms("2023-10-20"), record, faults=FaultPlan(missing_files=1.0, wrong_checksums=1.0))
    bounds: dict[str, Any] = {"start_ms": wanted.start_ms, "stop_ms": wanted.stop_ms}
    outcome = backfill.run([MINUTE], source=Source.ARCHIVE, **bounds)
    assert [(one.span, one.is_explained) for one in outcome.missing] == [(wanted, False)]
    assert "twice" in outcome.missing[0].reason
    backfill.exchange.faults = FaultPlan(missing_files=1.0)
    middle = span("2023-09-12", "2023-09-13")
    assert backfill.run([MINUTE], source=Source.ARCHIVE, start_ms=middle.start_ms, stop_ms=middle.stop_ms).is_complete
    hole = "archive hole", "being filled"
    assert [gap for gap in gaps(backfill, wanted.stop_ms) if gap[1] == "1m"] == [
        ("NEARUSDT", "1m", Span(wanted.start_ms, middle.start_ms), *hole),
        ("NEARUSDT", "1m", Span(middle.stop_ms, wanted.stop_ms - 3 * MINUTE_MS), *hole),
    ]
    backfill.exchange.faults = FaultPlan(missing_files=1.0, wrong_checksums=1.0)
    assert backfill.run([MINUTE], **bounds).is_complete
    assert backfill.differences("NEARUSDT", MINUTE, *wanted) == []
    assert gaps(backfill, wanted.stop_ms) == []


def test_the_falsely_empty_minutes_of_2024_10_28_are_found_by_the_hours(
    make: Make, recorded: Recorded, tmp_path: Path
) -> None:
    month = span("2024-10-01", "2024-11-01")
    at_8 = ms("2024-10-28T20:00")
    minutes = recorded.archive_bars("FILUSDT", "1m", "2024-10", Scale(3, 1, 4))
    hours = {bar.open_ms: bar for bar in aggregate_all(minutes, INTERVALS["1h"])}
    one, other = hours[at_8], hours[at_8 + HOUR_MS]
    hours[at_8] = one._replace(open=3_575, high=3_587, low=3_570, close=3_582, volume=3_771_650)  # as SOURCES.md says
    hours[at_8 + HOUR_MS] = other._replace(close=3_590, volume=1_280_426, taker_buy_volume=1)
    path = tmp_path / "FILUSDT-1h-2024-10.csv"
    rows = (",".join(map(str, row_from_bar(bar, INTERVALS["1h"]))) for bar in hours.values())
    path.write_text("\n".join((FIELDS, *rows)))
    record = a_record("FILUSDT", DATA / "um_1m" / "FILUSDT-1m-2024-10.csv.gz", path, onboard_ms=month.start_ms)
    backfill = make(month.stop_ms + 20 * DAY_MS, record)
    assert backfill.run([MINUTE], start_ms=month.start_ms, stop_ms=month.stop_ms).missing == []
    stored = held(backfill, "FILUSDT", MINUTE)
    assert stored == [bar.rescaled(stored[0].scale) for bar in minutes]
    report = audit(backfill, "--intervals", "1m,1h")
    assert findings(report, "falsely_empty") == [("FILUSDT", "1m", Span(at_8, at_8 + 74 * MINUTE_MS), 74)]
    assert findings(report, "contradiction") == [("FILUSDT", "1h", Span(at_8, at_8 + 2 * HOUR_MS), 2)]
    assert findings(report, "pause") == []
    counts = {one["interval"]: (one["equal"], one["different"]) for one in report["series"]}
    assert (counts["1m"], counts["1h"]) == ((44_640, 0), (742, 0))
    assert gaps(backfill, month.stop_ms) == []


def expect_pause(backfill: Backfill, symbols: Sequence[str], pause: Span, wanted: Span) -> None:
    """That the ledger, the audit and `/api/gaps` name it, and nothing else."""
    bars = FIVE_MINUTES.count(*pause)
    for symbol in symbols:
        assert [bar.open_ms for bar in held(backfill, symbol, FIVE_MINUTES) if bar.is_empty] == list(
            range(pause.start_ms, pause.stop_ms, FIVE_MINUTES.span_ms)
        )
    assert gaps(backfill, wanted.stop_ms) == [
        (symbol, "5m", pause, "exchange pause", "explained") for symbol in sorted(symbols)
    ]
    report = audit(backfill, "--intervals", "5m")
    assert findings(report, "pause") == [(symbol, "5m", pause, bars) for symbol in sorted(symbols)]
    assert len(report["findings"]) == len(symbols)


def test_the_pause_of_2025_01_29_is_called_one_though_only_five_minute_bars_are_kept(make: Make) -> None:
    month = span("2025-01-01", "2025-02-01")
    symbols = ("BTCUSDT", "NEARUSDT", "1000PEPEUSDT")
    records = [
        a_record(symbol, DATA / "um_5m" / f"{symbol}-5m-2025-01.csv.gz", onboard_ms=month.start_ms)
        for symbol in symbols
    ]
    backfill = make(month.stop_ms + 20 * DAY_MS, *records)
    outcome = backfill.run([FIVE_MINUTES], start_ms=month.start_ms, stop_ms=month.stop_ms)
    assert outcome.missing == []
    assert outcome.added[FIVE_MINUTES, "archive"] == 3 * 8_928
    expect_pause(backfill, symbols, span("2025-01-29T01:25", "2025-01-29T01:35"), month)


def test_so_is_that_of_2025_08_29(make: Make) -> None:
    """No file of that month is at hand: its three empty bars of every symbol are made."""
    wanted = span("2025-08-20", "2025-09-01")
    symbols = ("BTCUSDT", "NEARUSDT", "1000PEPEUSDT")
    contracts = [
        ContractPlan(symbol, symbol[:3], "USDT", onboard_ms=wanted.start_ms, first_trade_ms=wanted.start_ms,
                     price_decimals=2, quantity_decimals=1, price_ticks=5_000)
        for symbol in symbols
    ]  # fmt: skip
    pause = span("2025-08-29T06:20", "2025-08-29T06:35")
    backfill = make(wanted.stop_ms + 20 * DAY_MS, contracts=contracts, halts=(pause,))
    assert backfill.run([FIVE_MINUTES], start_ms=wanted.start_ms, stop_ms=wanted.stop_ms).missing == []
    expect_pause(backfill, symbols, pause, wanted)
