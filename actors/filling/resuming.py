"""Where the stream of a contract goes on. No actor in here."""

from __future__ import annotations

from bars import MINUTE, MINUTE_MS, ContractKey, Span
from storage import Reader
from wire.requests import CATCH_UP_BARS

RESUME_WITHIN_MS = CATCH_UP_BARS * MINUTE_MS
"""A stream goes on where its stored minutes end if one request of weight 1 brings what lies between."""


def resume_ms(reader: Reader, key: ContractKey, final_ms: int | None, now_ms: int | None) -> int | None:
    """The first minute that is missing, or that was not told of.

    Where the stored minutes end, or, if that is earlier, those whose finals went out: what was stored by other ways
    meanwhile is to be told of all the same, however long ago that was.

    Args:
        final_ms: the last minute that was told of, with all before it; None when nothing was.
        now_ms: the exchange's time, if it is known.

    Returns:
        None when nothing was told of, and nothing recent is stored.
    """
    stored_ms = _stored_until_ms(reader, key, now_ms)
    if final_ms is None:
        return stored_ms
    return final_ms + MINUTE_MS if stored_ms is None else min(stored_ms, final_ms + MINUTE_MS)


def _stored_until_ms(reader: Reader, key: ContractKey, now_ms: int | None) -> int | None:
    """The first hole after the oldest of the recent minutes; None when the recent minutes are not stored."""
    record = reader.get(key)
    last_ms = None if record is None else reader.last_open_ms(record, MINUTE)
    if record is None or last_ms is None or (now_ms is not None and now_ms - last_ms > RESUME_WITHIN_MS):
        return None
    recent = Span(last_ms - RESUME_WITHIN_MS, last_ms + MINUTE_MS)
    inner = [hole for hole in reader.holes(record, MINUTE, recent) if hole.start_ms > recent.start_ms]
    return inner[0].start_ms if inner else recent.stop_ms
