"""What an answer of REST means for the disk. No actor in here."""

from __future__ import annotations

from collections.abc import Sequence

from actors.filling.jobs import PageJob, Priority
from bars import Bar, Span
from bars.coverage import LATE_ROWS_MS, absences, lacking
from bars.interval import HOUR_MS
from storage import Change, ContractsSeen, GapsAsked, bars_of_rest

LATE_MS = HOUR_MS
"""What is missing in an answer counts as asked for in vain when it is so old."""


def changes_from(job: PageJob, rows: Sequence[Bar], observed_ms: int, in_vain: Sequence[Span]) -> list[Change]:
    """What is to be stored of a page: its bars, what the exchange does not have, and what was asked for in vain.

    Args:
        rows: what came, ascending: the closed bars of the page and, where it was asked for, the bar after it.
        in_vain: what was asked for often enough before, without any of it.
    """
    key, interval = job.contract.key, job.interval
    absent = absences(job.span, rows, interval, job.contract.onboard_ms, observed_ms, in_vain)
    closed = [bar for bar in rows if bar.open_ms < job.span.stop_ms]
    changes: list[Change] = [] if job.priority is Priority.READ else [ContractsSeen([job.contract], only_new=True)]
    changes += bars_of_rest(key, interval, closed, observed_ms, absent=absent)
    left = lacking(job.span, closed, interval, absent)
    late_ms = LATE_ROWS_MS if job.priority is Priority.READ else LATE_MS  # clients ask often, and for the newest
    if left and job.span.stop_ms <= observed_ms - late_ms:
        changes.append(GapsAsked(key, interval, left, observed_ms))
    return changes
