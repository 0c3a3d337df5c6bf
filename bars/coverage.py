"""What an answer of the exchange says about the bars that it does not contain."""

from __future__ import annotations

from collections.abc import Sequence

from bars.bar import Bar
from bars.gaps import Span, missing, subtract
from bars.interval import DAY_MS, Interval

LATE_ROWS_MS = DAY_MS
"""Bars missing at the end of an answer are taken for not existing only when they would be older than this."""


def absences(asked: Span, bars: Sequence[Bar], interval: Interval, onboard_ms: int, now_ms: int) -> list[Span]:
    """The spans for which the exchange was asked and has no bars, ascending.

    Before a contract's first trade there are none, and nobody needs to ask further back: a beginning that
    reaches back to the contract's launch is extended to time 0. The launch itself is no bound: the first bar
    was seen two minutes after it, and the first week opens before it.

    Args:
        asked: whole buckets of `interval`.
        bars: what came, ascending.
    """
    if not bars:
        if asked.stop_ms <= interval.floor(onboard_ms):
            return [Span(0, asked.stop_ms)]  # nothing from before the launch can be late
        if asked.start_ms <= interval.floor(onboard_ms):
            return [Span(0, asked.stop_ms)] if asked.stop_ms <= now_ms - LATE_ROWS_MS else []
        return [asked] if asked.stop_ms <= now_ms - LATE_ROWS_MS else []
    holes = list(missing((bar.open_ms for bar in bars), asked, interval))
    if holes and holes[0].start_ms == asked.start_ms and asked.start_ms <= interval.floor(onboard_ms):
        holes[0] = Span(0, holes[0].stop_ms)
    if holes and holes[-1].stop_ms == asked.stop_ms and asked.stop_ms > now_ms - LATE_ROWS_MS:
        holes.pop()
    return holes


def lacking(asked: Span, bars: Sequence[Bar], interval: Interval, absent: Sequence[Span]) -> list[Span]:
    """What was asked for, did not come, and is not known not to exist either (`absent`); all ascend."""
    return list(subtract(missing((bar.open_ms for bar in bars), asked, interval), absent))
