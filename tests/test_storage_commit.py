"""What a commit does to contracts, closed bars, bars in progress and the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bars import DAY, FIVE_MINUTES, MINUTE, MINUTE_MS, WEEK, Bar, IntervalBar, Scale, Span, UnitsOverflow
from storage import (
    EXCHANGE_INFO,
    ClosedBars,
    ContractOverflow,
    ContractsSeen,
    Origin,
    PartialBars,
    ServiceState,
    UnknownContract,
)
from tests.support.market import MONDAY_MS, SCALE, a_bar, a_contract, some_bars
from tests.support.stored import Stored, a_store


@pytest.fixture
def db() -> Iterator[Stored]:
    with a_store() as stored:
        yield stored


def an_empty_bar(open_ms: int) -> Bar:
    return Bar(open_ms, 5, 5, 5, 5, 0, 0, 0, 0, 0, SCALE)


BAR = a_bar(MONDAY_MS)
OTHER = BAR._replace(volume=BAR.volume + 1)
FINER = Scale(SCALE.price + 1, SCALE.volume + 2, SCALE.quote + 3)


def test_contracts_come_back_as_they_were_seen_by_symbol_and_onboard_time(db: Stored) -> None:
    older = a_contract("ICPUSDT", onboard_ms=5, status="SETTLING")
    newer = a_contract("ICPUSDT", onboard_ms=9)
    foreign = a_contract("币安人生USDT")
    db.store.commit([ContractsSeen([newer, foreign, older], '{"symbols":[]}')])
    assert [record.contract for record in db.reader.contracts()] == [db.contract, older, newer, foreign]
    found = db.reader.find("ICPUSDT")
    assert found is not None
    assert found.contract == newer
    assert db.reader.find("NOPEUSDT") is None
    assert db.reader.find("icpusdt") is None
    assert db.reader.document(EXCHANGE_INFO) == '{"symbols":[]}'


def test_a_contract_that_is_seen_again_is_brought_up_to_date_and_keeps_its_id_and_scale(db: Stored) -> None:
    before = db.record
    changed = replace(db.contract, status="SETTLING", delivery_ms=7, price_decimals=9, description='{"a":1}')
    db.store.commit([ContractsSeen([changed])])
    assert db.record == (before.id, changed, before.scale)
    assert db.reader.document(EXCHANGE_INFO) is None


def test_bars_of_a_contract_nobody_has_seen_are_refused_and_nothing_is_stored(db: Stored) -> None:
    stranger = a_contract("ETHUSDT").key
    good = ClosedBars(db.contract.key, MINUTE, [BAR], Origin.REST)
    with pytest.raises(UnknownContract, match="ETHUSDT"):
        db.store.commit([good, ClosedBars(stranger, MINUTE, [BAR], Origin.REST)])
    with pytest.raises(UnknownContract, match="ETHUSDT"):
        db.store.commit([good, PartialBars(stranger, [IntervalBar(MINUTE, BAR)])])
    assert db.held() == []
    assert db.store.commit([good]).inserted == 1


def test_a_contract_and_its_bars_may_come_in_one_commit_in_any_order(db: Stored) -> None:
    contract = a_contract("ETHUSDT")
    report = db.store.commit([ClosedBars(contract.key, MINUTE, [BAR], Origin.REST), ContractsSeen([contract])])
    assert report.inserted == 1
    assert db.reader.find("ETHUSDT") is not None


def test_a_contract_of_a_commit_that_failed_is_still_unknown(db: Stored) -> None:
    contract = a_contract("ETHUSDT")
    stranger = a_contract("XRPUSDT").key
    with pytest.raises(UnknownContract, match="XRPUSDT"):
        db.store.commit([ContractsSeen([contract]), ClosedBars(stranger, MINUTE, [BAR], Origin.REST)])
    with pytest.raises(UnknownContract, match="ETHUSDT"):
        db.store.commit([ClosedBars(contract.key, MINUTE, [BAR], Origin.REST)])


@pytest.mark.parametrize(
    ("held", "came", "winner"),
    [
        ((BAR, Origin.STREAM), (OTHER, Origin.STREAM), (OTHER, Origin.STREAM)),
        ((BAR, Origin.STREAM), (OTHER, Origin.REST), (OTHER, Origin.REST)),
        ((BAR, Origin.REST), (OTHER, Origin.STREAM), (OTHER, Origin.STREAM)),
        ((BAR, Origin.REST), (OTHER, Origin.ARCHIVE), (OTHER, Origin.ARCHIVE)),
        ((BAR, Origin.REST), (an_empty_bar(MONDAY_MS), Origin.ARCHIVE), (BAR, Origin.REST)),
        ((an_empty_bar(MONDAY_MS), Origin.REST), (BAR, Origin.ARCHIVE), (BAR, Origin.ARCHIVE)),
        ((BAR, Origin.ARCHIVE), (an_empty_bar(MONDAY_MS), Origin.REST), (an_empty_bar(MONDAY_MS), Origin.REST)),
        ((BAR, Origin.STREAM), (OTHER, Origin.AGGREGATED), (BAR, Origin.STREAM)),
        ((BAR, Origin.REST), (OTHER, Origin.AGGREGATED), (OTHER, Origin.AGGREGATED)),
        ((BAR, Origin.ARCHIVE), (OTHER, Origin.AGGREGATED), (BAR, Origin.ARCHIVE)),
        ((BAR, Origin.AGGREGATED), (OTHER, Origin.AGGREGATED), (OTHER, Origin.AGGREGATED)),
        ((BAR, Origin.AGGREGATED), (OTHER, Origin.ARCHIVE), (OTHER, Origin.ARCHIVE)),
    ],
)
def test_a_bar_that_differs_takes_the_others_place_unless_it_knows_less(
    db: Stored, held: tuple[Bar, Origin], came: tuple[Bar, Origin], winner: tuple[Bar, Origin]
) -> None:
    db.put([held[0]], FIVE_MINUTES, held[1])
    report = db.put([came[0]], FIVE_MINUTES, came[1])
    [stored] = db.stored(FIVE_MINUTES)
    assert (stored.bar, stored.origin) == winner
    assert stored.closed
    assert (report.inserted, report.changed) == (0, int(winner == came and held != came))


@pytest.mark.parametrize(
    ("held", "came", "kept"),
    [
        ((Origin.STREAM, False), (Origin.STREAM, False), (Origin.STREAM, False)),
        ((Origin.STREAM, False), (Origin.REST, False), (Origin.STREAM, False)),
        ((Origin.STREAM, False), (Origin.REST, True), (Origin.STREAM, True)),
        ((Origin.STREAM, True), (Origin.STREAM, False), (Origin.STREAM, True)),
        ((Origin.REST, False), (Origin.REST, False), (Origin.REST, False)),
        ((Origin.REST, False), (Origin.REST, True), (Origin.REST, True)),
        ((Origin.REST, True), (Origin.ARCHIVE, False), (Origin.REST, True)),
        ((Origin.AGGREGATED, False), (Origin.STREAM, False), (Origin.STREAM, False)),
        ((Origin.AGGREGATED, False), (Origin.REST, False), (Origin.REST, False)),
        ((Origin.STREAM, False), (Origin.AGGREGATED, False), (Origin.STREAM, False)),
    ],
)
def test_of_equal_bars_the_better_mark_is_kept(
    db: Stored, held: tuple[Origin, bool], came: tuple[Origin, bool], kept: tuple[Origin, bool]
) -> None:
    db.put([BAR], MINUTE, held[0], verified=held[1])
    report = db.put([BAR], MINUTE, came[0], verified=came[1])
    [stored] = db.stored()
    assert stored == (BAR, True, *kept)
    assert report.changed == int(kept != held)


def test_a_bar_that_changes_loses_its_verification(db: Stored) -> None:
    db.put([BAR], MINUTE, Origin.STREAM, verified=True)
    db.put([OTHER], MINUTE, Origin.REST)
    assert db.stored() == [(OTHER, True, Origin.REST, False)]


@pytest.mark.parametrize("origin", [Origin.STREAM, Origin.ARCHIVE, Origin.AGGREGATED])
def test_what_comes_late_from_elsewhere_does_not_replace_a_bar_that_rest_has_verified(
    origin: Origin, db: Stored
) -> None:
    db.put([BAR], MINUTE, Origin.REST, verified=True)
    assert db.put([OTHER], MINUTE, origin).changed == 0
    assert db.stored() == [(BAR, True, Origin.REST, True)]


def test_a_late_final_changes_neither_a_verified_minute_nor_what_was_made_of_it(db: Stored) -> None:
    five = some_bars(MINUTE, MONDAY_MS, 5)
    db.put(five, verified=True)
    made = db.held(FIVE_MINUTES)
    late = five[2]._replace(high=five[2].high + 900, trades=five[2].trades + 1)
    db.put([late], origin=Origin.STREAM)
    assert db.held() == five
    assert db.held(FIVE_MINUTES) == made
    assert db.reader.compared_count() == (5, 5)


def test_of_two_bars_with_one_open_time_in_one_change_the_later_wins(db: Stored) -> None:
    report = db.put([BAR, OTHER])
    assert (report.inserted, report.changed) == (1, 1)
    assert db.held() == [OTHER]


def test_the_series_stays_right_under_duplicates_overlaps_and_any_order(db: Stored) -> None:
    bars = some_bars(MINUTE, MONDAY_MS, 10)
    assert db.put(bars[4:6], completes=False).inserted == 2
    assert db.put(bars[::-1], completes=False).inserted == 8
    assert db.put(bars, completes=False)[:2] == (0, 0)
    [summary] = db.reader.series()
    assert summary == (db.contract.key, MINUTE, MONDAY_MS, bars[-1].open_ms, 10, 0)
    assert db.reader.last_open_ms(db.record, MINUTE) == bars[-1].open_ms
    assert db.reader.last_open_ms(db.record, DAY) is None
    assert db.reader.first_open_ms(db.record, MINUTE) == MONDAY_MS
    assert db.reader.first_open_ms(db.record, DAY) is None


def test_a_finer_bar_rescales_what_is_stored_once_and_keeps_every_value(db: Stored) -> None:
    first = some_bars(MINUTE, MONDAY_MS, 5)
    db.put(first)
    db.store.commit([PartialBars(db.contract.key, [IntervalBar(WEEK, BAR)])])
    finer = a_bar(MONDAY_MS + 5 * MINUTE_MS)._replace(scale=FINER)
    db.put([finer])
    assert db.record.scale == FINER
    assert db.held() == [bar.rescaled(FINER) for bar in first] + [finer]
    [made] = db.held(FIVE_MINUTES)
    assert made.scale == FINER
    assert db.held(WEEK) == [BAR.rescaled(FINER)]


def test_a_coarser_bar_is_stored_in_the_contracts_scale_and_equals_itself(db: Stored) -> None:
    bar = BAR.rescaled(FINER)
    db.put([bar])
    assert db.put([BAR])[:2] == (0, 0)
    assert db.held() == [bar]


def test_bars_of_several_scales_in_one_commit_are_stored_in_one(db: Stored) -> None:
    wide = Scale(SCALE.price + 2, SCALE.volume, SCALE.quote + 1)
    one, two = a_bar(MONDAY_MS + MINUTE_MS)._replace(scale=FINER), a_bar(MONDAY_MS + 2 * MINUTE_MS)._replace(scale=wide)
    db.put([BAR, one, two])
    assert db.record.scale == FINER.widened(wide)
    assert db.held() == [bar.rescaled(db.record.scale) for bar in (BAR, one, two)]


def test_rescaling_what_would_not_fit_names_the_symbol_and_changes_nothing(db: Stored) -> None:
    huge = BAR._replace(quote_volume=2**62)
    db.put([huge])
    finer = a_bar(MONDAY_MS + MINUTE_MS)._replace(scale=FINER)
    with pytest.raises(ContractOverflow, match="BTCUSDT") as raised:
        db.store.commit(
            [
                ClosedBars(db.contract.key, MINUTE, [finer], Origin.REST),
                ServiceState("{}", exchange_ms=1, committed_at_ms=2),
            ]
        )
    assert isinstance(raised.value, UnitsOverflow)
    assert raised.value.key == db.contract.key
    assert db.held() == [huge]
    assert db.record.scale == SCALE
    assert db.reader.service_state() is None


def test_a_bar_that_does_not_fit_the_wider_scale_names_the_symbol(db: Stored) -> None:
    db.put([BAR._replace(scale=FINER)])
    with pytest.raises(ContractOverflow, match="BTCUSDT"):
        db.put([a_bar(MONDAY_MS + MINUTE_MS)._replace(volume=2**62)])
    with pytest.raises(ContractOverflow, match="BTCUSDT"):
        db.store.commit([PartialBars(db.contract.key, [IntervalBar(DAY, BAR._replace(volume=2**62))])])
    assert len(db.held()) == 1


def test_a_larger_bar_whose_sum_does_not_fit_names_the_symbol(db: Stored) -> None:
    with pytest.raises(ContractOverflow, match="BTCUSDT"):
        db.put([bar._replace(volume=2**61) for bar in some_bars(MINUTE, MONDAY_MS, 5)])
    assert db.held() == []


def test_the_bar_in_progress_takes_the_place_of_the_one_before(db: Stored) -> None:
    later = a_bar(MONDAY_MS + MINUTE_MS)
    for bar in (BAR, OTHER, later):
        db.store.commit([PartialBars(db.contract.key, [IntervalBar(MINUTE, bar), IntervalBar(DAY, OTHER)])])
        assert [(stored.bar, stored.closed) for stored in db.stored()] == [(bar, False)]
    assert db.held(DAY) == [OTHER]


def test_the_services_state_is_the_last_one_committed(db: Stored) -> None:
    assert db.reader.service_state() is None
    last = ServiceState('{"state":"running"}', exchange_ms=5, committed_at_ms=7)
    db.store.commit([ServiceState("{}", 1, 2), last])
    db.store.commit([])
    assert db.reader.service_state() == last


def test_bars_that_come_where_the_exchange_had_none_are_absent_no_longer(db: Stored) -> None:
    start_ms, bars = MONDAY_MS, some_bars(MINUTE, MONDAY_MS, 10)
    db.put([bars[0], bars[9]], absent=[Span(bars[1].open_ms, bars[9].open_ms)])
    whole = Span(start_ms, start_ms + 10 * MINUTE_MS)
    assert db.reader.holes(db.record, MINUTE, whole) == []
    assert db.reader.series()[0].gaps == 0
    db.put([bars[4]])
    assert db.reader.holes(db.record, MINUTE, whole) == []
    assert db.reader.series()[0].gaps == 0
    db.put([], absent=[whole])
    assert db.reader.series()[0][-2:] == (3, 0)


def test_absent_spans_that_touch_become_one_and_are_kept_in_whole_buckets(db: Stored) -> None:
    def minute(number: int) -> int:
        return MONDAY_MS + number * MINUTE_MS

    db.put([a_bar(minute(0)), a_bar(minute(20))], completes=False)
    db.put([], absent=[Span(minute(3), minute(5)), Span(minute(8) - 59_999, minute(9) - 30_000)])
    db.put([], absent=[Span(minute(5), minute(7))])
    assert db.reader.holes(db.record, MINUTE, Span(minute(0), minute(21))) == [
        Span(minute(1), minute(3)),
        Span(minute(7), minute(8)),
        Span(minute(9), minute(20)),
    ]
    assert db.reader.series()[0].gaps == 2 + 1 + 11
