"""Which proxy is used when, and both kinds of proxies for REST and WebSocket, for real."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from exchange.errors import Unreachable
from exchange.proxy import InvalidProxy, Proxy, parse_proxy, proxy_for
from exchange.rest import RestClient
from exchange.stream import StreamConnection
from tests.support.certificates import LoopbackTls, loopback_tls
from tests.support.proxies import HttpProxy, LoopbackProxy, SocksProxy
from tests.support.scripted_server import PATIENCE_S, Scripted, ScriptedServer, closed_port
from tests.support.stream_peer import TEXT, StreamPeer, frame

REST, STREAM = "https://fapi.binance.com", "wss://fstream.binance.com"
ALL = {"ALL_PROXY": "socks5://all:1"}
BOTH = {"HTTPS_PROXY": "http://secure:1", "HTTP_PROXY": "http://plain:2", **ALL}
TIME = Scripted(body=b'{"serverTime":1791382992723}')


@pytest.mark.parametrize(
    ("url", "explicit", "environ", "expected"),
    [
        (REST, None, {}, None),
        (REST, None, {"HTTPS_PROXY": " "}, None),
        (REST, None, BOTH, "http://secure:1"),
        (STREAM, None, BOTH, "http://secure:1"),
        ("http://exchange.test", None, BOTH, "http://plain:2"),
        ("ws://exchange.test", None, BOTH, "http://plain:2"),
        ("ws://exchange.test", None, {"HTTPS_PROXY": "http://secure:1", **ALL}, "socks5://all:1"),
        (REST, None, {"HTTP_PROXY": "http://plain:2"}, None),
        (REST, None, ALL, "socks5://all:1"),
        (REST, None, {"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "http://low:1"),
        (REST, None, {"all_proxy": "socks5h://low:1", "HTTPS_PROXY": "http://up:1"}, "http://up:1"),
        (REST, "socks5h://mine:9", BOTH, "socks5h://mine:9"),
        ("http://127.0.0.1:8080", None, BOTH, None),
        ("ws://localhost:8080", None, BOTH, None),
        ("ws://[::1]:8080", None, BOTH, None),
        ("http://127.0.0.1:8080", "http://mine:9", BOTH, "http://mine:9"),
        (REST, "http://mine:9", {"NO_PROXY": "*"}, "http://mine:9"),
        (REST, None, {**ALL, "NO_PROXY": "*"}, None),
        (REST, None, {**ALL, "no_proxy": "example.com, binance.com"}, None),
        (REST, None, {**ALL, "NO_PROXY": ".binance.com"}, None),
        (REST, None, {**ALL, "NO_PROXY": "*.BINANCE.com"}, None),
        (REST, None, {**ALL, "NO_PROXY": "fapi.binance.com:443"}, None),
        (REST, None, {**ALL, "NO_PROXY": "fapi.binance.com:80"}, "socks5://all:1"),
        (REST, None, {**ALL, "NO_PROXY": "nance.com,fapi.binance.com.evil.test"}, "socks5://all:1"),
        ("http://10.1.2.3", None, {**ALL, "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://11.1.2.3", None, {**ALL, "NO_PROXY": "10.0.0.0/8,not/a/network"}, "socks5://all:1"),
    ],
)
def test_the_proxy_is_the_one_that_was_asked_for(
    url: str, explicit: str | None, environ: dict[str, str], expected: str | None
) -> None:
    assert proxy_for(url, explicit, environ) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy:3128", Proxy("http", "proxy", 3128, None, None)),
        ("http://proxy/", Proxy("http", "proxy", 80, None, None)),
        ("HTTP://proxy", Proxy("http", "proxy", 80, None, None)),
        ("socks5h://[::1]:9050", Proxy("socks5h", "::1", 9050, None, None)),
        ("socks5://us%40er:p%3Aw@proxy", Proxy("socks5", "proxy", 1080, "us@er", "p:w")),
        ("http://user:@proxy:1", Proxy("http", "proxy", 1, "user", "")),
    ],
)
def test_a_proxy_url_is_taken_apart(url: str, expected: Proxy) -> None:
    assert parse_proxy(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "proxy:3128",
        "https://proxy:1",
        "socks4://proxy:1",
        "http://",
        "http://proxy:x",
        "http://proxy:0",
        "x",
        "http://p/path",
    ],
)
def test_any_other_form_is_refused_with_the_forms_that_are_right(url: str) -> None:
    with pytest.raises(InvalidProxy, match="--proxy: expected http://, socks5:// or socks5h://"):
        proxy_for(REST, url, {})
    with pytest.raises(InvalidProxy, match="HTTPS_PROXY: expected"):
        proxy_for(REST, None, {"HTTPS_PROXY": url})


def test_a_refused_proxy_url_does_not_show_the_password() -> None:
    with pytest.raises(InvalidProxy) as caught:
        parse_proxy("https://user:secret@proxy:1")
    assert "secret" not in str(caught.value)
    assert "proxy:1" in str(caught.value)


@pytest.fixture(scope="module")
def tls() -> LoopbackTls:
    return loopback_tls()


KINDS = pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
SECURE = pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
CREDENTIALS = pytest.mark.parametrize(
    ("user", "password", "in_url"),
    [(None, None, ""), ("us@er", "p:w/1", "us%40er:p%3Aw%2F1@")],
    ids=["open", "password"],
)


@KINDS
@SECURE
@CREDENTIALS
def test_rest_goes_through_the_proxy(
    kind: type[LoopbackProxy], is_secure: bool, user: str | None, password: str | None, in_url: str, tls: LoopbackTls
) -> None:
    with ScriptedServer.running(tls.server if is_secure else None) as server, kind(user, password).running() as proxy:
        server.answers(TIME)
        with rest_client(server.url, proxy.url(in_url), tls) as client:
            assert client.time().value == 1_791_382_992_723
            assert client.time().value == 1_791_382_992_723
    assert set(proxy.targets) == {("127.0.0.1", server.port)}
    assert proxy.bytes_passed > 400
    assert "Proxy-Authorization" not in server.asked[0].headers


@KINDS
@SECURE
@CREDENTIALS
def test_streams_go_through_the_proxy(
    kind: type[LoopbackProxy], is_secure: bool, user: str | None, password: str | None, in_url: str, tls: LoopbackTls
) -> None:
    with StreamPeer.running(tls=tls.server if is_secure else None) as peer, kind(user, password).running() as proxy:
        stream = StreamConnection.open(peer.url, proxy.url(in_url), timeout_s=PATIENCE_S, tls=tls.client)
        peer.send(frame(b"x" * 1_000))
        assert stream.receive(PATIENCE_S) == b"x" * 1_000
        stream.send("there and back")
        assert peer.receive() == (TEXT, b"there and back")
        stream.close()
    assert proxy.targets == [("127.0.0.1", peer.port)]
    assert proxy.bytes_passed > 1_200


@KINDS
@pytest.mark.parametrize("in_url", ["", "user:wrong@"])
def test_a_proxy_that_wants_another_password_leaves_the_exchange_unreachable(
    kind: type[LoopbackProxy], in_url: str, tls: LoopbackTls
) -> None:
    with ScriptedServer.running(tls.server) as server, kind("user", "right").running() as proxy:
        with rest_client(server.url, proxy.url(in_url), tls) as client, pytest.raises(Unreachable) as caught:
            client.time()
        with pytest.raises(Unreachable):
            StreamConnection.open(f"ws://127.0.0.1:{server.port}/", proxy.url(in_url), timeout_s=PATIENCE_S)
    assert proxy.refused == 2
    assert "wrong" not in str(caught.value)
    assert server.asked == []


def test_over_socks5h_the_proxy_resolves_names(tls: LoopbackTls) -> None:
    with SocksProxy().running() as proxy, ScriptedServer.running() as server, StreamPeer.running() as peer:
        server.answers(TIME)
        with rest_client(f"http://exchange.test:{server.port}", proxy.url(), tls) as client:
            assert client.time().value == 1_791_382_992_723
        StreamConnection.open(f"ws://exchange.test:{peer.port}/", proxy.url(), timeout_s=PATIENCE_S).close()
    assert proxy.targets == [("exchange.test", server.port), ("exchange.test", peer.port)]


def test_over_socks5_this_machine_resolves_names(tls: LoopbackTls) -> None:
    with SocksProxy().running() as proxy, ScriptedServer.running() as server, StreamPeer.running() as peer:
        server.answers(TIME)
        local = proxy.url().replace("socks5h", "socks5")
        with rest_client(f"http://localhost:{server.port}", local, tls) as client, contextlib.suppress(Unreachable):
            client.time()
        StreamConnection.open(f"ws://127.0.0.1:{peer.port}/", local, timeout_s=PATIENCE_S).close()
    assert {host for host, _ in proxy.targets} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h"])
def test_a_proxy_that_is_not_there_leaves_the_exchange_unreachable(kind: str, tls: LoopbackTls) -> None:
    with closed_port() as port:
        proxy = f"{kind}://user:secret@127.0.0.1:{port}"
        with rest_client(REST, proxy, tls) as client, pytest.raises(Unreachable) as caught:
            client.time()
        assert "secret" not in str(caught.value)
        with pytest.raises(Unreachable) as caught:
            StreamConnection.open(STREAM, proxy, timeout_s=PATIENCE_S)
        assert "secret" not in str(caught.value)


def test_the_environment_is_not_looked_at_by_anybody_else(monkeypatch: pytest.MonkeyPatch, tls: LoopbackTls) -> None:
    with closed_port() as nowhere, ScriptedServer.running() as server, StreamPeer.running() as peer:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nowhere}")
        server.answers(TIME)
        with rest_client(server.url, None, tls) as client:
            assert client.time().value == 1_791_382_992_723
        StreamConnection.open(peer.url, timeout_s=PATIENCE_S).close()


def test_no_proxy_in_the_environment_does_not_undo_an_explicit_proxy(
    monkeypatch: pytest.MonkeyPatch, tls: LoopbackTls
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with ScriptedServer.running() as server, StreamPeer.running() as peer, HttpProxy().running() as proxy:
        server.answers(TIME)
        with rest_client(server.url, proxy.url(), tls) as client:
            client.time()
        StreamConnection.open(peer.url, proxy.url(), timeout_s=PATIENCE_S).close()
    assert len(proxy.targets) == 2


@contextlib.contextmanager
def rest_client(url: str, proxy: str | None, tls: LoopbackTls) -> Iterator[RestClient]:
    client = RestClient(url, proxy, timeout_s=PATIENCE_S, tls=tls.client)
    try:
        yield client
    finally:
        client.close()
