"""What a bulk download makes of each file and page that lands, on a real database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from actors.commands.bulk.intake import Intake
from actors.commands.bulk.jobs import FileJob, PageJob
from actors.commands.bulk.report import Done, Meter
from actors.commands.bulk.series import Series
from bars import DAY, MINUTE, MINUTE_MS, Bar, Interval, Scale, Span
from bars.history import parse_history
from bars.interval import DAY_MS, HOUR_MS
from bars.ledger import Reason
from exchange import Download, InvalidSymbol, Unreachable
from storage import Gap
from tests.support.market import MONDAY_MS, SCALE, a_bar, a_contract, some_bars
from tests.support.stored import Stored, a_store
from wire.archive import Period
from wire.archive_plan import Published, Source

NOW_MS = MONDAY_MS + 5 * DAY_MS
MONDAY = Period(DAY, MONDAY_MS)
SPAN = Span(MONDAY_MS, MONDAY_MS + DAY_MS)
FIRST_TEN = Span(MONDAY_MS, MONDAY_MS + 10 * MINUTE_MS)


@dataclass
class Taking:
    """An intake into a database, and the series that it is about."""

    db: Stored
    series: Series
    meter: Meter
    added: Counter[tuple[Interval, str]]
    intake: Intake

    def file(self, value: object) -> None:
        self.intake.take(FileJob(self.series, MONDAY), value)

    def page(self, value: object, span: Span = FIRST_TEN) -> None:
        self.intake.take(PageJob(self.series, span), value)

    @property
    def problems(self) -> list[str]:
        return [text for _, text in self.series.problems]

    def gaps(self) -> list[Gap]:
        """Those of minutes that were noted, and not just found."""
        gaps = self.db.reader.gaps(NOW_MS, parse_history("1m=all"))
        return [gap for gap in gaps if gap.interval is MINUTE and gap.reason is not Reason.FILLING]


@pytest.fixture
def taking() -> Iterator[Taking]:
    with a_store(a_contract(onboard_ms=MONDAY_MS)) as db:
        published = Published(NOW_MS, (DAY,), {MONDAY: 1_000})
        series = Series(db.contract, MINUTE, SPAN, Source.AUTO, published, is_open_ended=False)
        meter, added = Meter(), Counter[tuple[Interval, str]]()
        yield Taking(db, series, meter, added, Intake(db.store, db.reader, meter, added, NOW_MS))


def csv(bars: Sequence[Bar]) -> bytes:
    """As in the archive."""
    rows = (
        f"{bar.open_ms},{bar.open / 100:.2f},{bar.high / 100:.2f},{bar.low / 100:.2f},{bar.close / 100:.2f},"
        f"{bar.volume / 1_000:.3f},{bar.open_ms + MINUTE_MS - 1},{bar.quote_volume / 100_000:.5f},{bar.trades},"
        f"{bar.taker_buy_volume / 1_000:.3f},{bar.taker_buy_quote_volume / 100_000:.5f},0"
        for bar in bars
    )
    return "\n".join(rows).encode()


def a_file(text: bytes) -> Download:
    return Download(text, "0" * 64, len(text))


def test_a_file_is_stored_counted_and_remembered(taking: Taking) -> None:
    bars = some_bars(MINUTE, MONDAY_MS + MINUTE_MS, 5)
    taking.file(a_file(csv(bars)))
    assert taking.db.held() == bars
    assert taking.added == {(MINUTE, "archive"): 5}
    assert taking.meter.done == Done(files=1, bytes=len(csv(bars)), bars=5)
    assert taking.series.first_loaded_ms == bars[0].open_ms
    assert list(taking.db.reader.loaded_files(taking.db.record, MINUTE)) == [MONDAY.text]


def test_a_file_with_nothing_of_the_span_is_remembered_too(taking: Taking) -> None:
    taking.file(a_file(csv(some_bars(MINUTE, SPAN.stop_ms, 5))))
    assert taking.db.held() == []
    assert taking.series.first_loaded_ms is None
    assert list(taking.db.reader.loaded_files(taking.db.record, MINUTE)) == [MONDAY.text]


def test_a_file_that_is_as_it_was_when_it_was_loaded_changes_nothing(taking: Taking) -> None:
    taking.file(a_file(b""))
    assert taking.meter.done == Done(files=1)
    assert (taking.problems, taking.gaps()) == ([], [])


def test_rows_of_minutes_that_ended_within_two_minutes_are_stored_to_be_compared_later(taking: Taking) -> None:
    bars = some_bars(MINUTE, NOW_MS - 5 * MINUTE_MS, 4)
    taking.page(bars, Span(bars[0].open_ms, NOW_MS - MINUTE_MS))
    assert [stored.verified for stored in taking.db.stored()] == [True, True, True, False]
    assert taking.added == {(MINUTE, "rest"): 4}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Unreachable("asking for a file: nobody"), "archive: asking for a file: nobody"),
        (None, f"archive: {MONDAY.text} is listed, but not there"),
        (a_file(b"1,2,3"), f"archive: 1m {MONDAY.text}: "),
    ],
    ids=["fails", "is not there", "is no table"],
)
def test_what_a_file_should_have_brought_is_noted_as_a_hole_of_the_archive(
    taking: Taking, value: object, problem: str
) -> None:
    taking.db.put([a_bar(SPAN.stop_ms)])
    taking.file(value)
    assert taking.problems[0].startswith(problem)
    assert [(gap.span, gap.reason) for gap in taking.gaps()] == [(SPAN, Reason.ARCHIVE)]


def test_a_file_that_may_still_come_is_no_hole(taking: Taking) -> None:
    taking.db.put([a_bar(SPAN.stop_ms)])
    taking.series.published = Published(NOW_MS)
    taking.file(None)
    assert (taking.problems, taking.gaps()) == ([], [])


def test_a_bad_file_of_what_is_stored_already_is_no_hole(taking: Taking) -> None:
    taking.db.put(some_bars(MINUTE, MONDAY_MS, DAY_MS // MINUTE_MS + 1))
    taking.file(None)
    assert len(taking.problems) == 1
    assert taking.gaps() == []


def test_a_page_is_stored_and_counted(taking: Taking) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, 10)
    taking.page(bars)
    assert taking.db.held() == bars
    assert all(one.verified for one in taking.db.stored())
    assert taking.added == {(MINUTE, "rest"): 10}
    assert taking.meter.done == Done(pages=1, bars=10)


def test_what_a_page_lacks_is_asked_for_in_vain(taking: Taking) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, 10)
    taking.page([*bars[:3], *bars[5:]])
    noted = taking.db.reader.gaps(NOW_MS, parse_history("1m=all"))
    hole = Span(bars[3].open_ms, bars[5].open_ms)
    assert [gap.span for gap in noted if gap.interval is MINUTE and gap.span == hole] == [hole]


def test_an_empty_page_is_believed_where_the_archives_file_lacks_those_bars_too(taking: Taking) -> None:
    day = some_bars(MINUTE, MONDAY_MS, DAY_MS // MINUTE_MS)
    hole = Span(day[20].open_ms, day[30].open_ms)
    taking.page([], hole)
    assert taking.db.reader.holes(taking.db.record, MINUTE, hole) == [hole]
    taking.file(a_file(csv([*day[:20], *day[30:]])))
    taking.page([], hole)
    assert taking.db.reader.holes(taking.db.record, MINUTE, hole) == []
    (gap,) = (gap for gap in taking.gaps() if gap.span == hole)
    assert gap.reason is Reason.NO_TRADES


def test_where_no_file_was_read_an_empty_page_is_believed_by_the_third_download_hours_later_but_for_the_launch(
    taking: Taking,
) -> None:
    later = Intake(taking.db.store, taking.db.reader, taking.meter, taking.added, NOW_MS + HOUR_MS)
    for _ in range(3):
        taking.page([])
        assert taking.db.reader.holes(taking.db.record, MINUTE, FIRST_TEN) == [FIRST_TEN]
    later.take(PageJob(taking.series, FIRST_TEN), [])
    assert taking.db.reader.holes(taking.db.record, MINUTE, FIRST_TEN) == [
        FIRST_TEN._replace(stop_ms=FIRST_TEN.start_ms + MINUTE_MS)
    ]


def test_a_refused_page_is_told_and_asked_for_in_vain_another_failure_only_told(taking: Taking) -> None:
    taking.page(Unreachable("asking for bars: nobody"))
    assert taking.problems == ["REST: asking for bars: nobody"]
    taking.page(InvalidSymbol("asking for bars: no", status=400, code=-1121, message="no"))
    assert taking.problems[1] == "REST: asking for bars: no"
    assert taking.meter.done.pages == 2


def test_a_page_that_does_not_fit_beside_what_is_stored_is_told_and_nothing_else_is_lost(taking: Taking) -> None:
    huge = a_bar(MONDAY_MS)._replace(quote_volume=2**62)
    taking.db.put([huge])
    finer = Scale(SCALE.price, SCALE.volume, SCALE.quote + 2)
    taking.page([a_bar(MONDAY_MS + HOUR_MS)._replace(scale=finer)], Span(MONDAY_MS + HOUR_MS, MONDAY_MS + 2 * HOUR_MS))
    assert "BTCUSDT" in taking.problems[0]
    assert taking.db.held() == [huge]
