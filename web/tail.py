"""The events of one series, from looking at its end again and again. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bars import Bar, Interval

HOLD_S = 60.0
"""How long a closed bar waits for those before it that are not stored: finals are told in order."""


class Told(NamedTuple):
    bar: Bar
    closed: bool


class Tail:
    """What has happened at the end of a series.

    The first look tells nothing. After that each bar that was closed is told once, in order, and the bar in
    progress when it has changed; before its first trade there is nothing to tell of it.
    """

    def __init__(self, interval: Interval) -> None:
        self.last_ms: int | None = None
        """The newest closed bar that was told, or was there from the start; None before the first look."""
        self._interval = interval
        self._in_progress: Bar | None = None
        self._held_since_s: float | None = None

    def begin(self, last_ms: int | None, in_progress: Bar | None, now_ms: int) -> None:
        """Look for the first time, at `now_ms` of the exchange's clock: bars that end later are news."""
        before_ms = self._interval.back(now_ms, 1)
        self.last_ms = before_ms if last_ms is None else last_ms
        self._in_progress = in_progress

    def look(self, closed: list[Bar], in_progress: Bar | None, now_s: float) -> list[Told]:
        """What is new: closed bars after `last_ms`, ascending, and the bar in progress."""
        told = [Told(bar, True) for bar in self._next(closed, now_s)]
        if in_progress is not None and in_progress != self._in_progress and not in_progress.is_empty:
            told.append(Told(in_progress, False))
        self._in_progress = in_progress
        return told

    def _next(self, closed: list[Bar], now_s: float) -> Iterator[Bar]:
        """The closed bars that follow; those behind a hole wait a while."""
        for bar in closed:
            if self.last_ms is not None and bar.open_ms != self._interval.next_open(self.last_ms):
                if self._held_since_s is None:
                    self._held_since_s = now_s
                if now_s - self._held_since_s < HOLD_S:
                    return
            self._held_since_s = None
            self.last_ms = bar.open_ms
            yield bar
