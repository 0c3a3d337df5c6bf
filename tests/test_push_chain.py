"""Push behind the real system: the exchange's frames come out as they went in, and one Barkeep feeds another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors import BarSystem
from bars import INTERVALS, MINUTE, MINUTE_MS, WEEK, Bar, Interval
from bars.interval import DAY_MS
from exchange.simulated import ContractPlan, RecordedFrame, SimulatedExchange, WorldPlan, default_plan
from storage import Reader
from tests.support.push import HOST, Client
from tests.support.recorded import Recorded
from tests.support.service import SHORT_HISTORY, wait_until
from web import PushServer, Sources, WebServer, make_app

PATIENCE_S = 60.0
SPEED = 60
RECORDINGS = ("BINANCE_FUTURES.ws.1.0", "BINANCE_FUTURES.ws.5.0")


@contextmanager
def served(bars: BarSystem) -> Iterator[WebServer]:
    """The web server of a running system."""
    with closing(Reader(bars.settings.database)) as reader:
        sources = Sources(reader, bars.now_ms, bars.health, bars.status, fetch=bars.fetch, watch=bars.watch)
        server = WebServer(make_app(sources), HOST, 0, PushServer(sources))
        server.start()
        try:
            yield server
        finally:
            bars.stop_fetching()
            server.stop()


# Recorded frames


def recording(recorded: Recorded, origin: str) -> list[RecordedFrame]:
    lines = (recorded.folder / "ws" / "kline_frames_2021.jsonl").read_text("utf-8").splitlines()
    return [
        RecordedFrame(float(line["recv"]), line["raw"]) for line in map(json.loads, lines) if line["from"] == origin
    ]


def kline(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["data"]["k"]
    return found


def decimals(text: str) -> int:
    return len(text.partition(".")[2])


def a_listing(k: dict[str, Any]) -> ContractPlan:
    """A contract with the precisions of its frames; its own trading would begin long after the test."""
    base = k["s"].removesuffix("USDT")
    precision = decimals(k["o"]), decimals(k["v"])
    return ContractPlan(k["s"], base, "USDT", k["t"], *precision, 1, first_trade_ms=k["t"] + 365 * DAY_MS)


def by_stream(frames: Sequence[str]) -> dict[str, list[str]]:
    streams: dict[str, list[str]] = {}
    for text in frames:
        streams.setdefault(json.loads(text)["stream"], []).append(text)
    return streams


@pytest.mark.parametrize("origin", RECORDINGS)
def test_recorded_frames_come_out_character_by_character_as_they_went_in(
    recorded: Recorded, tmp_path: Path, origin: str
) -> None:
    frames = recording(recorded, origin)
    listings = {kline(frame.text)["s"]: a_listing(kline(frame.text)) for frame in reversed(frames)}
    expected = by_stream([frame.text for frame in frames])
    plan = WorldPlan(seed=1, start_ms=json.loads(frames[0].text)["data"]["E"], contracts=tuple(listings.values()))
    with (
        SimulatedExchange(plan, pushes=False) as exchange,
        BarSystem(database=tmp_path / "bars.db", rest_url=exchange.rest_url, ws_url=exchange.ws_url) as bars,
        served(bars) as server,
    ):
        client = Client(server.port, f"/market/stream?streams={'/'.join(expected)}")
        firsts = [RecordedFrame(0.0, of_stream[0]) for of_stream in expected.values()]
        begun: dict[str, str] = {}

        def all_flow() -> bool:
            exchange.replay(firsts)
            while (frame := client.hear_within(0.3)) is not None:
                begun[frame["stream"]] = frame["data"]["s"]
            return begun.keys() == expected.keys()

        wait_until(all_flow, PATIENCE_S, "all streams flow")
        rest = [frame for frame in frames if frame.text not in {first.text for first in firsts}]
        assert exchange.replay(rest, speed=20) == len(rest)
        again = {first.text for first in firsts}  # one of them may have been on its way for longer than was listened
        heard: list[str] = []
        while len(heard) < len(rest):
            heard += [] if (text := client.text()) in again else [text]
        client.close()
    assert by_stream(heard) == {name: texts[1:] for name, texts in expected.items() if texts[1:]}


# One Barkeep feeds another


class Heard:
    """What a client hears of each stream, gathered until the finals of one have come."""

    def __init__(self, client: Client) -> None:
        self.frames: dict[str, list[dict[str, Any]]] = {}
        self._client = client

    def until(self, is_enough: Callable[[dict[str, list[dict[str, Any]]]], bool]) -> None:
        while not is_enough(self.frames):
            frame = self._client.hear()
            self.frames.setdefault(frame["stream"], []).append(frame["data"])

    def finals(self, stream: str) -> list[int]:
        return [event["k"]["t"] for event in self.frames.get(stream, []) if event["k"]["x"]]


def closed_bars(reader: Reader, symbol: str, interval: Interval, stop_ms: int) -> list[Bar]:
    """The closed bars that end by a time."""
    record = reader.find(symbol)
    bars = [] if record is None else reader.bars(record, interval, end_ms=stop_ms - 1, limit=1_500)
    return [one.bar for one in bars if one.closed and interval.next_open(one.bar.open_ms) <= stop_ms]


def hold_the_same(one: Reader, two: Reader, symbol: str, interval: Interval, stop_ms: int) -> bool:
    """Whether the second one's bars are the first one's; its history begins later, since it was started later."""
    theirs = closed_bars(two, symbol, interval, stop_ms)
    return (
        bool(theirs)
        and [bar for bar in closed_bars(one, symbol, interval, stop_ms) if bar.open_ms >= theirs[0].open_ms] == theirs
    )


def test_one_barkeep_feeds_another_and_both_end_with_the_same_bars(tmp_path: Path) -> None:
    symbols = ["BTCUSDT", "ETHUSDT", "1000PEPEUSDT"]
    options: dict[str, Any] = {"symbols": symbols, "history": SHORT_HISTORY}
    streams = [f"btcusdt@kline_{name}" for name in ("1m", "3m", "5m")]
    with ExitStack() as stack:
        enter = stack.enter_context
        exchange = enter(SimulatedExchange(default_plan(5, 4), speed=SPEED))
        first = enter(
            BarSystem(database=tmp_path / "1.db", rest_url=exchange.rest_url, ws_url=exchange.ws_url, **options)
        )
        near = enter(served(first))
        one = enter(closing(Reader(tmp_path / "1.db")))
        wait_until(lambda: first.health() is None, PATIENCE_S, "the first one is well")
        base = f"{HOST}:{near.port}"
        second = enter(
            BarSystem(database=tmp_path / "2.db", rest_url=f"http://{base}", ws_url=f"ws://{base}", **options)
        )
        far = enter(served(second))
        two = enter(closing(Reader(tmp_path / "2.db")))
        heard = Heard(Client(far.port, f"/market/stream?streams={'/'.join(streams)}"))
        heard.until(lambda _frames: all(heard.finals(stream) for stream in streams))
        stop_ms = MINUTE.floor(exchange.now_ms()) + 2 * MINUTE_MS

        def are_equal() -> bool:
            newest = [closed_bars(two, symbol, MINUTE, stop_ms) for symbol in symbols]
            are_there = all(len(bars) >= 180 and bars[-1].open_ms == stop_ms - MINUTE_MS for bars in newest)
            return are_there and all(
                hold_the_same(one, two, symbol, interval, stop_ms)
                for symbol in symbols
                for interval in INTERVALS.values()
                if interval.span_ms <= WEEK.span_ms
            )

        wait_until(are_equal, PATIENCE_S, "both databases hold the same bars")
        assert second.status()["restarts"] == second.status()["garbage"] == 0
        for name in ("1m", "3m", "5m"):
            finals = heard.finals(f"btcusdt@kline_{name}")
            interval = INTERVALS[name]
            assert finals == list(range(finals[0], finals[-1] + 1, interval.span_ms))
            truth = {bar.open_ms: bar for bar in exchange.world.bars("BTCUSDT", interval, finals[0], exchange.now_ms())}
            for event in heard.frames[f"btcusdt@kline_{name}"]:
                if event["k"]["x"]:
                    assert event["k"]["n"] == truth[event["k"]["t"]].trades
