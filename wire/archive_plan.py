"""What to fetch from where: archive files for what is long missing, REST for the rest.

A monthly zip costs two requests and no weight. It is worth it where much of its month is missing; a daily zip
where more of its day is missing than one REST page brings, which is so for minutes only. REST serves the tail that
is not published yet, intervals of which a page holds months, and small holes.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from bars import DAY, Interval, Span
from bars.gaps import pages, subtract
from bars.interval import DAY_MS, HOUR_MS
from wire.archive import MONTH, Period, has_kind
from wire.requests import PAGE_BARS

LITTLE_DAYS = 7
"""A month that misses no more than this many days is mended day by day."""
MONTHLY_AFTER_MS = DAY_MS
DAILY_AFTER_MS = 8 * HOUR_MS
"""No file was seen earlier than this after its period's end; days, even weeks later is usual."""


class Source(enum.Enum):
    """Where history may come from."""

    AUTO = "auto"
    REST = "rest"
    ARCHIVE = "archive"


class Published(NamedTuple):
    """Which files of one series there are at the archive.

    `sizes` has the bytes of each listed file; of a kind that is not in `listed`, a file is expected as soon as it
    may be there.
    """

    now_ms: int
    listed: Collection[Interval] = ()
    sizes: Mapping[Period, int] = MappingProxyType({})

    def may_have(self, period: Period) -> bool:
        """Whether there is, or may be, a file of this period."""
        if period.kind in self.listed:
            return period in self.sizes
        return period.stop_ms + (MONTHLY_AFTER_MS if period.kind is MONTH else DAILY_AFTER_MS) <= self.now_ms


class Steps(NamedTuple):
    """Files to load and spans to ask REST for, each of at most one page; newest first, nothing twice."""

    periods: tuple[Period, ...]
    pages: tuple[Span, ...]


def plan(
    missing: Sequence[Span],
    interval: Interval,
    published: Published,
    source: Source = Source.AUTO,
    tried: Collection[Period] = (),
    asked: Sequence[Span] = (),
) -> Steps:
    """How to get what is missing.

    To be called again with what is missing still when all steps are done; there is an end to it, since no file
    and no page is named that was tried before.

    Args:
        missing: whole buckets of `interval`, ascending.
        tried: files that were loaded, are not there, or cannot be used.
        asked: spans that REST was asked for, ascending.
    """
    periods = [] if source is Source.REST else list(_periods(missing, interval, published, source, tried))
    covered = sorted(Span(period.start_ms, period.stop_ms) for period in periods)
    left = subtract(subtract(missing, covered), asked)
    rest = [] if source is Source.ARCHIVE else _pages(left, interval)
    return Steps(tuple(sorted(periods, key=_newest_first)), tuple(rest))


def missing_in(missing: Iterable[Span], interval: Interval, within: Span) -> int:
    """How many bars are missing in a span."""
    return sum(interval.count(*part) for span in missing if not (part := span.intersect(within)).is_empty)


def _periods(
    missing: Sequence[Span], interval: Interval, published: Published, source: Source, tried: Collection[Period]
) -> Iterator[Period]:
    """The files worth loading."""

    def is_open(period: Period) -> bool:
        return period not in tried and has_kind(interval, period.kind) and published.may_have(period)

    for month in _touched(missing, MONTH):
        whole = Span(month.start_ms, month.stop_ms)
        here = [part for span in missing if not (part := span.intersect(whole)).is_empty]
        wanted = missing_in(here, interval, whole)
        days = [day for day in _touched(here, DAY) if is_open(day)]
        if source is Source.ARCHIVE:
            covered = sum(missing_in(here, interval, Span(day.start_ms, day.stop_ms)) for day in days)
            if is_open(month) and (len(days) > LITTLE_DAYS or covered < wanted):
                yield month
            else:
                yield from days
        elif is_open(month) and wanted > max(PAGE_BARS, LITTLE_DAYS * DAY_MS // interval.span_ms):
            yield month
        else:
            yield from (day for day in days if missing_in(here, interval, Span(day.start_ms, day.stop_ms)) > PAGE_BARS)


def _touched(spans: Sequence[Span], kind: Interval) -> Iterator[Period]:
    """The months or days in which something of the spans is, ascending, each once."""
    next_ms = 0
    for span in spans:
        at_ms = max(kind.floor(span.start_ms), next_ms)
        while at_ms < span.stop_ms:
            yield Period(kind, at_ms)
            at_ms = next_ms = kind.next_open(at_ms)


def _pages(missing: Iterable[Span], interval: Interval) -> list[Span]:
    """Spans of at most a page, newest first; holes that lie near each other share one."""
    found: list[Span] = []
    for span in missing:
        for page in reversed(list(pages(span, interval, PAGE_BARS))):
            if found and interval.count(found[-1].start_ms, page.stop_ms) <= PAGE_BARS:
                found[-1] = Span(found[-1].start_ms, page.stop_ms)
            else:
                found.append(page)
    return found[::-1]


def _newest_first(period: Period) -> tuple[int, int]:
    return -period.stop_ms, period.kind.span_ms


class Estimate(NamedTuple):
    """What some steps cost."""

    files: int = 0
    bytes: int = 0
    pages: int = 0
    bars: int = 0

    def plus(self, other: Estimate) -> Estimate:
        return Estimate(*(one + another for one, another in zip(self, other, strict=True)))


BYTES_PER_ARCHIVED_BAR = 34
"""Measured: 31 to 36 for a minute bar in a monthly zip, 36 to 43 in a daily one."""


def estimate(steps: Steps, missing: Sequence[Span], interval: Interval, published: Published) -> Estimate:
    """What these steps bring and take. Of files that were not listed the size is guessed."""
    bars = sum(interval.count(*span) for span in missing)
    sizes = (
        published.sizes.get(period, interval.count(period.start_ms, period.stop_ms) * BYTES_PER_ARCHIVED_BAR)
        for period in steps.periods
    )
    return Estimate(len(steps.periods), sum(sizes), len(steps.pages), bars)


def duration_s(estimated: Estimate, weight_per_minute: int, page_weight: int, bars_per_s: int, bytes_per_s: int) -> int:
    """About how long it takes, in seconds: archive and REST go on side by side, and everything is written once."""
    requests_s = 60 * (estimated.pages * page_weight) // max(1, weight_per_minute)
    return max(requests_s, estimated.bytes // bytes_per_s, estimated.bars // bars_per_s)
