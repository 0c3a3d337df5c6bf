"""The push server: the exchange's WebSocket protocol, beside HTTP on the same port.

    /market/stream?streams=a/b    /market/ws/<stream>    /market/ws    and the same without /market

Below /public and /private connections are accepted and their requests answered, and nothing is sent: what the
exchange has there is not kept here. A stream's text is made once, whatever the number of its clients; each client
has a bounded queue, and one that is too slow is closed (1008), never waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from web.board import Board
from web.file_feed import FileFeed
from web.lookup import Lookup
from web.sockets import POLICY, STATE_KEY, TRY_AGAIN_LATER, ClientSocket
from web.sources import Sources
from wire.addresses import MARKET, Address, parse_address
from wire.framing import text_frame
from wire.published import Watch
from wire.subscriptions import Publisher

CLIENTS_MAX = 4_000
TICK_S = 1.0
PING_EVERY_S = 180.0
PONG_WITHIN_S = 600.0
"""As the exchange has it."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Client:
    """One connection: its dialogue, and the frames of this moment."""

    def __init__(self, socket: ClientSocket, address: Address, ping_at_s: float) -> None:
        self.socket = socket
        self.publisher = Publisher(combined=address.combined)
        self.hears_bars = address.route in (MARKET, "")
        self.ping_at_s = ping_at_s
        self.pinged_s: float | None = None
        """When the oldest ping went out that no pong followed."""
        self._outbox: list[bytes] = []

    @property
    def is_combined(self) -> bool:
        return self.publisher.combined

    def offer(self, frame: bytes) -> None:
        self._outbox.append(frame)

    def flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        self.socket.write(outbox)


class PushServer:
    """Serves WebSocket connections, ASGI. `begin` and `end` are called in the event loop's thread.

    Args:
        sources: without live events of its own, they are taken from the file.
        clients_max: further ones are refused with HTTP 503.
        ping_every_s, pong_within_s: as the exchange has it, unless given.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        clients_max: int = CLIENTS_MAX,
        ping_every_s: float = PING_EVERY_S,
        pong_within_s: float = PONG_WITHIN_S,
    ) -> None:
        self._sources = sources
        self._file = FileFeed(sources.reader, sources.now_ms)
        self._watch: Watch = sources.watch or self._file.watch
        self._ping_every_s = ping_every_s
        self._pong_within_s = pong_within_s
        self._clients_max = clients_max
        self._clients: dict[Client, None] = {}
        self._board: Board | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def clients(self) -> int:
        """How many are connected. May be asked by any thread."""
        return len(self._clients)

    def begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._board = Board(
            self._watch, Lookup(self._sources.reader), self._sources.now_ms, self._loop, self._close_all
        )
        self._tick()

    async def end(self) -> None:
        board, self._board = self._board, None
        if self._timer is not None:
            self._timer.cancel()
        if board is not None:
            await board.close()
        await asyncio.to_thread(self._file.close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        address = _address(scope)
        board = self._board
        if address is None or board is None or self.clients >= self._clients_max:
            await _refuse(send, 404 if address is None else 503)
            return
        await send({"type": "websocket.accept"})
        ping_at_s = asyncio.get_running_loop().time() + self._ping_every_s
        client = Client(scope["state"][STATE_KEY], address, ping_at_s)
        self._clients[client] = None
        try:
            if address.names and not client.publisher.subscribe(address.names):
                client.socket.close(POLICY, client.publisher.close_reason or "")
            elif client.hears_bars:
                board.listen(client, client.publisher.names)
            await self._listen(client, board, receive)
        finally:
            del self._clients[client]
            board.part(client, list(client.publisher.names))

    async def _listen(self, client: Client, board: Board, receive: Receive) -> None:
        while (event := await receive())["type"] == "websocket.receive" and client.socket.may_talk():
            publisher, text = client.publisher, event.get("text")
            before = set(publisher.names)
            answer = publisher.on_request(event["bytes"] if text is None else text)
            after = publisher.names
            board.part(client, [name for name in before if name not in after])
            if client.hears_bars:
                board.listen(client, [name for name in after if name not in before])
            client.socket.write((text_frame(answer),))
            if publisher.close_reason is not None:
                client.socket.close(POLICY, publisher.close_reason)

    def _close_all(self) -> None:
        for client in list(self._clients):
            client.socket.close(TRY_AGAIN_LATER, "Events were lost")

    def _tick(self) -> None:
        assert self._loop is not None
        assert self._board is not None
        self._timer = self._loop.call_later(TICK_S, self._tick)
        now_s = self._loop.time()
        self._board.tick(now_s)
        for client in list(self._clients):
            if now_s >= client.ping_at_s:
                self._ping(client, now_s)

    def _ping(self, client: Client, now_s: float) -> None:
        ponged = client.socket.take_pong()
        if client.pinged_s is None or ponged:
            client.pinged_s = now_s
        elif now_s - client.pinged_s >= self._pong_within_s:
            client.socket.abort()
            return
        client.socket.ping(str(self._sources.now_ms() or 0).encode())
        client.ping_at_s = now_s + self._ping_every_s


def _address(scope: Scope) -> Address | None:
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), encoding="utf-8", errors="replace"))
    return parse_address(scope["path"], query.get("streams", ""))


async def _refuse(send: Send, status: int) -> None:
    """Answer the handshake with an HTTP error."""
    await send({"type": "websocket.http.response.start", "status": status, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b""})
