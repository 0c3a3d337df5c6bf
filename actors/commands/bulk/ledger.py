"""What a bulk download leaves in the ledger of gaps: archive holes, and what REST did not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.commands.bulk.series import Series
from bars import Bar, Span
from bars.coverage import lacking
from bars.interval import HOUR_MS
from bars.ledger import Reason
from storage import Change, GapNoted, GapsAsked, GapsSwept, Reader

ASKED_AFTER_MS = HOUR_MS
"""What REST lacks of the last hour may only be late."""


def archive_hole(series: Series, span: Span, reader: Reader, now_ms: int) -> list[Change]:
    """What a file should have brought and did not, as far as it is missing: from now on, whatever becomes of it."""
    holes = (hole.intersect(span) for hole in series.holes(reader))
    return [_noted(series, hole, now_ms) for hole in holes if not hole.is_empty]


def asked_in_vain(series: Series, span: Span, bars: Sequence[Bar], absent: Sequence[Span], now_ms: int) -> list[Change]:
    """What REST was asked for and did not have, though nothing says that it never will."""
    left = lacking(span, bars, series.interval, absent)
    if not left or span.stop_ms > now_ms - ASKED_AFTER_MS:
        return []
    return [GapsAsked(series.contract.key, series.interval, left, now_ms)]


def not_there(series: Series, span: Span, reader: Reader, now_ms: int) -> list[Span]:
    """What REST may be believed not to have when it answers without it: the archive, which has all else of those days,
    lacks it too, or REST was asked often enough before."""
    if series.archive_lacks(span):
        return [span]
    return reader.in_vain(series.contract.key, series.interval, now_ms)


def left_over(series: Sequence[Series], reader: Reader, now_ms: int) -> Iterator[Change]:
    """The holes of the archive that nothing else has filled; what was noted of others is forgotten."""
    for one in series:
        for hole in one.holes(reader):
            if one.is_archive_hole(hole):
                yield _noted(one, hole, now_ms)
    yield GapsSwept()


def _noted(series: Series, span: Span, now_ms: int) -> GapNoted:
    return GapNoted(series.contract.key, series.interval, span, Reason.ARCHIVE, now_ms)
