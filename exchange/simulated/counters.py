"""What was asked of the exchange, for tests and measurements to look at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Written by the server's thread only; reading from elsewhere may be a moment behind."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Answers by path and status; of a time-out the status is 0."""
    weight_by_minute: Counter[int] = field(default_factory=Counter)
    """Weight charged by open time of the exchange's minute."""
    connections_opened: int = 0
    connections_refused: int = 0
    connected: int = 0
    messages_received: int = 0
    frames_sent: int = 0
    """Data frames, counted once for every connection that one is sent to."""
    closes: Counter[int] = field(default_factory=Counter)
    """Connections that the exchange ended, by close code; 1006 for those broken without a word."""

    @property
    def weight_max(self) -> int:
        """The most weight charged in one exchange minute."""
        return max(self.weight_by_minute.values(), default=0)

    def answers(self, status: int) -> int:
        """How many answers had this status, whatever the path."""
        return sum(count for (_, answered), count in list(self.requests.items()) if answered == status)
