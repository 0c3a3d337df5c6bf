"""Looking for pauses of the exchange over a long time. No actor in here."""

from __future__ import annotations

from collections.abc import Iterator

from bars import Span
from bars.interval import DAY_MS, HOUR_MS
from storage import Reader

AT_ONCE_MS = 30 * DAY_MS


def found_pauses(reader: Reader, wanted: Span) -> Iterator[tuple[Span, list[Span]]]:
    """What was looked at, a part of a half-open span at a time, and the pauses in it.

    Parts overlap by an hour: one may have begun in the part before. So each pause is named whole at least once.
    """
    span = wanted.intersect(reader.pauses_span())
    start_ms = span.start_ms
    while start_ms < span.stop_ms:
        stop_ms = min(start_ms + AT_ONCE_MS, span.stop_ms)
        looked_at = Span(start_ms - HOUR_MS, stop_ms)
        yield looked_at, reader.pauses(looked_at)
        start_ms = stop_ms
