"""The database beside a naive model of it, under any order of commits: dictionaries, and docs/history.md's table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bars import (
    FIVE_MINUTES,
    HALF_HOUR,
    INTERVALS,
    MINUTE,
    STORED,
    Bar,
    Interval,
    IntervalBar,
    Scale,
    aggregate,
    stored_source,
)
from storage import ArchivedBars, Origin, PartialBars, StoredBar
from tests.support.builders import a_bar
from tests.support.stored import a_store
from wire.table import BarTable

MONDAY_MS = 1_780_272_000_000
"""2026-06-01: a month begins with a week."""
SCALES = (Scale(2, 3, 5), Scale(1, 1, 2), Scale(3, 3, 6))
WIDE = Scale(6, 6, 8)
REACH = {MINUTE: 30, FIVE_MINUTES: 12, HALF_HOUR: 8}
SAID = [(Origin.STREAM, False), (Origin.REST, False), (Origin.REST, True)]


@dataclass
class Held:
    """A bar of the exchange's, whatever its scale."""

    bar: Bar
    origin: Origin
    verified: bool

    def may_become(self, bar: Bar, origin: Origin) -> bool:
        if self.verified:
            return origin is Origin.REST
        return not (origin is Origin.ARCHIVE and bar.is_empty and self.bar.trades > 0)


def some_bar(dice: Random, open_ms: int, scale: Scale) -> Bar:
    price, volume = dice.randrange(10, 99), dice.randrange(3)
    return a_bar(open_ms, (price, price + 9, price - 9, price + 1), volume, volume, scale)


def wide(bar: Bar) -> Bar:
    return bar.rescaled(WIDE)


class StorageMachine(RuleBasedStateMachine):
    """One contract: minutes, and larger bars around the start of a month."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.db = self.stack.enter_context(a_store())
        self.model: dict[Interval, dict[int, Held]] = {interval: {} for interval in STORED}

    def teardown(self) -> None:
        self.stack.close()

    def bars(self, data: st.DataObject, interval: Interval) -> list[Bar]:
        reach = REACH[interval]
        first = data.draw(st.sampled_from([-reach, -6, -5, -1, 0, 1, 2]), "first")
        count = data.draw(st.sampled_from([1, 2, 5, 30]), "count")
        scale = data.draw(st.sampled_from(SCALES), "scale")
        dice = Random(data.draw(st.integers(0, 3), "dice"))
        opens_ms = (MONDAY_MS + number * interval.span_ms for number in range(first, min(reach, first + count)))
        return [some_bar(dice, open_ms, scale) for open_ms in opens_ms]

    @rule(data=st.data(), interval=st.sampled_from(list(REACH)), said=st.sampled_from(SAID), completes=st.booleans())
    def told(self, data: st.DataObject, interval: Interval, said: tuple[Origin, bool], completes: bool) -> None:
        """Larger bars come from REST alone; those that are not verified may give way to a sum at once."""
        origin, verified = said if interval is MINUTE else (Origin.REST, True)
        bars = data.draw(st.permutations(self.bars(data, interval)))
        self.db.put(bars, interval, origin, verified=verified, completes=completes)
        for bar in map(wide, bars):
            held = self.model[interval].get(bar.open_ms)
            if held is not None and held.bar == bar:
                held.verified |= verified
            elif held is None or held.may_become(bar, origin):
                self.model[interval][bar.open_ms] = Held(bar, origin, verified)
        if completes:
            self.expect_complete(interval, bars)

    @rule(data=st.data(), interval=st.sampled_from(list(REACH)))
    def loaded(self, data: st.DataObject, interval: Interval) -> None:
        bars = self.bars(data, interval)
        self.db.store.commit([ArchivedBars(self.db.contract.key, interval, BarTable.of(bars, interval, bars[0].scale))])
        for bar in map(wide, bars):
            self.model[interval].setdefault(bar.open_ms, Held(bar, Origin.ARCHIVE, False))

    @rule(data=st.data(), interval=st.sampled_from(list(REACH)))
    def progressed(self, data: st.DataObject, interval: Interval) -> None:
        bar = self.bars(data, interval)[0]
        self.db.store.commit([PartialBars(self.db.contract.key, [IntervalBar(interval, bar)])])

    @invariant()
    def the_exchanges_bars_are_as_told_and_all_others_are_sums(self) -> None:
        for smaller, interval in pairwise((MINUTE, *STORED)):
            parts = {bar.open_ms: bar for bar in self.closed(smaller)}
            found = {stored.bar.open_ms: stored for stored in self.db.stored(interval) if stored.closed}
            assert self.model[interval].keys() <= found.keys()
            for open_ms, stored in found.items():
                if stored.origin is not Origin.AGGREGATED:
                    held = self.model[interval][open_ms]
                    assert (wide(stored.bar), stored.origin, stored.verified) == (held.bar, held.origin, held.verified)
                else:
                    whole = range(open_ms, interval.next_open(open_ms), smaller.span_ms)
                    assert wide(stored.bar) == wide(aggregate([parts[at_ms] for at_ms in whole], open_ms))

    @invariant()
    def summaries_count_what_is_there(self) -> None:
        for one in self.db.reader.series():
            opens_ms = [bar.open_ms for bar in self.closed(one.interval)]
            lacking = one.interval.count(opens_ms[0], opens_ms[-1]) + 1 - len(opens_ms)
            assert (one.first_ms, one.last_ms, one.bars, one.gaps) == (
                opens_ms[0],
                opens_ms[-1],
                len(opens_ms),
                lacking,
            )
        minutes = self.model[MINUTE].values()
        assert self.db.reader.compared_count() == (sum(held.verified for held in minutes), len(minutes))
        doubtful_ms = [held.bar.open_ms for held in minutes if not held.verified]
        assert [one.first_ms for one in self.db.reader.unverified()] == ([min(doubtful_ms)] if doubtful_ms else [])

    @invariant()
    def bars_that_are_not_stored_are_made_of_all_their_parts(self) -> None:
        for interval in INTERVALS.values():
            source = stored_source(interval)
            if source is interval:
                continue
            expected: dict[int, list[StoredBar]] = {}
            for part in self.db.stored(source):
                expected.setdefault(interval.floor(part.bar.open_ms), []).append(part)
            for open_ms in list(expected):
                opens_ms = [part.bar.open_ms for part in expected[open_ms]]
                is_row = opens_ms == list(range(open_ms, opens_ms[-1] + 1, source.span_ms))
                is_whole = source.next_open(opens_ms[-1]) == interval.next_open(open_ms)
                if not is_row or not (is_whole or open_ms == max(expected)):
                    expected[open_ms] = []
            sums = [aggregate([part.bar for part in parts], open_ms) for open_ms, parts in expected.items() if parts]
            assert self.db.held(interval) == sums

    def expect_complete(self, interval: Interval, bars: Iterable[Bar]) -> None:
        larger = STORED[STORED.index(interval) + 1]
        held, made = ({bar.open_ms for bar in self.closed(one)} for one in (interval, larger))
        for open_ms in {larger.floor(bar.open_ms) for bar in bars}:
            parts_ms = range(open_ms, larger.next_open(open_ms), interval.span_ms)
            assert open_ms in made or not held.issuperset(parts_ms)

    def closed(self, interval: Interval) -> Sequence[Bar]:
        return [stored.bar for stored in self.db.stored(interval) if stored.closed]


TestStorage = StorageMachine.TestCase
TestStorage.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
