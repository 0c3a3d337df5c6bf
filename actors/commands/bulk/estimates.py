"""What a download will take: files, pages, bars, time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.commands.bulk.report import plan_lines
from actors.commands.bulk.series import Series
from bars import STORED, Interval
from storage import Reader
from wire.archive_plan import Estimate, duration_s, estimate, plan
from wire.requests import PAGE_BARS, klines_weight

BARS_PER_S = 150_000
BYTES_PER_S = 5_000_000
"""Guesses for the plan; while it runs, rates are measured."""


def plan_of(series: Sequence[Series], reader: Reader, weight_per_minute: int) -> Iterator[str]:
    """The lines of the plan for what is missing of all series."""
    parts: dict[Interval, tuple[int, Estimate]] = {}
    for one in series:
        holes = one.holes(reader)
        if not holes:
            continue
        steps = plan(holes, one.interval, one.published, one.source, one.tried)
        count, total = parts.get(one.interval, (0, Estimate()))
        parts[one.interval] = count + 1, total.plus(estimate(steps, holes, one.interval, one.published))
    summed = [(interval, *parts[interval]) for interval in STORED if interval in parts]
    whole = Estimate()
    for _, _, part in summed:
        whole = whole.plus(part)
    needed_s = duration_s(whole, weight_per_minute, klines_weight(PAGE_BARS), BARS_PER_S, BYTES_PER_S)
    return plan_lines(summed, needed_s)
