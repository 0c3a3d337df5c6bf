"""WebSocket connections: the dialogue, and who listens to which stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from bars import Interval
from exchange.simulated.sockets import Socket
from wire.framing import text_frame
from wire.names import parse_stream
from wire.subscriptions import Publisher

URL_CHARACTERS_MAX = 8_000


@dataclass(slots=True, eq=False)
class Connection:
    """One client. `frozen` when it gets no data any more, though the connection lives."""

    socket: Socket
    publisher: Publisher
    hears_klines: bool
    opened_ms: int
    next_ping_s: float
    pinged_s: float | None = None
    """When the oldest ping was sent that no pong followed."""
    frozen: bool = False
    outbox: list[bytes] = field(default_factory=list)
    arrivals_s: deque[float] = field(default_factory=deque)

    def is_too_fast(self, now_s: float, messages_per_second: int) -> bool:
        """Count a message that arrived; whether they are too many within a second."""
        self.arrivals_s.append(now_s)
        while now_s - self.arrivals_s[0] >= 1.0:
            self.arrivals_s.popleft()
        return len(self.arrivals_s) > messages_per_second

    def answer(self, text: str) -> None:
        """Send an answer to a request: unwrapped, between the data frames."""
        self.socket.write(text_frame(text))

    def flush(self) -> None:
        if self.outbox:
            self.socket.write(b"".join(self.outbox))
            self.outbox.clear()


@dataclass(slots=True, eq=False)
class Channel:
    """One stream that somebody listens to."""

    name: str
    symbol: str
    interval: Interval
    contract_type: str | None
    listeners: dict[Connection, None] = field(default_factory=dict)


class Audience:
    """All connections, and the streams they listen to."""

    def __init__(self) -> None:
        self.connections: dict[Connection, None] = {}
        self.by_symbol: dict[str, dict[str, Channel]] = {}
        """Channels by symbol (of continuous streams: pair) and name."""
        self._others: dict[str, dict[Connection, None]] = {}

    def join(self, connection: Connection) -> None:
        self.connections[connection] = None
        self._listen(connection, connection.publisher.names)

    def leave(self, connection: Connection) -> None:
        self.connections.pop(connection, None)
        self._part(connection, list(connection.publisher.names))

    def resubscribe(self, connection: Connection, before: Iterable[str]) -> None:
        """Bring the streams up to date after a request; `before` were subscribed before it."""
        names = connection.publisher.names
        self._part(connection, [name for name in before if name not in names])
        self._listen(connection, names)

    def listeners(self, name: str) -> list[Connection]:
        """Who listens to a stream, whether or not it carries bars."""
        stream = parse_stream(name)
        channel = self.by_symbol.get(stream.symbol, {}).get(name) if stream else None
        return list(channel.listeners if channel else self._others.get(name, {}))

    def _listen(self, connection: Connection, names: Iterable[str]) -> None:
        if not connection.hears_klines:
            return
        for name in names:
            stream = parse_stream(name)
            if stream is None:
                self._others.setdefault(name, {})[connection] = None
                continue
            channels = self.by_symbol.setdefault(stream.symbol, {})
            channel = channels.get(name)
            if channel is None:
                channel = channels[name] = Channel(name, stream.symbol, stream.interval, stream.contract_type)
            channel.listeners[connection] = None

    def _part(self, connection: Connection, names: Iterable[str]) -> None:
        for name in names:
            self._others.get(name, {}).pop(connection, None)
            stream = parse_stream(name)
            channels = self.by_symbol.get(stream.symbol, {}) if stream else {}
            channel = channels.get(name)
            if channel is not None:
                channel.listeners.pop(connection, None)
                if not channel.listeners:
                    del channels[name]
