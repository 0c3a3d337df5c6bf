"""Requests for klines: every way to ask, and every code of a refusal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import INTERVALS, Interval, Span
from tests.support.builders import MONDAY_MS
from wire.errors import (
    NO_CODE,
    ApiError,
    banned_until,
    invalid_symbol,
    invalid_symbol_status,
    not_served,
    parse_error,
    restricted_location,
    too_many_requests,
)
from wire.requests import KlinesRequest, klines_weight, page_request, parse_klines_request, query, with_next

intervals = st.sampled_from(list(INTERVALS.values()))
ASKED = {"symbol": "BTCUSDT", "interval": "1m"}


def refusal(**changed: str | None) -> ApiError:
    parameters = {name: value for name, value in {**ASKED, **changed}.items() if value is not None}
    with pytest.raises(ApiError) as caught:
        parse_klines_request(parameters)
    return caught.value


@given(
    st.text(min_size=1, max_size=12),
    intervals,
    st.integers(1, 1_500),
    st.none() | st.integers(0, 10**17),
    st.none() | st.integers(10**17, 10**18 - 1),
)
def test_a_request_is_read_back_from_its_query(
    symbol: str, interval: Interval, limit: int, start_ms: int | None, end_ms: int | None
) -> None:
    request = KlinesRequest(symbol, interval, limit, start_ms, end_ms)
    read = parse_klines_request(query(request))
    assert read == request._replace(symbol=read.symbol)
    assert read.symbol.upper() == symbol.upper() or not symbol.isascii()


def test_what_is_not_asked_for_has_the_exchanges_defaults() -> None:
    assert parse_klines_request(ASKED) == KlinesRequest("BTCUSDT", INTERVALS["1m"], 500, None, None)


def test_lower_case_symbols_are_understood_and_other_letters_left_alone() -> None:
    assert parse_klines_request({**ASKED, "symbol": "btcusdt"}).symbol == "BTCUSDT"
    assert parse_klines_request({**ASKED, "symbol": "币安人生usdt"}).symbol == "币安人生USDT"


def test_continuous_klines_ask_for_a_pair() -> None:
    asked = {"pair": "BTCUSDT", "interval": "1h", "contractType": "PERPETUAL"}
    assert parse_klines_request(asked, "pair").symbol == "BTCUSDT"
    with pytest.raises(ApiError, match="Mandatory parameter 'pair'"):
        parse_klines_request(ASKED, "pair")


def test_equal_bounds_and_the_largest_limit_are_fine() -> None:
    read = parse_klines_request({**ASKED, "limit": "1500", "startTime": "60000", "endTime": "60000"})
    assert (read.limit, read.start_ms, read.end_ms) == (1_500, 60_000, 60_000)
    assert parse_klines_request({**ASKED, "startTime": "0"}).start_ms == 0


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        ({"symbol": None}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ({"symbol": ""}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ({"interval": None}, -1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed."),
        ({"interval": ""}, -1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed."),
        ({"interval": "3d"}, -1120, "Invalid interval."),
        ({"interval": "1s"}, -1120, "Invalid interval."),
        ({"interval": "1mo"}, -1120, "Invalid interval."),
        ({"interval": "1D"}, -1120, "Invalid interval."),
        ({"interval": "60"}, -1120, "Invalid interval."),
        ({"limit": "0"}, -1130, "Data sent for parameter 'limit' is not valid."),
        ({"limit": "1501"}, -1130, "Data sent for parameter 'limit' is not valid."),
        ({"limit": "-1"}, -1130, "Data sent for parameter 'limit' is not valid."),
        ({"limit": "9" * 5_000}, -1130, "Data sent for parameter 'limit' is not valid."),
        ({"startTime": "-1"}, -1130, "Data sent for parameter 'startTime' is not valid."),
        ({"endTime": "9" * 19}, -1130, "Data sent for parameter 'endTime' is not valid."),
        ({"endTime": "9" * 5_000}, -1130, "Data sent for parameter 'endTime' is not valid."),
        ({"startTime": "2", "endTime": "1"}, -1023, "Start time is greater than end time."),
    ],
)
def test_each_refusal_has_the_exchanges_code_and_words(changed: dict[str, str | None], code: int, message: str) -> None:
    error = refusal(**changed)
    assert error.body() == {"code": code, "msg": message}
    assert error.status == 400


@pytest.mark.parametrize("name", ["limit", "startTime", "endTime"])
@pytest.mark.parametrize("text", ["", "-", "--1", "+1", "1.0", "1e3", "1_000", " 1", "1 ", "0x10", "abc", "None"])
def test_what_is_no_whole_number_has_illegal_characters(name: str, text: str) -> None:
    error = refusal(**{name: text})
    assert error.code == -1100
    assert error.message.startswith(f"Illegal characters found in parameter '{name}'; legal range is '")


@pytest.mark.parametrize("digit", ["\u0661", "\uff11", "\u00b2"])
def test_digits_of_other_scripts_are_illegal(digit: str) -> None:
    assert refusal(limit=digit).code == refusal(startTime=f"1{digit}").code == -1100


@pytest.mark.parametrize("interval", list(INTERVALS))
@pytest.mark.parametrize("time_ms", [0, 10**14, 10**17, 10**18 - 1])
def test_absurd_times_are_read_and_stay_within_what_buckets_and_the_database_hold(interval: str, time_ms: int) -> None:
    read = parse_klines_request({**ASKED, "interval": interval, "startTime": str(time_ms)})
    assert read.start_ms == time_ms
    assert read.interval.floor(time_ms) <= time_ms < read.interval.next_open(time_ms) < 2**63
    assert read.interval.back(time_ms, 1_500) > -(2**63)


@given(st.dictionaries(st.sampled_from(["symbol", "interval", "limit", "startTime", "endTime", "x"]), st.text()))
def test_any_query_is_a_request_or_a_refusal(parameters: dict[str, str]) -> None:
    try:
        read = parse_klines_request({**ASKED, **parameters})
    except ApiError as error:
        assert error.code in (-1023, -1100, -1102, -1120, -1130)  # noqa: PT017
    else:
        assert 1 <= read.limit <= 1_500


@pytest.mark.parametrize(
    ("limit", "weight"),
    [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1_000, 5), (1_001, 10), (1_500, 10), (None, 5)],
)
def test_the_weight_follows_the_documented_brackets(limit: int | None, weight: int) -> None:
    assert klines_weight(limit) == weight


def buckets(interval: Interval, count: int) -> Span:
    """`count` buckets, from the one that holds a Monday's beginning on."""
    start_ms = stop_ms = interval.floor(MONDAY_MS)
    for _ in range(count):
        stop_ms = interval.next_open(stop_ms)
    return Span(start_ms, stop_ms)


@given(intervals, st.integers(1, 1_500))
def test_a_page_asks_for_exactly_the_bars_that_open_in_its_span(interval: Interval, count: int) -> None:
    start_ms, stop_ms = span = buckets(interval, count)
    request = page_request("BTCUSDT", interval, span)
    assert request == KlinesRequest("BTCUSDT", interval, count, start_ms, stop_ms - 1)


@given(intervals, st.integers(1, 1_500))
def test_the_bar_after_a_page_is_asked_for_unless_it_costs_more(interval: Interval, count: int) -> None:
    start_ms, stop_ms = span = buckets(interval, count)
    asked = with_next(interval, span)
    is_free = klines_weight(count + 1) == klines_weight(count)
    assert asked == Span(start_ms, interval.next_open(stop_ms) if is_free else stop_ms)
    assert is_free == (count not in (99, 499, 1_000))


def test_the_other_refusals_have_the_exchanges_bodies() -> None:
    assert invalid_symbol().body() == {"code": -1121, "msg": "Invalid symbol."}
    assert invalid_symbol_status().body() == {"code": -1122, "msg": "Invalid symbol status."}
    limited, banned, located = (
        too_many_requests(2_400, "1.2.3.4"),
        banned_until(1_778_277_772_630),
        restricted_location(),
    )
    assert (limited.status, limited.code) == (429, -1003)
    assert "current limit of IP(1.2.3.4) is 2400 requests per minute" in limited.message
    assert (banned.status, banned.code) == (418, -1003)
    assert "banned until 1778277772630" in banned.message
    assert (located.status, located.code) == (451, 0)
    assert not_served("/fapi/v1/depth").status == 404


@given(st.integers(-9_999, 0), st.text())
def test_an_error_body_is_read_back(code: int, message: str) -> None:
    assert parse_error(json.dumps(ApiError(code, message).body()).encode()) == (code, message)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b"<html>\n <body>403 Forbidden", "<html> <body>403 Forbidden"),
        (b'{"code":"x"}', '{"code":"x"}'),
        (b"[1]", "[1]"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 200),
        (b"1" * 5_000, "1" * 200),
    ],
)
def test_what_is_no_error_body_is_given_as_text(body: bytes, text: str) -> None:
    assert parse_error(body) == (NO_CODE, text)


@given(st.binary())
def test_any_answer_has_a_code_and_a_text(body: bytes) -> None:
    code, text = parse_error(body)
    assert isinstance(code, int)
    assert isinstance(text, str)
