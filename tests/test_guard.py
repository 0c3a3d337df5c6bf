"""The guard on a real port: hosts, tokens, headers, bodies, and a WebSocket behind it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import ccxt  # type: ignore[import-untyped]
import pytest
import websocket
from binance.client import Client  # type: ignore[import-untyped]
from binance.exceptions import BinanceAPIException  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator

from tests.support.ports import HOST, Reply, ask, connected, is_closed, read_reply, request
from web import Access, WebServer
from web.guard import BODY_MAX, PIECE
from web.openapi import document

TOKEN = "correct-horse_battery.staple~7"
FORMS = [
    ("/api/klines", "error"),
    ("/fapi/v1/klines", "code"),
    ("/udf/config", "errmsg"),
    ("/", "error"),
    ("/nowhere", "error"),
]
BIG = os.urandom(3 * PIECE + 7)


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Says which query it saw, but below /big and /page something else."""
    body = json.dumps([environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]]).encode()
    headers = [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*")]
    if environ["PATH_INFO"] == "/page":
        headers += [("Content-Security-Policy", "default-src 'self'")]
    if environ["PATH_INFO"] == "/big":
        body = BIG
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """A WebSocket that says which query it saw, and then everything back."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["query_string"].decode()})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


class Server(WebServer):
    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
        else:
            await super()._answer(scope, receive, send)


def running(access: Access | None = None, **options: Any) -> Iterator[WebServer]:
    server = Server(wsgi, HOST, 0, access=access, **options)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    yield from running()


@pytest.fixture(scope="module")
def closed() -> Iterator[WebServer]:
    yield from running(Access.of(HOST, token=TOKEN))


def stream(server: WebServer, query: str = "", **options: Any) -> Any:
    return closing(websocket.create_connection(f"ws://{HOST}:{server.port}/market/ws{query}", timeout=30, **options))


def handshake(query: str = "", *headers: str, host: str = "localhost") -> bytes:
    lines = (
        *(f"GET /market/ws{query} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket"),
        *("Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}", *headers),
    )
    return "\r\n".join((*lines, "", "")).encode()


def expect_refusal(reply: Reply, status: int, form: str) -> None:
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert form in json.loads(reply.body)
    expect_safe(reply)


def expect_safe(reply: Reply) -> None:
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(("path", "form"), FORMS)
def test_an_unknown_host_is_refused_in_the_form_of_the_path(server: WebServer, path: str, form: str) -> None:
    expect_refusal(ask(server.port, f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode()), 403, form)


def test_an_unknown_host_opens_no_stream(server: WebServer) -> None:
    expect_refusal_of_stream(ask(server.port, handshake(host="evil.example:80")), 403)


def expect_refusal_of_stream(reply: Reply, status: int) -> None:
    assert reply.status == status
    assert "error" in json.loads(reply.body)
    expect_safe(reply)


def test_an_old_client_without_a_host_is_answered(server: WebServer) -> None:
    assert ask(server.port, b"GET /a HTTP/1.0\r\n\r\n").status == 200


def test_every_answer_has_the_headers_that_keep_browsers_from_harm(server: WebServer) -> None:
    reply = ask(server.port, request("/api/klines?a=b"))
    assert json.loads(reply.body) == ["GET", "/api/klines", "a=b"]
    expect_safe(reply)
    assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    assert reply.headers["access-control-allow-origin"] == "*"


def test_a_page_keeps_its_own_policy(server: WebServer) -> None:
    headers = ask(server.port, request("/page")).headers
    assert headers["content-security-policy"] == "default-src 'self'"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_big_answer_arrives_whole(server: WebServer) -> None:
    assert ask(server.port, request("/big")).body == BIG
    assert ask(server.port, request("/big").replace(b"GET", b"HEAD").replace(b"1.1", b"1.0")).body == b""


def test_a_page_of_any_site_may_ask_beforehand_whether_it_may_bring_the_token(closed: WebServer) -> None:
    preflight = request("/api/klines", "Origin: https://a.example", "Access-Control-Request-Method: GET")
    reply = ask(
        closed.port, preflight.replace(b"GET", b"OPTIONS", 1).replace(b"1.1\r\n", b"1.1\r\nConnection: close\r\n")
    )
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, "*")
    assert "Authorization" in reply.headers["access-control-allow-headers"]


@pytest.mark.parametrize(("path", "form"), FORMS)
def test_without_the_token_nothing_is_answered(closed: WebServer, path: str, form: str) -> None:
    reply = ask(closed.port, request(path))
    expect_refusal(reply, 401, form)
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"


def test_the_exchanges_clients_are_told_in_the_exchanges_words(closed: WebServer) -> None:
    body = json.loads(ask(closed.port, request("/fapi/v1/klines", "X-MBX-APIKEY: wrong")).body)
    assert body == {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}


def test_healthz_is_answered_without_the_token(closed: WebServer) -> None:
    assert ask(closed.port, request("/healthz")).status == 200


@pytest.mark.parametrize("header", [f"Authorization: Bearer {TOKEN}", f"X-MBX-APIKEY: {TOKEN}"])
def test_with_the_token_everything_is_answered(closed: WebServer, header: str) -> None:
    assert ask(closed.port, request("/api/klines", header)).status == 200


def test_a_program_may_bring_the_token_in_the_query_and_the_application_does_not_see_it(closed: WebServer) -> None:
    reply = ask(closed.port, request(f"/api/klines?token={TOKEN}&symbol=A%20B"))
    assert json.loads(reply.body) == ["GET", "/api/klines", "symbol=A+B"]


def test_a_browser_that_brought_the_token_once_is_known_by_its_cookie(closed: WebServer) -> None:
    entered = ask(closed.port, request(f"/chart/A/1m?token={TOKEN}", "Sec-Fetch-Mode: navigate"))
    assert (entered.status, entered.headers["location"]) == (303, "/chart/A/1m")
    assert entered.headers["cache-control"] == "no-store"
    cookie = "Cookie: " + entered.headers["set-cookie"].partition(";")[0]
    assert ask(closed.port, request("/chart/A/1m", cookie)).status == 200
    own, other = "Origin: http://localhost", "Origin: http://localhost:3000"
    assert ask(closed.port, handshake("", cookie, other)).status == 403
    with connected(closed.port) as client:
        client.sendall(handshake("", cookie, own))
        assert client.recv(100).startswith(b"HTTP/1.1 101 ")


def test_a_stream_needs_the_token_by_header_or_query(closed: WebServer) -> None:
    expect_refusal_of_stream(ask(closed.port, handshake()), 401)
    for query, headers in ((f"?a=b&token={TOKEN}", []), ("?a=b", [f"X-MBX-APIKEY: {TOKEN}"])):
        with stream(closed, query, header=headers) as client:
            assert client.recv() == "a=b"
            client.send("again")
            assert client.recv() == "again"


def test_a_page_of_any_site_may_read_a_stream_where_there_is_no_token(server: WebServer) -> None:
    with stream(server, origin="https://elsewhere.example") as client:
        assert client.recv() == ""


@pytest.mark.parametrize("length", [0, 1, BODY_MAX])
def test_a_small_body_is_read_and_dropped(server: WebServer, length: int) -> None:
    with connected(server.port) as client:
        for _ in range(2):  # the second answer shows that the connection is still in step
            client.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length)
            client.sendall(bytes(length))
            assert json.loads(read_reply(client).body) == ["POST", "/x", ""]


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
def test_a_large_body_is_refused_and_the_connection_closed(server: WebServer, framing: bytes) -> None:
    with connected(server.port) as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % framing)
        client.sendall(b"20000\r\n" + bytes(0x20000))
        reply = read_reply(client)
        expect_refusal(reply, 413, "error")
        assert reply.headers["connection"] == "close"
        assert is_closed(client)


def test_a_body_that_does_not_come_is_not_waited_for(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.guard.BODY_S", 0.1)
    reply = ask(server.port, b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
    expect_refusal(reply, 408, "error")


@pytest.mark.parametrize("path", ["/api/klines", "/healthz", "/fapi/v1/klines", "/udf/config"])
def test_what_it_refuses_by_is_told_in_the_openapi_document(
    server: WebServer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.guard.BODY_S", 0.1)
    head, told = f"GET {path} HTTP/1.1\r\nHost: ", document()
    for status, asked in {
        403: f"{head}evil.example\r\n\r\n",
        408: f"{head}localhost\r\nContent-Length: 9\r\n\r\nabc",
        413: f"{head}localhost\r\nContent-Length: {BODY_MAX + 1}\r\n\r\n" + "a" * (BODY_MAX + 1),
        431: f"{head}localhost\r\nX: {'a' * 20_000}\r\n\r\n",
    }.items():
        reply = ask(server.port, asked.encode())
        assert reply.status == status
        (content,) = told["paths"][path]["get"]["responses"][str(status)]["content"].values()
        Draft202012Validator({**content["schema"], "components": told["components"]}).validate(json.loads(reply.body))


@pytest.mark.parametrize(
    "header", ["X: " + "a" * 20_000, "\r\n".join(f"X{number}: {number}" for number in range(3_000))]
)
def test_headers_beyond_16_kilobytes_are_refused_however_they_arrive(server: WebServer, header: str) -> None:
    expect_refusal(ask(server.port, request("/", header)), 431, "error")
    assert ask(server.port, handshake("", header)).status == 431
    assert ask(server.port, handshake("", *(f"X-{number}: {'a' * 1_000}" for number in range(20)))).status == 431
    with connected(server.port) as client:
        client.sendall(request("/", header)[:-2])
        reply = read_reply(client)
    assert reply.status == 400
    assert "16 KB" in json.loads(reply.body)["error"]["message"]


def test_an_address_that_is_no_ascii_is_told_how_it_may_be_written(server: WebServer) -> None:
    reply = ask(server.port, "GET /api/klines?symbol=币安人生USDT HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert reply.status == 400
    assert "percent-encoded" in json.loads(reply.body)["error"]["message"]


def test_an_address_of_the_exchange_that_is_no_ascii_is_refused_as_the_exchange_does(server: WebServer) -> None:
    reply = ask(server.port, "GET /fapi/v1/klines?symbol=币安人生USDT HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    error = json.loads(reply.body)
    assert (reply.status, error["code"]) == (400, -1100)
    assert "percent-encoded" in error["msg"]


def test_a_hundred_requests_in_one_breath_are_answered_in_order(server: WebServer) -> None:
    with connected(server.port) as client:
        client.sendall(b"".join(request(f"/{number}") for number in range(100)) + request("/", "Connection: close"))
        said = b""
        while part := client.recv(65_536):
            said += part
    assert said.count(b"HTTP/1.1 200 ") == 101
    places = [said.index(f'"/{number}"'.encode()) for number in range(100)]
    assert places == sorted(places)


def test_existing_clients_bring_the_token_as_their_api_key(closed: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "API_URL", f"http://{HOST}:{closed.port}/api")
    with pytest.raises(BinanceAPIException, match="Invalid API-key"):
        Client(api_key="wrong")
    assert Client(api_key=TOKEN).ping()[1] == "/api/v3/ping"
    exchange = ccxt.binanceusdm(
        {
            "headers": {"X-MBX-APIKEY": TOKEN},
            "urls": {"api": {"fapiPublic": f"http://{HOST}:{closed.port}/fapi/v1"}},
        }
    )
    assert exchange.fapipublic_get_ping()[1] == "/fapi/v1/ping"
