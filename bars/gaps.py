"""Spans of time, what is missing in them, and how stored bars tile them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from bars.interval import STORED, Interval


class Span(NamedTuple):
    """The half-open span of time from `start_ms` to `stop_ms`."""

    start_ms: int
    stop_ms: int

    @property
    def is_empty(self) -> bool:
        return self.start_ms >= self.stop_ms

    def intersect(self, other: Span) -> Span:
        """The common part; empty where there is none."""
        return Span(max(self.start_ms, other.start_ms), min(self.stop_ms, other.stop_ms))


def missing(open_times_ms: Iterable[int], span: Span, interval: Interval) -> Iterator[Span]:
    """The parts of `span` for which no bar of `interval` opens, ascending, in whole buckets.

    `open_times_ms` ascends and may reach beyond `span`, which should start and stop at bucket starts.
    """
    expected_ms = span.start_ms
    for open_ms in open_times_ms:
        if open_ms < expected_ms:
            continue
        if open_ms >= span.stop_ms:
            break
        if open_ms > expected_ms:
            yield Span(expected_ms, open_ms)
        expected_ms = interval.next_open(open_ms)
    if expected_ms < span.stop_ms:
        yield Span(expected_ms, span.stop_ms)


def subtract(spans: Iterable[Span], removed: Sequence[Span]) -> Iterator[Span]:
    """What is left of `spans` without the parts in `removed` (ascending); both half-open."""
    for span in spans:
        start_ms = span.start_ms
        for hole in removed:
            if hole.is_empty or hole.stop_ms <= start_ms or hole.start_ms >= span.stop_ms:
                continue
            if hole.start_ms > start_ms:
                yield Span(start_ms, hole.start_ms)
            start_ms = max(start_ms, hole.stop_ms)
        if start_ms < span.stop_ms:
            yield Span(start_ms, span.stop_ms)


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same coverage as few ascending spans: overlapping and touching ones are joined."""
    merged: list[Span] = []
    for span in sorted(spans):
        if span.is_empty:
            continue
        if merged and span.start_ms <= merged[-1].stop_ms:
            merged[-1] = Span(merged[-1].start_ms, max(merged[-1].stop_ms, span.stop_ms))
        else:
            merged.append(span)
    return merged


def pages(span: Span, interval: Interval, bars_max: int) -> Iterator[Span]:
    """`span`, which starts and stops at bucket starts, in pieces of at most `bars_max` bars, newest first."""
    stop_ms = span.stop_ms
    while stop_ms > span.start_ms:
        start_ms = max(span.start_ms, interval.back(stop_ms, bars_max))
        yield Span(start_ms, stop_ms)
        stop_ms = start_ms


class Tile(NamedTuple):
    """One stored bar's place in a tiling."""

    interval: Interval
    open_ms: int


class Hole(NamedTuple):
    """What keeps a span from being tiled: bars of `interval` in `span` are neither held nor known not to exist."""

    interval: Interval
    span: Span


def tile(
    span: Span,
    is_held: Callable[[Interval, int], bool],
    absent: Callable[[Interval, int], Span | None],
    largest: Interval = STORED[-1],
) -> tuple[list[Tile], list[Hole]]:
    """How the largest stored bars tile `span`, and what they leave open.

    This is how a bar in progress begins from the bars that are there: of this week the days, of today
    the 4h bars, and so on down to the minutes. Where no bar is held, the largest interval that fits is
    named as the hole, since one request brings it.

    Args:
        span: starts at a bucket start of the largest interval wanted; stops at a minute's start.
        largest: no larger bars than of this interval are used.
        is_held: whether the closed bar of an interval that opens at a time is stored.
        absent: the span, holding that time, in which the exchange has no bars of that interval; or None.
    """
    tiles: list[Tile] = []
    holes: list[Hole] = []
    usable = [interval for interval in reversed(STORED) if interval.span_ms <= largest.span_ms]
    at_ms = span.start_ms
    while at_ms < span.stop_ms:
        fitting = [i for i in usable if i.floor(at_ms) == at_ms and i.next_open(at_ms) <= span.stop_ms]
        held = next((interval for interval in fitting if is_held(interval, at_ms)), None)
        if held is not None:
            tiles.append(Tile(held, at_ms))
            at_ms = held.next_open(at_ms)
            continue
        nothing = next((interval for interval in fitting if absent(interval, at_ms)), None)
        wanted = nothing or fitting[0]
        stop_ms = wanted.next_open(at_ms)
        if nothing is None:
            if holes and holes[-1].interval is wanted and holes[-1].span.stop_ms == at_ms:
                holes[-1] = Hole(wanted, Span(holes[-1].span.start_ms, stop_ms))
            else:
                holes.append(Hole(wanted, Span(at_ms, stop_ms)))
        at_ms = stop_ms
    return tiles, holes
