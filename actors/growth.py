"""How fast the database grows. No actor in here."""

from __future__ import annotations

from collections import deque

from bars.interval import DAY_MS, HOUR_MS, MINUTE_MS

WINDOW_MS = 6 * HOUR_MS
SPAN_MS_MIN = 10 * MINUTE_MS


class Growth:
    """Sizes seen over the last hours, and what they come to in a day, on the exchange's clock."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def saw(self, size_bytes: int, now_ms: int) -> None:
        """Take in a size; one for each minute is kept."""
        if self._seen and now_ms - self._seen[-1][1] < MINUTE_MS:
            return
        self._seen.append((size_bytes, now_ms))
        while now_ms - self._seen[0][1] > WINDOW_MS:
            self._seen.popleft()

    @property
    def per_day(self) -> int | None:
        """In bytes; None before ten minutes have passed."""
        if not self._seen:
            return None
        (first_bytes, first_ms), (last_bytes, last_ms) = self._seen[0], self._seen[-1]
        if last_ms - first_ms < SPAN_MS_MIN:
            return None
        return (last_bytes - first_bytes) * DAY_MS // (last_ms - first_ms)
