"""Planned faults really happen, and end when the plan says so."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import websocket

from bars import MINUTE_MS
from exchange.simulated import MILD, WILD, FaultPlan, SimulatedExchange, default_plan
from exchange.simulated.connections import Channel
from exchange.simulated.disturbance import GARBAGE, Disturbance
from exchange.simulated.faults import Dice
from tests.support.service import wait_until
from wire.names import parse_stream

PLAN = default_plan(seed=8, count=8, frames_per_minute=12)
SPEED = 300.0
DEADLINE_S = 60.0
FROZEN_S = 1.0


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    with SimulatedExchange(PLAN, speed=SPEED) as exchange:
        yield exchange


def answers(exchange: SimulatedExchange, faults: FaultPlan, count: int) -> list[requests.Response]:
    exchange.faults = faults
    url = f"{exchange.rest_url}/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=2"
    with requests.Session() as session:
        found = [session.get(url, timeout=DEADLINE_S) for _ in range(count)]
    exchange.faults = FaultPlan()
    return found


def test_server_errors_come_as_json_as_html_and_empty(exchange: SimulatedExchange) -> None:
    found = answers(exchange, FaultPlan(server_errors=0.7), 80)
    assert {answer.status_code for answer in found} >= {200, 408, 500, 502, 503, 504}
    bodies = {answer.status_code: answer.content for answer in found}
    assert json.loads(bodies[500])["code"] == -1000
    assert bodies[502].startswith(b"<html>")
    assert bodies[504] == b""
    assert all(answer.ok for answer in answers(exchange, FaultPlan(), 5))


def test_restricted_and_forbidden_answers_look_like_the_real_ones(exchange: SimulatedExchange) -> None:
    (restricted,) = answers(exchange, FaultPlan(only_status=451), 1)
    assert restricted.status_code == 451
    assert restricted.json()["code"] == 0
    assert b"\n" in restricted.content
    (forbidden,) = answers(exchange, FaultPlan(only_status=403), 1)
    assert forbidden.content.startswith(b"<html>")
    assert "X-MBX-USED-WEIGHT-1M" not in forbidden.headers
    kinds = {answer.status_code for answer in answers(exchange, FaultPlan(restricted=0.3, forbidden=0.3), 40)}
    assert kinds == {200, 403, 451}
    assert [answers(exchange, FaultPlan(only_status=status), 1)[0].json()["code"] for status in (418, 429)] == [
        -1003
    ] * 2


def test_bodies_are_cut_or_garbage_with_status_200(exchange: SimulatedExchange) -> None:
    def is_good(answer: requests.Response) -> bool:
        try:
            return [len(row) for row in answer.json()] == [12, 12]
        except (ValueError, TypeError):
            return False

    for faults in (FaultPlan(cut_bodies=0.5), FaultPlan(garbage_bodies=0.5)):
        found = answers(exchange, faults, 30)
        assert {answer.status_code for answer in found} == {200}
        assert 3 < sum(map(is_good, found)) < 27


def test_some_answers_come_late_and_some_never(exchange: SimulatedExchange) -> None:
    begun_s = time.monotonic()
    answers(exchange, FaultPlan(delays=1.0, delay_s=0.1), 10)
    assert time.monotonic() - begun_s > 0.15
    exchange.faults = FaultPlan(timeouts=1.0)
    for _ in range(4):
        with pytest.raises(requests.exceptions.RequestException):
            requests.get(f"{exchange.rest_url}/fapi/v1/time", timeout=0.5)
    exchange.faults = FaultPlan()
    wait_until(lambda: exchange.counters.requests["/fapi/v1/time", 0] == 4, DEADLINE_S, "it has read all four")


def test_an_exchange_with_hanging_answers_can_be_stopped() -> None:
    exchange = SimulatedExchange(PLAN, FaultPlan(timeouts=1.0))
    exchange.start()
    with pytest.raises(requests.RequestException):
        requests.get(f"{exchange.rest_url}/fapi/v1/time", timeout=0.5)
    exchange.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{exchange.rest_url}/fapi/v1/time", timeout=DEADLINE_S)


def test_a_minute_just_closed_still_moves_for_some_seconds() -> None:
    with SimulatedExchange(PLAN, FaultPlan(settling_rows=0.7), speed=20) as exchange, requests.Session() as session:
        wrong = 0
        stop_s = time.monotonic() + DEADLINE_S
        while wrong < 5:
            assert time.monotonic() < stop_s
            asked_ms = exchange.now_ms()
            found = session.get(
                f"{exchange.rest_url}/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=3", timeout=DEADLINE_S
            )
            for row in found.json():
                truth = exchange.world.minute("BTCUSDT", row[0])
                assert truth is not None
                if row[6] < asked_ms and row[8] != truth.trades:
                    wrong += 1
                    assert asked_ms - row[6] <= 14_000


class Frames:
    """The disturbance of one stream, told frame by frame."""

    def __init__(self, faults: FaultPlan, seed: int = 1) -> None:
        self._disturbance = Disturbance(lambda: faults, Dice(seed, "test"))
        stream = parse_stream("btcusdt@kline_1m")
        assert stream is not None
        self._channels = [Channel(f"{at}", "BTCUSDT", stream.interval, None) for at in range(3)]

    def sent(self, count: int, *, final: bool = False) -> list[tuple[int, bytes]]:
        """What goes out for `count` rounds of one numbered frame in each of three streams: (stream, frame)."""
        out: list[tuple[int, bytes]] = []
        for number in range(count):
            frame = b"%04d" % number
            for at, channel in enumerate(self._channels):
                out += [(at, copy) for copy, _ in self._disturbance.copies(channel, (frame, frame), final=final)]
            out += [(self._channels.index(channel), raw) for channel, (raw, _) in self._disturbance.overtaken()]
        return out

    def fates(self, count: int) -> Counter[str]:
        fates = (self._disturbance.final() for _ in range(count))
        return Counter("missing" if fate.missing else "late" if fate.late_ms else "punctual" for fate in fates)


def test_frames_are_lost_but_finals_only_as_planned() -> None:
    assert 100 < len(Frames(FaultPlan(lost_frames=0.5)).sent(100)) < 200
    assert len(Frames(FaultPlan(lost_frames=1.0)).sent(100, final=True)) == 300
    fates = Frames(FaultPlan(missing_finals=0.2, late_finals=0.3)).fates(1000)
    assert fates["missing"] > 100
    assert fates["late"] > 100
    assert fates["punctual"] > 300


def test_frames_are_doubled_and_garbage_slips_in() -> None:
    sent = Frames(FaultPlan(doubled_frames=0.2, garbage_frames=0.2)).sent(200)
    counted = Counter(sent)
    assert sum(count == 2 for (_, frame), count in counted.items() if frame not in GARBAGE) > 60
    assert {frame for _, frame in sent if frame in GARBAGE} == set(GARBAGE)


def test_streams_overtake_each_other_but_never_themselves() -> None:
    sent = Frames(FaultPlan(swapped_frames=0.3)).sent(300)
    for at in range(3):
        own = [frame for stream, frame in sent if stream == at]
        assert own == sorted(own)
        assert len(own) >= 298
    frames = [frame for _, frame in sent]
    assert frames != sorted(frames)


def read_until(
    exchange: SimulatedExchange,
    faults: FaultPlan,
    enough: Callable[[Counter[str]], bool],
    silence_s: float = DEADLINE_S,
) -> Counter[str]:
    """Read BTCUSDT's minutes with these faults, over new connections where one ends; count what is met.

    A connection that is silent for so long is frozen.
    """
    exchange.faults = faults
    met: Counter[str] = Counter()
    stop_s = time.monotonic() + DEADLINE_S
    while not enough(met):
        assert time.monotonic() < stop_s, met
        client = websocket.create_connection(exchange.ws_url + "/market/ws/btcusdt@kline_1m", timeout=DEADLINE_S)
        client.settimeout(silence_s)
        try:
            while not enough(met):
                opcode, data = client.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    met["closed"] += 1
                    break
                _count(met, data)
        except websocket.WebSocketTimeoutException:
            met["frozen"] += 1
        except UnicodeDecodeError:
            met["no text"] += 1
        except (websocket.WebSocketException, ConnectionError):
            met["broken"] += 1
        client.close()
    exchange.faults = FaultPlan()
    return met


def _count(met: Counter[str], data: bytes) -> None:
    try:
        event: Any = json.loads(data)
        kline = event["k"]
        late_ms = event["E"] - kline["T"]
        met[f"final {kline['t']}" if kline["x"] else "partial"] += 1
        met["late"] += kline["x"] and late_ms > 3_000
        assert late_ms <= 33_000
    except (ValueError, TypeError, KeyError):
        met["garbage"] += 1


def test_finals_are_late_by_up_to_30_seconds_or_missing(exchange: SimulatedExchange) -> None:
    def lacks_some(met: Counter[str]) -> bool:
        minutes = sorted(int(key.split()[1]) for key in met if key.startswith("final"))
        return len(minutes) < (minutes[-1] - minutes[0]) // MINUTE_MS + 1

    faults = FaultPlan(late_finals=0.5, missing_finals=0.3)
    read_until(exchange, faults, lambda met: met["late"] >= 5 and lacks_some(met))


def test_connections_break_close_and_freeze(exchange: SimulatedExchange) -> None:
    faults = FaultPlan(disconnects=0.3, going_away=0.3)
    met = read_until(exchange, faults, lambda met: bool(met["broken"] and met["closed"]))
    assert met["partial"]
    assert not met["frozen"]
    assert read_until(exchange, FaultPlan(freezes=0.5), lambda met: bool(met["frozen"]), FROZEN_S)["partial"]


def test_garbage_comes_over_the_wire(exchange: SimulatedExchange) -> None:
    met = read_until(exchange, FaultPlan(garbage_frames=0.3), lambda met: met["garbage"] > 10)
    assert met["partial"]


@pytest.mark.parametrize("faults", [MILD, WILD], ids=["mild", "wild"])
def test_the_presets_hurt_and_do_not_kill(faults: FaultPlan) -> None:
    with SimulatedExchange(PLAN, faults, speed=SPEED) as exchange:
        stop_s = time.monotonic() + DEADLINE_S
        minutes = 0
        while minutes < 5 and time.monotonic() < stop_s:
            try:
                client = websocket.create_connection(
                    exchange.ws_url + "/market/ws/btcusdt@kline_1m", timeout=DEADLINE_S
                )
                client.settimeout(FROZEN_S)
                while minutes < 5:
                    minutes += b'"x":true' in client.recv_data()[1]
            except (websocket.WebSocketException, ConnectionError, UnicodeDecodeError):
                continue
        assert minutes == 5


def test_the_same_seed_throws_the_same_dice() -> None:
    assert Frames(WILD, seed=3).sent(100) == Frames(WILD, seed=3).sent(100) != Frames(WILD, seed=4).sent(100)
