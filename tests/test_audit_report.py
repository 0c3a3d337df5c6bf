"""What an audit says of what it found, word by word."""

from __future__ import annotations

from actors.commands.audit.report import LINES_MAX, AuditReport, SeriesReport, audit_line
from bars import MINUTE, MINUTE_MS, ContractKey, Span
from bars.comparison import Difference, Verdict
from tests.support.market import MONDAY_MS, a_bar

KEY = ContractKey("BTCUSDT", MONDAY_MS)
HALF_HOUR = Span(MONDAY_MS, MONDAY_MS + 30 * MINUTE_MS)


def a_report(verdict: Verdict, left: Verdict | None = None) -> AuditReport:
    """Of half an hour of one contract, in which `left` is left after mending."""
    report = AuditReport(repaired=left is not None)
    series = SeriesReport(KEY, MINUTE, HALF_HOUR)
    report.add(series)
    series.take(verdict, verdict if left is None else left)
    return report


def test_progress_is_told_with_and_without_a_guess_of_the_end() -> None:
    assert audit_line({"bars_done": 0, "bars_total": 0}) == "audit: 0 of 0 bars fetched (0 %)"
    facts = {"bars_done": 1_500, "bars_total": 6_000, "seconds_left": 95.4}
    assert audit_line(facts) == "audit: 1,500 of 6,000 bars fetched (25 %), about 1 min 35 s left"


def test_nothing_compared_is_nothing_wrong() -> None:
    report = AuditReport(repaired=False)
    assert report.is_clean
    assert report.lines() == ["audit: 0 bars compared, nothing missing or different"]


def test_neighbouring_bars_of_one_kind_are_one_line() -> None:
    missing = [a_bar(MONDAY_MS + minute * MINUTE_MS) for minute in (0, 1, 2, 5)]
    report = a_report(Verdict(missing_here=missing))
    assert not report.is_clean
    assert report.lines() == [
        "BTCUSDT 1m 2026-01-05 to 2026-01-05T00:03: 3 bars missing here",
        "BTCUSDT 1m 2026-01-05T00:05 to 2026-01-05T00:06: 1 bar missing here",
        "audit: 4 bars compared, 4 missing here",
    ]


def test_a_difference_names_some_fields_and_counts_the_others() -> None:
    mine = a_bar(MONDAY_MS)
    one = mine._replace(high=mine.high + 1, trades=mine.trades + 1)
    many = one._replace(volume=mine.volume + 1, quote_volume=mine.quote_volume + 1, low=mine.low - 1)
    (few, _), (more, _) = (a_report(Verdict(different=[Difference(mine, theirs)])).lines() for theirs in (one, many))
    assert few.endswith(": 1 bar different: high 105.40 here, 105.41 there; trades 3 here, 4 there")
    assert more.endswith("; 2 more fields")


def test_what_was_mended_is_told_and_no_fault_any_more() -> None:
    report = a_report(Verdict(missing_here=[a_bar(MONDAY_MS)]), Verdict())
    assert report.is_clean
    assert report.lines() == [
        "BTCUSDT 1m 2026-01-05 to 2026-01-05T00:01: 1 bar mended, was missing here",
        "audit: 1 bars compared, 1 mended, nothing missing or different",
    ]
    headings, (row,) = report.table()
    assert dict(zip(headings, row, strict=True))["mended"] == "1"


def test_of_many_findings_the_first_are_named_and_the_others_counted() -> None:
    lonely = [a_bar(MONDAY_MS + 2 * minute * MINUTE_MS) for minute in range(LINES_MAX + 7)]
    lines = a_report(Verdict(missing_there=lonely)).lines()
    assert len(lines) == LINES_MAX + 2
    assert lines[-2] == "and 7 more, all in --json"
