"""From ASGI to WSGI and back: a request goes to a worker thread once, and its whole answer comes back once.

a2wsgi hands over each part of an answer by itself and waits for it: the first line, the body, and that it has ended.
All answers here are whole, so that three of four hand-overs, a third of a millisecond, can be spared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from a2wsgi.wsgi import Body, build_environ

WsgiApp = Callable[..., Iterable[bytes]]


class _Whole(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Bridge:
    """An ASGI application around a WSGI one.

    Args:
        workers: threads that answer requests, made as they are needed.
    """

    def __init__(self, app: WsgiApp, workers: int) -> None:
        self.executor = ThreadPoolExecutor(workers, thread_name_prefix="WSGI")
        self._app = app

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        loop = asyncio.get_running_loop()
        environ = build_environ(scope, Body(loop, receive))
        answer = await loop.run_in_executor(self.executor, self._answered, environ)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _answered(self, environ: Any) -> _Whole:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _failure: Any = None) -> None:
            begun[:] = [(status, headers)]

        pieces = self._app(environ, start_response)
        try:
            body = b"".join(pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
        ((status, headers),) = begun
        named = [(name.strip().lower().encode("latin1"), value.strip().encode("latin1")) for name, value in headers]
        return _Whole(int(status.partition(" ")[0]), named, body)
