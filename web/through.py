"""Reading through: what an answer lacks is fetched from the exchange first, where that can be done soon."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from bars import ContractKey, Interval, Patience, Span
from bars.contract import NO_DELIVERY_MS
from storage import ContractRecord
from web.answers import header_text
from web.pages import Completeness, Held, asked_span, completeness
from web.server import WORKERS
from web.sources import Sources
from wire.requests import PAGE_BARS, KlinesRequest

T = TypeVar("T")

FETCH_S = 9.5
"""All that a client waits for the exchange. Clients' own patience is 10 s and more."""
FETCH_BARS_MAX = 10_000
"""The most bars to ask for at once: the data service fetches no more for one request."""
ROUNDS_MAX = 4
"""Where the exchange has no bars, a full answer reaches further than was asked, and a next span may be missing."""
WAITING_MAX = WORKERS - 8
"""How many requests may wait at a time: the other threads are for answers that are there."""
SETTLE_MS = Patience().settle_ms
"""The exchange's rows may still move for some seconds: newer bars come from the live feed alone."""
REASON_CHARACTERS_MAX = 300


class ReadThrough:
    """Completes answers for all pages of one application.

    Args:
        waiting_max: how many threads may wait at a time; requests beyond are answered with what is stored.
    """

    def __init__(self, sources: Sources, waiting_max: int = WAITING_MAX) -> None:
        self._sources = sources
        self._places = threading.BoundedSemaphore(waiting_max)

    def deadline_s(self) -> float:
        """Until when a request that comes now may wait."""
        return self._sources.monotonic_s() + FETCH_S

    def answer(
        self,
        record: ContractRecord,
        request: KlinesRequest,
        read: Callable[[], tuple[T, Held | None]],
        deadline_s: float | None = None,
    ) -> tuple[T, str | None]:
        """What `read` gives once the bars that it lacks are stored, and in one line what is missing all the same.

        Args:
            read: reads the answer to `request` from the database; also says which bars it holds.
            deadline_s: until when to wait; None: as long as any request may.
        """
        deadline_s = self.deadline_s() if deadline_s is None else deadline_s
        fetched: list[Span] = []
        why: str | None = None
        for rounds_left in reversed(range(ROUNDS_MAX + 1)):
            now_ms = self._sources.now_ms()
            answer, found = self._look(record, request, read, now_ms, fetched)
            spans = [] if now_ms is None or why is not None else _fetchable(found, request, record, now_ms)
            if not spans or not rounds_left or self._sources.fetch is None:
                break
            why = self.fetch(record.contract.key, found.interval, spans, deadline_s)
            if why is None:
                fetched += spans
        if found.reason is None:
            return answer, self._newer_missing(record, request, now_ms)
        return answer, found.reason if why is None else f"{found.reason}: {why}"

    def fetch(self, key: ContractKey, interval: Interval, spans: Sequence[Span], deadline_s: float) -> str | None:
        """Fetch spans of a stored interval; returns None when they are stored, as far as the exchange has any, else
        in one line why not."""
        fetch, left_s = self._sources.fetch, deadline_s - self._sources.monotonic_s()
        if fetch is None:
            return "nothing is fetched on request here"
        if left_s <= 0:
            return "fetching them took too long"
        if not self._places.acquire(blocking=False):
            return "too many requests are waiting for the exchange"
        try:
            why = fetch(key, interval, spans, left_s)
        finally:
            self._places.release()
        return None if why is None else header_text(why)[:REASON_CHARACTERS_MAX]

    def _newer_missing(self, record: ContractRecord, request: KlinesRequest, now_ms: int | None) -> str | None:
        """In one line why bars may exist by now that were asked for, and that nobody here knows of; None when not."""
        if self._sources.silence is None or now_ms is None:
            return None
        wanted = asked_span(request, record.contract, NO_DELIVERY_MS)
        if wanted.stop_ms <= request.interval.next_open(now_ms):
            return None
        why = self._sources.silence()  # costs a query
        return None if why is None else f"newer bars may be missing: {why}"

    def _look(
        self,
        record: ContractRecord,
        request: KlinesRequest,
        read: Callable[[], tuple[T, Held | None]],
        now_ms: int | None,
        fetched: Sequence[Span],
    ) -> tuple[T, Completeness]:
        """The answer as it is now, and what is missing of it.

        What was missing in the answer may have been stored before it was looked up. So an answer that is not whole,
        and of which nothing is found missing, is read again: all that was there at the look is in it then.
        """

        def look(held: Held | None) -> Completeness:
            return completeness(self._sources.reader, record, request, held, now_ms, fetched)

        answer, held = read()
        found = look(held)
        if now_ms is None or found.is_whole:
            return answer, found
        asked = asked_span(request, record.contract, now_ms)
        if any(not span.intersect(asked).is_empty for span in found.missing):
            return answer, found
        answer, held = read()
        if found.missing:  # but only beyond what was asked for, where a fuller answer does not reach
            found = look(held)
            if not found.missing and not found.is_whole:
                answer, _ = read()
        return answer, found


def _fetchable(found: Completeness, request: KlinesRequest, record: ContractRecord, now_ms: int) -> list[Span]:
    """What to fetch next of what is missing: no more than was asked for or than one page brings, from the end that
    the answer begins with; nothing that still moves."""
    interval, settled = found.interval, Span(0, found.interval.floor(now_ms - SETTLE_MS))
    spans = [span for missing in found.missing if not (span := missing.intersect(settled)).is_empty]
    asked = interval.count(*asked_span(request, record.contract, now_ms))
    parts = request.interval.span_ms // interval.span_ms
    bars_max = min(FETCH_BARS_MAX // parts * parts, max(PAGE_BARS, asked))  # so that none but whole bars come of it
    return _ends(spans, interval, bars_max, newest=request.start_ms is None)


def _ends(spans: Sequence[Span], interval: Interval, bars_max: int, *, newest: bool) -> list[Span]:
    """The first `bars_max` bars of ascending spans, or the newest ones."""
    taken: list[Span] = []
    for span in reversed(spans) if newest else spans:
        if bars_max <= 0:
            break
        if newest:
            taken.append(Span(max(span.start_ms, interval.back(span.stop_ms, bars_max)), span.stop_ms))
        else:
            taken.append(Span(span.start_ms, min(span.stop_ms, interval.back(span.start_ms, -bars_max))))
        bars_max -= interval.count(*taken[-1])
    return sorted(taken)
