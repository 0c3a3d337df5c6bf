"""Frames: the recorded ones, made-up ones, and junk."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import INTERVALS, Bar, BarError, Interval, InvalidBar, MoreDecimals, Scale
from tests.support.builders import MONDAY_MS, a_bar, an_empty_bar, bars
from tests.support.recorded import Recorded
from wire.frames import (
    Answer,
    InvalidFrame,
    Kline,
    KlineFrame,
    OtherFrame,
    bar_from_kline,
    decode_frame,
    event_of,
    kline_event,
)

WIDE = Scale(8, 8, 16)
REAL = (
    '{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1791382992723,"s":"BTCUSDT","k":{"t":1791382980000,'
    '"T":1791383039999,"s":"BTCUSDT","i":"1m","f":8153633367,"L":8153634395,"o":"83084.90","c":"83091.60",'
    '"h":"83091.70","l":"83051.20","v":"13.551","n":1027,"x":false,"q":"1125714.73960","V":"6.426",'
    '"Q":"533856.66860","B":"0"}}}'
)
SCALE = Scale(2, 3, 5)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
field_values = json_values | st.sampled_from([0, -1, 10**17, 2**63, 2**64, "0", "-1", "1e9", "NaN", "9" * 50, "\u0663"])


def kline_of(text: str) -> Kline:
    frame = decode_frame(text)
    assert isinstance(frame, KlineFrame)
    return frame.data.k


def changed(**fields: Any) -> str:
    """The real frame with other values in its `k`."""
    frame = json.loads(REAL)
    frame["data"]["k"].update(fields)
    return json.dumps(frame)


def test_a_real_frame_is_read_exactly() -> None:
    frame = decode_frame(REAL)
    assert isinstance(frame, KlineFrame)
    assert (frame.stream, frame.data.E, frame.data.s) == ("btcusdt@kline_1m", 1_791_382_992_723, "BTCUSDT")
    assert (frame.data.k.f, frame.data.k.L, frame.data.k.x) == (8_153_633_367, 8_153_634_395, False)
    prices, sums = (8308490, 8309170, 8305120, 8309160), (13551, 112571473960, 1027, 6426, 53385666860)
    assert bar_from_kline(frame.data.k, SCALE) == Bar(1_791_382_980_000, *prices, *sums, SCALE)
    assert decode_frame(REAL.encode()) == frame


@pytest.mark.parametrize(("name", "count"), [("kline_frames_2021.jsonl", 166), ("kline_frames_2026_quoted.jsonl", 4)])
def test_every_recorded_kline_frame_is_read_exactly_and_written_back(recorded: Recorded, name: str, count: int) -> None:
    frames = recorded.frames(name)
    assert len(frames) == count
    for text in frames:
        frame, said = decode_frame(text), json.loads(text)["data"]
        assert isinstance(frame, KlineFrame)
        places = [max(len(said["k"][key].partition(".")[2]) for key in keys) for keys in ("ohlc", "vV", "qQ")]
        bar = bar_from_kline(frame.data.k, Scale(*places))
        ids = frame.data.k.f, frame.data.k.L
        event = kline_event(
            frame.data.s, INTERVALS["1m"], bar, closed=frame.data.k.x, event_ms=frame.data.E, trade_ids=ids
        )
        assert list(event["k"]) == list(said["k"])
        assert event == said
        assert event_of(frame.data.s, frame.data.k, event_ms=frame.data.E) == said


@pytest.mark.parametrize("name", ["BINANCE_FUTURES.ws.5.0.gz", "BINANCE_FUTURES.ws.1.0.gz"])
def test_everything_else_on_a_recorded_connection_is_known_to_be_something_else(recorded: Recorded, name: str) -> None:
    lines = gzip.decompress((recorded.folder / "ws" / name).read_bytes()).decode().splitlines()
    kinds: dict[str, int] = {}
    for text in [line.split(": ", 1)[1] for line in lines if ": " in line]:  # the other lines are the URL
        frame = decode_frame(text)
        assert not isinstance(frame, Answer)
        kind = frame.event if isinstance(frame, OtherFrame) else frame.data.e
        kinds[kind] = kinds.get(kind, 0) + 1
    assert set(kinds) <= {"kline", "aggTrade", "depthUpdate", "bookTicker"}
    assert kinds["kline"] in (99, 67)


@given(bars(MONDAY_MS), st.booleans(), st.integers(MONDAY_MS, MONDAY_MS + 10**6))
def test_what_is_written_is_read_back(bar: Bar, closed: bool, event_ms: int) -> None:
    event = kline_event("龙虾USDT", INTERVALS["1m"], bar, closed=closed, event_ms=event_ms)
    frame = decode_frame(msgspec.json.encode({"stream": "龙虾usdt@kline_1m", "data": event}))
    assert isinstance(frame, KlineFrame)
    assert (frame.data.s, frame.data.E, frame.data.k.x) == ("龙虾USDT", event_ms, closed)
    assert bar_from_kline(frame.data.k, bar.scale) == bar


@pytest.mark.parametrize("name", list(INTERVALS))
def test_the_times_of_every_interval_are_the_exchanges(name: str) -> None:
    interval = INTERVALS[name]
    bar = a_bar(interval.floor(MONDAY_MS))
    event = kline_event("BTCUSDT", interval, bar, closed=True, event_ms=MONDAY_MS)
    assert event["k"]["T"] == interval.next_open(bar.open_ms) - 1
    assert bar_from_kline(msgspec.convert(event["k"], Kline), bar.scale) == bar


def test_a_continuous_event_names_pair_and_type_and_has_no_symbol() -> None:
    event = kline_event(
        "BTCUSDT", INTERVALS["1m"], a_bar(), closed=False, event_ms=5, contract_type="PERPETUAL", trade_ids=(3, 9)
    )
    assert {key: event[key] for key in ("e", "E", "ps", "ct")} == {
        "e": "continuous_kline",
        "E": 5,
        "ps": "BTCUSDT",
        "ct": "PERPETUAL",
    }
    assert "s" not in event
    assert "s" not in event["k"]
    assert (event["k"]["f"], event["k"]["L"]) == (3, 9)


def test_an_empty_bar_has_zeros_padded_like_other_values_and_unknown_trades() -> None:
    kline = kline_event("BTCUSDT", INTERVALS["1m"], an_empty_bar(price=1_234), closed=True, event_ms=60_000)["k"]
    assert (kline["v"], kline["q"], kline["V"], kline["Q"], kline["n"]) == ("0.0", "0.000", "0.0", "0.000", 0)
    assert (kline["o"], kline["f"], kline["L"]) == ("12.34", -1, -1)
    assert bar_from_kline(msgspec.convert(kline, Kline), Scale(2, 1, 3)) == an_empty_bar(price=1_234)


def test_unknown_keys_and_missing_trade_ids_do_no_harm() -> None:
    frame = json.loads(REAL)
    frame["data"]["st"] = 1
    frame["data"]["k"]["new"] = {"a": [1]}
    del frame["data"]["k"]["f"], frame["data"]["k"]["L"], frame["data"]["k"]["B"]
    kline = kline_of(json.dumps(frame))
    assert (kline.f, kline.L) == (-1, -1)
    assert bar_from_kline(kline, SCALE) == bar_from_kline(kline_of(REAL), SCALE)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"result":null,"id":1}', Answer(1)),
        ('{"result":["btcusdt@kline_1m"],"id":3}', Answer(3, ["btcusdt@kline_1m"])),
        ('{"id":"abc","result":true}', Answer("abc", True)),
        ('{"error":{"code":4,"msg":"Too many subscriptions"},"id":7}', "Too many subscriptions"),
        ('{"code":2,"msg":"Invalid request: unknown variant"}', "Invalid request"),
        ('{"code":3,"msg":"Invalid JSON"}', "Invalid JSON"),
    ],
)
def test_answers_come_flat_and_nested(text: str, answer: Answer | str) -> None:
    frame = decode_frame(text)
    assert isinstance(frame, Answer)
    if isinstance(answer, str):
        assert frame.error is not None
        assert answer in frame.error
    else:
        assert frame == answer


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"e":"serverShutdown","E":1}', "serverShutdown"),
        ('{"stream":"!contractInfo","data":{"e":"contractInfo","s":"BIGTIMEUSDT","bks":[]}}', "contractInfo"),
        ('{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker"},{"e":"24hrMiniTicker"}]}', "24hrMiniTicker"),
        (
            '{"stream":"x","data":{"e":"continuous_kline","E":1,"ps":"BTCUSDT","ct":"PERPETUAL","k":{}}}',
            "continuous_kline",
        ),
        (REAL.replace('"e":"kline"', '"e":"spotKline"'), "spotKline"),
    ],
)
def test_events_of_other_kinds_are_named_and_no_error(text: str, event: str) -> None:
    assert decode_frame(text) == OtherFrame(event)


NO_JSON = ["", "{", "<html>", "\x00", "\ud800", b"\xff\xfe", b'{"e":"\xff"}', REAL[:-1], REAL[:100]]
NO_FRAMES = ["null", "true", "[]", "5", '"kline"', "{}", '{"data":[]}', '{"data":null}', '{"e":5}']
BOTTOMLESS = ["[" * 100_000, '{"a":' * 5_000, '{"error":' + "[" * 990 + "]" * 990 + "}"]
MISTYPED = [changed(n=True), changed(n="5"), changed(n=5.0), changed(x="false"), changed(x=0), changed(t="1")]
MISTYPED += [changed(o=1.5), changed(v=None), changed(t=None), REAL.replace('"k":{', '"j":{')]


@pytest.mark.parametrize("text", [*NO_JSON, *NO_FRAMES, *BOTTOMLESS, *MISTYPED])
def test_junk_is_an_invalid_frame_and_nothing_else(text: bytes | str) -> None:
    with pytest.raises(InvalidFrame, match="reading a frame"):
        decode_frame(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("i", "3d"),
        ("i", "1h"),
        ("i", ""),
        ("t", 1_791_382_980_001),
        ("t", -60_000),
        ("t", 10**17),
        ("t", 10**40),
        ("T", 1_791_383_040_000),
        ("T", 0),
        ("o", "83092.00"),
        ("h", "1"),
        ("l", "83090.00"),
        ("c", "0"),
        ("o", "-83084.90"),
        ("o", "NaN"),
        ("h", "1e5"),
        ("v", "\u0661\u0663"),
        ("v", "9" * 30),
        ("q", "9" * 4_301),
        ("V", "13.552"),
        ("Q", "1125714.73961"),
        ("n", -1),
        ("n", 2**63),
    ],
)
def test_a_kline_that_is_no_sound_bar_is_refused(field: str, value: Any) -> None:
    with pytest.raises(BarError):
        bar_from_kline(kline_of(changed(**{field: value})), SCALE)


@pytest.mark.parametrize("interval", list(INTERVALS.values()))
@pytest.mark.parametrize("open_ms", [10**17, 2**63, 10**40, -(10**17), -1])
def test_a_kline_of_an_absurd_time_is_refused(interval: Interval, open_ms: int) -> None:
    aligned = interval.floor(open_ms)
    kline = kline_of(changed(t=aligned, T=interval.close_ms(aligned), i=interval.name))
    with pytest.raises(InvalidBar, match="expected a bucket's times"):
        bar_from_kline(kline, SCALE)


def test_a_value_finer_than_the_scale_says_how_fine() -> None:
    with pytest.raises(MoreDecimals, match="at most 2 decimals, got 3") as caught:
        bar_from_kline(kline_of(REAL), Scale(2, 2, 5))
    assert caught.value.needed == 3


@given(st.binary() | st.text() | json_values.map(json.dumps))
def test_any_bytes_are_a_frame_or_an_invalid_one(payload: bytes | str) -> None:
    try:
        frame = decode_frame(payload)
    except InvalidFrame:
        return
    assert isinstance(frame, KlineFrame | Answer | OtherFrame)


@given(st.dictionaries(st.sampled_from("tTiochlvnqVQfLx"), field_values, max_size=3), st.integers(0, 600))
def test_any_value_in_any_field_is_a_bar_or_a_known_error(fields: dict[str, Any], cut: int) -> None:
    text = changed(**fields)
    try:
        kline = kline_of(text)
        bar = bar_from_kline(kline, WIDE)
    except (InvalidFrame, BarError):
        pass
    else:
        assert Decimal(bar.volume).scaleb(-8) == Decimal(kline.v)
    if cut < len(text):
        with pytest.raises(InvalidFrame):
            decode_frame(text[:cut])
