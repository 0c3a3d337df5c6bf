"""What a client may do, and what becomes of one that does more, or that does not read."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bars import MINUTE, ContractKey
from tests.support.market import MONDAY_MS, a_bar
from tests.support.push import HOST, NOW_MS, PATIENCE_S, Client, Service, serving
from tests.support.service import wait_until
from web.sockets import MESSAGE_BYTES_MAX, WAITING_MAX
from wire.pace import MessagePace

BTC = ContractKey("BTCUSDT", MONDAY_MS)
STREAM = "/market/ws/btcusdt@kline_1m"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "bars.db", clients_max=20) as service:
        yield service


def test_of_forty_messages_at_once_fifteen_are_answered_and_the_connection_is_closed(service: Service) -> None:
    client = service.client()
    request = json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    client.send_raw(b"".join(websocket.ABNF.create_frame(request, 1).format() for _ in range(40)))
    answered = 0
    while True:
        opcode, data = client.socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            break
        answered += 1
    assert (int.from_bytes(data[:2], "big"), data[2:]) == (1008, b"Too many requests")
    assert 15 <= answered < 40


def test_fifteen_messages_at_once_are_fine(service: Service) -> None:
    client = service.client()
    assert [client.ask("LIST_SUBSCRIPTIONS", id=number)["id"] for number in range(15)] == list(range(15))


def test_pings_count_like_messages_and_are_answered(service: Service) -> None:
    client = service.client()
    client.socket.ping("hello")
    assert client.socket.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"hello")
    client.send_raw(b"".join(websocket.ABNF.create_frame("x", 9).format() for _ in range(40)))
    assert client.closing() == (1008, "Too many requests")


def test_ten_messages_a_second_may_go_on_for_ever_and_eleven_may_not() -> None:
    pace = MessagePace()
    assert not any(pace.is_too_fast(100 + number / 10) for number in range(1_000))
    pace = MessagePace()
    assert any(pace.is_too_fast(100 + number / 11) for number in range(1_000))


def test_the_1025th_stream_costs_all_of_them_and_the_connection(service: Service) -> None:
    client = service.client()
    for start in (0, 400, 800):
        names = [f"s{number}usdt@kline_1m" for number in range(start, min(start + 400, 1_024))]
        assert client.ask("SUBSCRIBE", *names)["result"] is None
    assert len(client.ask("LIST_SUBSCRIPTIONS")["result"]) == 1_024
    assert client.ask("SUBSCRIBE", "one@kline_1m", id="x")["error"] == {"code": 4, "msg": "Too many subscriptions"}
    assert client.closing() == (1008, "Invalid request")
    wait_until(lambda: not service.source.watchers, PATIENCE_S, "nothing is watched")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("{", 3),
        ("[]", 2),
        ('{"method":"DANCE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"x","id":1}', 2),
        ('{"method":"SET_PROPERTY","params":["colour",1],"id":1}', 0),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1),
    ],
)
def test_a_bad_request_is_answered_with_the_exchanges_code_and_the_connection_goes_on(
    service: Service, request_: str, code: int
) -> None:
    client = service.client()
    client.say(request_)
    answer = client.hear()
    assert answer.get("error", answer)["code"] == code
    assert client.ask("LIST_SUBSCRIPTIONS")["result"] == []


def test_a_message_that_is_too_long_or_no_text_at_all_closes_the_connection(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        too_long = service.client()
        too_long.say("x" * (MESSAGE_BYTES_MAX + 1))
        assert too_long.closing()[0] == 1009
        no_text = service.client()
        no_text.send_raw(websocket.ABNF.create_frame(b"\xff\xfe", websocket.ABNF.OPCODE_TEXT).format())
        assert no_text.closing() == (1007, "Invalid UTF-8")
        unmasked = service.client()
        unmasked.send_raw(b"\x81\x02hi")
        assert unmasked.closing()[0] == 1002
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_binary_message_is_read_like_a_text(service: Service) -> None:
    client = service.client()
    client.socket.send_binary(b'{"method":"LIST_SUBSCRIPTIONS","id":4}')
    assert client.hear() == {"result": [], "id": 4}


def test_where_no_more_series_may_be_followed_those_that_are_can_still_be_listened_to(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.board.SERIES_MAX", 1)
    first = service.client(STREAM)
    service.source.wait_for("BTCUSDT", MINUTE)
    second = service.client("/market/ws")
    assert second.ask("SUBSCRIBE", "ethusdt@kline_1m", "btcusdt@kline_1m")["result"] is None
    service.source.tell(BTC, MINUTE, a_bar(MONDAY_MS))
    assert (first.hear()["s"], second.hear()["s"]) == ("BTCUSDT", "BTCUSDT")
    assert set(service.source.watchers) == {("BTCUSDT", MINUTE)}


def test_more_clients_than_may_be_are_refused_with_503(service: Service) -> None:
    for _ in range(20):
        service.client()
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        service.client()
    assert refused.value.status_code == 503


def test_the_server_pings_with_its_time_and_cuts_off_who_does_not_answer(tmp_path: Path) -> None:
    with serving(tmp_path / "bars.db", ping_every_s=0.0, pong_within_s=4.0) as service:
        client, silent = service.client(), service.client()
        opcode, payload = client.socket.recv_data(control_frame=True)
        assert (opcode, payload) == (websocket.ABNF.OPCODE_PING, str(NOW_MS).encode())
        deadline_s = time.monotonic() + PATIENCE_S
        while service.push.clients == 2:
            assert time.monotonic() < deadline_s
            client.socket.recv_data(control_frame=True)  # answers pings
        assert client.ask("LIST_SUBSCRIPTIONS")["result"] == []
        wait_until(lambda: is_cut(silent), PATIENCE_S, "the silent one is cut off")


def is_cut(client: Client) -> bool:
    """Read what has come; whether the connection broke after it."""
    try:
        client.socket.recv_data(control_frame=True)
    except (ConnectionError, websocket.WebSocketConnectionClosedException):
        return True
    return False


def slow_client(service: Service) -> Client:
    """One that reads nothing, and for which the system holds little."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    plain.connect((HOST, service.port))
    return service.client(STREAM, socket=plain)


def test_one_who_does_not_read_is_closed_with_a_reason_and_the_others_miss_nothing(service: Service) -> None:
    slow, quick = slow_client(service), service.client(STREAM)
    wait_until(lambda: service.push.clients == 2, PATIENCE_S, "both are connected")
    service.source.wait_for("BTCUSDT", MINUTE)
    told = heard = 0
    while service.push.clients == 2:
        assert told < 10 * WAITING_MAX
        for _ in range(100):
            service.source.tell(BTC, MINUTE, a_bar(MONDAY_MS)._replace(trades=told))
            told += 1
        for _ in range(100):
            assert quick.hear()["k"]["n"] == heard
            heard += 1
    assert told > WAITING_MAX
    assert quick.ask("LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@kline_1m"]
    code, reason = slow.closing()
    assert (code, reason) == (1008, "Too slow: frames wait faster than they are read")


def test_one_who_reads_late_but_in_time_gets_all_in_order(service: Service) -> None:
    slow, count = slow_client(service), WAITING_MAX // 2
    service.source.wait_for("BTCUSDT", MINUTE)
    for number in range(count):
        service.source.tell(BTC, MINUTE, a_bar(MONDAY_MS)._replace(trades=number))
    assert [slow.hear()["k"]["n"] for _ in range(count)] == list(range(count))


@given(st.lists(st.binary(max_size=200), max_size=5))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_after_the_handshake_is_never_logged_with_a_traceback(
    service: Service, caplog: pytest.LogCaptureFixture, junk: list[bytes]
) -> None:
    with caplog.at_level(logging.DEBUG):
        client = Client(service.port, STREAM)
        for part in junk:
            try:
                client.send_raw(part)
            except OSError:
                break
        client.hang_up()
        wait_until(lambda: service.push.clients == 0, PATIENCE_S, "it is gone")
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []
