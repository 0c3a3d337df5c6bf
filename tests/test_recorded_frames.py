"""Frames that the exchange really sent, sent again over a socket to a whole system: what it then stores.

The recordings are short, and what the exchange's REST said at the time is not among them: the listed
contracts have no rows there, so that all that is stored comes from the frames.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from actors import BarSystem
from bars import MINUTE
from bars.interval import DAY_MS
from exchange.simulated import ContractPlan, RecordedFrame, SimulatedExchange, WorldPlan
from storage import Reader
from tests.support.recorded import Recorded
from tests.support.service import wait_until

PATIENCE_S = 30.0
APRIL_2021, JULY_2021 = "BINANCE_FUTURES.ws.5.0", "BINANCE_FUTURES.ws.1.0"
QUOTED_2026 = "kline_frames_2026_quoted.jsonl"

Kline = dict[str, Any]
Row = list[Any]


def recording_of_2021(recorded: Recorded, origin: str) -> list[RecordedFrame]:
    """One of the two recordings of 30 seconds."""
    lines = (recorded.folder / "ws" / "kline_frames_2021.jsonl").read_text("utf-8").splitlines()
    read = map(json.loads, lines)
    return [RecordedFrame(float(line["recv"]), line["raw"]) for line in read if line["from"] == origin]


def quoted_in_2026(recorded: Recorded, captured: str) -> list[RecordedFrame]:
    """The frames of one day; when they were received was not noted."""
    lines = (recorded.folder / "ws" / QUOTED_2026).read_text("utf-8").splitlines()
    return [RecordedFrame(0.0, line["raw"]) for line in map(json.loads, lines) if line["captured"] == captured]


def kline(frame: RecordedFrame) -> Kline:
    found: Kline = json.loads(frame.text)["data"]["k"]
    return found


def row_of(k: Kline) -> Row:
    """What REST would have said of the same bar, character by character.

    Frames pad a zero (`"Q":"0.0000"`); in REST, and so here, it is `"0"`.
    """
    sums = {name: k[name] if Decimal(k[name]) else "0" for name in "vqVQ"}
    prices = (k["o"], k["h"], k["l"], k["c"])
    return [k["t"], *prices, sums["v"], k["T"], sums["q"], k["n"], sums["V"], sums["Q"], k["B"]]


def minutes_of(frames: Sequence[RecordedFrame]) -> dict[str, dict[int, Kline]]:
    """By symbol and open time the last word on each minute: its final, or the newest frame."""
    minutes: dict[str, dict[int, Kline]] = {}
    for k in map(kline, frames):
        minutes.setdefault(k["s"], {})[k["t"]] = k
    return minutes


def finals_of(frames: Sequence[RecordedFrame]) -> set[tuple[str, int]]:
    return {(k["s"], k["t"]) for k in map(kline, frames) if k["x"]}


def decimals(text: str) -> int:
    return len(text.partition(".")[2])


def a_listing(k: Kline) -> ContractPlan:
    """A contract with the precisions of its frames, launched with the first minute recorded.

    Its own trading, and with it its rows in REST, would begin long after the test.
    """
    return ContractPlan(
        k["s"],
        k["s"].removesuffix("USDT"),
        "USDT",
        onboard_ms=k["t"],
        first_trade_ms=k["t"] + 365 * DAY_MS,
        price_decimals=decimals(k["o"]),
        quantity_decimals=decimals(k["v"]),
        price_ticks=1,
    )


@contextmanager
def replayed(frames: Sequence[RecordedFrame], database: Path, speed: float | None = None) -> Iterator[BarSystem]:
    """A system that has been sent these frames, at their time, by an exchange that is silent otherwise."""
    listings = {k["s"]: a_listing(k) for k in map(kline, reversed(frames))}
    start_ms = json.loads(frames[0].text)["data"]["E"]
    plan = WorldPlan(seed=1, start_ms=start_ms, contracts=tuple(listings.values()))
    with (
        SimulatedExchange(plan, pushes=False) as exchange,
        BarSystem(database=database, rest_url=exchange.rest_url, ws_url=exchange.ws_url) as bars,
    ):
        by_stream = sorted(frames, key=lambda frame: kline(frame)["s"])
        firsts = [next(group) for _, group in groupby(by_stream, key=lambda frame: kline(frame)["s"])]
        wait_until(lambda: exchange.replay(firsts) == len(listings), PATIENCE_S, "all streams are subscribed")
        assert exchange.replay(frames, speed) == len(frames)
        yield bars


def stored_rows(reader: Reader, symbol: str) -> list[Row]:
    record = reader.find(symbol)
    if record is None:
        return []
    rows: list[Row] = json.loads(reader.rows_json(record, MINUTE, limit=100))
    return rows


def stored_closed(reader: Reader) -> set[tuple[str, int]]:
    return {
        (record.contract.symbol, stored.bar.open_ms)
        for record in reader.contracts()
        for stored in reader.bars(record, MINUTE, limit=100)
        if stored.closed
    }


def assert_stored(frames: Sequence[RecordedFrame], bars: BarSystem) -> None:
    """The closed minutes are stored to the last character, and the minutes in progress as last told."""
    expected = {symbol: [row_of(k) for k in minutes.values()] for symbol, minutes in minutes_of(frames).items()}
    with closing(Reader(bars.settings.database)) as reader:
        wait_until(
            lambda: {symbol: stored_rows(reader, symbol) for symbol in expected} == expected,
            PATIENCE_S,
            f"what is stored is {expected}",
        )
        assert stored_closed(reader) == finals_of(frames)
    assert bars.status()["restarts"] == 0
    assert bars.status()["garbage"] == 0


def test_the_recording_of_july_2021_with_its_four_finals(recorded: Recorded, tmp_path: Path) -> None:
    frames = recording_of_2021(recorded, JULY_2021)
    assert len(frames) == 67
    assert {symbol for symbol, _ in finals_of(frames)} == {"SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"}
    with replayed(frames, tmp_path / "bars.db", speed=20) as bars:
        assert_stored(frames, bars)
        for symbol, minutes in minutes_of(frames).items():
            closed, in_progress = minutes.values()
            assert [view.closed for view in bars.history(symbol, "1m")] == [True, False]
            bar = bars.latest(symbol, "5m")
            assert bar is not None
            assert (bar.open_time, bar.closed) == (closed["t"], False)
            assert (bar.open, bar.close) == (Decimal(closed["o"]), Decimal(in_progress["c"]))
            assert bar.volume == Decimal(closed["v"]) + Decimal(in_progress["v"])
            assert bar.taker_buy_quote_volume == Decimal(closed["Q"]) + Decimal(in_progress["Q"])
            assert bar.trades == closed["n"] + in_progress["n"]


def test_the_recording_of_april_2021_in_which_no_minute_ends(recorded: Recorded, tmp_path: Path) -> None:
    frames = recording_of_2021(recorded, APRIL_2021)
    assert len(frames) == 99
    assert finals_of(frames) == set()
    assert minutes_of(frames).keys() == {"DENTUSDT", "KSMUSDT", "XMRUSDT", "YFIUSDT"}
    with replayed(frames, tmp_path / "bars.db") as bars:
        assert_stored(frames, bars)


def test_a_final_of_2026_whose_frame_has_spaces(recorded: Recorded, tmp_path: Path) -> None:
    frames = quoted_in_2026(recorded, "2026-07-26")
    assert finals_of(frames) == {("BTCUSDT", 1_785_048_480_000)}
    with replayed(frames, tmp_path / "bars.db") as bars:
        assert_stored(frames, bars)


@pytest.mark.parametrize("captured", ["2026-08-01", "2026-09-09"])
def test_a_frame_in_progress_of_2026(recorded: Recorded, tmp_path: Path, captured: str) -> None:
    frames = quoted_in_2026(recorded, captured)
    assert len(frames) == 1
    with replayed(frames, tmp_path / "bars.db") as bars:
        assert_stored(frames, bars)
