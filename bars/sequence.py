"""From what arrives about one contract's minutes to contiguous closed minute bars.

Frames come late, twice, out of order after a reconnect, or never; a minute without trades may send none.
What was missed comes from REST. Out of all this `MinuteSequence` makes one ascending row of closed
minutes without a hole, and says which minutes to ask REST for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from bars.bar import Bar, are_equal
from bars.contract import NO_DELIVERY_MS
from bars.gaps import Span, merge, subtract
from bars.interval import MINUTE, MINUTE_MS, SECOND_MS

RECENT_MINUTES = 12
"""How many passed minutes are remembered, to tell a repetition from a correction: somewhat longer than
minutes wait for one that does not come. With a thousand contracts each of these minutes takes half a megabyte."""
LEFT_BEHIND_MINUTES = 120
"""How long minutes that were left behind may still come."""
STEP_MS_MAX = 3 * MINUTE_MS
"""The most that counts as waiting from one look at the clock to the next. A greater step is a sleep of this machine, in
which no answer could come: the first frame after it names the time that it has become."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, on the exchange's clock.

    Finals come 0.2 to 2 s after the minute's end in the good case and up to 30 s in the bad. REST may show
    a closed minute still moving for some seconds (6 to 13 s were seen), so a row counts as final only once
    the exchange has named a time `settle_ms` past its end.
    """

    ask_after_ms: int = 10 * SECOND_MS
    settle_ms: int = 10 * SECOND_MS
    ask_again_ms: int = 15 * SECOND_MS
    """After each answer without the minutes twice as long, up to `ask_again_ms_max`."""
    ask_again_ms_max: int = 240 * SECOND_MS
    askings_max: int = 8
    """After this many answers without a minute it is left behind: within 16 minutes, if nothing else comes."""
    hold_ms: int = 600 * SECOND_MS
    """How long after missing minutes were first asked for the later ones are passed on without them."""


class Closed(NamedTuple):
    """The next minute is closed; `by_rest` when REST said so."""

    bar: Bar
    by_rest: bool


class Partial(NamedTuple):
    """The newest state of a minute in progress."""

    bar: Bar


class Revised(NamedTuple):
    """A minute that was passed on before turned out to be different, or one that was left behind came after all."""

    bar: Bar
    by_rest: bool


Event = Closed | Partial | Revised


class GivenUp(NamedTuple):
    """Minutes that did not come, and what is passed on without them."""

    hole: Span
    asked: int
    """How many answers of REST were without them; 0 where it did not answer."""
    events: list[Event]


class MinuteSequence:
    """The minutes of one contract, put in order.

    Args:
        next_ms: the open time of the first minute to pass on; None: the first one that arrives.
        end_ms: the contract's delivery time; minutes that open at or after it do not exist.
    """

    def __init__(
        self, next_ms: int | None = None, end_ms: int = NO_DELIVERY_MS, patience: Patience | None = None
    ) -> None:
        self.next_ms = next_ms
        self.end_ms = end_ms
        self._patience = patience or Patience()
        self._held: dict[int, Closed] = {}
        self._recent: deque[Bar] = deque(maxlen=RECENT_MINUTES)
        self._newest: Bar | None = None
        self._newest_event_ms = 0
        self._ask_not_before_ms = 0
        self._asked_first: tuple[int, int] | None = None
        self._looked_ms: int | None = None
        self._in_vain: list[int] = []
        """Up to where REST was asked without an answer to `next_ms`, once for each answer."""
        self._left_behind: list[Span] = []

    @property
    def is_finished(self) -> bool:
        """Whether the contract's last minute was passed on."""
        return self.next_ms is not None and self.next_ms >= self.end_ms

    def on_frame(self, bar: Bar, closed: bool, event_ms: int) -> list[Event]:
        """Take in what a frame says of a minute."""
        if bar.open_ms >= self.end_ms:
            return []
        if self.next_ms is None:
            self.next_ms = bar.open_ms
        if bar.open_ms < self.next_ms:
            return self._late(bar, by_rest=False) if closed else []
        if closed:
            if not self._held:  # the exchange goes on: what it did not have may be there now
                self._ask_not_before_ms = 0
            self._held[bar.open_ms] = Closed(bar, by_rest=False)
            return self._drained()
        return self._progress(bar, event_ms)

    def on_rows(self, bars: Iterable[Bar], asked: Span) -> list[Event]:
        """Take in the closed minutes that REST returned for the span that was `asked`, ascending.

        A minute that REST leaves out, though it has a later one, does not exist.
        """
        bars = list(bars)
        events: list[Event] = []
        if self.next_ms is None:
            self.next_ms = asked.start_ms
        before_ms = self.next_ms
        for bar in bars:
            if bar.open_ms < self.next_ms:
                events += self._late(bar, by_rest=True)
            elif bar.open_ms < self.end_ms and not self._holds_better(bar):
                self._held[bar.open_ms] = Closed(bar, by_rest=True)
        events += self._drained()
        last_ms = bars[-1].open_ms if bars else 0
        while asked.start_ms <= self.next_ms < last_ms:
            self._leave_behind(min([last_ms, *self._held]))
            events += self._drained()
        if self.next_ms > before_ms:
            self._ask_not_before_ms = 0
        elif asked.start_ms <= self.next_ms < asked.stop_ms:
            self._in_vain.append(asked.stop_ms)
        return events

    def wanted(self, now_ms: int) -> Span | None:
        """The minutes to ask REST for, if any are due at `now_ms` of the exchange's clock.

        Asking counts as done: the same minutes are named again only after `ask_again_ms`, and later and later where
        answers do not have them.
        """
        self._look(now_ms)
        if self.next_ms is None:
            self.next_ms = min(MINUTE.floor(now_ms), self.end_ms)
        due_ms = min(MINUTE.floor(now_ms - self._patience.ask_after_ms), self.end_ms)
        stop_ms = min([due_ms, *self._held])
        if stop_ms <= self.next_ms or now_ms < self._ask_not_before_ms:
            return None
        self._ask_not_before_ms = now_ms + self._pause_ms()
        if self._asked_first is None or self._asked_first[0] != self.next_ms:
            self._asked_first = self.next_ms, now_ms
        return Span(self.next_ms, stop_ms)

    def give_up(self, now_ms: int) -> GivenUp | None:
        """Leave minutes behind that were asked for too often, or that others have waited for too long."""
        self._look(now_ms)
        if self.next_ms is None:
            return None
        hole = Span(self.next_ms, self._stop_of_vain_ms(now_ms))
        if hole.is_empty:
            return None
        asked = sum(stop_ms >= hole.stop_ms for stop_ms in self._in_vain)
        self._leave_behind(hole.stop_ms)
        return GivenUp(hole, asked, self._drained())

    def _look(self, now_ms: int) -> None:
        """Take in what time it is. What it is more than a step after the last look was no waiting for an answer."""
        before_ms, self._looked_ms = self._looked_ms, now_ms
        if before_ms is not None and self._asked_first is not None:
            asked_for_ms, asked_ms = self._asked_first
            self._asked_first = asked_for_ms, asked_ms + max(0, now_ms - before_ms - STEP_MS_MAX)

    def _holds_better(self, row: Bar) -> bool:
        held = self._held.get(row.open_ms)
        return held is not None and _is_worse(row, held.bar)

    def _stop_of_vain_ms(self, now_ms: int) -> int:
        """Up to where minutes are to be left behind; 0 for nowhere."""
        held_ms = min(self._held, default=self.end_ms)
        if len(self._in_vain) >= self._patience.askings_max:
            return min(held_ms, *self._in_vain[-self._patience.askings_max :])
        if not self._held or self._asked_first is None:
            return 0
        asked_for_ms, asked_ms = self._asked_first
        return held_ms if asked_for_ms == self.next_ms and now_ms - asked_ms >= self._patience.hold_ms else 0

    def _pause_ms(self) -> int:
        patience = self._patience
        doublings = min(len(self._in_vain), patience.askings_max)
        return min(patience.ask_again_ms << doublings, patience.ask_again_ms_max)

    def _leave_behind(self, stop_ms: int) -> None:
        assert self.next_ms is not None
        self._left_behind.append(Span(self.next_ms, stop_ms))
        horizon_ms = stop_ms - LEFT_BEHIND_MINUTES * MINUTE_MS
        self._left_behind = [span for span in merge(self._left_behind) if span.stop_ms > horizon_ms]
        self._in_vain = [asked_ms for asked_ms in self._in_vain if asked_ms > stop_ms]
        self.next_ms = stop_ms

    def _progress(self, bar: Bar, event_ms: int) -> list[Event]:
        newest = self._newest
        if bar.open_ms in self._held:
            return []
        if newest is not None and (bar.open_ms, event_ms) < (newest.open_ms, self._newest_event_ms):
            return []
        self._newest, self._newest_event_ms = bar, event_ms
        return [Partial(bar)]

    def _drained(self) -> list[Event]:
        events: list[Event] = []
        assert self.next_ms is not None
        while (closed := self._held.pop(self.next_ms, None)) is not None:
            events.append(closed)
            self._recent.append(closed.bar)
            self.next_ms += MINUTE_MS
            self._in_vain = []
        return events

    def _late(self, bar: Bar, by_rest: bool) -> list[Event]:
        for index, passed in enumerate(self._recent):
            if passed.open_ms == bar.open_ms:
                if are_equal(passed, bar) or (by_rest and _is_worse(bar, passed)):
                    return []
                self._recent[index] = bar
                return [Revised(bar, by_rest)]
        if not any(span.start_ms <= bar.open_ms < span.stop_ms for span in self._left_behind):
            return []
        self._left_behind = list(subtract(self._left_behind, [Span(bar.open_ms, bar.open_ms + MINUTE_MS)]))
        self._recent.append(bar)
        return [Revised(bar, by_rest)]


def _is_worse(row: Bar, final: Bar) -> bool:
    """Whether a row has none of the trades that a final told of: the comparison with REST decides about that later."""
    return row.is_empty and not final.is_empty
