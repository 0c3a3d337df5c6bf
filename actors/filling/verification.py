"""Which contract's minutes are compared with the exchange next, and how many at once. No actor in here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bars import MINUTE_MS, Span
from bars.interval import DAY_MS
from storage import UnverifiedMinutes
from wire.requests import CATCH_UP_BARS, PAGE_BARS, klines_weight

ROUND_MINUTES = CATCH_UP_BARS - 2
"""How often every contract has its turn, in minutes: what comes meanwhile fits one request of weight 1."""
SHARE_PERMILLE = 5
"""The most of the exchange's weight limit that comparing may cost."""
RECENT_MS = DAY_MS
"""Minutes that are older may wait."""
MINUTES_SAVED_MAX = 10
"""How long weight that was not needed is saved."""


def due(
    minutes: Iterable[UnverifiedMinutes], after_minute: int, now_minute: int, settled_ms: int
) -> list[tuple[UnverifiedMinutes, int]]:
    """Whose minutes are to be compared now, and from when on; the most urgent first.

    First those whose turn came after one minute and up to another; the time of a contract's turn is fixed by its
    number, so that the market is spread over the round and a restart changes nothing. Then those that lag behind,
    the oldest first. What is more than a day old comes last: much of the archive may wait to be compared, and what
    is new is not to wait for that.
    """
    passed = range(max(after_minute, now_minute - ROUND_MINUTES) + 1, now_minute + 1)
    turns = {minute % ROUND_MINUTES for minute in passed}
    behind_ms = settled_ms - (ROUND_MINUTES + MINUTES_SAVED_MAX) * MINUTE_MS
    recent_ms = settled_ms - RECENT_MS
    open_ones = [one for one in minutes if one.first_ms < settled_ms]
    now = [one for one in open_ones if one.record.id % ROUND_MINUTES in turns and one.last_ms >= recent_ms]
    behind = sorted((one for one in open_ones if one.first_ms < behind_ms), key=lambda one: one.first_ms)
    return [
        *((one, max(one.first_ms, recent_ms)) for one in sorted(now, key=lambda one: one.first_ms)),
        *((one, one.first_ms) for one in behind if one.first_ms >= recent_ms),
        *((one, one.first_ms) for one in behind if one.first_ms < recent_ms),
    ]


def page(opens_ms: Sequence[int], settled_ms: int) -> Span:
    """The span to ask for when these minutes, ascending and at least one, are to be compared.

    99 minutes cost weight 1, 499 cost 2: the larger page brings those up that lag behind.
    """
    start_ms = opens_ms[0]
    near_ms = start_ms + CATCH_UP_BARS * MINUTE_MS
    near = sum(open_ms < near_ms for open_ms in opens_ms)
    far_ms = min(opens_ms[-1] + MINUTE_MS, start_ms + PAGE_BARS * MINUTE_MS)
    stop_ms = far_ms if len(opens_ms) > near else near_ms
    return Span(start_ms, min(stop_ms, settled_ms))


def weight_of(span: Span) -> int:
    """What it costs to ask for the minutes of a span."""
    return klines_weight((span.stop_ms - span.start_ms) // MINUTE_MS)


class Allowance:
    """The weight that comparing may cost, minute by minute of the exchange's clock."""

    def __init__(self) -> None:
        self._permille = 0
        """In thousandths of a unit of weight."""
        self._minute: int | None = None

    def enter(self, minute: int, limit: int) -> None:
        """A minute has begun: a part of its weight `limit` may be spent, besides what was saved."""
        passed = 1 if self._minute is None else max(0, minute - self._minute)
        self._minute = minute
        each = limit * SHARE_PERMILLE
        self._permille = min(self._permille + passed * each, max(MINUTES_SAVED_MAX * each, 1_000))

    @property
    def is_spent(self) -> bool:
        """Whether not even the smallest request may be sent."""
        return self._permille < 1_000

    def take(self, weight: int) -> bool:
        """Whether this weight may be spent now; then it is taken as spent."""
        if self._permille < weight * 1_000:
            return False
        self._permille -= weight * 1_000
        return True
