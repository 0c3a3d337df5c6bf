"""One contract's bars as they are held here, against the exchange's, and both against their own sums.

The exchange contradicts itself now and then: an hour with more volume than its minutes, since some of those
are missing over there and shown flat and empty (FILUSDT on 2024-10-28 from 20:00 to 21:13), or a day with
less than its hours (2023-08-16). A difference that follows from such a contradiction is no fault of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import NamedTuple

from bars.aggregate import aggregate
from bars.bar import Bar, Scale
from bars.errors import UnitsOverflow
from bars.gaps import Span, merge
from bars.interval import MINUTE, Interval

Series = Mapping[Interval, Sequence[Bar]]
"""Closed bars of one contract, ascending, of some intervals."""

FIELD_NAMES = Bar._fields[1:-1]
_PRICES = frozenset({"open", "high", "low", "close"})
_VOLUMES = frozenset({"volume", "taker_buy_volume"})
_QUOTE_VOLUMES = frozenset({"quote_volume", "taker_buy_quote_volume"})


class Difference(NamedTuple):
    """A bar that differs from the exchange's."""

    ours: Bar
    theirs: Bar
    is_better_here: bool = False
    """Whether the exchange lacks trades that ours has, as its own larger bars say."""


class Contradiction(NamedTuple):
    """A bar, and what the bars of a smaller interval from the same source add up to instead."""

    bar: Bar
    parts: Interval
    total: Bar


@dataclass(slots=True)
class Verdict:
    """What came out for the bars of one interval. Everything ascends."""

    equal: list[Bar] = field(default_factory=list)
    different: list[Difference] = field(default_factory=list)
    missing_here: list[Bar] = field(default_factory=list)
    missing_there: list[Bar] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    """Bars of the exchange that its own smaller bars do not add up to."""
    disputed: list[Difference] = field(default_factory=list)
    """Bars that differ because the exchange contradicts itself there."""
    falsely_empty: list[Span] = field(default_factory=list)
    """Of minutes: those that the exchange shows as empty though a larger bar of its own has trades in them."""
    sums: int = 0
    """How many bars held here were compared with the sum of smaller ones held here."""
    inconsistent: list[Contradiction] = field(default_factory=list)
    """Bars held here that the smaller ones do not add up to, without the exchange's bars to tell why."""

    @property
    def compared(self) -> int:
        """How many open times one side or the other has a bar for."""
        both = len(self.equal) + len(self.different) + len(self.disputed)
        return both + len(self.missing_here) + len(self.missing_there)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is missing or different, the exchange's own contradictions aside."""
        return not (self.different or self.missing_here or self.missing_there or self.inconsistent)


def differing(first: Bar, second: Bar) -> tuple[str, ...]:
    """The names of the fields, open times left aside, whose values differ, whatever the scales."""
    if first == second:
        return ()
    wide = first.scale.widened(second.scale)
    return tuple(name for name in FIELD_NAMES if _value(first, name, wide) != _value(second, name, wide))


def judge(ours: Series, theirs: Series, summed: Sequence[Interval] = ()) -> dict[Interval, Verdict]:
    """Compare all bars of a span; returns a verdict for every interval of either side.

    Args:
        ours: what is held here. Bars of an interval that `theirs` lacks altogether are compared with sums only.
        theirs: what the exchange has, for the same span.
        summed: the intervals of `ours` that are stored independently of each other, ascending: each is compared
            with the sum of the one before. A bucket that is not whole in the span is left out of sums.
    """
    totals, own_totals = _totals(theirs), _totals(ours)
    verdicts = {interval: Verdict() for interval in _ascending({**ours, **theirs})}
    for interval, verdict in verdicts.items():
        if interval in theirs:
            verdict.contradictions = list(_contradictions(theirs, interval, totals))
    empty = _falsely_empty(theirs, totals)
    if MINUTE in verdicts:
        verdicts[MINUTE].falsely_empty = empty
    doubtful: dict[Interval, list[int]] = {}
    for interval, verdict in verdicts.items():
        if interval in theirs:
            explanations = _Explanations(interval, totals, own_totals, doubtful, empty)
            _compare(verdict, ours.get(interval, ()), theirs[interval], explanations)
            wrong = [one.ours for one in verdict.different] + verdict.missing_there
            doubtful[interval] = [bar.open_ms for bar in wrong]
    for smaller, larger in pairwise(summed):
        _compare_sums(ours, smaller, larger, verdicts)
    return verdicts


_Totals = dict[tuple[Interval, Interval], dict[int, Bar]]
"""By (smaller, larger): what the smaller bars add up to, by open time, for buckets that they cover whole."""


class _Explanations(NamedTuple):
    """What the exchange's contradictions explain about differences of one interval."""

    interval: Interval
    theirs: _Totals
    ours: _Totals
    doubtful: Mapping[Interval, Sequence[int]]
    """Which of ours are unexplained, by open time, of the intervals that were compared before."""
    falsely_empty: Sequence[Span]

    def is_better(self, ours: Bar, theirs: Bar) -> bool:
        """Whether falsely empty minutes are in theirs and trades in ours."""
        bucket = Span(theirs.open_ms, self.interval.next_open(theirs.open_ms))
        return _has_more(ours, theirs) and any(_touch(bucket, span) for span in self.falsely_empty)

    def is_sum(self, ours: Bar) -> bool:
        """Whether ours is what smaller bars add up to: the exchange's, or ours where nothing is wrong with them."""
        bucket = Span(ours.open_ms, self.interval.next_open(ours.open_ms))
        sound = [
            parts
            for parts, wrong_ms in self.doubtful.items()
            if not any(bucket.start_ms <= open_ms < bucket.stop_ms for open_ms in wrong_ms)
        ]
        totals = [self.theirs.get((parts, self.interval), {}).get(ours.open_ms) for parts in self.doubtful]
        totals += [self.ours.get((parts, self.interval), {}).get(ours.open_ms) for parts in sound]
        return any(total is not None and not differing(ours, total) for total in totals)


def _compare(verdict: Verdict, ours: Sequence[Bar], theirs: Sequence[Bar], explanations: _Explanations) -> None:
    held = {bar.open_ms: bar for bar in ours}
    for bar in theirs:
        mine = held.pop(bar.open_ms, None)
        if mine is None:
            verdict.missing_here.append(bar)
        elif not differing(mine, bar):
            verdict.equal.append(bar)
        elif (is_better := explanations.is_better(mine, bar)) or explanations.is_sum(mine):
            verdict.disputed.append(Difference(mine, bar, is_better))
        else:
            verdict.different.append(Difference(mine, bar))
    verdict.missing_there = list(held.values())


def _compare_sums(ours: Series, smaller: Interval, larger: Interval, verdicts: Mapping[Interval, Verdict]) -> None:
    """A sum that differs is explained where the exchange's own does, or where one of its bars is reported already."""
    parts = {bar.open_ms: bar for bar in ours.get(smaller, ())}
    totals = _whole(parts, smaller, larger)
    small, large = verdicts.get(smaller, Verdict()), verdicts.get(larger, Verdict())
    known = {larger.floor(difference.theirs.open_ms) for difference in (*small.different, *small.disputed)}
    known |= {larger.floor(bar.open_ms) for bar in small.missing_there}
    known |= {difference.theirs.open_ms for difference in (*large.different, *large.disputed)}
    known |= {contradiction.bar.open_ms for contradiction in large.contradictions}
    for bar in ours.get(larger, ()):
        total = totals.get(bar.open_ms)
        if total is None:
            continue
        large.sums += 1
        if bar.open_ms not in known and differing(bar, total):
            large.inconsistent.append(Contradiction(bar, smaller, total))


def _contradictions(theirs: Series, interval: Interval, totals: _Totals) -> Iterator[Contradiction]:
    """For each row that some sum contradicts, the sum of the largest parts that does."""
    smaller = [small for small in reversed(_ascending(theirs)) if small is not interval and small.nests_in(interval)]
    for bar in theirs[interval]:
        for parts in smaller:
            total = totals[parts, interval].get(bar.open_ms)
            if total is not None and differing(bar, total):
                yield Contradiction(bar, parts, total)
                break


def _falsely_empty(theirs: Series, totals: _Totals) -> list[Span]:
    """Runs of empty minutes that reach into a larger bar with more volume than its minutes.

    Of bars within each other only the innermost ones that their minutes contradict are looked at: a day that
    differs because of one hour says nothing about the empty minutes of its other hours.
    """
    if MINUTE not in theirs:
        return []
    innermost: list[tuple[Span, bool]] = []
    for interval in _ascending(theirs):
        inner = [span for span, _ in innermost]
        for bar in theirs[interval]:
            total = totals[MINUTE, interval].get(bar.open_ms)
            span = Span(bar.open_ms, interval.next_open(bar.open_ms))
            if total is not None and differing(bar, total) and not any(_touch(span, other) for other in inner):
                innermost.append((span, _has_more(bar, total)))
    lacking = [span for span, has_more in innermost if has_more]
    if not lacking:
        return []
    runs = merge(Span(bar.open_ms, MINUTE.next_open(bar.open_ms)) for bar in theirs[MINUTE] if bar.is_empty)
    return [run for run in runs if any(_touch(run, span) for span in lacking)]


def _totals(series: Series) -> _Totals:
    """All sums, each made from the largest sums that are there already: adding up is associative."""
    found: _Totals = {(one, one): {bar.open_ms: bar for bar in bars} for one, bars in series.items()}
    ascending = _ascending(series)
    for number, larger in enumerate(ascending):
        for smaller in ascending[:number]:
            if smaller.nests_in(larger):
                steps = [one for one in ascending[:number] if smaller.nests_in(one) and one.nests_in(larger)]
                found[smaller, larger] = _whole(found[smaller, steps[-1]], steps[-1], larger)
    return found


def _whole(parts: Mapping[int, Bar], smaller: Interval, larger: Interval) -> dict[int, Bar]:
    """What the parts of each bucket that lacks none add up to; a sum that does not fit is none."""
    totals = {}
    for open_ms, group in groupby(parts, larger.floor):
        opens = list(group)
        if len(opens) == smaller.count(open_ms, larger.next_open(open_ms)):
            with suppress(UnitsOverflow):
                totals[open_ms] = aggregate([parts[at_ms] for at_ms in opens], open_ms)
    return totals


def _ascending(series: Series) -> list[Interval]:
    return sorted(series, key=lambda interval: interval.span_ms)


def _touch(first: Span, second: Span) -> bool:
    return not first.intersect(second).is_empty


def _has_more(bar: Bar, total: Bar) -> bool:
    wide = bar.scale.widened(total.scale)
    return _value(bar, "volume", wide) > _value(total, "volume", wide)


def _value(bar: Bar, name: str, wide: Scale) -> int:
    """A field in units of a wider scale, however large that makes it."""
    units: int = getattr(bar, name)
    decimals = 0
    if name in _PRICES:
        decimals = wide.price - bar.scale.price
    elif name in _VOLUMES:
        decimals = wide.volume - bar.scale.volume
    elif name in _QUOTE_VOLUMES:
        decimals = wide.quote - bar.scale.quote
    power: int = 10**decimals
    return units * power
