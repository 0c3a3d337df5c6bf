"""Which bars are old enough to go. Pure."""

from __future__ import annotations

from types import MappingProxyType

from bars.history import Depth
from bars.interval import (
    DAY,
    FIVE_MINUTES,
    FOUR_HOURS,
    HALF_HOUR,
    INTERVALS,
    MINUTE,
    STORED,
    WEEK,
    Interval,
)

_NEEDED_BY = MappingProxyType(
    {
        MINUTE: FOUR_HOURS,
        FIVE_MINUTES: FOUR_HOURS,
        HALF_HOUR: DAY,
        FOUR_HOURS: WEEK,
        DAY: INTERVALS["1M"],
        WEEK: WEEK,
    }
)
"""The largest interval whose bar in progress is made of these bars, when they are stored or when they are read."""
GRAIN_PARTS = 10


def removable_before_ms(interval: Interval, keep: Depth, now_ms: int) -> int:
    """Bars of a stored interval that open before this time are older than `keep`; 0 when none are.

    Whole buckets of a larger interval go at once, seldom rather than always a few: each series has its oldest
    bars on a page of their own. So bars stay for up to a tenth longer than `keep`, or one larger bucket.
    """
    if keep.length_ms is None:
        return 0
    before_ms = min(now_ms - keep.length_ms, _NEEDED_BY[interval].back(now_ms, 1))
    return max(0, _grain(interval, keep.length_ms).floor(before_ms))


def larger_stored(interval: Interval) -> Interval | None:
    """The next larger stored interval, whose bars are made of these."""
    return next((larger for larger in STORED if larger.span_ms > interval.span_ms), None)


def _grain(interval: Interval, keep_ms: int) -> Interval:
    coarse = [larger for larger in STORED if larger.span_ms > interval.span_ms]
    fitting = [larger for larger in coarse if larger.span_ms * GRAIN_PARTS <= keep_ms]
    return fitting[-1] if fitting else coarse[0] if coarse else interval
