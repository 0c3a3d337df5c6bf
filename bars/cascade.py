"""From contiguous closed minute bars to the larger bars, in progress and closed."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable
from typing import NamedTuple

from bars.aggregate import aggregate, combine
from bars.bar import Bar
from bars.interval import LARGER, MINUTE, MINUTE_MS, STORED, Interval

REPLAY_MINUTES = 240
"""How many closed minutes are kept while a seed is needed: they bring one that is a little old up to date."""


class IntervalBar(NamedTuple):
    """A bar and its interval."""

    interval: Interval
    bar: Bar


class Cascade:
    """The five larger bars of one contract, grown from its closed minutes.

    A bucket is *whole* when every minute since its start went in, or a seed stood in for them. Only whole
    buckets are shown or closed: half a week is not a week.
    """

    def __init__(self) -> None:
        self.next_ms: int | None = None
        self.begun_changes = 0
        """Grows whenever `begun` may return something else than before."""
        self._totals: dict[Interval, Bar] = {}
        self._whole: dict[Interval, bool] = dict.fromkeys(LARGER, False)
        self._recent: deque[Bar] = deque(maxlen=REPLAY_MINUTES)
        self._open: dict[int, Bar] = {}

    @property
    def needs_seed(self) -> bool:
        """Whether some bucket in progress lacks its beginning."""
        return False in self._whole.values()

    def begin_at(self, open_ms: int) -> None:
        """Expect the minute that opens at `open_ms` first, unless some came before."""
        if self.next_ms is None:
            self._go_on_at(open_ms)

    def close(self, minute: Bar) -> list[IntervalBar]:
        """Take in the next closed minute; returns the larger bars that it completes, smallest first.

        A minute that was taken in before is ignored. After a hole, the buckets that the hole touches are
        no longer whole.

        Raises:
            UnitsOverflow: a sum does not fit 63 bits.
        """
        if self.next_ms is not None and minute.open_ms < self.next_ms:
            return []
        contiguous = minute.open_ms == self.next_ms
        self._go_on_at(minute.open_ms + MINUTE_MS)
        completed = [done for interval in LARGER if (done := self._grow(interval, minute, contiguous))]
        if self.needs_seed:
            self._recent.append(minute)
        else:
            self._recent.clear()
        return completed

    def progress(self, minute: Bar) -> None:
        """Take in the newest state of a minute in progress."""
        if self.next_ms is None or minute.open_ms >= self.next_ms:
            if minute.open_ms not in self._open or minute.open_ms < max(self._open):
                self.begun_changes += 1
            self._open[minute.open_ms] = minute

    def newest(self) -> Bar | None:
        """The newest minute in progress."""
        return self._open[max(self._open)] if self._open else None

    def begun(self, wanted: Container[Interval] = LARGER) -> list[IntervalBar]:
        """The larger bars in progress that are wanted and lack no minute, as they were before the newest minute.

        `combine` makes the bar in progress of one of them and that minute. They change once a minute, bars in
        progress with every event. A bucket that begins with the newest minute has a bar without trades.
        """
        newest = self.newest()
        if newest is None:
            return []
        begun = [(interval, self._begun(interval, newest)) for interval in LARGER if interval in wanted]
        return [IntervalBar(interval, bar) for interval, bar in begun if bar is not None]

    def so_far(self, wanted: Container[Interval] = LARGER) -> list[IntervalBar]:
        """The larger bars in progress that are wanted and lack no minute, of their closed minutes alone.

        A bucket that begins with the next minute has none yet.
        """
        whole = (interval for interval in LARGER if interval in wanted and self._whole[interval])
        totals = [(interval, self._totals.get(interval)) for interval in whole]
        return [IntervalBar(interval, total) for interval, total in totals if total is not None]

    def partials(self, wanted: Container[Interval] = STORED) -> list[IntervalBar]:
        """The bars in progress that are wanted: the newest minute, and those larger ones that lack no minute."""
        newest = self.newest()
        if newest is None:
            return []
        partials = [IntervalBar(MINUTE, newest)] if MINUTE in wanted else []
        return partials + [IntervalBar(interval, combine(bar, newest)) for interval, bar in self.begun(wanted)]

    def seed(self, bars: Iterable[Bar], stop_ms: int) -> bool:
        """Start the buckets in progress anew from closed `bars` that tile from the week's start to `stop_ms`.

        The bars may be of any stored intervals. The minutes closed since `stop_ms` are added again.
        Returns False, and changes nothing, when no seed is needed, or when some of those minutes are no longer at
        hand: then a newer seed is needed.
        """
        if not self.needs_seed:
            return False
        next_ms = stop_ms if self.next_ms is None else self.next_ms
        replayed = [minute for minute in self._recent if minute.open_ms >= stop_ms]
        if stop_ms + len(replayed) * MINUTE_MS != next_ms:
            return False
        self._go_on_at(next_ms)
        self.begun_changes += 1
        held = [*bars, *replayed]
        self._totals.clear()
        for interval in LARGER:
            start_ms = interval.floor(next_ms)
            inside = [bar for bar in held if bar.open_ms >= start_ms]
            if inside:
                self._totals[interval] = aggregate(inside, start_ms)
            self._whole[interval] = True
        return True

    def forget(self) -> None:
        """A minute that went in was wrong: only a seed makes the buckets in progress whole again."""
        self._whole = dict.fromkeys(LARGER, False)
        self._recent.clear()
        self.begun_changes += 1

    def _go_on_at(self, next_ms: int) -> None:
        self.next_ms = next_ms
        self.begun_changes += 1
        self._open = {open_ms: bar for open_ms, bar in self._open.items() if open_ms >= next_ms}

    def _grow(self, interval: Interval, minute: Bar, contiguous: bool) -> IntervalBar | None:
        start_ms = interval.floor(minute.open_ms)
        if minute.open_ms == start_ms:
            self._totals[interval] = minute
            self._whole[interval] = True
        elif self._whole[interval] and contiguous:
            total = self._totals.get(interval)  # None where a seed said that nothing was before: a new contract
            self._totals[interval] = combine(total, minute) if total else minute._replace(open_ms=start_ms)
        else:
            self._totals.pop(interval, None)
            self._whole[interval] = False
        if minute.open_ms + MINUTE_MS < interval.next_open(start_ms):
            return None
        self._whole[interval] = True  # the next one, which begins with the next minute
        done = self._totals.pop(interval, None)
        return IntervalBar(interval, done) if done else None

    def _begun(self, interval: Interval, newest: Bar) -> Bar | None:
        """The bucket's bar before the `newest` minute; None when it lacks one."""
        start_ms, at_ms = interval.floor(newest.open_ms), newest.open_ms
        next_ms = start_ms if self.next_ms is None else self.next_ms
        before = [self._open[open_ms] for open_ms in sorted(self._open) if start_ms <= open_ms < at_ms]
        if len(before) * MINUTE_MS != at_ms - max(start_ms, next_ms):
            return None
        if start_ms < next_ms:
            if not self._whole[interval]:
                return None
            total = self._totals.get(interval)
            before = [total, *before] if total else before
        return aggregate(before, start_ms) if before else _untraded(newest, start_ms)


def _untraded(minute: Bar, open_ms: int) -> Bar:
    """Combined with the minute it gives the minute itself, whatever that will be."""
    price = minute.open
    return Bar(open_ms, price, price, price, price, 0, 0, 0, 0, 0, minute.scale)
