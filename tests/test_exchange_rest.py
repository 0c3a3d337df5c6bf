"""The REST client against a scripted server, and the mapping of refusals by table."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator

import pytest

from bars import INTERVALS, MINUTE, Scale
from exchange.errors import (
    Banned,
    Blocked,
    ExchangeError,
    InvalidAnswer,
    InvalidSymbol,
    RateLimited,
    Refused,
    Restricted,
    ServerFault,
    SymbolEnded,
    Unreachable,
)
from exchange.refusals import error_from_answer, weight_used
from exchange.rest import Reply, RestClient
from tests.support.certificates import loopback_tls
from tests.support.recorded import Recorded
from tests.support.scripted_server import PATIENCE_S, Scripted, ScriptedServer, closed_port
from tests.support.service import wait_until
from wire.requests import KlinesRequest
from wire.version import VERSION

SCALE = Scale(2, 3, 5)
ROWS = (
    b'[[1791382920000,"83137.90","83155.70","83082.90","83084.90","102.437",1791382979999,"8514292.61220",4409,'
    b'"49.832","4141805.93340","0"],[1791382980000,"83084.90","83086.20","83051.20","83078.00","10.541",'
    b'1791383039999,"875630.54300",801,"4.063","337524.14620","0"]]'
)
FIRST_MS, SECOND_MS = 1_791_382_920_000, 1_791_382_980_000
TOO_MANY = (
    b'{"code":-1003,"msg":"Too many requests; current limit of IP(1.2.3.4) is 2400 requests per minute. '
    b'Please use the websocket for live updates to avoid polling the API."}'
)
BANNED = (
    b'{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1778277772630. '
    b'Please use the websocket for live updates to avoid bans."}'
)
BANNED_WITHOUT_IP = (
    b'{"code":-1003,"msg":"Way too much request weight used; banned until 1778277772630. '
    b'Please use WebSocket Streams for live updates to avoid bans."}'
)
RESTRICTED = (
    b'{\n  "code": 0,\n  "msg": "Service unavailable from a restricted location according to '
    b"'b. Eligibility' in https://www.binance.com/en/terms. Please contact customer service if you believe "
    b'you received this message in error."\n}'
)
WAF = b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>"
BUSY = b'{"code":-1008,"msg":"Request throttled by system-level protection."}'


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer.running() as server:
        yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[RestClient]:
    client = RestClient(server.url, timeout_s=PATIENCE_S)
    yield client
    client.close()


@pytest.mark.parametrize(
    ("status", "body", "expected", "retryable"),
    [
        (429, TOO_MANY, RateLimited, True),
        (429, b"", RateLimited, True),
        (400, b'{"code":-1003,"msg":"Too many requests."}', RateLimited, True),
        (418, BANNED, Banned, True),
        (418, b"", Banned, True),
        (429, BANNED_WITHOUT_IP, Banned, True),
        (451, RESTRICTED, Restricted, False),
        (451, b"", Restricted, False),
        (403, RESTRICTED, Restricted, False),
        (403, WAF, Blocked, True),
        (403, b"", Blocked, True),
        (500, b"", ServerFault, True),
        (502, WAF, ServerFault, True),
        (
            503,
            b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}',
            ServerFault,
            True,
        ),
        (503, b"Service Unavailable.", ServerFault, True),
        (
            503,
            b'{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}',
            ServerFault,
            True,
        ),
        (503, BUSY, ServerFault, True),
        (429, BUSY, RateLimited, True),
        (504, b'{"code":-1007,"msg":"Timeout waiting for response from backend server."}', ServerFault, True),
        (408, b'{"code":-1007,"msg":"Timeout waiting for response from backend server."}', ServerFault, True),
        (400, b'{"code":-1016,"msg":"This service is no longer available."}', ServerFault, True),
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', InvalidSymbol, False),
        (400, b'{"code":-1122,"msg":"Invalid symbol status."}', SymbolEnded, False),
        (400, b'{"code":-1120,"msg":"Invalid interval."}', Refused, False),
        (400, b'{"code":-1130,"msg":"Data sent for parameter \'limit\' is not valid."}', Refused, False),
        (400, b'{"code":-1130,"ms', Refused, False),
        (404, b"<html>not here</html>", Refused, False),
        (302, b"", InvalidAnswer, True),
    ],
)
def test_each_refusal_is_the_error_it_stands_for(
    status: int, body: bytes, expected: type[ExchangeError], retryable: bool
) -> None:
    error = error_from_answer("GET /fapi/v1/klines?symbol=BTCUSDT", status, {}, body)
    assert type(error) is expected
    assert error.retryable is retryable
    assert "GET /fapi/v1/klines?symbol=BTCUSDT" in str(error)
    assert str(status) in str(error)
    assert "\n" not in str(error)


def test_a_ban_names_its_end() -> None:
    for body in (BANNED, BANNED_WITHOUT_IP):
        error = error_from_answer("GET /", 418, {}, body)
        assert isinstance(error, Banned)
        assert error.until_ms == 1_778_277_772_630
    for body in (
        b"",
        b'{"code":-1003,"msg":"banned until tomorrow"}',
        b'{"code":-1003,"msg":"banned until 99999999999999999"}',
    ):
        error = error_from_answer("GET /", 418, {}, body)
        assert isinstance(error, Banned)
        assert error.until_ms is None


@pytest.mark.parametrize(
    ("headers", "left_s"),
    [
        ({"Date": "Fri, 08 May 2026 22:00:52 GMT"}, 120.63),
        ({"date": "Fri, 08 May 2026 22:00:52 -0000"}, 120.63),
        ({"Date": "Fri, 08 May 2026 22:00:52 GMT", "Retry-After": "121"}, 121),
        ({"Date": "Fri, 08 May 2026 22:03:00 GMT"}, None),
        ({"Date": "yesterday"}, None),
        ({"Date": "Fri, 08 May 99999 22:00:52 GMT"}, None),
        ({"Date": ""}, None),
        ({}, None),
    ],
)
def test_how_long_a_ban_lasts_is_told_by_the_answer_alone(headers: dict[str, str], left_s: float | None) -> None:
    error = error_from_answer("GET /", 418, headers, BANNED)
    assert isinstance(error, Banned)
    assert error.left_s == (None if left_s is None else pytest.approx(left_s))


@pytest.mark.parametrize(
    ("value", "seconds"), [("17", 17), (" 3 ", 3), ("", None), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
)
def test_retry_after_is_used_where_it_says_seconds(value: str, seconds: int | None) -> None:
    error = error_from_answer("GET /", 429, {"Retry-After": value}, TOO_MANY)
    assert error.retry_after_s == seconds


def test_a_refusal_keeps_code_message_and_weight() -> None:
    error = error_from_answer("GET /", 400, {"x-mbx-used-weight-1m": "12"}, b'{"code":-1120,"msg":"Invalid interval."}')
    assert isinstance(error, Refused)
    assert (error.status, error.code, error.message, error.used_weight) == (400, -1120, "Invalid interval.", 12)


@pytest.mark.parametrize("name", ["X-MBX-USED-WEIGHT-1M", "x-mbx-used-weight-1m", "X-Mbx-Used-Weight-1m"])
def test_the_weight_header_counts_in_any_case(name: str) -> None:
    assert weight_used({name: "17"}) == 17
    assert weight_used({name: "x"}) is None


def test_the_time_is_read_with_the_weight_used_so_far(server: ScriptedServer, client: RestClient) -> None:
    server.answers(Scripted(body=b'{"serverTime":1791382992723}', headers={"x-mbx-used-weight-1m": "7"}))
    assert client.time() == Reply(1_791_382_992_723, used_weight=7)
    (asked,) = server.asked
    assert asked.target == "/fapi/v1/time"
    assert asked.headers["User-Agent"] == f"barkeep/{VERSION}"
    assert asked.headers["Accept-Encoding"] == "gzip"


def test_klines_are_asked_for_and_read_exactly(server: ScriptedServer, client: RestClient) -> None:
    server.answers(Scripted(body=ROWS, compressed=True))
    reply = client.klines(KlinesRequest("BTCUSDT", MINUTE, 499, FIRST_MS, SECOND_MS), SCALE)
    assert [bar.open_ms for bar in reply.value] == [FIRST_MS, SECOND_MS]
    assert reply.value[0][1:10] == (
        8313790, 8315570, 8308290, 8308490, 102437, 851429261220, 4409, 49832, 414180593340
    )  # fmt: skip
    assert reply.used_weight is None
    query = "symbol=BTCUSDT&interval=1m&limit=499&startTime=1791382920000&endTime=1791382980000"
    assert server.asked[0].target == f"/fapi/v1/klines?{query}"


def test_no_rows_are_an_answer(server: ScriptedServer, client: RestClient) -> None:
    server.answers(Scripted(body=b"[]"))
    assert client.klines(KlinesRequest("BTCUSDT", MINUTE), SCALE).value == []


def test_symbols_that_are_not_ascii_are_percent_encoded(server: ScriptedServer, client: RestClient) -> None:
    server.answers(Scripted(body=b"[]"))
    client.klines(KlinesRequest("币安人生USDT", MINUTE, 99), SCALE)
    assert (
        server.asked[0].target == "/fapi/v1/klines?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&interval=1m&limit=99"
    )


@pytest.mark.parametrize(
    "request_",
    [
        KlinesRequest("BTCUSDT", MINUTE, 499, SECOND_MS, SECOND_MS),
        KlinesRequest("BTCUSDT", MINUTE, 499, FIRST_MS, FIRST_MS + 1),
        KlinesRequest("BTCUSDT", MINUTE, 1),
        KlinesRequest("BTCUSDT", INTERVALS["5m"]),
    ],
    ids=["before the start", "after the end", "more than the limit", "another interval"],
)
def test_rows_that_were_not_asked_for_are_no_answer(
    server: ScriptedServer, client: RestClient, request_: KlinesRequest
) -> None:
    server.answers(Scripted(body=ROWS, headers={"X-MBX-USED-WEIGHT-1M": "3"}))
    with pytest.raises(InvalidAnswer, match=r"BTCUSDT.*expected") as caught:
        client.klines(request_, SCALE)
    assert caught.value.used_weight == 3


@pytest.mark.parametrize(
    "body",
    [
        ROWS[:-40],
        b"",
        b"null",
        b"{}",
        b'{"code":0}',
        b"<html>",
        b"\xff\xfe",
        b'[[1791382920000,"1e5"]]',
        json.dumps(json.loads(ROWS)[::-1]).encode(),
        ROWS.replace(b"83082.90", b"93082.90"),
        ROWS.replace(b"102.437", b"-02.437"),
        ROWS.replace(b'"8514292.61220"', b'"99999999999999999.61220"'),
        ROWS.replace(b'"83137.90"', b"83137.90"),
    ],
)
def test_rows_that_cannot_be_read_are_no_answer(server: ScriptedServer, client: RestClient, body: bytes) -> None:
    server.answers(Scripted(body=body))
    with pytest.raises(InvalidAnswer, match=r"GET /fapi/v1/klines"):
        client.klines(KlinesRequest("BTCUSDT", MINUTE), SCALE)


@pytest.mark.parametrize("body", [b"{}", b'{"serverTime":"1"}', b'{"serverTime":1', b"[]", b"\xff"])
def test_a_time_that_cannot_be_read_is_no_answer(server: ScriptedServer, client: RestClient, body: bytes) -> None:
    server.answers(Scripted(body=body))
    with pytest.raises(InvalidAnswer, match=r"GET /fapi/v1/time"):
        client.time()


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"symbols":3}', b'{"symbols":['])
def test_an_exchange_info_that_cannot_be_read_is_no_answer(
    server: ScriptedServer, client: RestClient, body: bytes
) -> None:
    server.answers(Scripted(body=body))
    with pytest.raises(InvalidAnswer, match=r"GET /fapi/v1/exchangeInfo"):
        client.exchange_info()


def test_a_recorded_exchange_info_is_read_whole(server: ScriptedServer, client: RestClient, recorded: Recorded) -> None:
    body = recorded.exchange_info("exchangeInfo_prod_2021-07-21.json.gz")
    server.answers(Scripted(body=body, compressed=True))
    info = client.exchange_info().value
    assert len(info.contracts) == 122
    assert info.weight_per_minute == 2_400


@pytest.mark.parametrize(
    ("scripted", "expected"),
    [
        (Scripted(429, TOO_MANY, {"Retry-After": "5"}), RateLimited),
        (Scripted(418, BANNED), Banned),
        (Scripted(451, RESTRICTED), Restricted),
        (Scripted(403, WAF, {"Content-Type": "text/html"}), Blocked),
        (Scripted(503, BUSY), ServerFault),
        (Scripted(500, b"", compressed=True), ServerFault),
        (Scripted(400, b'{"code":-1121,"msg":"Invalid symbol."}'), InvalidSymbol),
        (Scripted(302, b"", {"Location": "http://127.0.0.1:9/elsewhere"}), InvalidAnswer),
        (Scripted(200, ROWS, cut_after=100), InvalidAnswer),
        (Scripted(200, ROWS, compressed=True, cut_after=60), InvalidAnswer),
        (Scripted(200, ROWS, {"Content-Encoding": "gzip"}), InvalidAnswer),
        (Scripted(silent=True), Unreachable),
        (Scripted(200, ROWS, pause_s=2.0), Unreachable),
    ],
)
def test_what_goes_wrong_on_the_wire_is_an_error_by_name(
    server: ScriptedServer, scripted: Scripted, expected: type[ExchangeError]
) -> None:
    server.answers(scripted)
    is_slow = scripted.silent or scripted.pause_s > 0
    client = RestClient(server.url, timeout_s=0.3 if is_slow else PATIENCE_S)
    with pytest.raises(expected) as caught:
        client.klines(KlinesRequest("BTCUSDT", MINUTE), SCALE)
    client.close()
    assert type(caught.value) is expected
    assert str(caught.value).startswith("GET /fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=500: ")
    wait_until(lambda: len(server.asked) == 1, PATIENCE_S, "the server has read the request")


def test_a_body_that_drips_is_given_up(server: ScriptedServer) -> None:
    server.answers(Scripted(body=ROWS, pause_s=0.05))
    client = RestClient(server.url, timeout_s=1.0)  # for each wait; 3 s for all of the body, which takes longer
    with pytest.raises(InvalidAnswer, match="within"):
        client.klines(KlinesRequest("BTCUSDT", MINUTE), SCALE)
    client.close()


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_far_beyond_what_was_asked_for_is_given_up(
    server: ScriptedServer, client: RestClient, compressed: bool, status: int
) -> None:
    server.answers(Scripted(status, body=b" " * 50_000_000 + b"[]", compressed=compressed))
    with pytest.raises(InvalidAnswer, match=r"GET /fapi/v1/klines.* at most 1048576 bytes, got more"):
        client.klines(KlinesRequest("BTCUSDT", MINUTE), SCALE)
    with pytest.raises(InvalidAnswer, match=r"GET /fapi/v1/time.* at most 65536 bytes, got more"):
        client.time()
    with pytest.raises(InvalidAnswer, match=r"GET /fapi/v1/exchangeInfo.* at most 16777216 bytes, got more"):
        client.exchange_info()


def test_a_bomb_in_several_wrappings_is_given_up_before_it_is_big(server: ScriptedServer, client: RestClient) -> None:
    wrapped = gzip.compress(gzip.compress(bytes(1 << 28)))
    server.answers(Scripted(body=wrapped, headers={"Content-Encoding": "gzip, gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidAnswer, match="at most 1048576 bytes, got more"):
            client.klines(KlinesRequest("BTCUSDT", MINUTE), SCALE)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 32 << 20


def test_after_an_error_the_next_request_is_answered(server: ScriptedServer, client: RestClient) -> None:
    time_answer = Scripted(body=b'{"serverTime":1}')
    server.answers(Scripted(cut_after=1, body=b'{"serverTime":1}'), Scripted(503), time_answer)
    for expected in (InvalidAnswer, ServerFault):
        with pytest.raises(expected):
            client.time()
    assert client.time().value == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_where_nobody_answers_it_is_unreachable(host: str) -> None:
    with closed_port() as port:
        client = RestClient(f"http://{host}:{port}", timeout_s=PATIENCE_S)
        with pytest.raises(Unreachable, match="GET /fapi/v1/time: no answer"):
            client.time()
        client.close()


def test_only_certificates_that_are_vouched_for_are_accepted() -> None:
    tls = loopback_tls()
    with ScriptedServer.running(tls.server) as server:
        server.answers(Scripted(body=b'{"serverTime":1}'))
        trusting, doubting = RestClient(server.url, tls=tls.client), RestClient(server.url)
        assert trusting.time().value == 1
        with pytest.raises(Unreachable, match="CERTIFICATE"):
            doubting.time()
        trusting.close()
        doubting.close()
