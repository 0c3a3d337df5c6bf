"""Recorded frames sent again, and the exchange as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests
import websocket

from exchange.simulated import RecordedFrame, SimulatedExchange, WorldPlan, read_recording
from tests.support.recorded import Recorded

ROOT = Path(__file__).parent.parent
PATIENCE_S = 60.0
EMPTY = WorldPlan(seed=1, start_ms=1_626_992_741_000, contracts=())


def a_frame(stream: str, number: int, received_s: float = 0.0) -> RecordedFrame:
    return RecordedFrame(received_s, json.dumps({"stream": stream, "data": {"e": "kline", "number": number}}, indent=1))


def listening(exchange: SimulatedExchange, *streams: str) -> websocket.WebSocket:
    client = websocket.create_connection(exchange.ws_url + "/market/stream", timeout=PATIENCE_S)
    client.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
    assert json.loads(client.recv()) == {"result": None, "id": 1}
    return client


def test_a_recording_is_sent_again_unchanged_and_in_order() -> None:
    frames = read_recording(Recorded.find_or_skip().folder / "ws" / "kline_frames_2021.jsonl")
    assert len(frames) == 166
    streams = sorted({json.loads(frame.text)["stream"] for frame in frames})
    with SimulatedExchange(EMPTY) as exchange:
        client = listening(exchange, *streams)
        assert exchange.replay(frames) == 166
        assert [client.recv() for _ in frames] == [frame.text for frame in frames]


def test_each_connection_gets_the_streams_that_it_subscribed() -> None:
    frames = [a_frame(("a@kline_1m", "b@trade")[number % 2], number) for number in range(250)]
    with SimulatedExchange(EMPTY) as exchange:
        one, both = listening(exchange, "b@trade"), listening(exchange, "a@kline_1m", "b@trade")
        assert exchange.replay([*frames, a_frame("c@kline_1m", 0)]) == 250
        assert [both.recv() for _ in frames] == [frame.text for frame in frames]
        assert [one.recv() for _ in frames[1::2]] == [frame.text for frame in frames[1::2]]


def test_a_replay_keeps_the_recorded_pace_at_its_speed() -> None:
    frames = [a_frame("a@kline_1m", number, received_s=1_000.0 + number) for number in range(5)]
    with SimulatedExchange(EMPTY) as exchange:
        listening(exchange, "a@kline_1m")
        begun_s = time.monotonic()
        exchange.replay(frames, speed=10)
        assert time.monotonic() - begun_s >= 0.4


def test_as_a_process_it_prints_its_addresses_and_ends_at_a_signal() -> None:
    command = [sys.executable, "-m", "exchange.simulated", "--speed", "60", "--symbols", "3", "--seed", "7"]
    command += ["--start", "2026-03-01T12:00:00", "--faults", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        assert addresses["start_ms"] == 1_772_366_400_000
        now_ms = requests.get(f"{addresses['rest_url']}/fapi/v1/time", timeout=PATIENCE_S).json()["serverTime"]
        assert 0 <= now_ms - addresses["start_ms"] < PATIENCE_S * 60 * 1_000
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_a_start_that_is_no_time_is_refused_in_one_line() -> None:
    command = [sys.executable, "-m", "exchange.simulated", "--start", "soon"]
    ended = subprocess.run(command, capture_output=True, cwd=ROOT, text=True, timeout=PATIENCE_S, check=False)
    assert ended.stderr == "--start: expected an ISO 8601 date and time, got 'soon'\n"
