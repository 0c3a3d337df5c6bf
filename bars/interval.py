"""Intervals and their buckets: which span of time a bar covers.

All times are UTC milliseconds. A bucket is half-open: it holds its open time and not its end.
Intervals up to one day start at multiples of their length since the epoch, weeks on Monday 00:00
(the first BTCUSDT week opens 1567382400000, Monday 2019-09-02), months on their first day. The
exchange also knows 3d, whose anchor nobody has established: it is left out rather than guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS

_FIRST_MONDAY_MS = 4 * DAY_MS  # 1970-01-05; the epoch itself was a Thursday
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_ERA_DAYS = 146_097  # the calendar repeats every 400 years, so that `date` works for any time at all

TIME_MAX_MS = 100_000_000_000_000
"""In the year 5138. Anything later is no time in milliseconds but a mistake, or microseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """One bar length. Compare with `is`: every interval exists once."""

    name: str
    """As the exchange writes it: `1m`, `4h`, `1M`."""
    span_ms: int
    """The length of a bucket; of a month: the shortest one."""
    anchor_ms: int = 0
    """Where some bucket starts."""

    def floor(self, time_ms: int) -> int:
        """The open time of the bucket that holds `time_ms`."""
        if self.is_calendar:
            return _month_start_ms(time_ms, months_later=0)
        return time_ms - (time_ms - self.anchor_ms) % self.span_ms

    def next_open(self, time_ms: int) -> int:
        """The open time of the bucket after the one that holds `time_ms`."""
        if self.is_calendar:
            return _month_start_ms(time_ms, months_later=1)
        return self.floor(time_ms) + self.span_ms

    def ceil(self, time_ms: int) -> int:
        """The first open time at or after `time_ms`."""
        start_ms = self.floor(time_ms)
        return start_ms if start_ms == time_ms else self.next_open(time_ms)

    def close_ms(self, open_ms: int) -> int:
        """The close time as the exchange writes it: the last millisecond of the bucket."""
        return self.next_open(open_ms) - 1

    def is_bucket(self, open_ms: int, close_ms: int) -> bool:
        """Whether a bucket runs from `open_ms` to `close_ms`, as the exchange writes both, from 1970 to 5138."""
        return 0 <= open_ms <= TIME_MAX_MS and self.floor(open_ms) == open_ms and self.close_ms(open_ms) == close_ms

    def back(self, open_ms: int, count: int) -> int:
        """The open time of the bucket `count` buckets before the one that holds `open_ms`."""
        if self.is_calendar:
            return _month_start_ms(open_ms, months_later=-count)
        return self.floor(open_ms) - count * self.span_ms

    def count(self, start_ms: int, stop_ms: int) -> int:
        """How many buckets open in the half-open span from `start_ms` to `stop_ms`."""
        first_ms = self.ceil(start_ms)
        end_ms = max(first_ms, self.ceil(stop_ms))
        if self.is_calendar:
            return _month_number(end_ms) - _month_number(first_ms)
        return (end_ms - first_ms) // self.span_ms

    @property
    def is_calendar(self) -> bool:
        """Whether buckets differ in length (months)."""
        return self.name == "1M"

    def nests_in(self, larger: Interval) -> bool:
        """Whether every bucket of `larger` is tiled by whole buckets of this interval."""
        if larger.is_calendar:
            return self is larger or (not self.is_calendar and DAY_MS % self.span_ms == 0)
        aligned = (larger.anchor_ms - self.anchor_ms) % self.span_ms == 0
        return not self.is_calendar and larger.span_ms % self.span_ms == 0 and aligned

    def __str__(self) -> str:
        return self.name


def _month_number(time_ms: int) -> int:
    era, days = divmod(time_ms // DAY_MS, _ERA_DAYS)
    day = date.fromordinal(_EPOCH_ORDINAL + days)
    return 12 * (400 * era + day.year) + day.month - 1


def _month_start_ms(time_ms: int, months_later: int) -> int:
    year, month = divmod(_month_number(time_ms) + months_later, 12)
    era, years = divmod(year - 1970, 400)
    return (era * _ERA_DAYS + date(1970 + years, month + 1, 1).toordinal() - _EPOCH_ORDINAL) * DAY_MS


MINUTE = Interval("1m", MINUTE_MS)
FIVE_MINUTES = Interval("5m", 5 * MINUTE_MS)
HALF_HOUR = Interval("30m", 30 * MINUTE_MS)
FOUR_HOURS = Interval("4h", 4 * HOUR_MS)
DAY = Interval("1d", DAY_MS)
WEEK = Interval("1w", WEEK_MS, _FIRST_MONDAY_MS)

STORED = (MINUTE, FIVE_MINUTES, HALF_HOUR, FOUR_HOURS, DAY, WEEK)
"""The intervals that are kept, ascending; each nests in the next."""
LARGER = STORED[1:]
"""The stored intervals that are aggregated from minute bars."""

INTERVALS = MappingProxyType(
    {
        interval.name: interval
        for interval in (
            MINUTE,
            Interval("3m", 3 * MINUTE_MS),
            FIVE_MINUTES,
            Interval("15m", 15 * MINUTE_MS),
            HALF_HOUR,
            Interval("1h", HOUR_MS),
            Interval("2h", 2 * HOUR_MS),
            FOUR_HOURS,
            Interval("6h", 6 * HOUR_MS),
            Interval("8h", 8 * HOUR_MS),
            Interval("12h", 12 * HOUR_MS),
            DAY,
            WEEK,
            Interval("1M", 28 * DAY_MS),
        )
    }
)
"""Every interval that is served, by the exchange's name, ascending."""


def stored_source(interval: Interval) -> Interval:
    """The largest stored interval whose bars add up to bars of `interval`; itself when it is stored."""
    return next(stored for stored in reversed(STORED) if stored.nests_in(interval))
