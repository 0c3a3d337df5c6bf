"""Bars from the archive in the database: many at once, only where they are missing, and what they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import DAY, FIVE_MINUTES, HALF_HOUR, MINUTE, MINUTE_MS, STORED, WEEK, Bar, Scale, Span, aggregate
from bars.interval import DAY_MS, HOUR_MS
from storage import (
    ArchivedBars,
    CommitReport,
    ContractOverflow,
    LargerBars,
    LoadedFile,
    Origin,
    UnknownContract,
)
from tests.support.market import MONDAY_MS, SCALE, a_bar, a_contract, some_bars
from tests.support.stored import Stored, a_store
from wire.table import BarTable

FILE = LoadedFile("2026-01", "ab" * 32)
KEY = a_contract().key


@pytest.fixture
def stored() -> Iterator[Stored]:
    with a_store() as opened:
        yield opened


def load(stored: Stored, bars: Sequence[Bar], scale: Scale = SCALE, file: LoadedFile | None = None) -> CommitReport:
    table = BarTable.of(bars, MINUTE, scale)
    return stored.store.commit([ArchivedBars(stored.contract.key, MINUTE, table, file)])


@pytest.mark.parametrize("count", [0, 1, 24, 25, 26, 60, 1_000])
def test_all_bars_of_a_file_are_stored(stored: Stored, count: int) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, count)
    assert load(stored, bars) == CommitReport(count, 0, [])
    assert stored.held() == bars
    assert {one.origin for one in stored.stored()} <= {Origin.ARCHIVE}
    assert not any(one.verified for one in stored.stored())
    assert [one.bars for one in stored.reader.series()] == ([count] if count else [])
    assert load(stored, bars) == CommitReport(0, 0, [])


def test_the_file_is_remembered_with_its_checksum(stored: Stored) -> None:
    assert stored.reader.loaded_files(stored.record, MINUTE) == {}
    load(stored, some_bars(MINUTE, MONDAY_MS, 3), file=FILE)
    load(stored, [], file=LoadedFile("2026-01-05", "cd" * 32))
    load(stored, [], file=FILE._replace(sha256="ef" * 32))
    assert stored.reader.loaded_files(stored.record, MINUTE) == {"2026-01": "ef" * 32, "2026-01-05": "cd" * 32}
    assert stored.reader.loaded_files(stored.record, DAY) == {}


@given(st.lists(st.integers(0, 90), unique=True), st.lists(st.integers(0, 90), unique=True))
def test_the_archive_fills_only_what_is_missing(held: list[int], loaded: list[int]) -> None:
    with a_store() as stored:
        mine = [a_bar(MONDAY_MS + at * MINUTE_MS)._replace(trades=99) for at in sorted(held)]
        theirs = [a_bar(MONDAY_MS + at * MINUTE_MS) for at in sorted(loaded)]
        stored.put(mine, completes=False)
        report = load(stored, theirs)
        assert report.inserted == len(set(loaded) - set(held))
        expected = {bar.open_ms: bar for bar in [*theirs, *mine]}
        assert stored.held() == [expected[at] for at in sorted(expected)]
        for series in stored.reader.series():
            assert (series.first_ms, series.last_ms, series.bars) == (min(expected), max(expected), len(expected))


def test_the_exchanges_own_bars_take_the_place_of_those_aggregated_here(stored: Stored) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 10))
    assert [one.origin for one in stored.stored(FIVE_MINUTES)] == [Origin.AGGREGATED] * 2
    own = some_bars(FIVE_MINUTES, MONDAY_MS, 3)
    table = BarTable.of(own, FIVE_MINUTES, SCALE)
    assert stored.store.commit([ArchivedBars(KEY, FIVE_MINUTES, table)]) == CommitReport(1, 2, [])
    assert stored.held(FIVE_MINUTES) == own
    assert {one.origin for one in stored.stored(FIVE_MINUTES)} == {Origin.ARCHIVE}


def test_finer_values_widen_the_contract_and_coarser_ones_are_padded(stored: Stored) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, 30)
    finer = Scale(3, 3, 7)
    load(stored, bars)
    later = [bar.rescaled(finer)._replace(open_ms=bar.open_ms + DAY_MS) for bar in bars]
    load(stored, later, finer)
    assert stored.record.scale == finer
    assert stored.held() == [*(bar.rescaled(finer) for bar in bars), *later]
    third = [bar._replace(open_ms=bar.open_ms + 2 * DAY_MS) for bar in bars]
    load(stored, third)
    assert stored.held()[60:] == [bar.rescaled(finer) for bar in third]


def test_values_that_do_not_fit_are_refused_whole(stored: Stored) -> None:
    load(stored, [a_bar(MONDAY_MS).rescaled(Scale(2, 3, 9))], Scale(2, 3, 9))
    big = a_bar(MONDAY_MS + MINUTE_MS)._replace(quote_volume=2**62)
    with pytest.raises(ContractOverflow, match="BTCUSDT"):
        load(stored, [a_bar(MONDAY_MS + 2 * MINUTE_MS), big], file=FILE)
    assert len(stored.held()) == 1
    assert stored.reader.loaded_files(stored.record, MINUTE) == {}


def test_bars_of_a_contract_that_was_never_seen_are_refused(stored: Stored) -> None:
    with pytest.raises(UnknownContract):
        stored.store.commit([ArchivedBars(a_contract("NOUSDT").key, MINUTE, BarTable([], SCALE))])
    with pytest.raises(UnknownContract):
        stored.store.commit([LargerBars(a_contract("NOUSDT").key, MINUTE, Span(0, DAY_MS))])


def test_what_was_absent_is_so_no_longer_where_bars_came(stored: Stored) -> None:
    span = Span(MONDAY_MS, MONDAY_MS + 10 * MINUTE_MS)
    stored.put([], absent=[span])
    assert stored.reader.holes(stored.record, MINUTE, span) == []
    load(stored, some_bars(MINUTE, MONDAY_MS, 2))
    after = Span(MONDAY_MS, MONDAY_MS + 12 * MINUTE_MS)
    assert stored.reader.holes(stored.record, MINUTE, after) == [Span(span.stop_ms, after.stop_ms)]


def test_no_larger_bars_come_until_they_are_asked_for(stored: Stored) -> None:
    week = some_bars(MINUTE, MONDAY_MS, 7 * 1_440)
    assert load(stored, week).completed == []
    assert stored.held(FIVE_MINUTES) == []
    report = stored.store.commit([LargerBars(KEY, MINUTE, Span(MONDAY_MS, MONDAY_MS + 7 * DAY_MS))])
    assert len(report.completed) == 7 * (288 + 48 + 6 + 1) + 1
    for interval in STORED[1:]:
        parts = [
            week[at : at + interval.span_ms // MINUTE_MS] for at in range(0, len(week), interval.span_ms // MINUTE_MS)
        ]
        assert stored.held(interval) == [aggregate(part, part[0].open_ms) for part in parts]
    assert stored.store.commit([LargerBars(KEY, MINUTE, Span(MONDAY_MS, MONDAY_MS + DAY_MS))]).completed == []


def test_larger_bars_are_made_from_whole_parts_only_and_leave_the_exchanges_own(stored: Stored) -> None:
    load(stored, some_bars(MINUTE, MONDAY_MS, 59))
    own = some_bars(FIVE_MINUTES, MONDAY_MS, 1)
    stored.put(own, FIVE_MINUTES, completes=False, verified=True)
    stored.store.commit([LargerBars(KEY, MINUTE, Span(MONDAY_MS, MONDAY_MS + HOUR_MS))])
    assert len(stored.held(FIVE_MINUTES)) == 11
    assert stored.held(FIVE_MINUTES)[0] == own[0]
    assert len(stored.held(HALF_HOUR)) == 1
    assert stored.held(WEEK) == []


def test_larger_bars_may_be_made_from_any_stored_interval(stored: Stored) -> None:
    stored.put(some_bars(FIVE_MINUTES, MONDAY_MS, 12), FIVE_MINUTES, completes=False)
    report = stored.store.commit([LargerBars(KEY, FIVE_MINUTES, Span(MONDAY_MS, MONDAY_MS + HOUR_MS))])
    assert [done.closed.interval for done in report.completed] == [HALF_HOUR, HALF_HOUR]
