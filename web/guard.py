"""What stands before every page and every WebSocket: who may ask, how large a question may be, how long an answer
may take to be read, and the headers that keep browsers from doing more with an answer than it is meant for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from web.access import Access, Asked, Kept, Let, Sent
from web.answers import EXCHANGE_PATHS, JSON, UDF_PATHS, Refusal, UdfRefusal
from web.places import Handing, Handover
from wire.errors import ApiError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_MAX = 64 * 1024
"""No page reads a body. Clients of the exchange send small ones, and are told what is not served."""
BODY_S = 10.0
PIECE = 64 * 1024
"""Answers go out piece by piece, the next when the one before has left this process: a client that does not read
then holds one piece, and bytes that several answers share stay shared."""

_EVERYWHERE: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""For answers that do not bring their own."""
_EVERY_ORIGIN = (b"access-control-allow-origin", b"*")
_CLOSING = (b"connection", b"close")
_PREFLIGHT: tuple[tuple[bytes, bytes], ...] = (
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"Authorization, X-MBX-APIKEY, Content-Type"),
    (b"access-control-max-age", b"86400"),
)


class Guard:
    """An ASGI application around another.

    Args:
        handover: counts what clients have not read yet.
    """

    def __init__(self, app: App, access: Access, handover: Handover) -> None:
        self._app = app
        self._access = access
        self._handover = handover
        # With a token answers are for those who have it, and no page of another site may even embed them.
        resource = b"cross-origin" if access.token is None else b"same-origin"
        self._headers = (*_EVERYWHERE, (b"cross-origin-resource-policy", resource))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_stream = scope["type"] == "websocket"
        method = scope.get("method", "GET")
        asked = Asked(scope["path"], scope["query_string"], tuple(scope["headers"]), method, is_stream)
        decision = self._access.decide(asked)
        if isinstance(decision, Let):
            scope = {**scope, "query_string": decision.query}
            await (self._app(scope, receive, send) if is_stream else self._http(scope, asked, receive, send))
        elif is_stream:
            await self._refuse_stream(scope, decision, send)
        else:
            await self._refuse(asked, decision, send)

    async def _http(self, scope: Scope, asked: Asked, receive: Receive, send: Send) -> None:
        if asked.is_preflight:
            await self._answer(send, 204, b"", list(_PREFLIGHT))
            return
        if _has_body(asked):
            try:
                body = await asyncio.wait_for(_read(receive), BODY_S)
            except asyncio.TimeoutError:
                await self._say(send, asked.path, 408, "too_slow", "The body did not arrive in time.")
                return
            if body is None:
                await self._say(send, asked.path, 413, "too_large", f"A body may have {BODY_MAX} bytes at most.")
                return
            receive = _again(body, receive)
        handing = self._handover.begin(scope.get("client"))
        try:
            await self._app(scope, receive, self._sending(send, handing))
        finally:
            handing.end()

    def _sending(self, send: Send, handing: Handing) -> Send:
        """Sends an answer with the headers that it lacks, and its body piece by piece."""

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send({**message, "headers": self._completed(message.get("headers", []))})
                return
            body = message.get("body", b"")
            handing.add(len(body))
            if len(body) <= PIECE:
                await send(message)
            else:
                await _in_pieces(body, send, has_more=message.get("more_body", False))

        return pass_on

    def _completed(self, headers: Any) -> Headers:
        given: Headers = list(headers)
        present = {name.lower() for name, _ in given}
        return given + [header for header in self._headers if header[0] not in present]

    async def _refuse(self, asked: Asked, decision: Kept | Sent, send: Send) -> None:
        if isinstance(decision, Kept):
            await self._say(send, asked.path, decision.status, decision.code, decision.message)
            return
        headers = [(b"location", decision.location.encode("ascii")), (b"set-cookie", decision.cookie.encode("ascii"))]
        await self._answer(send, 303, b"", [*headers, (b"cache-control", b"no-store"), _CLOSING])

    async def _refuse_stream(self, scope: Scope, decision: Kept | Sent, send: Send) -> None:
        assert isinstance(decision, Kept)  # a handshake is never sent elsewhere
        body = _body(scope["path"], decision.status, decision.code, decision.message)
        headers = self._completed([(b"content-type", JSON.encode()), (b"connection", b"close")])
        await send({"type": "websocket.http.response.start", "status": decision.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def _say(self, send: Send, path: str, status: int, code: str, message: str) -> None:
        """Refuse in the form that is spoken below `path`. What else the client has sent is left unread."""
        headers = [(b"content-type", JSON.encode()), (b"cache-control", b"no-store"), _CLOSING]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await self._answer(send, status, _body(path, status, code, message), headers)

    async def _answer(self, send: Send, status: int, body: bytes, headers: Headers) -> None:
        length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
        completed = self._completed([_EVERY_ORIGIN, *length, *headers])
        await send({"type": "http.response.start", "status": status, "headers": completed})
        await send({"type": "http.response.body", "body": body})


def _body(path: str, status: int, code: str, message: str) -> bytes:
    if not path.startswith(EXCHANGE_PATHS):
        native = UdfRefusal if path.startswith(UDF_PATHS) else Refusal
        return msgspec.json.encode(native(code, message, status).body())
    if status == 401:
        return msgspec.json.encode(ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status).body())
    return msgspec.json.encode(ApiError(-1002 if status == 403 else -1000, message, status).body())


def _has_body(asked: Asked) -> bool:
    length = asked.first(b"content-length")
    return asked.first(b"transfer-encoding") is not None or (length is not None and length.strip(b"0 ") != b"")


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large. Of a client that has gone, what came."""
    body = bytearray()
    while True:
        message: Message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            return None
        if message["type"] != "http.request" or not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Receives a body that was read already, and then what else may come."""
    bodies = [body]

    async def next_message() -> Any:
        return {"type": "http.request", "body": bodies.pop(), "more_body": False} if bodies else await receive()

    return next_message


async def _in_pieces(body: bytes, send: Send, *, has_more: bool) -> None:
    view = memoryview(body)
    for start in range(0, len(view), PIECE):
        is_last = start + PIECE >= len(view)
        piece = view[start : start + PIECE]
        await send({"type": "http.response.body", "body": piece, "more_body": has_more or not is_last})
