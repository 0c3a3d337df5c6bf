"""`python run.py audit` against simulated exchanges: what it finds, what it mends, what it says."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.commands.audit.compare import run_audit
from actors.commands.audit.scope import AuditOptions
from actors.settings import Settings
from bars import DAY, INTERVALS, MINUTE, MINUTE_MS, STORED, Bar, Interval, Scale, Span, aggregate_all
from bars.interval import DAY_MS, HOUR_MS
from exchange import RestClient
from exchange.simulated import ContractPlan, FaultPlan, RecordedSeries, SimulatedExchange, WorldPlan, default_plan
from storage import BarStore, ClosedBars, ContractsSeen, Origin, Reader
from tests.support.recorded import DATA, Recorded
from tests.support.service import ROOT
from tests.support.stored import ALL
from wire.rows import FIELDS, row_from_bar

DAYS = 2
SYMBOLS = ("ETHUSDT", "SOLUSDT")
ENDED = "BTCSTUSDT"


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    with SimulatedExchange(default_plan(seed=3, count=3, changes=False)) as exchange:
        yield exchange


@pytest.fixture
def faultless(exchange: SimulatedExchange) -> Iterator[SimulatedExchange]:
    yield exchange
    exchange.faults = FaultPlan()


def span_of(exchange: SimulatedExchange) -> Span:
    """Two whole days that ended some days before the exchange's time began; every contract trades in them."""
    stop_ms = DAY.floor(exchange.plan.start_ms) - 4 * DAY_MS
    return Span(stop_ms - DAYS * DAY_MS, stop_ms)


@pytest.fixture(scope="module")
def template(exchange: SimulatedExchange, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the minutes of the span and the larger bars that they give."""
    path = tmp_path_factory.mktemp("audit") / "bars.db"
    client = RestClient(exchange.rest_url)
    contracts = client.exchange_info().value.contracts
    client.close()
    store = BarStore.open(path)
    for contract in contracts:
        if contract.symbol in (*SYMBOLS, ENDED):
            bars = exchange.world.bars(contract.symbol, MINUTE, *span_of(exchange))
            store.commit([ContractsSeen([contract]), ClosedBars(contract.key, MINUTE, bars, Origin.STREAM)])
    store.close()
    return path


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template, tmp_path / "bars.db"))


def audit(exchange: SimulatedExchange, database: Path, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "run.py", "audit", "--database", str(database), "--rest-url", exchange.rest_url]
    if "--symbols" not in options:
        arguments += ["--symbols", ",".join(SYMBOLS)]
    return subprocess.run([*arguments, *options], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def found(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str, str, int]]:
    """Symbol, interval, kind and bars of every finding but pauses of an audit that wrote JSON."""
    findings = json.loads(done.stdout.splitlines()[-1])["findings"]
    told = (one for one in findings if one["kind"] != "pause")
    return [(one["symbol"], one["interval"], one["kind"], one["bars"]) for one in told]


def plant(database: Path, statement: str, *parameters: int) -> int:
    """Change rows behind Barkeep's back; returns how many. Times are minutes since the epoch."""
    with sqlite3.connect(database) as connection:
        changed = connection.execute(statement, parameters).rowcount
    connection.close()
    return changed


def overwrite(database: Path, symbol: str, interval: Interval, bars: Sequence[Bar]) -> None:
    """Commit bars of the stream, whatever was there."""
    store = BarStore.open(database)
    reader = Reader(database)
    record = reader.find(symbol)
    assert record is not None
    store.commit([ClosedBars(record.key, interval, bars, Origin.STREAM)])
    reader.close()
    store.close()


def assert_true(exchange: SimulatedExchange, database: Path, symbol: str) -> None:
    """All stored bars in the span are the exchange's."""
    reader = Reader(database)
    record = reader.find(symbol)
    assert record is not None
    for interval in STORED[:-1]:
        held = [stored.bar for stored in reader.bars(record, interval, limit=ALL) if stored.closed]
        assert held == exchange.world.bars(symbol, interval, *span_of(exchange))
    reader.close()


def test_bars_that_are_the_exchanges_end_with_status_0_and_a_table(exchange: SimulatedExchange, database: Path) -> None:
    done = audit(exchange, database)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:5] == ["symbol", "interval", "from", "to", "compared"]
    table = {(line[0], line[1]): line[4:6] for line in lines[1:13] if line and line[0] in SYMBOLS}
    counts = {"1m": "2,880", "5m": "576", "30m": "96", "1h": "48", "4h": "12", "1d": "2"}
    assert table == {(symbol, name): [count, count] for symbol in SYMBOLS for name, count in counts.items()}
    assert done.stdout.splitlines()[-1] == "audit: 7,228 bars compared, nothing missing or different"


def test_repairing_what_is_right_changes_nothing_and_tells_how_far_it_is(
    exchange: SimulatedExchange, database: Path
) -> None:
    told: list[Mapping[str, Any]] = []
    settings = Settings.of(database=database, symbols="SOLUSDT", rest_url=exchange.rest_url)
    report = run_audit(settings, AuditOptions((MINUTE,), repair=True), lambda facts: told.append(facts()))
    assert report.is_clean
    assert report.lines()[-1] == "audit: 2,880 bars compared, 0 mended, nothing missing or different"
    assert told[-1] == {"bars_done": 2_880, "bars_total": 2_880, "seconds_left": 0.0}


def test_where_nothing_is_stored_nothing_is_compared(exchange: SimulatedExchange, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    store = BarStore.open(path)
    client = RestClient(exchange.rest_url)
    store.commit([ContractsSeen(client.exchange_info().value.contracts)])
    client.close()
    store.close()
    settings = Settings.of(database=path, rest_url=exchange.rest_url)
    assert run_audit(settings, AuditOptions((MINUTE,)), lambda _: None).lines() == [
        "audit: 0 bars compared, nothing missing or different"
    ]


def test_every_interval_that_is_served_can_be_compared(exchange: SimulatedExchange, database: Path) -> None:
    done = audit(exchange, database, "--intervals", "3m,15m,2h,8h,12h", "--json", "--symbols", "SOLUSDT")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["clean"] is True
    equal = {one["interval"]: (one["equal"], one["sums"]) for one in report["series"]}
    sources = {"1m": (2880, 0), "5m": (576, 576), "30m": (96, 96), "4h": (12, 12)}
    assert equal == sources | {"3m": (960, 0), "15m": (192, 0), "2h": (24, 0), "8h": (6, 0), "12h": (4, 0)}


def test_rows_corrupted_behind_our_back_are_found_named_and_mended(exchange: SimulatedExchange, database: Path) -> None:
    noon = (span_of(exchange).start_ms + 12 * HOUR_MS) // MINUTE_MS
    reader = Reader(database)
    ids = {record.contract.symbol: record.id for record in reader.contracts()}
    reader.close()
    where = "WHERE contract_id = ? AND interval = ? AND open_minute BETWEEN ? AND ?"
    assert plant(database, f"UPDATE bar SET volume = volume + 1 {where}", ids["ETHUSDT"], 1, noon, noon + 2) == 3
    assert plant(database, f"DELETE FROM bar {where}", ids["ETHUSDT"], 5, noon + 60, noon + 119) == 12
    assert plant(database, f"UPDATE bar SET rise = rise + 7 {where}", ids["SOLUSDT"], 240, noon, noon) == 1
    assert plant(database, f"UPDATE bar SET trades = 1 {where}", ids["SOLUSDT"], 1440, noon - 720, noon) == 1
    expected = [
        ("ETHUSDT", "1m", "different", 3),
        ("ETHUSDT", "5m", "missing_here", 12),
        ("SOLUSDT", "4h", "different", 1),
        ("SOLUSDT", "1d", "different", 1),
    ]
    done = audit(exchange, database, "--json")
    assert (done.returncode, found(done)) == (3, expected)
    *_, first, second, third, fourth, last = audit(exchange, database).stdout.splitlines()
    assert "ETHUSDT 1m" in first
    assert "3 bars different: volume " in first
    assert "12:00 to " in first
    assert "ETHUSDT 5m" in second
    assert second.endswith("T14:00: 12 bars missing here")
    assert third.startswith("SOLUSDT 4h")
    assert fourth.startswith("SOLUSDT 1d")
    assert last == "audit: 7,228 bars compared, 5 different, 12 missing here"
    mended = audit(exchange, database, "--repair")
    assert mended.returncode == 0, mended.stdout
    assert mended.stdout.splitlines()[-1] == "audit: 7,228 bars compared, 17 mended, nothing missing or different"
    for symbol in SYMBOLS:
        assert_true(exchange, database, symbol)
    assert audit(exchange, database).returncode == 0


def test_mending_minutes_makes_the_larger_bars_again_that_were_made_of_them(
    exchange: SimulatedExchange, database: Path
) -> None:
    wrong = [
        bar._replace(close=bar.low, trades=bar.trades + 1)
        for bar in exchange.world.bars("SOLUSDT", MINUTE, *span_of(exchange))[500:520]
    ]
    overwrite(database, "SOLUSDT", MINUTE, wrong)
    done = audit(exchange, database, "--intervals", "1m", "--symbols", "SOLUSDT", "--repair", "--json")
    assert (done.returncode, found(done)) == (0, [("SOLUSDT", "1m", "different", 20)])
    assert_true(exchange, database, "SOLUSDT")
    reader = Reader(database)
    record = reader.find("SOLUSDT")
    assert record is not None
    minutes = reader.bars(record, MINUTE, start_ms=wrong[0].open_ms, end_ms=wrong[-1].open_ms, limit=ALL)
    assert {(stored.origin, stored.verified) for stored in minutes} == {(Origin.REST, True)}
    reader.close()


def test_an_explicit_span_names_what_was_never_fetched_and_repair_fetches_it(
    exchange: SimulatedExchange, database: Path
) -> None:
    stop_ms = span_of(exchange).stop_ms
    bounds = ["--from", str(stop_ms - HOUR_MS), "--to", str(stop_ms + HOUR_MS), "--symbols", "ETHUSDT"]
    done = audit(exchange, database, *bounds, "--intervals", "1m", "--json")
    assert (done.returncode, found(done)) == (3, [("ETHUSDT", "1m", "missing_here", 60)])
    assert audit(exchange, database, *bounds, "--intervals", "1m", "--repair").returncode == 0
    assert audit(exchange, database, *bounds).returncode == 0  # 5m, 30m and 1h have come of the minutes


def test_a_bar_that_the_exchange_does_not_have_is_named(exchange: SimulatedExchange, database: Path) -> None:
    first_ms = exchange.world.bars("SOLUSDT", MINUTE, 0, span_of(exchange).start_ms)[0].open_ms
    bar = exchange.world.bars("SOLUSDT", MINUTE, *span_of(exchange))[0]
    overwrite(database, "SOLUSDT", MINUTE, [bar._replace(open_ms=first_ms - MINUTE_MS)])
    done = audit(
        exchange, database, "--to", str(first_ms), "--symbols", "SOLUSDT", "--intervals", "1m", "--repair", "--json"
    )
    assert (done.returncode, found(done)) == (3, [("SOLUSDT", "1m", "missing_there", 1)])


def test_a_contract_that_the_exchange_no_longer_serves_is_compared_with_its_own_sums(
    exchange: SimulatedExchange, database: Path
) -> None:
    done = audit(exchange, database, "--symbols", ENDED, "--intervals", "1m,5m", "--json")
    assert done.returncode == 0, done.stdout
    assert [(kind, bars) for _, _, kind, bars in found(done)] == [("not_compared", 2880), ("not_compared", 576)]
    assert [(one["compared"], one["sums"]) for one in json.loads(done.stdout)["series"]] == [(0, 0), (0, 576)]
    plant(database, "UPDATE bar SET trades = trades + 1 WHERE interval = 5 AND open_minute % 288 = 0")
    done = audit(exchange, database, "--symbols", ENDED, "--intervals", "1m,5m")
    assert done.returncode == 3
    assert "not the sum of smaller bars: trades " in done.stdout


def test_every_contract_of_a_symbol_that_was_used_again_is_looked_at(
    exchange: SimulatedExchange, database: Path
) -> None:
    """The exchange answers for the newer one only: bars of the older one are compared with their sums."""
    reader = Reader(database)
    record = reader.find("ETHUSDT")
    reader.close()
    assert record is not None
    before = DAY.floor(record.contract.onboard_ms) - 30 * DAY_MS
    older = replace(record.contract, onboard_ms=before, delivery_ms=before + DAY_MS)
    minutes = exchange.world.bars("SOLUSDT", MINUTE, *span_of(exchange))[:1_440]
    bars = [bar._replace(open_ms=before + number * MINUTE_MS) for number, bar in enumerate(minutes)]
    store = BarStore.open(database)
    store.commit([ContractsSeen([older]), ClosedBars(older.key, MINUTE, bars, Origin.STREAM)])
    store.close()
    done = audit(exchange, database, "--symbols", "ETHUSDT", "--intervals", "1m,5m", "--json")
    assert (done.returncode, found(done)) == (
        0,
        [("ETHUSDT", "1m", "not_compared", 1440), ("ETHUSDT", "5m", "not_compared", 288)],
    )
    report = json.loads(done.stdout)
    told = [(one["onboard_time"], one["compared"], one["sums"]) for one in report["series"]]
    newer = record.contract.onboard_ms
    assert told == [(before, 0, 0), (before, 0, 288), (newer, 2880, 0), (newer, 576, 576)]
    assert "has this symbol now" in report["findings"][0]["detail"]
    later = ["--from", str(span_of(exchange).start_ms)]
    assert found(audit(exchange, database, "--symbols", "ETHUSDT", "--intervals", "1m,5m", "--json", *later)) == []
    plant(database, "UPDATE bar SET trades = trades + 1 WHERE interval = 5 AND open_minute = ?", before // MINUTE_MS)
    done = audit(exchange, database, "--symbols", "ETHUSDT", "--intervals", "1m,5m", "--json")
    assert (done.returncode, found(done)[-1]) == (3, ("ETHUSDT", "5m", "inconsistent", 1))


def test_repair_beside_a_running_service_is_refused_and_reading_is_not(
    exchange: SimulatedExchange, database: Path
) -> None:
    store = BarStore.open(database)
    done = audit(exchange, database, "--repair")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (4, "", 1)
    assert "only writer" in done.stderr
    assert audit(exchange, database, "--intervals", "1d").returncode == 0
    store.close()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--symbols", "NOUSDT"], "barkeep: --symbols: expected symbols that the database has, got 'NOUSDT'"),
        (
            ["--from", "2025-01-02", "--to", "2025-01-02"],
            "barkeep: --to: expected a time after --from (2025-01-02), got '2025-01-02'",
        ),
    ],
)
def test_a_bad_value_is_one_line_and_status_2(
    options: list[str], line: str, exchange: SimulatedExchange, database: Path
) -> None:
    done = audit(exchange, database, *options)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{line}\n")


def test_an_exchange_that_does_not_serve_this_place_is_one_line_and_status_1(
    faultless: SimulatedExchange, database: Path
) -> None:
    faultless.faults = FaultPlan(only_status=451)
    done = audit(faultless, database)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "geo block" in done.stderr


def test_answers_that_fail_are_asked_for_again(faultless: SimulatedExchange, database: Path) -> None:
    faultless.faults = FaultPlan(server_errors=0.1, cut_bodies=0.1, garbage_bodies=0.05)
    done = audit(faultless, database, "--symbols", "SOLUSDT")
    assert done.returncode == 0, done.stdout + done.stderr


class TestRecorded:
    """FILUSDT on 2024-10-28: 74 minutes that are flat and empty though there were trades, as two hours say."""

    DAY_MS = 1_730_073_600_000
    AT_8_PM_MS, AT_9_PM_MS = DAY_MS + 20 * HOUR_MS, DAY_MS + 21 * HOUR_MS
    PLAN = ContractPlan(
        "FILUSDT",
        "FIL",
        "USDT",
        onboard_ms=DAY_MS - 400 * DAY_MS // 1_000,
        price_decimals=3,
        quantity_decimals=1,
        price_ticks=3_500,
    )

    @pytest.fixture
    def exchange(self, recorded: Recorded, tmp_path: Path) -> Iterator[SimulatedExchange]:
        minutes = recorded.archive_bars("FILUSDT", "1m", "2024-10", Scale(3, 1, 4))
        hours = {bar.open_ms: bar for bar in aggregate_all(minutes, INTERVALS["1h"])}
        at_8, at_9 = hours[self.AT_8_PM_MS], hours[self.AT_9_PM_MS]
        assert (at_8.volume, at_9.volume) == (0, 4_189_788)
        hours[at_8.open_ms] = at_8._replace(open=3_575, high=3_587, low=3_570, close=3_582, volume=3_771_650)
        taker_buy = min(at_9.taker_buy_volume, 1_280_426)
        hours[at_9.open_ms] = at_9._replace(close=3_590, volume=1_280_426, taker_buy_volume=taker_buy)
        path = tmp_path / "FILUSDT-1h-2024-10.csv"
        lines = [",".join(map(str, row_from_bar(bar, INTERVALS["1h"]))) for bar in hours.values()]
        path.write_text("\n".join((FIELDS, *lines)))
        contract = replace(self.PLAN, onboard_ms=minutes[0].open_ms)
        record = RecordedSeries(contract, [DATA / "um_1m" / "FILUSDT-1m-2024-10.csv.gz", path])
        with SimulatedExchange(WorldPlan(1, minutes[-1].open_ms + 2 * DAY_MS, ()), recorded=[record]) as exchange:
            yield exchange

    @pytest.fixture
    def database(self, exchange: SimulatedExchange, tmp_path: Path) -> Path:
        client = RestClient(exchange.rest_url)
        (contract,) = client.exchange_info().value.contracts
        client.close()
        path = tmp_path / "bars.db"
        store = BarStore.open(path)
        bars = exchange.world.bars("FILUSDT", MINUTE, self.DAY_MS, self.DAY_MS + DAY_MS)
        store.commit([ContractsSeen([contract]), ClosedBars(contract.key, MINUTE, bars, Origin.ARCHIVE)])
        store.close()
        return path

    def audit(self, exchange: SimulatedExchange, database: Path, *options: str) -> dict[str, Any]:
        done = audit(exchange, database, "--symbols", "FILUSDT", "--json", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def test_they_are_found_by_the_hours_and_named_as_the_exchanges_contradiction(
        self, exchange: SimulatedExchange, database: Path
    ) -> None:
        report = self.audit(exchange, database)
        (run,) = (one for one in report["findings"] if one["kind"] == "falsely_empty")
        assert (run["interval"], run["bars"]) == ("1m", 74)
        assert (run["from"], run["to"]) == (self.AT_8_PM_MS, self.AT_8_PM_MS + 74 * MINUTE_MS)
        (hours,) = (one for one in report["findings"] if one["interval"] == "1h")
        assert (hours["kind"], hours["bars"], hours["from"]) == ("contradiction", 2, self.AT_8_PM_MS)
        assert hours["detail"].startswith("open 3.575, the 30m bars give 3.")
        counts = {one["interval"]: (one["equal"], one["different"], one["disputed"]) for one in report["series"]}
        assert counts["1m"] == (1_440, 0, 0)
        assert counts["1h"] == (22, 0, 2)
        assert counts["4h"] == (5, 0, 1)

    def test_better_minutes_than_the_exchanges_are_kept(self, exchange: SimulatedExchange, database: Path) -> None:
        hole = [bar for bar in self.held(database) if bar.open_ms >= self.AT_8_PM_MS and bar.is_empty]
        assert len(hole) == 74
        better = [bar._replace(volume=509, quote_volume=509 * bar.close, trades=3) for bar in hole]
        overwrite(database, "FILUSDT", MINUTE, better)
        report = self.audit(exchange, database, "--repair")
        assert next(one["disputed"] for one in report["series"] if one["interval"] == "1m") == 74
        assert [bar for bar in self.held(database) if bar.trades == 3 and bar.volume == 509] == better

    def held(self, database: Path) -> list[Bar]:
        reader = Reader(database)
        (record,) = reader.contracts()
        bars = [stored.bar for stored in reader.bars(record, MINUTE, limit=ALL)]
        reader.close()
        return bars
