"""The stream connection against a peer that the test plays itself."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from exchange.errors import (
    Banned,
    Blocked,
    Disconnected,
    ExchangeError,
    HandshakeRefused,
    RateLimited,
    Restricted,
    ServerFault,
    Unreachable,
)
from exchange.handshake import HandshakeSocket
from exchange.messages import MESSAGE_BYTES_MAX
from exchange.stream import StreamConnection, market_stream_url
from tests.support.certificates import loopback_tls
from tests.support.scripted_server import PATIENCE_S, closed_port
from tests.support.stream_peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, StreamPeer, frame
from wire.version import VERSION


@pytest.fixture
def peer() -> Iterator[StreamPeer]:
    with StreamPeer.running() as peer:
        yield peer


@pytest.fixture
def stream(peer: StreamPeer) -> Iterator[StreamConnection]:
    stream = StreamConnection.open(peer.url, timeout_s=PATIENCE_S)
    yield stream
    stream.close()


def test_klines_come_on_the_market_route() -> None:
    assert market_stream_url("wss://fstream.binance.com/") == "wss://fstream.binance.com/market/stream"


def test_a_message_arrives_as_it_was_sent(peer: StreamPeer, stream: StreamConnection) -> None:
    text = '{"stream":"币安人生usdt@kline_1m"}'.encode()
    peer.send(frame(text))
    assert stream.receive(PATIENCE_S) == text
    request = peer.request.decode()
    assert request.startswith("GET /market/stream HTTP/1.1\r\n")
    assert f"User-Agent: barkeep/{VERSION}\r\n" in request


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1_000_000])
def test_messages_of_every_size_arrive(peer: StreamPeer, stream: StreamConnection, size: int) -> None:
    sender = threading.Thread(target=peer.send, args=(frame(b"x" * size) + frame(b"next"),))
    sender.start()
    assert stream.receive(PATIENCE_S) == b"x" * size
    assert stream.receive(PATIENCE_S) == b"next"
    sender.join()


def test_nothing_comes_back_as_nothing_after_the_time_out(stream: StreamConnection) -> None:
    started_s = time.monotonic()
    assert stream.receive(0.05) is None
    assert stream.receive_batch(0.0, 10) == []
    assert time.monotonic() - started_s >= 0.05


def test_a_time_out_in_the_middle_of_a_frame_loses_nothing(peer: StreamPeer, stream: StreamConnection) -> None:
    whole = frame(b"first" * 100) + frame(b"second")
    for index in range(0, len(whole), 7):
        peer.send(whole[index : index + 7])
        message = stream.receive(0.01)
        if message is not None:
            break
    assert message == b"first" * 100
    peer.send(whole[index + 7 :])
    assert stream.receive(PATIENCE_S) == b"second"


def test_fragments_make_one_message_with_pings_answered_in_between(peer: StreamPeer, stream: StreamConnection) -> None:
    peer.send(frame(b"one ", final=False) + frame(b"1791382992723", PING) + frame(b"two ", CONTINUATION, final=False))
    peer.send(frame(b"", PONG) + frame(b"three", CONTINUATION) + frame(b"\x00\xff", BINARY))
    assert stream.receive(PATIENCE_S) == b"one two three"
    assert peer.receive() == (PONG, b"1791382992723")
    assert stream.receive(PATIENCE_S) == b"\x00\xff"


def test_a_batch_takes_what_is_there_and_no_more_than_asked(peer: StreamPeer, stream: StreamConnection) -> None:
    peer.send(b"".join(frame(str(number).encode()) for number in range(10)))
    assert stream.receive_batch(PATIENCE_S, 4) == [b"0", b"1", b"2", b"3"]
    assert stream.receive_batch(PATIENCE_S, 100) == [b"4", b"5", b"6", b"7", b"8", b"9"]
    assert stream.receive_batch(0.01, 100) == []


def test_frames_that_came_while_they_gathered_are_one_batch(peer: StreamPeer, stream: StreamConnection) -> None:
    peer.send(frame(b"0"))
    assert stream.receive_batch(PATIENCE_S, 100, gather_s=0.05) == [b"0"]
    peer.send(frame(b"1"))
    peer.send(frame(b"2"))
    assert stream.receive_batch(PATIENCE_S, 100, gather_s=0.05) == [b"1", b"2"]


def test_when_much_has_come_nobody_waits_for_more(peer: StreamPeer, stream: StreamConnection) -> None:
    for _ in range(3):
        peer.send(frame(b"x" * 30_000))
        assert stream.receive_batch(3_600.0, 1, gather_s=3_600.0) == [b"x" * 30_000]


def test_what_came_before_the_end_is_handed_out_first(peer: StreamPeer, stream: StreamConnection) -> None:
    peer.send(frame(b"last") + frame(struct.pack("!H", 1008) + b"Too many requests", CLOSE) + frame(b"ignored"))
    assert stream.receive_batch(PATIENCE_S, 100) == [b"last"]
    for _ in range(2):
        with pytest.raises(Disconnected, match="1008 Too many requests") as caught:
            stream.receive_batch(PATIENCE_S, 100)
        assert (caught.value.code, caught.value.reason) == (1008, "Too many requests")
    with pytest.raises(Disconnected):
        stream.send("too late")


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"", 1005, ""),
        (b"\x03", 1005, ""),
        (struct.pack("!H", 1001), 1001, ""),
        (struct.pack("!H", 65_535) + b"\xff\xfe", 65_535, "\ufffd\ufffd"),
    ],
)
def test_every_farewell_is_a_disconnection(
    peer: StreamPeer, stream: StreamConnection, payload: bytes, code: int, reason: str
) -> None:
    peer.send(frame(payload, CLOSE))
    with pytest.raises(Disconnected) as caught:
        stream.receive(PATIENCE_S)
    assert (caught.value.code, caught.value.reason) == (code, reason)


def test_text_that_is_not_utf8_is_passed_on_for_others_to_judge(peer: StreamPeer, stream: StreamConnection) -> None:
    peer.send(frame(b"\xff\xfe{") + frame(b"good"))
    assert stream.receive_batch(PATIENCE_S, 10) == [b"\xff\xfe{", b"good"]


@pytest.mark.parametrize(
    "violation",
    [
        frame(b"x", first_bits=0x40),
        frame(b"x", 0x3),
        frame(b"x", 0xB),
        frame(b"x", CONTINUATION),
        frame(b"a", final=False) + frame(b"b"),
        frame(b"x", PING, final=False),
        frame(b"x" * 126, PING),
        frame(b"x" * 126, CLOSE),
        b"\x81\x81\x00\x00\x00\x00x",
        b"\x81\x7f" + struct.pack("!Q", MESSAGE_BYTES_MAX + 1),
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_bytes_that_no_server_sends_end_the_connection(
    peer: StreamPeer, stream: StreamConnection, violation: bytes
) -> None:
    peer.send(frame(b"before") + violation)
    assert stream.receive(PATIENCE_S) == b"before"
    with pytest.raises(Disconnected, match="protocol violated") as caught:
        stream.receive(PATIENCE_S)
    assert caught.value.code is None


def test_a_message_that_grows_without_end_ends_the_connection(peer: StreamPeer, stream: StreamConnection) -> None:
    part = frame(b"x" * 60_000, CONTINUATION, final=False)
    pieces = MESSAGE_BYTES_MAX // 60_000 + 1

    def send_all() -> None:
        peer.send(frame(b"", final=False))
        for _ in range(pieces):
            peer.send(part)

    sender = threading.Thread(target=send_all)
    sender.start()
    with pytest.raises(Disconnected, match="at most 4194304 bytes"):
        stream.receive(PATIENCE_S)
    sender.join()


def test_a_peer_that_hangs_up_is_a_disconnection(peer: StreamPeer, stream: StreamConnection) -> None:
    peer.send(frame(b"half a message", final=False))
    peer.end()
    with pytest.raises(Disconnected, match="without closing"):
        stream.receive(PATIENCE_S)


def test_what_is_sent_arrives_masked_and_whole(peer: StreamPeer, stream: StreamConnection) -> None:
    text = "币" * 30_000
    sender = threading.Thread(target=stream.send, args=(text,))
    sender.start()
    assert peer.receive() == (TEXT, text.encode())
    sender.join()


def test_closing_says_goodbye_and_can_be_repeated(peer: StreamPeer, stream: StreamConnection) -> None:
    stream.close()
    stream.close()
    assert peer.receive() == (CLOSE, struct.pack("!H", 1000))
    with pytest.raises(Disconnected, match="closed from here"):
        stream.receive(0.1)


def test_sending_to_a_peer_that_does_not_read_is_given_up(peer: StreamPeer) -> None:
    stream = StreamConnection.open(peer.url, timeout_s=1.0)
    with pytest.raises(Disconnected, match="sending"):
        stream.send("x" * 20_000_000)
    stream.close()


@pytest.mark.parametrize(
    ("status_line", "body", "expected"),
    [
        ("451 Unavailable For Legal Reasons", b'{"code":0,"msg":"restricted location"}', Restricted),
        ("418 I'm a teapot", b'{"code":-1003,"msg":"IP(1.2.3.4) banned until 1778277772630."}', Banned),
        ("429 Too Many Requests", b"", RateLimited),
        ("403 Forbidden", b"<html>", Blocked),
        ("503 Service Unavailable", b"", ServerFault),
        ("404 Not Found", b"", HandshakeRefused),
        ("400 Bad Request", b'{"code":-1121,"msg":"Invalid symbol."}', HandshakeRefused),
        ("202 Accepted", b"", HandshakeRefused),
        ("302 Found\r\nLocation: ws://127.0.0.1:9/", b"", HandshakeRefused),
    ],
)
def test_a_refused_handshake_is_the_error_it_stands_for(
    status_line: str, body: bytes, expected: type[ExchangeError]
) -> None:
    refusal = f"HTTP/1.1 {status_line}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with StreamPeer.running(refusal) as peer, pytest.raises(expected, match=r"opening ws://.*HTTP") as caught:
        StreamConnection.open(peer.url, timeout_s=PATIENCE_S)
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8000000\r\n\r\n" + b"a" * 8_000_000,
        b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: a\r\n" * 1_000_000,
        b"HTTP/1.1 101 " + b"a" * 8_000_000,
    ],
    ids=["body", "headers", "line"],
)
def test_a_handshake_far_beyond_what_was_asked_for_is_given_up(answer: bytes) -> None:
    with StreamPeer.running(answer) as peer, pytest.raises(Unreachable, match="at most 65536 bytes, got more"):
        StreamConnection.open(peer.url, timeout_s=20.0)


def test_a_handshake_that_drips_is_given_up() -> None:
    client, server = socket.socketpair()
    with client, server:
        server.send(b"HTTP/1.1 101")
        patient, hasty = HandshakeSocket(client, timeout_s=60.0), HandshakeSocket(client, timeout_s=0.0)
        assert patient.recv(1) == b"H"
        with pytest.raises(ConnectionError, match=r"within 0\.0 s"):
            hasty.recv(1)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x81\x05hello",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 \xff\r\n\r\n",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nSet-Cookie: a,b@=c; domain=x\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_handshake_is_unreachable(answer: bytes) -> None:
    with StreamPeer.running(answer) as peer, pytest.raises(Unreachable, match="opening ws://"):
        StreamConnection.open(peer.url, timeout_s=0.5)


def test_where_nobody_listens_it_is_unreachable() -> None:
    with closed_port() as port:
        for url in (f"ws://127.0.0.1:{port}/", "ws://no-such-host.invalid/"):
            with pytest.raises(Unreachable, match="opening ws://"):
                StreamConnection.open(url, timeout_s=PATIENCE_S)


def test_another_scheme_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="expected ws://host or wss://host"):
        StreamConnection.open("https://fstream.binance.com")


def test_over_tls_a_batch_takes_many_records_at_once() -> None:
    tls = loopback_tls()
    with StreamPeer.running(tls=tls.server) as peer:
        stream = StreamConnection.open(peer.url, timeout_s=PATIENCE_S, tls=tls.client)
        expected = [str(number).encode() * 100 for number in range(50)]
        for message in expected:
            peer.send(frame(message))
        received: list[bytes] = []
        batches = 0
        while len(received) < 50:
            received += stream.receive_batch(PATIENCE_S, 1_000)
            batches += 1
        assert received == expected
        assert batches < 50
        peer.send(frame(b"x" * 300_000)[:200_000])
        assert stream.receive(0.05) is None
        peer.send(frame(b"x" * 300_000)[200_000:])
        assert stream.receive(PATIENCE_S) == b"x" * 300_000
        stream.send("over TLS")
        assert peer.receive() == (TEXT, b"over TLS")
        peer.end()
        with pytest.raises(Disconnected):
            stream.receive(PATIENCE_S)
        stream.close()


def test_a_certificate_that_nobody_vouches_for_is_unreachable() -> None:
    with StreamPeer.running(tls=loopback_tls().server) as peer, pytest.raises(Unreachable, match="CERTIFICATE"):
        StreamConnection.open(peer.url, timeout_s=PATIENCE_S)
