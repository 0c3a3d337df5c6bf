"""How fast a client may talk."""

from __future__ import annotations


class MessagePace:
    """Counts a client's messages: a steady number per second is allowed, and a few more at once.

    The exchange's limit is 10 a second; measured, it answered 15 that came at once, and of 40 also 15, and closed.
    Times are local monotonic seconds, passed in.
    """

    def __init__(self, per_second: int = 10, at_once: int = 15) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._level: float = 0
        self._counted_s = 0.0

    def is_too_fast(self, now_s: float) -> bool:
        """Count one message."""
        drained = max(0.0, now_s - self._counted_s) * self._per_second
        self._level = max(0.0, self._level - drained) + 1
        self._counted_s = now_s
        return self._level > self._at_once
