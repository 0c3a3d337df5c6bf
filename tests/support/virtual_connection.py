"""A connection to the exchange in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from exchange import Disconnected
from wire.subscriptions import Publisher


class VirtualConnection:
    """What a feed holds instead of a socket. Reading never waits.

    Args:
        is_deaf: whether a stream that is asked for is never served.
        since_ms: when it was made.
    """

    def __init__(self, is_deaf: Callable[[str], bool], since_ms: int) -> None:
        self.since_ms = since_ms
        self.publisher = Publisher(combined=True)
        self.frames: deque[bytes] = deque()
        self.is_broken = False
        self.is_silent = False
        self.was_read_in_vain = False
        self._is_deaf = is_deaf

    def deliver(self, frame: bytes) -> None:
        if not self.is_silent and not self.is_broken:
            self.frames.append(frame)

    def receive_batch(self, timeout_s: float, count_max: int, gather_s: float) -> list[bytes]:  # noqa: ARG002
        if self.is_broken:
            raise Disconnected("reading from the virtual exchange: the connection broke")
        self.was_read_in_vain = not self.frames
        return [self.frames.popleft() for _ in range(min(count_max, len(self.frames)))]

    def send(self, text: str) -> None:
        if self.is_broken:
            raise Disconnected("writing to the virtual exchange: the connection broke")
        before = set(self.publisher.names)
        self.deliver(self.publisher.on_request(text).encode())
        for name in [name for name in self.publisher.names if name not in before]:
            if self._is_deaf(name):
                del self.publisher.names[name]

    def close(self) -> None:
        self.is_broken = True

    @property
    def is_idle(self) -> bool:
        """Whether reading again would bring nothing new."""
        return self.was_read_in_vain and not self.frames and not self.is_broken
