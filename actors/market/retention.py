"""When old bars go. No actor in here."""

from __future__ import annotations

from collections.abc import Mapping

from bars import MINUTE_MS, Interval
from bars.history import Depth
from bars.retention import removable_before_ms

REMOVED_AT_ONCE = 5_000
"""How many rows are removed in one transaction: some ten milliseconds, in which nothing else is written."""


class Retention:
    """Looks once a minute, on the exchange's clock, and then works until nothing is left to remove.

    Args:
        keep: how long bars of an interval are kept.
    """

    def __init__(self, keep: Mapping[Interval, Depth]) -> None:
        self._keep = {interval: depth for interval, depth in keep.items() if depth.length_ms is not None}
        self._minute: int | None = None
        self._is_working = False
        self.total = 0
        """How many bars were removed."""

    def due(self, now_ms: int) -> dict[Interval, int]:
        """Before when bars of each interval are to go; empty when there is nothing to do now."""
        minute = now_ms // MINUTE_MS
        if not self._keep or (minute == self._minute and not self._is_working):
            return {}
        self._minute = minute
        before_ms = {interval: removable_before_ms(interval, depth, now_ms) for interval, depth in self._keep.items()}
        return {interval: time_ms for interval, time_ms in before_ms.items() if time_ms}

    def removed(self, count: int) -> None:
        """`count` rows are gone; if that is as many as go at once, there may be more."""
        self.total += count
        self._is_working = count >= REMOVED_AT_ONCE
