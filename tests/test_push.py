"""The push server on real loopback sockets: the exchange's dialogue, its limits, and who hears what."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from bars import FIVE_MINUTES, INTERVALS, MINUTE, MINUTE_MS, Bar, ContractKey
from storage import BarStore, ClosedBars, ContractsSeen, Origin
from tests.support.market import MONDAY_MS, a_bar, a_contract, some_bars
from tests.support.push import HOST, NOW_MS, PATIENCE_S, Service, serving
from tests.support.service import wait_until
from wire.frames import KlineEvent, decode_frame

BTC = ContractKey("BTCUSDT", MONDAY_MS)
FOREIGN = "币安人生USDT"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    contracts = [
        a_contract(),
        a_contract(FOREIGN),
        a_contract("XAUUSDT", contract_type="TRADIFI_PERPETUAL"),
    ]
    with serving(tmp_path / "bars.db", contracts) as service:
        yield service


def minute(number: int) -> Bar:
    return a_bar(MONDAY_MS + number * MINUTE_MS)


def kline(bar: Bar, **changes: Any) -> dict[str, Any]:
    """The `k` that the exchange would send of a minute bar of BTCUSDT."""
    return {
        "t": bar.open_ms,
        "T": bar.open_ms + MINUTE_MS - 1,
        "s": "BTCUSDT",
        "i": "1m",
        "f": -1,
        "L": -1,
        "o": f"{bar.open // 100}.{bar.open % 100:02}",
        "c": f"{bar.close // 100}.{bar.close % 100:02}",
        "h": f"{bar.high // 100}.{bar.high % 100:02}",
        "l": f"{bar.low // 100}.{bar.low % 100:02}",
        "v": f"{bar.volume // 1_000}.{bar.volume % 1_000:03}",
        "n": bar.trades,
        "x": False,
        "q": f"{bar.quote_volume // 100_000}.{bar.quote_volume % 100_000:05}",
        "V": "0.400",
        "Q": f"{bar.taker_buy_quote_volume // 100_000}.{bar.taker_buy_quote_volume % 100_000:05}",
        "B": "0",
        **changes,
    }


def test_a_combined_connection_gets_wrapped_events_with_keys_in_the_exchanges_order(service: Service) -> None:
    client = service.client("/market/stream?streams=btcusdt@kline_1m")
    service.source.wait_for("BTCUSDT", MINUTE)
    service.source.tell(BTC, MINUTE, minute(1))
    data = {"e": "kline", "E": NOW_MS, "s": "BTCUSDT", "k": kline(minute(1))}
    expected = {"stream": "btcusdt@kline_1m", "data": data}
    assert client.text() == json.dumps(expected, separators=(",", ":"))


@pytest.mark.parametrize("path", ["/market/ws/", "/ws/"])
def test_a_raw_connection_gets_the_bare_event(service: Service, path: str) -> None:
    client = service.client(f"{path}btcusdt@kline_1m/xauusdt@kline_1m")
    service.source.wait_for("BTCUSDT", MINUTE)
    service.source.tell(BTC, MINUTE, minute(0), closed=True)
    event = client.hear()
    assert list(event) == ["e", "E", "s", "k"]
    assert event["k"] == kline(minute(0), x=True)
    assert client.ask("LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@kline_1m", "xauusdt@kline_1m"]


def test_what_the_exchange_said_of_a_minute_is_passed_on_in_its_own_words(service: Service) -> None:
    told = kline(minute(1), f=81, L=99, V="0", Q="0.00000")
    text = json.dumps({"stream": "x", "data": {"e": "kline", "E": NOW_MS - 7, "s": "BTCUSDT", "k": told}})
    said = decode_frame(text).data  # type: ignore[union-attr]
    assert isinstance(said, KlineEvent)
    client = service.client("/ws/btcusdt@kline_1m/btcusdt@kline_5m")
    service.source.wait_for("BTCUSDT", MINUTE)
    service.source.tell(BTC, MINUTE, minute(1), said=said)
    service.source.tell(BTC, FIVE_MINUTES, minute(0), said=said)
    assert client.hear() == {"e": "kline", "E": NOW_MS - 7, "s": "BTCUSDT", "k": told}
    larger = client.hear()
    assert (larger["E"], larger["k"]["f"], larger["k"]["i"]) == (NOW_MS - 7, -1, "5m")


def test_a_continuous_stream_names_the_pair_and_only_its_own_type_speaks(service: Service) -> None:
    names = ["btcusdt_perpetual@continuousKline_1m", "xauusdt_perpetual@continuousKline_1m"]
    client = service.client(f"/market/ws/{'/'.join(names)}/xauusdt_tradifi_perpetual@continuousKline_1m")
    for symbol in ("XAUUSDT", "BTCUSDT"):
        service.source.wait_for(symbol, MINUTE)

    heard: list[dict[str, Any]] = []
    told = 0

    def is_heard() -> bool:
        nonlocal told
        told += 1  # the types are looked up in a thread of their own, so that the first events may be too early
        for key in (BTC, ContractKey("XAUUSDT", MONDAY_MS)):
            service.source.tell(key, MINUTE, minute(told))
        while (event := client.hear_within(0.2)) is not None:
            heard.append(event)
        return {event["ps"] for event in heard} == {"BTCUSDT", "XAUUSDT"}

    wait_until(is_heard, PATIENCE_S, "both contracts are heard")
    assert {(event["e"], event["ps"], event["ct"]) for event in heard} == {
        ("continuous_kline", "BTCUSDT", "PERPETUAL"),
        ("continuous_kline", "XAUUSDT", "TRADIFI_PERPETUAL"),
    }
    assert "s" not in heard[0]["k"]
    assert list(heard[0]["k"])[:3] == ["t", "T", "i"]


@pytest.mark.parametrize("id_", [7, "8c4f2c1e-uuid", None, 1.5, [1], {"a": 1}, 2**70])
def test_the_id_comes_back_whatever_its_type(service: Service, id_: Any) -> None:
    client = service.client()
    assert client.ask("SUBSCRIBE", "btcusdt@kline_1m", id=id_) == {"result": None, "id": id_}


def test_subscriptions_come_and_go_and_what_nobody_wants_is_not_watched(service: Service) -> None:
    client, other = service.client(), service.client()
    client.ask("SUBSCRIBE", "btcusdt@kline_1m", "btcusdt@kline_3m", "btcusdt@kline_3d", "BTCUSDT@kline_1m", "junk")
    other.ask("SUBSCRIBE", "btcusdt@kline_1m")
    assert set(service.source.watchers) == {("BTCUSDT", MINUTE)}
    assert len(service.source.watchers["BTCUSDT", MINUTE]) == 1
    listed = client.ask("LIST_SUBSCRIPTIONS", id=3)
    assert listed["result"] == [
        "btcusdt@kline_1m",
        "btcusdt@kline_3m",
        "btcusdt@kline_3d",
        "BTCUSDT@kline_1m",
        "junk",
    ]
    client.ask("UNSUBSCRIBE", "btcusdt@kline_1m", "never subscribed")
    service.source.tell(BTC, MINUTE, minute(0))
    assert client.hear()["stream"] == "btcusdt@kline_3m"
    assert other.hear()["stream"] == "btcusdt@kline_1m"
    other.close()
    client.ask("UNSUBSCRIBE", "btcusdt@kline_3m")
    wait_until(lambda: not service.source.watchers, PATIENCE_S, "nothing is watched")


def test_set_property_turns_a_raw_connection_into_a_combined_one(service: Service) -> None:
    client = service.client("/ws")
    client.ask("SUBSCRIBE", "btcusdt@kline_1m")
    assert client.ask("SET_PROPERTY", "combined", True) == {"result": None, "id": 1}
    service.source.tell(BTC, MINUTE, minute(0))
    assert client.hear()["stream"] == "btcusdt@kline_1m"


def test_a_client_that_hangs_up_is_forgotten(service: Service) -> None:
    client = service.client("/stream?streams=btcusdt@kline_1m")
    service.source.wait_for("BTCUSDT", MINUTE)
    assert service.push.clients == 1
    client.hang_up()
    wait_until(lambda: service.push.clients == 0, PATIENCE_S, "it is noticed")
    assert not service.source.watchers


def test_a_symbol_of_any_script_is_streamed_under_its_own_name(service: Service) -> None:
    client = service.client()
    client.ask("SUBSCRIBE", "币安人生usdt@kline_1m")
    service.source.tell(ContractKey(FOREIGN, MONDAY_MS), MINUTE, minute(0))
    text = client.text()
    assert text.startswith('{"stream":"币安人生usdt@kline_1m","data":{"e":"kline",')
    assert json.loads(text)["data"]["s"] == FOREIGN


def test_below_public_and_private_requests_are_answered_and_nothing_is_sent(service: Service) -> None:
    for path in ("/public/ws", "/private/stream?listenKey=x", "/public/stream?streams=btcusdt@kline_1m"):
        client = service.client(path)
        assert client.ask("SUBSCRIBE", "btcusdt@kline_1m") == {"result": None, "id": 1}
        assert client.ask("LIST_SUBSCRIPTIONS", id="a") == {"result": ["btcusdt@kline_1m"], "id": "a"}
    assert not service.source.watchers


@pytest.mark.parametrize(
    "path", ["/", "/market", "/markets/ws", "/stream/x", "/api/klines", "/wss", "/market/public/ws"]
)
def test_an_unknown_path_is_refused_with_404(service: Service, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        service.client(path)
    assert refused.value.status_code == 404
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("path", ["/market/ws/0", "/market/ws/17", "/ws", "/market/ws", "/ws/", "/stream"])
def test_a_connection_may_begin_without_streams(service: Service, path: str) -> None:
    assert service.client(path).ask("LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}


def test_a_derived_interval_grows_from_what_is_stored_and_what_comes(tmp_path: Path) -> None:
    three = INTERVALS["3m"]
    stored = ClosedBars(BTC, MINUTE, some_bars(MINUTE, MONDAY_MS, 1), Origin.STREAM)
    with serving(tmp_path / "bars.db", changes=[stored]) as service:
        client = service.client("/ws/btcusdt@kline_3m")
        service.source.wait_for("BTCUSDT", MINUTE)
        service.source.tell(BTC, MINUTE, minute(1))
        first = client.hear()["k"]
        assert (first["t"], first["x"], first["i"]) == (MONDAY_MS, False, three.name)
        assert first["n"] == minute(0).trades + minute(1).trades
        service.source.tell(BTC, MINUTE, minute(1), closed=True)
        service.source.tell(BTC, MINUTE, minute(2), closed=True)
        last = client.hear()["k"]
        assert (last["x"], last["n"], last["T"]) == (True, 9, MONDAY_MS + 3 * MINUTE_MS - 1)


def raw_answer(port: int, path: str) -> bytes:
    """What the server says to a handshake for a path."""
    with socket.create_connection((HOST, port), timeout=PATIENCE_S) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        answer = b""
        while part := connection.recv(65_536):
            answer += part
        return answer


def test_a_request_line_that_is_too_long_is_refused_and_the_connection_ends(service: Service) -> None:
    answer = raw_answer(service.port, f"/ws/{'a' * 9_000}")
    assert answer.startswith(b"HTTP/1.1 4")


def test_a_contract_that_is_listed_later_speaks_on_its_continuous_stream_too(service: Service, tmp_path: Path) -> None:
    client = service.client("/ws/laterusdt_perpetual@continuousKline_1m")
    service.source.wait_for("LATERUSDT", MINUTE)
    later = a_contract("LATERUSDT")
    with contextlib.closing(BarStore.open(tmp_path / "bars.db")) as store:
        store.commit([ContractsSeen([later])])
    told = 0

    def is_heard() -> bool:
        nonlocal told
        told += 1
        service.source.tell(later.key, MINUTE, minute(told))
        event = client.hear_within(0.2)
        return event is not None and event["ps"] == "LATERUSDT"

    wait_until(is_heard, PATIENCE_S, "it is heard")


def test_stopping_leaves_no_thread_and_tells_clients(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    stored = ClosedBars(BTC, MINUTE, some_bars(MINUTE, MONDAY_MS, 1), Origin.STREAM)
    with serving(tmp_path / "bars.db", changes=[stored]) as service:
        client = service.client("/ws/btcusdt@kline_3m/btcusdt_perpetual@continuousKline_1h")
        service.source.wait_for("BTCUSDT", MINUTE)
        service.source.tell(BTC, MINUTE, minute(1))
        client.hear()
        service.server.stop()
        assert client.closing()[0] == 1012
        assert not service.source.watchers
    assert set(threading.enumerate()) <= before
