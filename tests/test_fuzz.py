"""Junk from clients and from the exchange: refused by name or answered, never an unhandled exception, never a 5xx.

`HYPOTHESIS_PROFILE=explore` looks for more, and for new examples in every run.
"""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import DAY, MINUTE, MINUTE_MS, BarError, Scale
from exchange.messages import MessageReader, ProtocolViolation
from storage import ClosedBars, ContractsSeen, Origin
from tests.support.junk import JSON, TEXTS, altered, damaged
from tests.support.market import MONDAY_MS, a_contract, a_reader, some_bars
from tests.support.ports import HOST, ask, connected, request
from tests.test_guard import handshake
from web import PushServer, Sources, WebServer, make_app
from web.answers import header_text
from wire.addresses import parse_address
from wire.archive import InvalidArchive, parse_listing, period_of
from wire.archive_csv import read_csv
from wire.errors import parse_error
from wire.exchange_info import InvalidExchangeInfo, parse_exchange_info
from wire.frames import InvalidFrame, KlineFrame, bar_from_event, decode_frame, scale_of_kline
from wire.names import parse_stream
from wire.rows import bars_from_rows, decode_rows
from wire.subscriptions import Publisher

SCALE = Scale(2, 3, 5)
ON_THE_PORT = 150 if settings.get_current_profile_name() == "repeatable" else 3_000
"""Examples for tests that go through a socket."""
NOW_MS = MONDAY_MS + 100 * MINUTE_MS

REQUESTS: list[Any] = [
    {"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m", "币安人生usdt@kline_1h"], "id": 1},
    {"method": "UNSUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": "312"},
    {"method": "LIST_SUBSCRIPTIONS", "id": None},
    {"method": "SET_PROPERTY", "params": ["combined", True], "id": 5},
    {"method": "GET_PROPERTY", "params": ["combined"], "id": [2]},
]
KLINE = {
    "t": MONDAY_MS,
    "T": MONDAY_MS + 59_999,
    "s": "BTCUSDT",
    "i": "1m",
    "f": 1,
    "L": 2,
    "o": "1.0",
    "c": "1.1",
    "h": "1.2",
    "l": "0.9",
    "v": "3.1",
    "n": 7,
    "x": False,
    "q": "3.41",
    "V": "1",
    "Q": "1.1",
    "B": "0",
}
FRAMES: list[Any] = [
    {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": MONDAY_MS + 1, "s": "BTCUSDT", "k": KLINE}},
    {"result": None, "id": 1},
    {"error": {"code": 2, "msg": "Invalid request"}, "id": 2},
    {"stream": "!contractInfo", "data": [{"e": "serverShutdown", "E": 1}]},
]
ROW = [MONDAY_MS, "1.0", "1.2", "0.9", "1.1", "3.1", MONDAY_MS + 59_999, "3.41", 7, "1", "1.1", "0"]
ROWS = [ROW, [MONDAY_MS + MINUTE_MS, *ROW[1:6], MONDAY_MS + MINUTE_MS + 59_999, *ROW[7:]]]
CONTRACT = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1569398400000,
    "status": "TRADING",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.10"}],
}
INFO = {
    "serverTime": 1,
    "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}],
    "symbols": [CONTRACT, {**CONTRACT, "symbol": "币安人生USDT"}],
}
CSV = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
    + b"\n".join(",".join(map(str, row)).encode() for row in ROWS)
    + b"\n"
)
LISTING = (
    b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true'
    b"</IsTruncated><Contents><Key>data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-01.zip</Key>"
    b"<LastModified>2024-01-02T00:00:00.000Z</LastModified><Size>1</Size></Contents></ListBucketResult>"
)


def encoded(values: list[Any]) -> st.SearchStrategy[bytes]:
    """Messages that are whole JSON of about the right form, and such that are hardly JSON."""
    seeds = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    return damaged(seeds) | st.sampled_from(values).flatmap(altered).map(lambda value: json.dumps(value).encode())


# --- clients to us


@given(st.lists(encoded(REQUESTS) | st.binary(max_size=40), max_size=5), st.booleans())
def test_any_request_on_a_stream_is_answered_in_json(messages: list[bytes], combined: bool) -> None:
    publisher = Publisher(combined=combined)
    for message in messages:
        for said in (message, message.decode("utf-8", "replace")):
            answer = publisher.on_request(said)
            assert isinstance(msgspec.json.decode(answer.encode()), dict)


@given(TEXTS | st.text(alphabet="@_kline1mspot/%:", max_size=30), st.text(max_size=30))
def test_any_name_of_a_stream_and_any_address_is_read(name: str, streams: str) -> None:
    parse_stream(name)
    parse_address(f"/market/{name}", streams)
    parse_address(name, streams)


@given(st.text())
def test_any_text_in_a_header_is_one_line_of_ascii(text: str) -> None:
    assert re.fullmatch("[ -~]{0,500}", header_text(text))


# --- the exchange to us


@given(encoded(FRAMES) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_frame_is_read_or_refused_by_name(payload: bytes) -> None:
    with suppress(InvalidFrame):
        frame = decode_frame(payload)
        if isinstance(frame, KlineFrame):
            with suppress(BarError):
                bar_from_event(frame.data, scale_of_kline(frame.data.k, SCALE))


@given(encoded([ROWS, []]))
def test_any_rows_are_read_or_refused_by_name(body: bytes) -> None:
    for interval in (MINUTE, DAY):
        with suppress(BarError):
            bars_from_rows(decode_rows(body), interval, SCALE)


@given(encoded([INFO]))
def test_any_exchange_info_is_read_or_refused_by_name_and_no_symbol_could_harm(body: bytes) -> None:
    with suppress(InvalidExchangeInfo):
        info = parse_exchange_info(body)
        assert info.weight_per_minute > 0
        assert all(re.fullmatch(r"[^\s/\\?#%&=,;:<>\"'`]+", contract.symbol) for contract in info.contracts)
        assert all(contract.symbol.isprintable() for contract in info.contracts)


@given(damaged([CSV, CSV.partition(b"\n")[2]]))
def test_any_archive_file_is_read_or_refused_by_name(body: bytes) -> None:
    with suppress(BarError):
        read_csv(body, MINUTE, SCALE)


@given(damaged([LISTING]))
def test_any_listing_is_read_or_refused_by_name(body: bytes) -> None:
    with suppress(InvalidArchive):
        for file in parse_listing(body).files:
            period_of(file.key)


@given(encoded([{"code": -1121, "msg": "Invalid symbol."}]))
def test_any_error_body_has_a_code_and_a_text(body: bytes) -> None:
    code, text = parse_error(body)
    assert isinstance(code, int)
    assert isinstance(text, str)


# --- the port

HTTP = [
    request("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=10&startTime=1&endTime=2"),
    request("/fapi/v1/continuousKlines?pair=BTCUSDT&contractType=PERPETUAL&interval=1w"),
    request("/api/klines?symbol=%E5%B8%81&interval=5m&start=0&end=9&limit=1500", "Accept: */*"),
    request("/fapi/v1/exchangeInfo") + request("/api/gaps?symbol=BTCUSDT&reason=delisted"),
    request("/api/symbols", "Range: bytes=0-1", "If-None-Match: *", "Accept-Encoding: gzip"),
    request("/", "Cookie: a=b", "Authorization: Bearer x", "Origin: null", "Expect: 100-continue"),
    b"POST /fapi/v1/order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Method: GET\r\n\r\n",
    b"HEAD http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    handshake("?streams=btcusdt@kline_1m/ethusdt@kline_1h") + b"\x81\x85\x00\x00\x00\x00hello",
    handshake() + b'\x81\xaa\x00\x00\x00\x00{"method":"LIST_SUBSCRIPTIONS","id":"312"}',
    handshake("", "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: a, b")
    + b"\x88\x80\x00\x00\x00\x00",
]


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(scope="module")
def logged() -> Iterator[Kept]:
    kept = Kept()
    logging.getLogger().addHandler(kept)
    yield kept
    logging.getLogger().removeHandler(kept)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    contract = a_contract()
    bars = ClosedBars(contract.key, MINUTE, some_bars(MINUTE, MONDAY_MS, 100), Origin.REST)
    reader = a_reader(
        Path(tmp_path_factory.mktemp("fuzz")) / "bars.db", [ContractsSeen([contract], '{"symbols":[]}'), bars]
    )
    sources = Sources(reader, lambda: NOW_MS, lambda: None, dict)
    server = WebServer(make_app(sources), HOST, 0, PushServer(sources))
    server.start()
    yield server
    server.stop()
    reader.close()


def said_to(server: WebServer, data: bytes) -> bytes:
    """All that comes back for `data` and the end of the client's part."""
    answer = b""
    with connected(server.port) as client, suppress(OSError):
        client.settimeout(0.02)
        client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        while part := client.recv(65_536):
            answer += part
    return answer


def expect_calm(server: WebServer, logged: Kept, answer: bytes) -> None:
    assert b"HTTP/1.1 5" not in answer
    assert [
        record.getMessage() for record in logged.records if record.exc_info or record.levelno >= logging.ERROR
    ] == []
    assert ask(server.port, request("/healthz")).status == 200


@settings(max_examples=ON_THE_PORT)
@given(damaged(HTTP) | st.binary(max_size=200))
def test_any_bytes_on_the_port_are_answered_or_cut_off_and_never_our_fault(
    server: WebServer, logged: Kept, data: bytes
) -> None:
    expect_calm(server, logged, said_to(server, data))


@settings(max_examples=ON_THE_PORT)
@given(st.binary(max_size=120) | encoded(REQUESTS).map(lambda text: masked(text)))
def test_any_bytes_on_a_stream_are_answered_or_cut_off_and_never_our_fault(
    server: WebServer, logged: Kept, data: bytes
) -> None:
    expect_calm(server, logged, said_to(server, handshake() + data))


def masked(payload: bytes) -> bytes:
    """A client's text frame."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + payload if length < 1 << 16 else b""


VALUES = TEXTS | st.sampled_from(["BTCUSDT", "1m", "1w", "100", "-5", "PERPETUAL", "delisted", str(MONDAY_MS), "1e3"])
NAMES = st.sampled_from(
    ["symbol", "pair", "interval", "limit", "startTime", "endTime", "start", "end", "contractType", "reason", "state"]
)


@settings(max_examples=ON_THE_PORT)
@given(
    st.sampled_from(
        ["/fapi/v1/klines", "/fapi/v1/continuousKlines", "/api/klines", "/api/gaps", "/api/symbols", "/fapi/v1/x"]
    ),
    st.lists(st.tuples(NAMES | st.text(max_size=4), VALUES), max_size=6),
)
def test_any_parameters_are_answered_and_never_our_fault(
    server: WebServer, logged: Kept, path: str, pairs: list[tuple[str, str]]
) -> None:
    query = urlencode(pairs, errors="replace")
    answer = ask(server.port, request(f"{path}?{query}", "Connection: close"))
    expect_calm(server, logged, answer.body)
    assert answer.status < 500
    json.loads(answer.body)


# --- the exchange's frames, in whatever pieces they come


@given(
    damaged([b"\x81\x05hello\x89\x02hi\x88\x02\x03\xe8", b"\x01\x02he\x80\x03llo\x81\x7e\x01\x00" + bytes(256)]),
    st.integers(1, 9),
)
def test_any_bytes_from_the_exchange_are_messages_or_a_violation(data: bytes, size: int) -> None:
    reader = MessageReader()
    with suppress(ProtocolViolation):
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
            reader.take(2)
