"""The WebSocket application: accepts connections, holds the dialogue, punishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from exchange.simulated.clock import SimulatedClock
from exchange.simulated.connections import URL_CHARACTERS_MAX, Audience, Connection
from exchange.simulated.counters import Counters
from exchange.simulated.faults import Dice, FaultPlan
from exchange.simulated.keeper import POLICY, Keeper
from exchange.simulated.plan import Limits
from exchange.simulated.sockets import STATE_KEY
from wire.addresses import MARKET, parse_address
from wire.subscriptions import Publisher


class Streams:
    """Serves WebSocket connections, ASGI.

    Args:
        plan: the faults of this moment.
    """

    def __init__(
        self,
        audience: Audience,
        keeper: Keeper,
        clock: SimulatedClock,
        limits: Limits,
        plan: Callable[[], FaultPlan],
        dice: Dice,
        counters: Counters,
    ) -> None:
        self._audience = audience
        self._keeper = keeper
        self._clock = clock
        self._limits = limits
        self._plan = plan
        self._dice = dice
        self._counters = counters

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        await receive()
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), encoding="utf-8", errors="replace"))
        address = parse_address(scope["path"], query.get("streams", ""))
        too_long = len(scope["raw_path"]) + len(scope["query_string"]) > URL_CHARACTERS_MAX
        if address is None or too_long or self._dice.hits(self._plan().refused_handshakes):
            self._counters.connections_refused += 1
            await send({"type": "websocket.close"})  # before the handshake: HTTP 403
            return
        await send({"type": "websocket.accept"})
        connection = Connection(
            socket=scope["state"][STATE_KEY],
            publisher=Publisher(combined=address.combined),
            hears_klines=address.route == MARKET,
            opened_ms=self._clock.now_ms(),
            next_ping_s=self._clock.monotonic_s() + self._limits.ping_interval_s,
        )
        self._counters.connections_opened += 1
        self._counters.connected += 1
        try:
            self._audience.join(connection)
            if address.names and not connection.publisher.subscribe(address.names):
                self._keeper.close(connection, POLICY, connection.publisher.close_reason or "")
            else:
                self._audience.resubscribe(connection, ())
            await self._listen(connection, receive)
        finally:
            self._audience.leave(connection)
            self._counters.connected -= 1

    async def _listen(self, connection: Connection, receive: Callable[[], Any]) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            self._counters.messages_received += 1
            if connection.is_too_fast(self._clock.monotonic_s(), self._limits.messages_per_second):
                self._keeper.close(connection, POLICY, "Too many requests")
                continue
            before = list(connection.publisher.names)
            text = event.get("text")
            connection.answer(connection.publisher.on_request(event["bytes"] if text is None else text))
            if connection.publisher.close_reason is not None:
                self._audience.resubscribe(connection, before)
                self._keeper.close(connection, POLICY, connection.publisher.close_reason)
                continue
            self._audience.resubscribe(connection, before)
