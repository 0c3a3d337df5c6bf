"""The whole service, mostly as `python run.py` in a process of its own, against an exchange on real sockets."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from actors import BarSystem
from bars import INTERVALS, MINUTE, MINUTE_MS, STORED, Interval
from exchange.simulated import FaultPlan, SimulatedExchange, WorldPlan, default_plan
from storage import BarStore, ClosedBars, ContractsSeen, Origin, Reader, ServiceState
from tests.support.held import HeldClock
from tests.support.market import MONDAY_MS, a_contract, some_bars
from tests.support.proxies import HttpProxy, LoopbackProxy, SocksProxy
from tests.support.scripted_server import closed_port
from tests.support.service import ROOT, SHORT_HISTORY, differences, wait_until
from wire.rows import row_from_bar

SPEED = 60
PATIENCE_S = 40.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "1000PEPEUSDT")
PAGES = {"1m": 150, "5m": 90, "30m": 45, "4h": 15, "1d": 7, "1w": 2}
"""How many bars of each interval a short history has at least, the one in progress included."""
WRONG_CLOCK = """
import runpy, sys, time
true_time, true_time_ns = time.time, time.time_ns
time.time = lambda: true_time() - 600
time.time_ns = lambda: true_time_ns() - 600_000_000_000
sys.argv = ["run.py", *sys.argv[1:]]
runpy.run_path("run.py", run_name="__main__")
"""
"""run.py on a machine whose clock is ten minutes behind."""

Row = list[Any]


@dataclass
class Service:
    """A running `python run.py`."""

    process: subprocess.Popen[str]
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8")

    def base(self) -> str:
        """Where it serves; waits until it does."""
        self.wait_for_log(r"serving on (http://\S+)")
        found = re.search(r"serving on (http://\S+)", self.log)
        assert found is not None
        return found[1]

    def wait_for_log(self, pattern: str) -> None:
        def is_there() -> bool:
            assert self.process.poll() is None, f"it ended: {self.log}"
            return re.search(pattern, self.log) is not None

        wait_until(is_there, PATIENCE_S, f"the log says {pattern}")

    def get(self, target: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(self.base() + target, timeout=PATIENCE_S)

    def rows(self, symbol: str, interval: Interval, limit: int) -> tuple[list[Row], str | None]:
        """The newest rows, and what it says is missing."""
        answer = self.get(f"/fapi/v1/klines?symbol={symbol}&interval={interval}&limit={limit}")
        assert answer.status_code == 200, answer.text
        return answer.json(), answer.headers.get("X-Barkeep-Incomplete")

    def complete_rows(self, exchange: SimulatedExchange, symbol: str, interval: Interval, limit: int) -> list[Row]:
        """The newest rows, as soon as they are as many and as new as the exchange's and nothing is missing."""
        rows: list[Row] = []

        def are_there() -> bool:
            rows[:], missing = self.rows(symbol, interval, limit)
            newest_close_ms = rows[-1][6] if rows else 0
            return missing is None and len(rows) == limit and newest_close_ms > exchange.now_ms() - 2 * MINUTE_MS

        wait_until(are_there, PATIENCE_S, f"{limit} bars of {symbol} {interval} are served")
        return rows

    def wait_for_health(self, status: int = 200) -> requests.Response:
        answers: list[requests.Response] = []

        def answers_so() -> bool:
            answers.append(self.get("/healthz"))
            return answers[-1].status_code == status

        wait_until(answers_so, PATIENCE_S, f"/healthz answers {status}")
        return answers[-1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; returns its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def at(exchange: SimulatedExchange) -> list[str]:
    return ["--rest-url", exchange.rest_url, "--ws-url", exchange.ws_url, "--history", SHORT_HISTORY]


def command_line(command: str, database: Path, *options: str) -> list[str]:
    return [command, "--database", str(database), *options]


@contextmanager
def running(arguments: Sequence[str], log_path: Path, start: Sequence[str] = ("run.py",)) -> Iterator[Service]:
    """A service for as long as the block runs; it is killed if it still lives then."""
    with log_path.open("w") as log:
        process = subprocess.Popen([sys.executable, *start, *arguments], cwd=ROOT, stderr=log, text=True)
    try:
        yield Service(process, log_path)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    command = [sys.executable, "run.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def assert_refused(result: subprocess.CompletedProcess[str], pattern: str) -> None:
    assert result.returncode == 4, result.stderr
    assert result.stdout == ""
    assert re.fullmatch(rf"barkeep: .*{pattern}.*\n", result.stderr), result.stderr


def true_rows(exchange: SimulatedExchange, symbol: str, interval: Interval, rows: Sequence[Row]) -> list[Row]:
    """What the exchange says of the same open times, character by character."""
    bars = exchange.world.bars(symbol, interval, rows[0][0], rows[-1][0] + 1)
    return [row_from_bar(bar, interval) for bar in bars]


def listening_sockets(process_id: int) -> list[str]:
    """The addresses on which a process accepts TCP connections, as the kernel writes them."""
    inodes = set()
    for descriptor in Path(f"/proc/{process_id}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            inodes.update(re.findall(r"socket:\[(\d+)\]", os.fspath(descriptor.readlink())))
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process_id}/net/{table}").read_text().splitlines()[1:]:
            (
                _,
                address,
                _,
                state,
                *_,
            ) = fields = line.split()
            if state == "0A" and fields[9] in inodes:
                listening.append(address)
    return listening


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    with SimulatedExchange(default_plan(seed=3, count=4, changes=False), speed=SPEED) as exchange:
        yield exchange


@pytest.fixture(scope="class")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve") / "bars.db"


@pytest.fixture(scope="class")
def service(exchange: SimulatedExchange, database: Path) -> Iterator[Service]:
    """`serve`, for all tests of a class."""
    arguments = command_line("serve", database, "--port", "0", *at(exchange))
    with running(arguments, database.with_suffix(".log")) as service:
        yield service


class TestServe:
    def test_it_becomes_live_and_serves_six_intervals_of_every_symbol_to_the_last_character(
        self, exchange: SimulatedExchange, service: Service
    ) -> None:
        service.wait_for_health()
        wait_until(lambda: service.get("/api/status").json()["state"] == "live", PATIENCE_S, "it is live")
        for symbol in SYMBOLS:
            for interval in STORED:
                rows = service.complete_rows(exchange, symbol, interval, PAGES[interval.name])
                assert rows[:-1] == true_rows(exchange, symbol, interval, rows[:-1])

    def test_a_second_instance_on_the_same_database_ends_with_status_4_and_one_line(
        self, exchange: SimulatedExchange, service: Service, database: Path
    ) -> None:
        service.wait_for_health()
        for command in ("serve", "data"):
            result = ended(*command_line(command, database, *at(exchange)))
            assert_refused(result, rf"bars\.db: expected to be its only writer.*process {service.process.pid}")
        service.wait_for_health()

    def test_status_shows_it_to_people_and_to_programs(self, service: Service, database: Path) -> None:
        service.wait_for_health()
        told: list[subprocess.CompletedProcess[str]] = []

        def shows_all_live() -> bool:
            people = ended(*command_line("status", database))
            programs = ended(*command_line("status", database, "--json"))
            told[:] = people, programs
            are_live = re.search(r"symbols +4/4 symbols live", people.stdout) and '"live": 4' in programs.stdout
            return bool(are_live) and people.returncode == programs.returncode == 0

        wait_until(shows_all_live, 2 * PATIENCE_S, "both show that all symbols are live")
        people, programs = told
        assert (people.stderr, programs.stderr) == ("", "")
        facts = json.loads(programs.stdout)
        assert facts["state"] == "live"
        assert facts["symbols"]["live"] == len(SYMBOLS)
        assert {"exchange_time", "started_at", "version", "feeds", "lag_ms", "restarts"} <= facts.keys()
        assert re.search(r"state +live ", people.stdout)

    def test_a_signal_ends_it_in_order_with_status_0(self, exchange: SimulatedExchange, service: Service) -> None:
        service.wait_for_health()
        stopped_ms = exchange.now_ms()
        assert service.stop() == 0
        assert not list(service.log_path.parent.glob("bars.db-*")), "SQLite's log is merged into the file"
        with closing(Reader(service.log_path.with_suffix(".db"))) as reader:
            assert differences(reader, exchange.world) == []
            state = reader.service_state()
        assert state is not None
        assert stopped_ms - state.exchange_ms < 10 * SPEED * 1_000
        assert "Traceback" not in service.log


class TestDataAndWeb:
    def test_data_opens_no_port_and_web_serves_its_file_and_goes_on_after_its_end(
        self, exchange: SimulatedExchange, tmp_path: Path
    ) -> None:
        database = tmp_path / "bars.db"
        with ExitStack() as stack:
            data = stack.enter_context(running(command_line("data", database, *at(exchange)), tmp_path / "data.log"))
            data.wait_for_log("is live with 4 streams")
            wait_until(lambda: is_live(database), PATIENCE_S, "the data service says that it is live")
            assert listening_sockets(data.process.pid) == []
            web = stack.enter_context(running(command_line("web", database, "--port", "0"), tmp_path / "web.log"))
            web.wait_for_health()
            assert len(listening_sockets(web.process.pid)) == 1
            assert web.get("/api/status").json()["state"] == "live"
            rows = web.complete_rows(exchange, "BTCUSDT", MINUTE, 50)
            assert rows[:-1] == true_rows(exchange, "BTCUSDT", MINUTE, rows[:-1])

            data.process.kill()
            data.process.wait()
            let_30_seconds_pass(database)
            answer = web.wait_for_health(503)
            assert re.search(r"the data service's last commit is \d+ s old", answer.text)
            rows, _ = web.rows("BTCUSDT", MINUTE, 50)
            assert rows[:-1] == true_rows(exchange, "BTCUSDT", MINUTE, rows[:-1])
            for page in ("/", "/api/symbols", "/api/status", "/fapi/v1/exchangeInfo", "/fapi/v1/time"):
                assert web.get(page).status_code == 200, page
            assert ended("status", "--database", str(database)).returncode == 1

            data = stack.enter_context(running(command_line("data", database, *at(exchange)), tmp_path / "again.log"))
            web.wait_for_health()
            assert data.stop(signal.SIGINT) == 0
            assert web.stop() == 0
            for service in (data, web):
                assert "Traceback" not in service.log

    def test_web_without_a_database_ends_with_status_4_and_one_line(self, tmp_path: Path) -> None:
        result = ended(*command_line("web", tmp_path / "bars.db", "--port", "0"))
        assert_refused(result, r"bars\.db: expected a Barkeep database, got no file")


def is_live(database: Path) -> bool:
    with closing(Reader(database)) as reader:
        state = reader.service_state()
    return state is not None and json.loads(state.state)["state"] == "live"


def let_30_seconds_pass(database: Path) -> None:
    """Date the last commit back, instead of waiting."""
    with closing(Reader(database)) as reader:
        state = reader.service_state()
    assert state is not None
    store = BarStore.open(database)
    store.commit([ServiceState(state.state, state.exchange_ms, state.committed_at_ms - 31_000)])
    store.close()


class TestUnusableDatabases:
    def test_a_directory(self, tmp_path: Path) -> None:
        assert_refused(ended(*command_line("serve", tmp_path)), "expected a file, got a directory")

    def test_something_else_than_a_database(self, tmp_path: Path) -> None:
        path = tmp_path / "letter.txt"
        path.write_text("Dear Sir or Madam,\n" * 100)
        assert_refused(ended(*command_line("data", path)), "letter.txt")
        assert path.read_text() == "Dear Sir or Madam,\n" * 100

    def test_one_of_a_newer_version(self, tmp_path: Path) -> None:
        path = tmp_path / "bars.db"
        BarStore.open(path).close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 9999")
            connection.commit()
        assert_refused(ended(*command_line("serve", path)), "got 9999: use a newer Barkeep")


class TestAnExchangeThatCannotBeReached:
    @pytest.fixture
    def filled(self, tmp_path: Path) -> Path:
        path, contract = tmp_path / "bars.db", a_contract()
        store = BarStore.open(path)
        bars = some_bars(MINUTE, MONDAY_MS, 10)
        store.commit([ContractsSeen([contract]), ClosedBars(contract.key, MINUTE, bars, Origin.REST)])
        store.close()
        return path

    def assert_it_says_so_and_serves_what_is_stored(self, arguments: Sequence[str], database: Path, came: str) -> None:
        arguments = command_line("serve", database, "--port", "0", *arguments)
        with running(arguments, database.with_suffix(".log")) as service:
            service.wait_for_log(rf"WARNING .*/fapi/v1/.*{came}.*trying again in \d+ s .*`python run\.py demo`")
            wait_until(
                lambda: re.search(f"cannot be reached: .*{came}", service.get("/healthz").text) is not None,
                PATIENCE_S,
                "the reason is known",
            )
            service.wait_for_health(503)
            rows, _ = service.rows("BTCUSDT", MINUTE, 10)
            bars = some_bars(MINUTE, MONDAY_MS, 10)
            assert rows == [row_from_bar(bar, MINUTE) for bar in bars]
            assert service.get("/").status_code == 200
            assert service.stop() == 0
            assert "Traceback" not in service.log

    def test_nobody_listens_there(self, filled: Path) -> None:
        with closed_port() as port:
            nowhere = ["--rest-url", f"http://127.0.0.1:{port}", "--ws-url", f"ws://127.0.0.1:{port}"]
            self.assert_it_says_so_and_serves_what_is_stored(nowhere, filled, "refused")

    @pytest.mark.parametrize("status", [451, 404])
    def test_it_refuses_the_country_or_is_something_else_and_is_not_asked_all_the_time(
        self, filled: Path, status: int
    ) -> None:
        plan = WorldPlan(seed=1, start_ms=MONDAY_MS, contracts=())
        with SimulatedExchange(plan, FaultPlan(only_status=status)) as exchange:
            self.assert_it_says_so_and_serves_what_is_stored(at(exchange), filled, f"HTTP {status}")
            assert sum(exchange.counters.requests.values()) < 20

    def test_it_goes_live_by_itself_when_the_exchange_is_back(self, tmp_path: Path) -> None:
        plan = default_plan(seed=3, count=1, changes=False)
        with (
            closed_port() as port,
            BarSystem(
                database=tmp_path / "bars.db",
                rest_url=f"http://127.0.0.1:{port}",
                ws_url=f"ws://127.0.0.1:{port}",
                history=SHORT_HISTORY,
            ) as bars,
        ):
            wait_until(lambda: "cannot be reached" in (bars.health() or ""), PATIENCE_S, "it has tried")
            with SimulatedExchange(plan, speed=SPEED, port=port):
                wait_until(lambda: bars.health() is None, PATIENCE_S, "it is live")


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_a_proxy_carries_all_of_a_whole_system(
    exchange: SimulatedExchange, tmp_path: Path, kind: type[LoopbackProxy]
) -> None:
    """The exchange's name means something to the proxy alone: nothing can go another way."""
    with (
        kind("user", "pass word").running() as proxy,
        BarSystem(
            database=tmp_path / "bars.db",
            symbols=["BTCUSDT"],
            rest_url=f"http://exchange.test:{exchange.port}",
            ws_url=f"ws://exchange.test:{exchange.port}",
            history=SHORT_HISTORY,
            proxy=proxy.url("user:pass%20word@"),
        ) as bars,
    ):
        views: list[Any] = []
        bars.subscribe(views.append, "BTCUSDT", "1m")
        wait_until(lambda: sum(view.closed for view in views) >= 2, PATIENCE_S, "closed bars have come")
        wait_until(lambda: len(bars.history("BTCUSDT", "1m")) > 180, PATIENCE_S, "history has come")
        with closing(Reader(bars.settings.database)) as reader:
            wait_until(lambda: not differences(reader, exchange.world), PATIENCE_S, "no bar differs or is missing")
        assert set(proxy.targets) == {("exchange.test", exchange.port)}
        assert proxy.refused == 0


class TestChangesDuringARun:
    """A contract is launched after 10 minutes, quantities get finer after 15, a contract ends after 30."""

    SPEED = 200
    MINUTES = 36

    def plan(self) -> WorldPlan:
        plan = default_plan(seed=3, count=10)
        kept = ("BTCUSDT", "SOLUSDT", "OLDUSDT", "NEWUSDT")
        return replace(plan, contracts=tuple(contract for contract in plan.contracts if contract.symbol in kept))

    def test_all_of_them_are_followed_exactly_on_a_machine_whose_clock_is_wrong(self, tmp_path: Path) -> None:
        database = tmp_path / "bars.db"
        plan = self.plan()
        clock = HeldClock(plan.start_ms, self.SPEED)
        with SimulatedExchange(plan, clock=clock) as exchange:
            begun_ms = MINUTE.floor(exchange.plan.start_ms)
            end_ms = begun_ms + self.MINUTES * MINUTE_MS
            arguments = command_line("data", database, *at(exchange))
            with running(arguments, tmp_path / "data.log", start=("-c", WRONG_CLOCK)) as service:
                wait_until(lambda: exchange.counters.messages_received > 0, PATIENCE_S, "it has subscribed")
                clock.let_go()
                wait_until(lambda: exchange.now_ms() > end_ms, PATIENCE_S, "all changes are over")
                with closing(Reader(database)) as reader:
                    wait_until(
                        lambda: all(last_ms(reader, s) >= end_ms for s in ("BTCUSDT", "SOLUSDT", "NEWUSDT")),
                        PATIENCE_S,
                        "every contract that trades has caught up",
                    )
                assert "OLDUSDT has reached its delivery date" in service.log
                assert service.stop() == 0
                assert "Traceback" not in service.log
            with closing(Reader(database)) as reader:
                assert differences(reader, exchange.world) == []
                assert_complete_from_its_launch(reader, begun_ms + 10 * MINUTE_MS)
                assert_ended(reader, begun_ms + 30 * MINUTE_MS)
                assert_finer(reader, exchange)


def last_ms(reader: Reader, symbol: str) -> int:
    record = reader.find(symbol)
    return (reader.last_open_ms(record, MINUTE) or 0) if record else 0


def assert_complete_from_its_launch(reader: Reader, launch_ms: int) -> None:
    record = reader.find("NEWUSDT")
    assert record is not None
    assert record.contract.onboard_ms == launch_ms
    minutes = reader.bars(record, MINUTE, limit=1_000)
    assert minutes[0].bar.open_ms == launch_ms
    for name in ("5m", "1w"):
        interval = INTERVALS[name]
        first = reader.bars(record, interval, limit=1_000)[0]
        assert first.bar.open_ms == interval.floor(launch_ms)


def assert_ended(reader: Reader, delivery_ms: int) -> None:
    record = reader.find("OLDUSDT")
    assert record is not None
    assert record.contract.delivery_ms == delivery_ms
    minutes = [stored.bar.open_ms for stored in reader.bars(record, MINUTE, limit=1_000) if stored.closed]
    assert minutes[-1] == delivery_ms - MINUTE_MS
    assert minutes == list(range(minutes[0], delivery_ms, MINUTE_MS))
    assert len(minutes) > 180


def assert_finer(reader: Reader, exchange: SimulatedExchange) -> None:
    """Differences are looked for elsewhere; here: the newest rows in the exchange's very text."""
    record = reader.find("SOLUSDT")
    assert record is not None
    assert (record.contract.quantity_decimals, record.scale.volume) == (2, 2)
    rows: list[Row] = json.loads(reader.rows_json(record, MINUTE, limit=12))[:10]
    assert rows == true_rows(exchange, "SOLUSDT", MINUTE, rows)
    assert {len(row[5].partition(".")[2]) for row in rows if row[8]} == {2}
