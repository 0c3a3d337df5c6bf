"""`as_of`: bars as they stood at the close of a past minute, so that a backtest sees what a live program saw.

The bucket that was in progress then is made of smaller bars; those of them that are not held are fetched first.
"""

from __future__ import annotations

from collections.abc import Sequence

from bars import MINUTE, Interval, Span
from bars.contract import NO_DELIVERY_MS
from bars.gaps import Hole, merge
from storage import BarsAsOf, ContractRecord, StoredBar
from web.answers import Refusal
from web.pages import Held, held_in_bars, iso
from web.sources import Sources
from web.through import ROUNDS_MAX, SETTLE_MS, ReadThrough
from wire.requests import KlinesRequest


def edge_of(as_of_ms: int | None, now_ms: int | None) -> int | None:
    """The end of the last minute whose close time, its last millisecond, is not after `as_of_ms`; None without one.

    Raises:
        Refusal: that minute is not over yet; what it will be is not known.
    """
    if as_of_ms is None:
        return None
    edge_ms = MINUTE.floor(min(as_of_ms, NO_DELIVERY_MS) + 1)
    if now_ms is not None and edge_ms > now_ms:
        expected = f"a time that has passed at the exchange, where it is {now_ms}"
        raise Refusal("invalid_parameter", f"as_of: expected {expected}, got {as_of_ms}.")
    return edge_ms


def bars_as_of(
    sources: Sources, through: ReadThrough, record: ContractRecord, request: KlinesRequest, edge_ms: int
) -> tuple[list[StoredBar], str | None]:
    """The bars that `request` asks for as they stood at `edge_ms`, and in one line what is missing of them."""
    deadline_s = through.deadline_s()
    lacking: list[Hole] = []

    def read() -> tuple[BarsAsOf, Held | None]:
        found = sources.reader.bars_as_of(
            record,
            request.interval,
            edge_ms,
            start_ms=request.start_ms,
            end_ms=request.end_ms,
            limit=request.limit,
            lacking=lacking,
        )
        return found, held_in_bars(found.closed)

    found, why = read()[0], None
    for _ in range(ROUNDS_MAX):
        fetchable = _settled(found.holes, sources.now_ms()) if sources.fetch is not None else []
        if not fetchable or why is not None:
            break
        why = _fetch(through, record, fetchable, lacking, deadline_s)
        found = read()[0]
    taken = 1 if request.start_ms is None and (found.partial is not None or found.holes) else 0
    reason = None
    if request.limit > taken:
        closed_request = request._replace(end_ms=_end_ms(request, edge_ms), limit=request.limit - taken)
        found, reason = through.answer(record, closed_request, read, deadline_s)
    partials = [] if found.partial is None else [found.partial]
    reasons = [one for one in (reason, _reason(found.holes, edge_ms, why)) if one is not None]
    return [*found.closed, *partials], "; ".join(reasons) or None


def _end_ms(request: KlinesRequest, edge_ms: int) -> int:
    """The last time at which a bar may open that was closed then."""
    last_ms = request.interval.floor(edge_ms) - 1
    return last_ms if request.end_ms is None else min(request.end_ms, last_ms)


def _settled(holes: Sequence[Hole], now_ms: int | None) -> list[Hole]:
    """What may be fetched of holes: what does not move any more."""
    if now_ms is None:
        return []
    clipped = (
        Hole(hole.interval, hole.span.intersect(Span(0, hole.interval.floor(now_ms - SETTLE_MS)))) for hole in holes
    )
    return [hole for hole in clipped if not hole.span.is_empty]


def _fetch(
    through: ReadThrough, record: ContractRecord, holes: Sequence[Hole], lacking: list[Hole], deadline_s: float
) -> str | None:
    """Fetch holes, the largest bars first, and add to `lacking` what was asked for; in one line why not all was."""
    by_interval: dict[Interval, list[Span]] = {}
    for hole in holes:
        by_interval.setdefault(hole.interval, []).append(hole.span)
    for interval in sorted(by_interval, key=lambda one: -one.span_ms):
        spans = merge(by_interval[interval])
        why = through.fetch(record.contract.key, interval, spans, deadline_s)
        if why is not None:
            return why
        lacking += (Hole(interval, span) for span in spans)
    return None


def _reason(holes: Sequence[Hole], edge_ms: int, why: str | None) -> str | None:
    if not holes:
        return None
    first, more = holes[0], f" and {len(holes) - 1} more spans" if len(holes) > 1 else ""
    lacks = f"bars of {first.interval} from {iso(first.span.start_ms)} to {iso(first.span.stop_ms)}{more}"
    return f"the bar in progress at {iso(edge_ms)} lacks {lacks}{'' if why is None else f': {why}'}"
