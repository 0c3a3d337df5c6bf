"""What a bulk download says of itself, word by word."""

from __future__ import annotations

from collections import Counter

import pytest

from actors.commands.bulk.report import (
    SPANS_SHOWN,
    Meter,
    Outcome,
    duration_text,
    plan_lines,
    progress_text,
    summary_lines,
)
from actors.commands.bulk.series import Missing
from bars import DAY, FIVE_MINUTES, MINUTE, MINUTE_MS, Span
from tests.support.builders import MONDAY_MS
from wire.archive_plan import Estimate

# Rates


def test_rates_are_those_of_the_last_half_minute() -> None:
    meter = Meter(files_total=100, pages_total=4)
    for second, bars in ((0, 0), (10, 10_000), (20, 0), (40, 0), (50, 1_200)):
        meter.add(files=1, pages=1, bars=bars)
        now = meter.progress(float(second))
    assert now.bars_per_s == 1_200 / 30
    assert now.remaining_s == 95 / (2 / 30)


def test_without_progress_nothing_is_said_of_the_end() -> None:
    meter = Meter(files_total=2)
    assert meter.progress(0.0).remaining_s is None
    now = meter.progress(60.0)
    assert (now.remaining_s, now.bars_per_s) == (None, 0.0)
    assert progress_text(now) == "asking the exchange what there is: 0/2 files, 0/0 REST pages, 0 bars"


def test_when_all_steps_are_done_no_time_is_left() -> None:
    meter = Meter(files_total=1, stage="downloading")
    meter.progress(0.0)
    meter.add(files=1, bars=3_000)
    now = meter.progress(2.0)
    assert now.remaining_s == 0
    assert progress_text(now) == "downloading: 1/1 files, 0/0 REST pages, 3,000 bars, 1,500 bars/s"


def test_what_takes_longest_decides_how_long_is_left() -> None:
    meter = Meter(files_total=11, pages_total=101, stage="downloading")
    meter.progress(0.0)
    meter.add(files=1, pages=1)
    assert progress_text(meter.progress(3.0)).endswith("about 5 min left")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3_569, "59 min"), (3_600, "1 h 0 min"), (12_000, "3 h 20 min")],
)
def test_a_duration_is_told_as_exactly_as_anybody_wants_to_know(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text


# The plan


def test_where_nothing_is_missing_the_plan_says_so() -> None:
    assert list(plan_lines([], 0)) == ["nothing is missing"]
    assert list(plan_lines([(MINUTE, 3, Estimate())], 0)) == ["nothing is missing"]


def test_the_plan_has_a_line_for_each_interval_that_lacks_something_and_a_sum() -> None:
    minutes = Estimate(files=2_000, bytes=5_000_000_000, pages=10, bars=80_000_000)
    days = Estimate(pages=1, bars=700)
    assert list(plan_lines([(MINUTE, 50, minutes), (FIVE_MINUTES, 50, Estimate()), (DAY, 1, days)], 4_000)) == [
        "  1m     50 series    80,000,000 bars: 2,000 files (5.0 GB), 10 REST pages",
        "  1d      1 series           700 bars: 0 files (0.0 MB), 1 REST pages",
        "  in all          80,000,700 bars: 2,000 files (5.0 GB), 11 REST pages; about 1 h 7 min, 4.0 GB on disk",
    ]


# What came of it


def missing(count: int, *, is_explained: bool = False, symbol: str = "AUSDT") -> list[Missing]:
    """Single minutes, an hour apart."""
    spans = (Span(start_ms := MONDAY_MS + hour * 60 * MINUTE_MS, start_ms + MINUTE_MS) for hour in range(count))
    return [Missing(symbol, MINUTE, span, "because", is_explained) for span in spans]


def summary(*found: Missing, interrupted: bool = False) -> list[str]:
    added = Counter({(MINUTE, "archive"): 1_000, (MINUTE, "rest"): 20, (DAY, "aggregated"): 1})
    return list(summary_lines(Outcome(added, found, ["a warning"], 12.4, interrupted)))


ADDED = ["a warning", "added 1,021 bars in 12 s", "  1m  1,000 archive, 20 rest", "  1d  1 aggregated"]


def test_a_summary_tells_what_came_from_where() -> None:
    assert summary() == ADDED


def test_an_interrupted_download_tells_how_to_go_on() -> None:
    assert summary(interrupted=True)[-1] == (
        "interrupted: what was fetched is stored, and the same command goes on from there"
    )


def test_a_few_missing_spans_are_named_each_and_those_without_a_reason_come_last() -> None:
    assert summary(*missing(2), *missing(1, is_explained=True, symbol="BUSDT"))[len(ADDED) :] == [
        "missing with a reason: 1 bars",
        "  BUSDT 1m from 2025-04-14 to 2025-04-14T00:01: because",
        "missing: 2 bars in 2 spans",
        "  AUSDT 1m from 2025-04-14 to 2025-04-14T00:01: because",
        "  AUSDT 1m from 2025-04-14T01:00 to 2025-04-14T01:01: because",
    ]


def test_many_missing_spans_are_named_by_their_series() -> None:
    found = [*missing(SPANS_SHOWN), *missing(1, symbol="BUSDT")]
    assert summary(*found)[len(ADDED) :] == [
        "missing: 41 bars in 41 spans",
        "  AUSDT 1m 40 bars in 40 spans from 2025-04-14 to 2025-04-15T15:01: because",
        "  BUSDT 1m 1 bars in 1 spans from 2025-04-14 to 2025-04-14T00:01: because",
    ]
