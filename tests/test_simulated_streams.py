"""The simulated exchange's WebSocket side: routes, dialogue, punishments, frames."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import websocket

from bars import FIVE_MINUTES, INTERVALS, MINUTE, MINUTE_MS, Bar, Scale
from bars.interval import HOUR_MS
from exchange.simulated import ContractPlan, FaultPlan, Limits, SimulatedExchange, default_plan
from tests.support.held import HeldClock
from wire.frames import KlineEvent, bar_from_kline
from wire.names import kline_stream

DEADLINE_S = 20.0
SPEED = 120.0
BTC_SCALE = Scale(2, 3, 5)
PLAN = default_plan(seed=6, count=11, frames_per_minute=12)


class Client:
    """A client of one connection that remembers nothing."""

    def __init__(self, exchange: SimulatedExchange, path: str = "/market/stream") -> None:
        self.socket = websocket.create_connection(exchange.ws_url + path, timeout=DEADLINE_S)

    def ask(self, method: str, *params: Any, id: Any = 1) -> Any:  # noqa: A002 - the protocol's word
        self.socket.send(json.dumps({"method": method, "params": params, "id": id}))
        return self.answer()

    def answer(self) -> Any:
        """The next frame that is no event."""
        return next(frame for frame in self.frames() if "stream" not in frame and "e" not in frame)

    def subscribe(self, *names: str) -> None:
        assert self.ask("SUBSCRIBE", *names) == {"result": None, "id": 1}

    def frames(self) -> Iterator[Any]:
        stop_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < stop_s:
            yield json.loads(self.socket.recv())
        raise TimeoutError("reading frames: the deadline passed")

    def is_silent(self, seconds: float = 0.5) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.socket.recv()
        except websocket.WebSocketTimeoutException:
            return True
        return False

    def close_code(self) -> int:
        """Read until the exchange closes; 1006 when it breaks off."""
        while True:
            try:
                opcode, data = self.socket.recv_data()
            except (websocket.WebSocketConnectionClosedException, ConnectionError):
                return 1006
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2], "big")


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    with SimulatedExchange(PLAN, speed=SPEED) as exchange:
        yield exchange


def event_bar(event: Any, scale: Scale = BTC_SCALE) -> Bar:
    return bar_from_kline(msgspec.convert(event, KlineEvent).k, scale)


def planned(symbol: str) -> ContractPlan:
    return next(contract for contract in PLAN.contracts if contract.symbol == symbol)


def test_a_subscribed_stream_brings_wrapped_events_that_tell_the_truth(exchange: SimulatedExchange) -> None:
    client = Client(exchange)
    client.subscribe("btcusdt@kline_1m")
    seen: dict[int, list[Bar]] = {}
    finals = []
    for frame in client.frames():
        assert frame["stream"] == "btcusdt@kline_1m"
        event = frame["data"]
        assert (event["e"], event["s"], event["k"]["s"], event["k"]["i"]) == ("kline", "BTCUSDT", "BTCUSDT", "1m")
        bar = event_bar(event)
        if event["k"]["x"]:
            finals.append(bar)
            assert bar == exchange.world.minute("BTCUSDT", bar.open_ms)
        else:
            assert bar.volume >= max((earlier.volume for earlier in seen.get(bar.open_ms, [])), default=0)
            seen.setdefault(bar.open_ms, []).append(bar)
        if len(finals) == 4:
            break
    assert [later.open_ms - finals[0].open_ms for later in finals] == [0, 60_000, 120_000, 180_000]
    assert all(len(bars) <= 12 for bars in seen.values())


def test_a_raw_connection_brings_the_event_alone_until_told_otherwise(exchange: SimulatedExchange) -> None:
    client = Client(exchange, "/market/ws/btcusdt@kline_1m/" + quote("币安人生usdt@kline_5m"))
    events = client.frames()
    assert next(events)["e"] == "kline"
    assert next(event for event in events if event["s"] == "币安人生USDT")["k"]["i"] == "5m"
    assert client.ask("GET_PROPERTY", "combined") == {"result": False, "id": 1}
    assert client.ask("SET_PROPERTY", "combined", True) == {"result": None, "id": 1}
    assert "stream" in next(client.frames())


def test_streams_named_in_the_url_are_wrapped(exchange: SimulatedExchange) -> None:
    client = Client(exchange, "/market/stream?streams=ethusdt@kline_1m/" + quote("币安人生usdt@kline_1m"))
    names = {frame["stream"] for frame, _ in zip(client.frames(), range(40), strict=False)}
    assert names == {"ethusdt@kline_1m", "币安人生usdt@kline_1m"}
    assert client.ask("LIST_SUBSCRIPTIONS")["result"] == ["ethusdt@kline_1m", "币安人生usdt@kline_1m"]


@pytest.mark.parametrize(
    "path", ["/stream", "/ws", "/public/stream", "/public/ws", "/private/ws", "/ws/btcusdt@kline_1m"]
)
def test_on_the_wrong_route_klines_are_acknowledged_and_silent(exchange: SimulatedExchange, path: str) -> None:
    client = Client(exchange, path)
    client.subscribe("btcusdt@kline_1m")
    assert client.is_silent()


def test_wrong_names_are_acknowledged_listed_and_silent(exchange: SimulatedExchange) -> None:
    names = ["BTCUSDT@kline_1m", "nosuchusdt@kline_1m", "btcusdt@kline_3d", "btcusdt@kline_1mo", "nonsense",
             "xauusdt_perpetual@continuousKline_1m", "newusdt2@kline_1m"]  # fmt: skip
    client = Client(exchange)
    client.subscribe(*names)
    assert client.ask("LIST_SUBSCRIPTIONS")["result"] == names
    assert client.is_silent()
    assert client.ask("UNSUBSCRIBE", "never@kline_1m") == {"result": None, "id": 1}


def test_continuous_streams_carry_the_pair_and_the_type(exchange: SimulatedExchange) -> None:
    client = Client(exchange)
    client.subscribe("xauusdt_tradifi_perpetual@continuousKline_1m")
    frame = next(client.frames())
    assert frame["stream"] == "xauusdt_tradifi_perpetual@continuousKline_1m"
    event = frame["data"]
    assert (event["e"], event["ps"], event["ct"]) == ("continuous_kline", "XAUUSDT", "TRADIFI_PERPETUAL")
    assert "s" not in event["k"]


@pytest.mark.parametrize("interval", [FIVE_MINUTES, INTERVALS["3m"]], ids=str)
def test_larger_intervals_end_in_their_own_final(exchange: SimulatedExchange, interval: Any) -> None:
    client = Client(exchange)
    client.subscribe(kline_stream("ETHUSDT", interval))
    event = next(frame["data"] for frame in client.frames() if frame["data"]["k"]["x"])
    bar = event_bar(event)
    assert exchange.world.bars("ETHUSDT", interval, bar.open_ms, bar.open_ms + 1) == [bar]


def test_unsubscribing_ends_a_stream(exchange: SimulatedExchange) -> None:
    client = Client(exchange)
    client.subscribe("btcusdt@kline_1m")
    next(client.frames())
    assert client.ask("UNSUBSCRIBE", "btcusdt@kline_1m", id="mine") == {"result": None, "id": "mine"}
    assert client.is_silent()


def test_bad_requests_are_answered_with_codes(exchange: SimulatedExchange) -> None:
    client = Client(exchange)
    client.socket.send("{")
    assert client.answer()["code"] == 3
    assert client.ask("NO_SUCH_METHOD")["error"]["code"] == 2


def test_an_unknown_path_and_an_endless_url_are_refused(exchange: SimulatedExchange) -> None:
    for path in ("/market/other", "/market/stream?streams=" + "btcusdt@kline_1m/" * 475):
        with pytest.raises(websocket.WebSocketBadStatusException):
            Client(exchange, path)
    with pytest.raises((websocket.WebSocketException, ConnectionError)):
        Client(exchange, "/market/stream?streams=" + "btcusdt@kline_1m/" * 5_000)


def test_the_1025th_stream_closes_the_connection(exchange: SimulatedExchange) -> None:
    client = Client(exchange, "/market/ws")
    client.subscribe(*(f"a{number}@kline_1m" for number in range(1024)))
    assert client.ask("SUBSCRIBE", "one@kline_1m")["error"] == {"code": 4, "msg": "Too many subscriptions"}
    assert client.close_code() == 1008


def test_more_than_ten_messages_a_second_close_the_connection(exchange: SimulatedExchange) -> None:
    client = Client(exchange)
    requests = (json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}) for number in range(30))
    assert client.socket.sock is not None
    client.socket.sock.sendall(b"".join(websocket.ABNF.create_frame(text, 1).format() for text in requests))
    answers = [client.answer()["id"] for _ in range(10)]
    assert answers == list(range(10))
    assert client.close_code() == 1008


def test_pings_carry_the_time_and_want_a_pong() -> None:
    limits = Limits(ping_interval_s=0.1, pong_timeout_s=3.0)
    with SimulatedExchange(replace(PLAN, limits=limits)) as exchange:
        answering, deaf = Client(exchange), Client(exchange)
        stop_s = time.monotonic() + DEADLINE_S
        while (exchange.counters.closes[1006], exchange.counters.connected) != (1, 1):
            assert time.monotonic() < stop_s
            opcode, frame = answering.socket.recv_data_frame(control_frame=True)
            assert opcode == websocket.ABNF.OPCODE_PING
            assert PLAN.start_ms <= int(frame.data) <= exchange.now_ms()
        assert deaf.socket.sock is not None
        while deaf.socket.sock.recv(4096):  # the pings that it never answered, and then the end
            pass


def test_a_connection_ends_after_its_lifetime() -> None:
    limits = Limits(connection_life_ms=HOUR_MS)
    with SimulatedExchange(replace(PLAN, limits=limits), speed=3_600) as exchange:
        begun_ms = exchange.now_ms()
        assert Client(exchange).close_code() == 1001
        assert exchange.now_ms() - begun_ms >= HOUR_MS


def test_a_new_listing_appears_and_a_delisted_contract_falls_silent() -> None:
    plan = replace(PLAN, contracts=(planned("NEWUSDT"), planned("OLDUSDT")))
    clock = HeldClock(plan.start_ms, speed=600)
    with SimulatedExchange(plan, clock=clock) as exchange:
        client = Client(exchange)
        client.subscribe("newusdt@kline_1m", "oldusdt@kline_1m")
        clock.let_go()
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for frame in client.frames():
            kline = frame["data"]["k"]
            first.setdefault(kline["s"], kline["t"])
            last[kline["s"]] = kline["t"]
            if kline["t"] > planned("OLDUSDT").delivery_ms + 2 * MINUTE_MS:
                break
        assert first["NEWUSDT"] == planned("NEWUSDT").first_ms
        assert last["OLDUSDT"] == planned("OLDUSDT").delivery_ms - MINUTE_MS


def test_more_decimals_arrive_in_mid_life() -> None:
    plan = replace(PLAN, contracts=(planned("SOLUSDT"),))
    clock = HeldClock(plan.start_ms, speed=600)
    with SimulatedExchange(plan, clock=clock) as exchange:
        client = Client(exchange)
        client.subscribe("solusdt@kline_1m")
        clock.let_go()
        for frame in client.frames():
            kline = frame["data"]["k"]
            change = planned("SOLUSDT").precision
            assert change is not None
            assert len(kline["v"].partition(".")[2]) == (2 if kline["t"] >= change.at_ms else 0)
            if kline["t"] > change.at_ms:
                break


@pytest.mark.parametrize("finals", [False, True])
def test_an_empty_minute_sends_nothing_or_a_flat_final_alone(finals: bool) -> None:
    thin = planned("42USDT")
    plan = replace(PLAN, contracts=(thin,), empty_minute_finals=finals)
    with SimulatedExchange(plan, speed=600) as exchange:
        client = Client(exchange)
        client.subscribe("42usdt@kline_1m")
        empty = []
        for frame, _ in zip(client.frames(), range(15), strict=False):
            bar = event_bar(frame["data"], Scale(5, 1, 6))
            if bar.is_empty:
                empty.append(frame["data"]["k"])
        assert bool(empty) == finals
        assert all((kline["x"], kline["n"], kline["f"], kline["L"]) == (True, 0, -1, -1) for kline in empty)


def test_at_a_script_s_word_connections_break_close_freeze_or_are_refused() -> None:
    with SimulatedExchange(PLAN, speed=SPEED) as exchange:
        broken, other = Client(exchange), Client(exchange)
        exchange.disconnect_all()
        assert (broken.close_code(), other.close_code()) == (1006, 1006)
        closed = Client(exchange)
        exchange.close_all(1001)
        assert closed.close_code() == 1001
        frozen, stalled = Client(exchange), Client(exchange)
        for client in (frozen, stalled):
            client.subscribe("btcusdt@kline_1m")
            next(client.frames())
        exchange.freeze_connections()
        fresh = Client(exchange)
        fresh.subscribe("btcusdt@kline_1m")
        assert next(fresh.frames())["data"]["s"] == "BTCUSDT"
        frozen.ask("LIST_SUBSCRIPTIONS")
        assert frozen.is_silent()
        exchange.faults = FaultPlan(frozen=True)
        fresh.ask("LIST_SUBSCRIPTIONS")
        assert fresh.is_silent()
        exchange.faults = FaultPlan()
        assert next(fresh.frames())["data"]["s"] == "BTCUSDT"
        assert exchange.counters.connections_opened == 6
        exchange.faults = FaultPlan(refused_handshakes=1)
        with pytest.raises(websocket.WebSocketBadStatusException):
            Client(exchange)


def test_stopping_leaves_no_thread_and_frees_the_port() -> None:
    exchange = SimulatedExchange(PLAN)
    exchange.start()
    client = Client(exchange)
    exchange.stop()
    exchange.stop()
    assert client.close_code() == 1006
    with SimulatedExchange(PLAN, port=exchange.port) as again, pytest.raises(OSError, match="in use"):
        SimulatedExchange(PLAN, port=again.port).start()


def test_two_exchanges_of_one_seed_send_the_same_finals() -> None:
    def finals() -> list[Any]:
        clock = HeldClock(PLAN.start_ms, speed=600)
        with SimulatedExchange(PLAN, clock=clock) as exchange:
            client = Client(exchange)
            client.subscribe("btcusdt@kline_1m")
            clock.let_go()
            klines = (frame["data"]["k"] for frame in client.frames())
            closed = (kline for kline in klines if kline["x"] and kline["t"] > MINUTE.floor(PLAN.start_ms) + MINUTE_MS)
            return [kline for kline, _ in zip(closed, range(5), strict=False)]

    assert finals() == finals()
