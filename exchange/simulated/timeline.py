"""When the exchange says what about a contract's minutes.

Updates come at most every 250 ms and only when something was traded. The final of a minute is set off by
the first trade of the next one, else by a timer two seconds after the minute's end; the update that set
it off is not sent itself, so that the new minute shows with its second one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bars.interval import MINUTE_MS
from exchange.simulated.minutes import PUSH_MS
from exchange.simulated.world import Series

FINAL_TIMER_MS = 2_003


class Update(NamedTuple):
    """At `due_ms` the minute that opens at `open_ms` is told as it stood at `state_ms`.

    `closed` when that minute is over. It may have been empty: whether then something is said depends on
    the interval and on the plan.
    """

    due_ms: int
    open_ms: int
    state_ms: int
    closed: bool


def updates(series: Series, from_ms: int) -> Iterator[Update]:
    """All updates due at or after `from_ms`, in order, for as long as the contract trades."""
    not_before_ms = 0
    minute = max(from_ms // MINUTE_MS - 1, series.first_minute)
    while minute <= series.end_minute:
        for update in _of_minute(series, minute):
            due_ms = max(update.due_ms, not_before_ms)
            not_before_ms = due_ms + PUSH_MS
            if due_ms >= from_ms:
                yield update._replace(due_ms=due_ms)
        minute += 1


def _of_minute(series: Series, minute: int) -> Iterator[Update]:
    """What is told during the minute, the final of the one before it first."""
    open_ms = minute * MINUTE_MS
    path = series.path(minute)
    first_trade_ms = path.step_ms(1) if path is not None else MINUTE_MS
    if minute > series.first_minute:
        due_ms = open_ms + min(first_trade_ms, FINAL_TIMER_MS)
        yield Update(due_ms, open_ms - MINUTE_MS, open_ms, closed=True)
    if path is None:
        return
    sets_off = first_trade_ms <= FINAL_TIMER_MS and series.path(minute - 1) is not None
    for step in range(2 if sets_off and path.steps > 1 else 1, path.steps + 1):
        trade_ms = open_ms + path.step_ms(step)
        yield Update(trade_ms, open_ms, trade_ms, closed=False)
