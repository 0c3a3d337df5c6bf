"""Stream names, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import INTERVALS, Interval
from wire.names import Stream, kline_stream, lower, parse_stream, upper

intervals = st.sampled_from(list(INTERVALS.values()))
symbols = st.text(st.characters(codec="utf-8", exclude_characters="@"), min_size=1, max_size=20)


@given(symbols, intervals)
def test_a_name_is_read_back_as_the_symbol_and_interval_it_was_made_of(symbol: str, interval: Interval) -> None:
    assert parse_stream(kline_stream(upper(symbol), interval)) == Stream(upper(symbol), interval)


@given(st.text())
def test_any_text_is_a_stream_or_none(text: str) -> None:
    stream = parse_stream(text)
    assert stream is None or (stream.symbol and "@" in text and stream.interval.name in text)


@given(st.text())
def test_only_ascii_letters_change_case(text: str) -> None:
    assert upper(lower(text)) == upper(text)
    assert len(lower(text)) == len(text)
    assert [c for c in lower(text) if not c.isascii()] == [c for c in text if not c.isascii()]


@pytest.mark.parametrize(
    ("name", "symbol", "interval", "contract_type"),
    [
        ("btcusdt@kline_1m", "BTCUSDT", "1m", None),
        ("btcusdt@kline_1M", "BTCUSDT", "1M", None),
        ("币安人生usdt@kline_4h", "币安人生USDT", "4h", None),
        ("1000pepeusdt@kline_1w", "1000PEPEUSDT", "1w", None),
        ("btcusdt_261225@kline_1d", "BTCUSDT_261225", "1d", None),
        ("btcusdt_perpetual@continuousKline_1m", "BTCUSDT", "1m", "PERPETUAL"),
        ("xauusdt_tradifi_perpetual@continuousKline_5m", "XAUUSDT", "5m", "TRADIFI_PERPETUAL"),
    ],
)
def test_names_that_carry_bars(name: str, symbol: str, interval: str, contract_type: str | None) -> None:
    assert parse_stream(name) == Stream(symbol, INTERVALS[interval], contract_type)


NO_NAMES = ["", "@", "btcusdt", "@kline_1m", "_perpetual@continuousKline_1m", "!ticker@arr"]
WRONG_CASE = ["BTCUSDT@kline_1m", "btcUsdt@kline_1m", "btcusdt@KLINE_1m", "btcusdt@Kline_1m"]
WRONG_CASE += ["btcusdt_perpetual@continuouskline_1m", "btcusdt_PERPETUAL@continuousKline_1m"]
NO_INTERVAL = ["btcusdt@kline_3d", "btcusdt@kline_1s", "btcusdt@kline_", "btcusdt@kline", "btcusdt@kline_1m@x"]
NO_INTERVAL += ["btcusdt@kline_1m ", "btcusdt@kline_1D"]
OTHER_STREAMS = ["btcusdt@aggTrade", "btcusdt@depth_1m", "btcusdt@continuousKline_1m"]
OTHER_STREAMS += ["btcusdt_current_quarter@continuousKline_1m"]


@pytest.mark.parametrize("name", [*NO_NAMES, *WRONG_CASE, *NO_INTERVAL, *OTHER_STREAMS])
def test_names_that_carry_none(name: str) -> None:
    assert parse_stream(name) is None
