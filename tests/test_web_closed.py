"""/api/closed: all symbols' closed bar of one time, and waiting for the last of them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bars import FIVE_MINUTES, INTERVALS, MINUTE, MINUTE_MS, Contract, Interval, Span, stored_source
from storage import BarStore, Change, ClosedBars, ContractsSeen, Origin, Reader
from tests.support.market import MONDAY_MS, a_bar, a_contract, some_bars
from tests.support.service import wait_until
from tests.support.wsgi import WsgiApp, call
from web import ClosedHold, Sources, WebServer, make_app

HOST = "127.0.0.1"
PATIENCE_S = 30.0
BTC, ETH, OLD = a_contract("BTCUSDT"), a_contract("ETHUSDT"), a_contract("OLDUSDT", delivery_ms=MONDAY_MS + 600_000)
FOREIGN = a_contract("龙虾USDT")


def closed(contract: Contract, first: int, count: int, interval: Interval = MINUTE) -> ClosedBars:
    return ClosedBars(contract.key, interval, some_bars(interval, MONDAY_MS + first * MINUTE_MS, count), Origin.STREAM)


class File:
    """A database that the test goes on writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = BarStore.open(path)
        self.commit(ContractsSeen([BTC, ETH, FOREIGN]))
        self.reader = Reader(path)

    def commit(self, *changes: Change) -> None:
        self.store.commit(list(changes))

    def app(self) -> WsgiApp:
        app: WsgiApp = make_app(Sources(self.reader, lambda: MONDAY_MS, lambda: None, dict))
        return app


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    file = File(tmp_path / "bars.db")
    yield file
    file.reader.close()
    file.store.close()


@pytest.fixture
def hold(file: File) -> ClosedHold:
    return ClosedHold(file.reader, waiting_max=3)


@pytest.fixture
def server(file: File, hold: ClosedHold) -> Iterator[WebServer]:
    server = WebServer(file.app(), HOST, 0, hold=hold)
    server.start()
    yield server
    server.stop()


def get(server: WebServer, query: str) -> dict[str, Any]:
    with closing(http.client.HTTPConnection(HOST, server.port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", f"/api/closed?{query}")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer


class Asked:
    """A request that waits, in a thread of its own."""

    def __init__(self, server: WebServer, query: str) -> None:
        self.answers: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=lambda: self.answers.append(get(server, query)))
        self.thread.start()

    def answer(self) -> dict[str, Any]:
        self.thread.join(PATIENCE_S)
        (answer,) = self.answers
        return answer


def symbols(answer: dict[str, Any]) -> list[str]:
    return [kline["symbol"] for kline in answer["klines"]]


def at(minute: int, interval: str = "1m") -> str:
    return f"interval={interval}&open_time={MONDAY_MS + minute * MINUTE_MS}"


def test_all_symbols_bars_come_in_one_answer_and_the_late_ones_are_named(file: File) -> None:
    file.commit(closed(BTC, 0, 3), closed(FOREIGN, 0, 3), closed(ETH, 0, 2))
    answer = call(file.app(), f"/api/closed?{at(2)}").json
    assert (answer["interval"], answer["open_time"]) == ("1m", MONDAY_MS + 2 * MINUTE_MS)
    assert (answer["complete"], answer["late"], symbols(answer)) == (False, ["ETHUSDT"], ["BTCUSDT", "龙虾USDT"])
    assert answer["klines"][0]["open_time"] == MONDAY_MS + 2 * MINUTE_MS
    assert answer["klines"][0]["origin"] == "stream"
    assert list(answer["klines"][0])[:3] == ["symbol", "open_time", "close_time"]
    whole = call(file.app(), f"/api/closed?{at(1)}").json
    assert (whole["complete"], whole["late"], len(whole["klines"])) == (True, [], 3)


@pytest.mark.parametrize("interval", list(INTERVALS.values()), ids=str)
def test_every_interval_is_served_once_all_of_its_parts_are_closed(file: File, interval: Interval) -> None:
    source, open_ms = stored_source(interval), interval.floor(MONDAY_MS)
    bars = some_bars(source, open_ms, source.count(open_ms, interval.next_open(open_ms)))
    long_ago = [a_contract(symbol, onboard_ms=open_ms) for symbol in ("AUSDT", "BUSDT")]
    file.commit(ContractsSeen(long_ago))
    for contract in long_ago:
        file.commit(ClosedBars(contract.key, source, bars[:-1], Origin.REST, completes=False))
    query = f"/api/closed?interval={interval}&open_time={open_ms}"
    assert set(call(file.app(), query).json["late"]) >= {"AUSDT", "BUSDT"}
    for contract in long_ago:
        file.commit(ClosedBars(contract.key, source, bars[-1:], Origin.REST, completes=False))
    answer = call(file.app(), query).json
    assert symbols(answer) == ["AUSDT", "BUSDT"]
    assert answer["klines"][0]["trades"] == sum(bar.trades for bar in bars)
    record = file.reader.get(long_ago[0].key)
    assert record is not None
    (served,) = file.reader.bars(record, interval, start_ms=open_ms, end_ms=open_ms, limit=1)
    assert (served.bar.trades, served.closed) == (answer["klines"][0]["trades"], True)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "interval"),
        ("interval=1m", "open_time"),
        (f"interval=1m&open_time={MONDAY_MS + 1}", "open_time"),
        (f"interval=1h&open_time={MONDAY_MS + MINUTE_MS}", "open_time"),
        (f"interval=1M&open_time={MONDAY_MS}", "open_time"),
        (f"interval=3d&open_time={MONDAY_MS}", "interval"),
        ("interval=1m&open_time=-60000", "open_time"),
        ("interval=1m&open_time=9999999999999999999", "open_time"),
        ("interval=1m&open_time=x", "open_time"),
        (f"interval=1m&open_time={MONDAY_MS}&wait=-1", "wait"),
        (f"interval=1m&open_time={MONDAY_MS}&wait=nan", "wait"),
        (f"interval=1m&open_time={MONDAY_MS}&wait=1&wait=2", "wait"),
    ],
)
def test_a_bad_request_is_told_which_parameter_and_what_would_be_right(
    file: File, server: WebServer, query: str, names: str
) -> None:
    answered = call(file.app(), f"/api/closed?{query}")
    assert answered.status == 400
    assert answered.json["error"]["message"].startswith(f"{names}: expected ")
    assert get(server, query) == answered.json


def test_an_answer_is_held_until_the_last_bar_is_in(file: File, server: WebServer, hold: ClosedHold) -> None:
    file.commit(closed(BTC, 0, 1), closed(ETH, 0, 1), closed(FOREIGN, 0, 1))
    asked = Asked(server, f"{at(1)}&wait=60")
    again = Asked(server, f"{at(0, '5m')}&wait=60")
    wait_until(lambda: hold.waiting == 2, PATIENCE_S, "both wait")
    file.commit(closed(BTC, 1, 4), closed(ETH, 1, 4))
    assert get(server, f"{at(1)}&wait=0.2")["late"] == ["龙虾USDT"]
    assert (asked.answers, again.answers) == ([], [])
    file.commit(closed(FOREIGN, 1, 1))
    answer = asked.answer()
    assert (answer["complete"], symbols(answer)) == (True, ["BTCUSDT", "ETHUSDT", "龙虾USDT"])
    assert again.answers == []
    file.commit(closed(FOREIGN, 2, 3))
    assert again.answer()["complete"]


def test_nobody_waits_for_a_time_at_which_nothing_traded(server: WebServer) -> None:
    answer = Asked(server, f"{at(-60)}&wait=250").answer()
    assert (answer["complete"], symbols(answer), answer["late"]) == (True, [], [])


def test_without_any_contract_an_answer_is_not_complete(tmp_path: Path) -> None:
    with closing(BarStore.open(tmp_path / "new.db")), closing(Reader(tmp_path / "new.db")) as reader:
        app = make_app(Sources(reader, lambda: MONDAY_MS, lambda: None, dict))
        answer = call(app, f"/api/closed?{at(0)}").json
    assert (answer["complete"], answer["klines"], answer["late"]) == (False, [], [])


def test_as_long_as_no_contract_is_known_the_answer_is_held(tmp_path: Path) -> None:
    with closing(BarStore.open(tmp_path / "new.db")) as store, closing(Reader(tmp_path / "new.db")) as reader:
        hold = ClosedHold(reader)
        app = make_app(Sources(reader, lambda: MONDAY_MS, lambda: None, dict))
        server = WebServer(app, HOST, 0, hold=hold)
        server.start()
        try:
            asked = Asked(server, f"{at(0)}&wait=250")
            wait_until(lambda: hold.waiting == 1, PATIENCE_S, "it waits")
            store.commit([ContractsSeen([BTC])])
            store.commit([closed(BTC, 0, 1)])
            assert symbols(asked.answer()) == ["BTCUSDT"]
        finally:
            server.stop()


def test_when_time_is_over_the_answer_holds_what_is_there(file: File, server: WebServer) -> None:
    file.commit(closed(BTC, 0, 1))
    answer = get(server, f"{at(0)}&wait=0.3")
    assert (answer["complete"], symbols(answer), answer["late"]) == (False, ["BTCUSDT"], ["ETHUSDT", "龙虾USDT"])


def test_more_than_may_wait_are_answered_at_once(file: File, server: WebServer, hold: ClosedHold) -> None:
    file.commit(closed(BTC, 0, 1))
    waiting = [Asked(server, f"{at(0)}&wait=200") for _ in range(3)]
    wait_until(lambda: hold.waiting == 3, PATIENCE_S, "three wait")
    assert get(server, f"{at(0)}&wait=200")["late"] == ["ETHUSDT", "龙虾USDT"]
    file.commit(closed(ETH, 0, 1), closed(FOREIGN, 0, 1))
    assert all(one.answer()["complete"] for one in waiting)


def test_one_who_leaves_makes_room(file: File, server: WebServer, hold: ClosedHold) -> None:
    file.commit(closed(BTC, 0, 1))
    for _ in range(5):
        connection = http.client.HTTPConnection(HOST, server.port, timeout=PATIENCE_S)
        connection.request("GET", f"/api/closed?{at(0)}&wait=200")
        wait_until(lambda: hold.waiting == 1, PATIENCE_S, "it waits")
        connection.close()
        wait_until(lambda: hold.waiting == 0, PATIENCE_S, "it is missed")
    asked = Asked(server, f"{at(0)}&wait=200")
    file.commit(closed(ETH, 0, 1), closed(FOREIGN, 0, 1))
    assert asked.answer()["complete"]


def test_stopping_answers_those_who_wait(file: File, server: WebServer, hold: ClosedHold) -> None:
    file.commit(closed(BTC, 0, 1))
    asked = Asked(server, f"{at(0)}&wait=200")
    wait_until(lambda: hold.waiting == 1, PATIENCE_S, "it waits")
    server.stop()
    assert asked.answer()["late"] == ["ETHUSDT", "龙虾USDT"]


def test_nobody_waits_for_contracts_that_have_ended_are_not_listed_yet_or_are_followed_no_more(file: File) -> None:
    later = a_contract("NEWUSDT", onboard_ms=MONDAY_MS + 700_000)
    pending = a_contract("PENDUSDT", status="PENDING_TRADING")
    dated = a_contract("BTCUSDT_260327", contract_type="CURRENT_QUARTER")
    dropped = a_contract("DROPUSDT")
    file.commit(ContractsSeen([OLD, later, pending, dated, dropped]))
    file.commit(
        closed(BTC, 0, 12), closed(ETH, 0, 12), closed(FOREIGN, 0, 12), closed(dropped, 0, 1), closed(OLD, 0, 10)
    )
    assert call(file.app(), f"/api/closed?{at(10)}").json["late"] == []
    assert call(file.app(), f"/api/closed?{at(12)}").json["late"] == ["BTCUSDT", "ETHUSDT", "NEWUSDT", "龙虾USDT"]
    assert "OLDUSDT" in symbols(call(file.app(), f"/api/closed?{at(9)}").json)


def test_a_bar_that_the_exchange_does_not_have_is_not_waited_for(file: File) -> None:
    listed = ClosedBars(
        ETH.key,
        MINUTE,
        some_bars(MINUTE, MONDAY_MS + 2 * MINUTE_MS, 4),
        Origin.REST,
        absent=[Span(0, MONDAY_MS + 120_000)],
    )
    file.commit(closed(BTC, 0, 6), closed(FOREIGN, 0, 6), listed)
    assert call(file.app(), f"/api/closed?{at(1)}").json["late"] == []
    answer = call(file.app(), f"/api/closed?{at(0, '3m')}").json
    assert (answer["complete"], symbols(answer)) == (True, ["BTCUSDT", "ETHUSDT", "龙虾USDT"])
    assert answer["klines"][1]["trades"] == a_bar(MONDAY_MS).trades
    assert call(file.app(), f"/api/closed?{at(0, str(FIVE_MINUTES))}").json["complete"]
