"""Why what a bulk download leaves missing is missing, and whether anything is wrong with that."""

from __future__ import annotations

import pytest

from actors.commands.bulk.series import Series, Wanted
from bars import DAY, MINUTE, MINUTE_MS, WEEK, Interval, Span
from bars.history import Depth
from bars.interval import DAY_MS, HOUR_MS
from tests.support.market import MONDAY_MS, a_contract
from wire.archive import Period
from wire.archive_plan import Published, Source

LISTED_MS = MONDAY_MS + 9 * HOUR_MS
CONTRACT = a_contract(onboard_ms=LISTED_MS)
SPAN = Span(LISTED_MS, MONDAY_MS + 30 * DAY_MS)
NOT_RETURNED = "the exchange has not returned them"
NOT_IN_FILES = "not in the archive's files"
BEFORE_FIRST = "before the first bar that the archive has, in the month of the launch"
NOT_YET = "not yet published by the archive"


def a_series(source: Source, *, is_open_ended: bool = True, first_loaded_ms: int | None = None) -> Series:
    series = Series(CONTRACT, MINUTE, SPAN, source, Published(SPAN.stop_ms), is_open_ended=is_open_ended)
    series.first_loaded_ms = first_loaded_ms
    return series


def why(series: Series, hole: Span) -> tuple[str, bool]:
    (missing,) = series.still_missing([hole])
    assert (missing.symbol, missing.interval, missing.span) == ("BTCUSDT", MINUTE, hole)
    assert missing.bars == MINUTE.count(*hole)
    return missing.reason, missing.is_explained


HOLE = Span(MONDAY_MS + 2 * DAY_MS, MONDAY_MS + 2 * DAY_MS + HOUR_MS)
HEAD = Span(SPAN.start_ms, SPAN.start_ms + HOUR_MS)
TAIL = Span(SPAN.stop_ms - HOUR_MS, SPAN.stop_ms)


@pytest.mark.parametrize("source", [Source.AUTO, Source.REST])
def test_what_rest_was_asked_for_the_exchange_has_not_returned(source: Source) -> None:
    for hole in (HEAD, HOLE, TAIL):
        assert why(a_series(source), hole) == (NOT_RETURNED, False)


def test_a_hole_between_the_archives_bars_is_not_in_its_files() -> None:
    series = a_series(Source.ARCHIVE, first_loaded_ms=HEAD.stop_ms)
    assert why(series, HOLE) == (NOT_IN_FILES, False)
    assert series.is_archive_hole(HOLE)


def test_the_archive_may_begin_later_in_the_month_of_the_launch() -> None:
    series = a_series(Source.ARCHIVE, first_loaded_ms=HEAD.stop_ms)
    assert why(series, HEAD) == (BEFORE_FIRST, True)
    assert not series.is_archive_hole(HEAD)
    next_month = a_series(Source.ARCHIVE, first_loaded_ms=MONDAY_MS + 29 * DAY_MS)
    assert why(next_month, HEAD) == (NOT_IN_FILES, False)
    assert why(a_series(Source.ARCHIVE), HEAD) == (NOT_IN_FILES, False)


def test_what_the_archive_does_not_have_yet_is_explained_where_no_end_was_asked_for() -> None:
    assert why(a_series(Source.ARCHIVE), TAIL) == (NOT_YET, True)
    assert why(a_series(Source.ARCHIVE, is_open_ended=False), TAIL) == (NOT_YET, False)
    assert not a_series(Source.ARCHIVE).is_archive_hole(TAIL)


def test_what_went_wrong_within_a_hole_is_named_once_each_and_nothing_else() -> None:
    series = a_series(Source.ARCHIVE)
    series.problems += [(HEAD, "first"), (HOLE, "second"), (TAIL, "third"), (HOLE, "second"), (HOLE, "fourth")]
    assert why(series, HOLE) == ("second; fourth", False)


@pytest.mark.parametrize(
    ("interval", "start_ms", "stop_ms", "span"),
    [
        (MINUTE, None, None, Span(LISTED_MS, SPAN.stop_ms)),
        (MINUTE, LISTED_MS + 1, LISTED_MS + HOUR_MS + 1, Span(LISTED_MS + MINUTE_MS, LISTED_MS + HOUR_MS + MINUTE_MS)),
        (DAY, None, None, Span(MONDAY_MS, SPAN.stop_ms)),
        (WEEK, None, None, Span(MONDAY_MS, MONDAY_MS + 28 * DAY_MS)),
    ],
)
def test_whole_bars_are_wanted_from_the_one_that_holds_the_launch_on(
    interval: Interval, start_ms: int | None, stop_ms: int | None, span: Span
) -> None:
    wanted = Wanted((interval,), start_ms, stop_ms)
    assert wanted.span_of(CONTRACT, interval, Depth.parse("all"), SPAN.stop_ms) == span


def test_a_file_is_covered_where_all_of_it_that_belongs_to_the_contract_is_wanted() -> None:
    series = a_series(Source.ARCHIVE)
    assert series.covers(Period(DAY, MONDAY_MS))  # from the launch on
    assert series.covers(Period(DAY, MONDAY_MS + 29 * DAY_MS))
    assert not series.covers(Period(DAY, MONDAY_MS + 30 * DAY_MS))
    assert series.covers(Period(DAY, MONDAY_MS - DAY_MS))  # nothing of it belongs to the contract
