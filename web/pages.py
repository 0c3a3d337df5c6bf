"""What a request for bars asks for, what the answer holds of it, and what is missing.

The exchange never leaves out a bar, so neither may we without saying so. All that is decided here, for
the exchange's form and the native one alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from bars import Interval, Span, stored_source
from bars.contract import NO_DELIVERY_MS, Contract
from bars.gaps import merge, subtract
from storage import ContractRecord, Reader, StoredBar
from wire.requests import KlinesRequest

STARTING_MS = 2_000
"""A bucket this young may have no bar yet: the exchange itself begins the next bar with its first trade, or by
a timer about 2 s after the boundary."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ROW_OPENS = "["
_ROW_START = re.compile(r"\[(\d+),")


class Held(NamedTuple):
    """Which bars an answer holds: `total` of them, ascending, the open times of the first and the last."""

    first_ms: int
    last_ms: int
    total: int


class Completeness(NamedTuple):
    """What of the bars that were asked for is missing: spans in whole buckets of `interval`, a stored one.

    `reason` says it in one line of ASCII; None when nothing is missing. `is_whole` tells of an answer that shows by
    itself that it lacks nothing; for any other it was looked up, after the answer had been read.
    """

    interval: Interval
    missing: list[Span]
    reason: str | None
    is_whole: bool


def held_in_rows(rows_json: str) -> Held | None:
    """The bars in an answer in the exchange's form, without reading more of it than needed."""
    if rows_json == "[]":
        return None
    first, last = _ROW_START.match(rows_json, 1), _ROW_START.match(rows_json, rows_json.rfind("["))
    if first is None or last is None:
        raise ValueError(f"reading rows: expected [[open time, …], …], got {rows_json!r:.80}")
    return Held(int(first[1]), int(last[1]), rows_json.count(_ROW_OPENS) - 1)


def held_in_bars(bars: Sequence[StoredBar]) -> Held | None:
    """The bars in an answer in the native form."""
    return Held(bars[0].bar.open_ms, bars[-1].bar.open_ms, len(bars)) if bars else None


def within_time(request: KlinesRequest) -> KlinesRequest:
    """The request with its times brought within those at which any bar can open.

    Calendars, and therefore months, end long before 63-bit times do.
    """
    start_ms, end_ms = request.start_ms, request.end_ms
    return request._replace(
        start_ms=None if start_ms is None else min(start_ms, NO_DELIVERY_MS),
        end_ms=None if end_ms is None else min(end_ms, NO_DELIVERY_MS),
    )


def asked_span(request: KlinesRequest, contract: Contract, now_ms: int) -> Span:
    """The buckets that a full answer to `request` holds at `now_ms`, as a half-open span of open times.

    The bucket in progress is part of it; what was before the contract's beginning and after its end is not.
    """
    interval = request.interval
    stop_ms = min(_wanted_stop_ms(request, now_ms), interval.ceil(contract.delivery_ms))
    first_ms = interval.floor(contract.onboard_ms)
    if request.start_ms is None:
        start_ms = max(first_ms, interval.back(stop_ms, request.limit))
    else:
        start_ms = max(first_ms, interval.ceil(request.start_ms))
        stop_ms = min(stop_ms, interval.back(start_ms, -request.limit))
    return Span(start_ms, max(start_ms, stop_ms))


def completeness(
    reader: Reader,
    record: ContractRecord,
    request: KlinesRequest,
    held: Held | None,
    now_ms: int | None,
    absent: Sequence[Span] = (),
) -> Completeness:
    """What of the bars that `request` asks for is not in an answer that holds `held`.

    Costs no query when the answer is whole.

    Args:
        now_ms: the exchange's time; None when it is not known, and then nobody knows what the newest bar is.
        absent: spans in which the exchange was just found to have no more bars than are stored.
    """
    interval, source = request.interval, stored_source(request.interval)
    if now_ms is None and request.start_ms is None and request.end_ms is None:
        return Completeness(source, [], "the time at the exchange is not known, so newer bars may be missing", False)
    known_ms = NO_DELIVERY_MS if now_ms is None else now_ms
    asked = asked_span(request, record.contract, known_ms)
    missing: list[Span] = []
    is_whole = held is not None and _is_whole(held, asked, interval, known_ms)
    if not is_whole:
        missing = _missing(reader, record, asked, interval, held, known_ms, absent)
        if not missing:
            # Where the exchange itself has no bars, a full answer reaches beyond the buckets that were asked.
            reached = _reached(request, asked, record.contract, held, known_ms)
            missing = _missing(reader, record, reached, interval, held, known_ms, absent)
    reason = _reason(source, missing, request, record.contract, asked, known_ms)
    return Completeness(source, missing, reason, is_whole)


def _wanted_stop_ms(request: KlinesRequest, now_ms: int) -> int:
    stop_ms = request.interval.next_open(now_ms)
    return stop_ms if request.end_ms is None else min(stop_ms, request.interval.next_open(request.end_ms))


def _is_whole(held: Held, asked: Span, interval: Interval, now_ms: int) -> bool:
    stop_ms = interval.next_open(held.last_ms)
    return (
        held.first_ms <= asked.start_ms
        and stop_ms >= _needed_stop_ms(asked, interval, now_ms)
        and held.total == interval.count(held.first_ms, stop_ms)
    )


def _needed_stop_ms(asked: Span, interval: Interval, now_ms: int) -> int:
    """The end of what must be there: all that was asked, but for a bucket that has only just begun."""
    progress_ms = interval.floor(now_ms)
    if asked.stop_ms > progress_ms and now_ms - progress_ms < STARTING_MS:
        return progress_ms
    return asked.stop_ms


def _reached(request: KlinesRequest, asked: Span, contract: Contract, held: Held | None, now_ms: int) -> Span:
    interval, full = request.interval, held is not None and held.total >= request.limit
    if request.start_ms is not None:
        stop_ms = min(_wanted_stop_ms(request, now_ms), interval.ceil(contract.delivery_ms))
        if held is not None and full:
            stop_ms = interval.next_open(held.last_ms)
        return Span(asked.start_ms, max(asked.stop_ms, stop_ms))
    start_ms = interval.floor(contract.onboard_ms)
    if held is not None and full:
        start_ms = held.first_ms
    return Span(min(asked.start_ms, start_ms), asked.stop_ms)


def _missing(
    reader: Reader,
    record: ContractRecord,
    span: Span,
    interval: Interval,
    held: Held | None,
    now_ms: int,
    absent: Sequence[Span],
) -> list[Span]:
    """The parts of `span` that are neither held, nor in the answer as the bar in progress, nor known not to exist."""
    source, closed_ms = stored_source(interval), interval.floor(now_ms)
    # The last bar may have ended and its final values not come yet: it is there, though not as a closed one.
    last_ms = None if held is None else held.last_ms
    known_ms = span.start_ms if last_ms is None else max(span.start_ms, interval.next_open(last_ms))
    missing: list[Span] = []
    for part in (
        Span(span.start_ms, span.start_ms if last_ms is None else min(last_ms, span.stop_ms)),
        Span(known_ms, min(span.stop_ms, closed_ms)),
    ):
        if not part.is_empty:
            missing += reader.holes(record, source, part)
    progress = Span(max(known_ms, closed_ms), _needed_stop_ms(span, interval, now_ms))
    return list(subtract(missing if progress.is_empty else [*missing, progress], merge(absent)))


def _reason(
    interval: Interval, missing: list[Span], request: KlinesRequest, contract: Contract, asked: Span, now_ms: int
) -> str | None:
    if missing:
        first = missing[0]
        more = f" and {len(missing) - 1} more spans" if len(missing) > 1 else ""
        return f"bars of {interval} from {iso(first.start_ms)} to {iso(first.stop_ms)} are not held{more}"
    end_ms = request.interval.ceil(contract.delivery_ms)
    if asked.stop_ms >= end_ms and _wanted_stop_ms(request, now_ms) > end_ms:
        return f"the contract ended at {iso(contract.delivery_ms)}; what the exchange shows after that is not kept"
    return None


def iso(time_ms: int) -> str:
    """A time as people read it."""
    return (_EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%dT%H:%M:%SZ")
