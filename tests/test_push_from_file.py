"""Push without a live system: fed from the database as somebody else writes it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bars import FIVE_MINUTES, MINUTE, MINUTE_MS, Bar, IntervalBar
from storage import (
    BarStore,
    Change,
    ChangeSignal,
    ClosedBars,
    ContractsSeen,
    DatabaseUnusable,
    Origin,
    PartialBars,
    Reader,
    ServiceState,
)
from tests.support.market import MONDAY_MS, a_bar, a_contract
from tests.support.push import HOST, PATIENCE_S, Client
from tests.support.service import ROOT, wait_until
from web import PushServer, Sources, WebServer, make_app

BTC = a_contract()
SOON_S = 0.3
NOW_MS = MONDAY_MS + 4 * MINUTE_MS + 30_000


def minute(number: int, trades: int = 3) -> Bar:
    return a_bar(MONDAY_MS + number * MINUTE_MS)._replace(trades=trades)


def closed(*numbers: int) -> ClosedBars:
    return ClosedBars(BTC.key, MINUTE, [minute(number) for number in numbers], Origin.STREAM)


def in_progress(bar: Bar, *larger: IntervalBar) -> PartialBars:
    return PartialBars(BTC.key, [IntervalBar(MINUTE, bar), *larger])


class Written:
    """A database, and a push server over it that knows nothing else."""

    def __init__(self, path: Path) -> None:
        self.store = BarStore.open(path)
        self.commit(ContractsSeen([BTC]), closed(0, 1, 2, 3), in_progress(minute(4)))
        self.reader = Reader(path)
        sources = Sources(self.reader, lambda: NOW_MS, lambda: None, dict)
        self.push = PushServer(sources)
        self.server = WebServer(make_app(sources), HOST, 0, self.push)
        self.server.start()

    def commit(self, *changes: Change) -> None:
        self.store.commit(list(changes))

    def stop(self) -> None:
        self.server.stop()
        self.reader.close()
        self.store.close()


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    written = Written(tmp_path / "bars.db")
    yield written
    written.stop()


def number(event: dict[str, Any]) -> tuple[int, bool]:
    return (event["k"]["t"] - MONDAY_MS) // MINUTE_MS, event["k"]["x"]


def following(written: Written, streams: str) -> Client:
    """A client that hears and has heard all so far, which were trades of minute 4."""
    client = Client(written.server.port, f"/market/ws/{streams}")
    trades = 100

    def hears() -> bool:
        nonlocal trades
        trades += 1  # the series is looked at for the first time in a thread of its own: what comes before is no news
        written.commit(in_progress(minute(4, trades)))
        heard = client.hear_within(SOON_S)
        while heard is not None and heard["k"]["n"] < trades:
            heard = client.hear()
        return heard is not None

    wait_until(hears, PATIENCE_S, "the client hears")
    return client


def until_final(client: Client, last: int) -> list[tuple[int, bool]]:
    """What a client of minutes hears up to the final of one."""
    heard: list[tuple[int, bool]] = []
    while not heard or heard[-1] != (last, True):
        heard.append(number(client.hear()))
    return heard


def test_finals_come_once_and_in_order_even_when_several_were_closed_between_two_looks(written: Written) -> None:
    client = following(written, "btcusdt@kline_1m")
    written.commit(closed(4, 5, 6), in_progress(minute(7)))
    written.commit(closed(7))
    finals = [one for one in until_final(client, 7) if one[1]]
    assert finals == [(4, True), (5, True), (6, True), (7, True)]
    written.commit(closed(4, 5, 6, 7), in_progress(minute(8)))
    assert number(client.hear()) == (8, False)


def test_an_event_carries_the_exchanges_time_and_no_trade_ids(written: Written) -> None:
    client = following(written, "btcusdt@kline_1m")
    written.commit(in_progress(minute(4, 7)))
    event = client.hear()
    assert (event["E"], event["k"]["f"], event["k"]["L"], event["k"]["n"]) == (NOW_MS, -1, -1, 7)
    written.commit(closed(4))
    assert client.hear()["E"] > MONDAY_MS + 5 * MINUTE_MS - 1


def test_larger_and_derived_intervals_follow(written: Written) -> None:
    client = following(written, "btcusdt@kline_1m")
    more = ["btcusdt@kline_5m", "btcusdt@kline_3m", "btcusdt_perpetual@continuousKline_5m"]
    assert client.ask("UNSUBSCRIBE", "btcusdt@kline_1m")["result"] is None
    assert client.ask("SUBSCRIBE", *more)["result"] is None
    kinds: set[tuple[str, str, bool]] = set()
    trades = 1_000

    def all_are_heard() -> bool:
        nonlocal trades
        trades += 1
        five = a_bar(MONDAY_MS)._replace(trades=trades)
        written.commit(in_progress(minute(4, trades), IntervalBar(FIVE_MINUTES, five)))
        while (event := client.hear_within(SOON_S)) is not None:
            kinds.add((event["e"], event["k"]["i"], event["k"]["x"]))
        return len(kinds) == 3

    wait_until(all_are_heard, PATIENCE_S, "each stream is heard")
    written.commit(closed(4, 5))
    finals: set[tuple[str, str]] = set()
    while len(finals) < 3:
        event = client.hear()
        if event["k"]["x"]:
            finals.add((event["e"], event["k"]["i"]))
            if event["k"]["i"] == "3m":
                assert event["k"]["n"] == sum(minute(part).trades for part in (3, 4, 5))
    assert finals == {("kline", "5m"), ("kline", "3m"), ("continuous_kline", "5m")}


def test_while_nobody_listens_nothing_is_read(written: Written) -> None:
    client = following(written, "btcusdt@kline_1m")
    client.close()
    wait_until(lambda: written.push.clients == 0, PATIENCE_S, "nobody listens")
    again = following(written, "btcusdt@kline_1m")
    written.commit(closed(4))
    assert until_final(again, 4)[-1] == (4, True)


def test_a_file_that_cannot_be_opened_at_first_is_followed_once_it_can(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [DatabaseUnusable("opening it: expected a readable path, got none")]
    opened = written.reader.change_signal

    def change_signal() -> ChangeSignal:
        if failures:
            raise failures.pop()
        return opened()

    monkeypatch.setattr("web.file_feed.FAILED_WAIT_S", 0.01)
    monkeypatch.setattr(written.reader, "change_signal", change_signal)
    client = following(written, "btcusdt@kline_1m")
    written.commit(closed(4))
    assert until_final(client, 4)
    assert not failures


def test_a_symbol_that_is_listed_later_is_heard_from_then_on(written: Written) -> None:
    client = Client(written.server.port, "/market/ws/newusdt@kline_1m/junkusdt@kline_1m")
    later = a_contract("NEWUSDT")
    written.commit(ContractsSeen([later]))
    trades = 0

    def hears() -> bool:
        nonlocal trades
        trades += 1
        written.commit(PartialBars(later.key, [IntervalBar(MINUTE, minute(5, trades))]))
        event = client.hear_within(SOON_S)
        return event is not None and event["s"] == "NEWUSDT"

    wait_until(hears, PATIENCE_S, "the new contract is heard")


def test_web_in_a_process_of_its_own_pushes_what_another_process_commits(tmp_path: Path) -> None:
    path, log_path = tmp_path / "bars.db", tmp_path / "web.log"
    with closing(BarStore.open(path)) as store:
        store.commit([ContractsSeen([BTC]), closed(0, 1, 2, 3), ServiceState("{}", NOW_MS, 0)])
        with log_path.open("w") as log:
            command = [sys.executable, "run.py", "web", "--database", str(path), "--port", "0"]
            process = subprocess.Popen(command, cwd=ROOT, stderr=log, text=True)
        try:
            wait_until(lambda: "serving on" in log_path.read_text(), PATIENCE_S, "it serves")
            found = re.search(r"serving on http://\S+:(\d+)", log_path.read_text())
            assert found is not None
            client = Client(int(found[1]), "/market/stream?streams=btcusdt@kline_1m")
            trades = 0

            def hears() -> bool:
                nonlocal trades
                trades += 1
                store.commit([in_progress(minute(4, trades))])
                return client.hear_within(SOON_S) is not None

            wait_until(hears, PATIENCE_S, "the client hears")
            store.commit([closed(4)])
            store.commit([closed(5)])
            finals: list[tuple[int, bool]] = []
            while len(finals) < 2:
                event = json.loads(client.text())["data"]
                finals += [number(event)] if event["k"]["x"] else []
            assert finals == [(4, True), (5, True)]
        finally:
            process.terminate()
            process.wait()
