"""What an answer of the exchange says about the bars that it does not contain."""

from __future__ import annotations

from collections.abc import Sequence

from bars.bar import Bar
from bars.gaps import Span, merge, missing, subtract
from bars.interval import DAY_MS, Interval

LATE_ROWS_MS = DAY_MS
"""Bars missing at the end of an answer are taken for not existing only when they would be older than this."""


def absences(
    asked: Span, bars: Sequence[Bar], interval: Interval, onboard_ms: int, now_ms: int, in_vain: Sequence[Span] = ()
) -> list[Span]:
    """The spans for which the exchange was asked and has no bars, ascending.

    What an answer leaves out before a bar of its own does not exist: the exchange has come further. Of what is missing
    at its end, and that is all of an empty answer, it says nothing: a node may lag, or have lost something. That is
    believed only of old bars, and only where several answers at different times had none of them.

    Before a contract's first trade there are none, and nobody needs to ask further back: a beginning that
    reaches back to the contract's launch is extended to time 0. The launch itself is no bound: the first bar
    was seen two minutes after it, and the first week opens before it.

    Args:
        asked: whole buckets of `interval`.
        bars: what came, ascending. One that opens after `asked` shows that the exchange has come further; where it is
            still in progress, only of what is old: within a minute of its end a bar may be late and the next one shown.
        in_vain: what was asked for often enough before, without any of it; ascending. See `Noted.is_believed`.
    """
    launch_ms = interval.floor(onboard_ms)
    absent = list(missing((bar.open_ms for bar in bars), asked, interval))
    if absent and absent[-1].stop_ms == asked.stop_ms and not _has_come_further(asked, bars, interval, now_ms):
        end = absent.pop()
        if asked.stop_ms <= now_ms - LATE_ROWS_MS:
            absent += [end.intersect(span) for span in in_vain]
        absent.append(Span(end.start_ms, min(end.stop_ms, launch_ms)))  # nothing from before the launch can be late
    absent = merge(span for span in absent if not span.is_empty)
    if absent and absent[0].start_ms == asked.start_ms <= launch_ms:
        absent[0] = Span(0, absent[0].stop_ms)
    return absent


def _has_come_further(asked: Span, bars: Sequence[Bar], interval: Interval, now_ms: int) -> bool:
    if not bars or bars[-1].open_ms < asked.stop_ms:
        return False
    return interval.next_open(bars[-1].open_ms) <= now_ms or asked.stop_ms <= now_ms - LATE_ROWS_MS


def lacking(asked: Span, bars: Sequence[Bar], interval: Interval, absent: Sequence[Span]) -> list[Span]:
    """What was asked for, did not come, and is not known not to exist either (`absent`); all ascend."""
    return list(subtract(missing((bar.open_ms for bar in bars), asked, interval), absent))
