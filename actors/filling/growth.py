"""How fast the database grows. No actor in here."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median_low

from bars.interval import DAY_MS, HOUR_MS, MINUTE_MS

WINDOW_MS = 6 * HOUR_MS
STEP_MS = 10 * MINUTE_MS


class Growth:
    """How many bars were there over the last hours, and what that comes to in a day, on the exchange's clock.

    Most steps count, not their mean: while history is fetched, or old bars are removed, a step says nothing of
    what the live market will add.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()
        self._bytes_per_bar = 0.0

    def saw(self, bars: int, size_bytes: int, now_ms: int) -> None:
        """Take in how many bars there are and what they take; one look in each step is kept."""
        self._bytes_per_bar = size_bytes / max(bars, 1)
        if self._seen and now_ms - self._seen[-1][1] < STEP_MS:
            return
        self._seen.append((bars, now_ms))
        while now_ms - self._seen[0][1] > WINDOW_MS:
            self._seen.popleft()

    @property
    def per_day(self) -> int | None:
        """In bytes; None before ten minutes have passed."""
        steps = [
            (bars - before) * DAY_MS / (at_ms - then_ms) for (before, then_ms), (bars, at_ms) in pairwise(self._seen)
        ]
        return round(median_low(steps) * self._bytes_per_bar) if steps else None
