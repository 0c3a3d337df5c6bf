"""The HTTP server: uvicorn in a thread of its own, the WSGI application behind a2wsgi on a few worker threads.

A connection that only waits holds no thread.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn
from h11 import LocalProtocolError

from web.access import Access
from web.bridge import Bridge, WsgiApp
from web.connections import HEADER_BYTES_MAX, HttpConnection, StreamConnection, with_door
from web.door import Door
from web.guard import Guard
from web.hold import ClosedHold
from web.listener import Listener
from web.push import PushServer
from web.sockets import MESSAGE_BYTES_MAX

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 75
"""Longer than a client that polls once a minute waits, so that its connection lasts."""
STOP_PATIENCE_S = 1
BACKLOG = 2048
CLIENTS = 2048
WORKERS = 32
"""Threads that answer requests, made as they are needed. Most of them are for requests that wait for the exchange;
the others are held up by the interpreter's lock, not by waiting."""


class WebServer:
    """Serves a WSGI application on one port, from the constructor's bind to `stop()`.

    Args:
        app: the WSGI application.
        host: the address or name to listen on.
        port: the port; 0 takes a free one, see `port`.
        push: serves WebSocket connections on the same port; without, they are refused.
        hold: lets requests wait that want to.
        access: who may ask; whoever names this host, or loopback, where it is not given.
        clients: how many connections there may be at a time.

    Raises:
        OSError: the port is taken, or the host is none of this machine's.
    """

    def __init__(
        self,
        app: WsgiApp,
        host: str,
        port: int,
        push: PushServer | None = None,
        hold: ClosedHold | None = None,
        *,
        access: Access | None = None,
        clients: int = CLIENTS,
    ) -> None:
        self.door = Door(clients)
        self._socket = Listener(_listening_socket(host, port), self.door)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._wsgi = Bridge(app, WORKERS)
        self._push = push
        self._hold = hold
        config = uvicorn.Config(
            Guard(self._answer, access or Access.of(host), self.door.handover),
            interface="asgi3",
            # h11, whatever else is installed: what junk does to another parser was not tried.
            http=with_door(HttpConnection, self.door),
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
            ws=with_door(StreamConnection, self.door),
            ws_ping_interval=None,  # the push server's own pings carry the exchange's time, as the exchange's do
            ws_per_message_deflate=False,  # a frame goes to all its clients as the same bytes
            ws_max_size=MESSAGE_BYTES_MAX,
            lifespan="off",
            log_config=None,
            log_level="error",  # below that clients' mistakes are told of, at the end with tracebacks
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_PATIENCE_S,
        )
        self._server = _AnnouncingServer(config, self._let_go)
        self._thread = threading.Thread(target=self._run, name=f"web-{self.port}", daemon=True)

    def start(self) -> None:
        """Start serving; returns once requests are answered.

        Raises:
            RuntimeError: the server's thread ended at once.
        """
        self._thread.start()
        self._server.ready.wait()
        if not self._server.started:
            raise RuntimeError(f"starting the web server on {self.host}:{self.port}: its thread ended")

    def stop(self) -> None:
        """Answer what is being answered, for a second at most, and end. A second call does nothing."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._server.ready.set()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """HTTP goes to the application, WebSocket to the push server."""
        if scope["type"] == "http":
            if self._hold is not None:
                receive = await self._hold(scope, receive)
            if receive is not None:
                with suppress(LocalProtocolError):  # the client broke off in junk: there is nobody to answer
                    await self._wsgi(scope, receive, send)
        elif self._push is not None:
            await self._push(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _let_go(self) -> None:
        """Requests that wait are answered now: the server is about to stop."""
        if self._hold is not None:
            self._hold.release()

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(_log_connection_fault)
        if self._push is not None:
            self._push.begin()
        if self._hold is not None:
            self._hold.begin()
        try:
            await self._server.serve([self._socket])
        finally:
            if self._push is not None:
                await self._push.end()
            if self._hold is not None:
                await self._hold.end()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()  # a client that does not read what it asked for
        # Worker threads hand their answers to this loop, so that it must outlive them.
        await asyncio.to_thread(self._wsgi.executor.shutdown, cancel_futures=True)


class _AnnouncingServer(uvicorn.Server):
    """Tells when it has started, and when it is about to stop; uvicorn itself only sets flags."""

    def __init__(self, config: uvicorn.Config, before_stop: Callable[[], object]) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._before_stop = before_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_stop()
        await super().shutdown(sockets)


def _listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens already: only then does another one on the same port fail for certain."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise OSError(error.errno, f"listening on {host}:{port}: {error.strerror or error}") from None
    return listener


def _log_connection_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """One line for what goes wrong between the server and a client, which may send anything at any moment."""
    logger.warning("%s (%r)", context.get("message"), context.get("exception"))
