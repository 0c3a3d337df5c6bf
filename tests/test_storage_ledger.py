"""What the database knows of bars that are doubtful or not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import (
    DAY,
    FIVE_MINUTES,
    FOUR_HOURS,
    HALF_HOUR,
    INTERVALS,
    LARGER,
    MINUTE,
    MINUTE_MS,
    STORED,
    Bar,
    Interval,
    Span,
    aggregate,
)
from bars.history import parse_history, parse_keep
from bars.interval import DAY_MS
from bars.ledger import ASKED_MAX, Reason
from bars.retention import removable_before_ms
from storage import (
    ArchivedBars,
    BarsDisputed,
    BarStore,
    ContractsSeen,
    GapNoted,
    GapsAsked,
    GapsSwept,
    LoadedFile,
    Origin,
    PausesSeen,
    Reader,
)
from storage.schema import version
from tests.support.market import MONDAY_MS, SCALE, a_bar, a_contract, some_bars
from tests.support.recorded import Recorded
from tests.support.stored import Stored, a_store
from wire.table import BarTable

NOW_MS = MONDAY_MS + 200 * MINUTE_MS + 30_000


@pytest.fixture
def db() -> Iterator[Stored]:
    with a_store() as stored:
        yield stored


def at(minute: int) -> int:
    return MONDAY_MS + minute * MINUTE_MS


def minutes(start: int, stop: int) -> list[Bar]:
    return some_bars(MINUTE, at(start), stop - start)


def empty(bar: Bar) -> Bar:
    flat = bar.close
    return bar._replace(
        open=flat, high=flat, low=flat, volume=0, quote_volume=0, trades=0, taker_buy_volume=0, taker_buy_quote_volume=0
    )


def first_unverified(db: Stored) -> int | None:
    found = [one for one in db.reader.unverified() if one.record.key == db.contract.key]
    return (found[0].first_ms - MONDAY_MS) // MINUTE_MS if found else None


# --- what was not compared yet


def test_the_first_minute_that_was_not_compared_is_known_at_any_time(db: Stored) -> None:
    assert first_unverified(db) is None
    db.put(minutes(100, 110), origin=Origin.STREAM)
    assert first_unverified(db) == 100
    db.put(minutes(0, 50), verified=True)
    assert first_unverified(db) == 100
    db.put(minutes(50, 60), origin=Origin.ARCHIVE)
    assert first_unverified(db) == 50
    db.put(minutes(50, 60), verified=True)
    assert first_unverified(db) == 100
    db.put(minutes(100, 105), verified=True)
    assert first_unverified(db) == 105
    db.put([a_bar(at(20))._replace(trades=9)])
    assert first_unverified(db) == 20
    assert db.reader.unverified_opens_ms(db.record, Span(at(0), at(200)), 3) == [at(20), at(105), at(106)]
    assert db.reader.compared_count() == (64, 70)
    db.put([a_bar(at(20))], verified=True)
    db.put(minutes(105, 110), verified=True)
    assert first_unverified(db) is None
    assert db.reader.compared_count() == (70, 70)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["stream", "rest", "verified", "archive", "disputed", "removed"]),
        st.integers(0, 40),
        st.integers(1, 15),
        st.integers(0, 1),
    ),
    max_size=8,
)


@given(STEPS)
def test_the_first_and_the_number_of_those_left_are_right_after_all(
    steps: list[tuple[str, int, int, int]],
) -> None:
    with a_store() as db:
        key = db.contract.key
        for step, start, count, differs in steps:
            bars = [bar._replace(trades=3 + differs) for bar in minutes(start, start + count)]
            if step == "archive":
                db.store.commit([ArchivedBars(key, MINUTE, BarTable.of(bars, MINUTE, bars[0].scale))])
            elif step == "disputed":
                db.store.commit([BarsDisputed(key, MINUTE, [bar.open_ms for bar in bars])])
            elif step == "removed":
                db.store.remove({MINUTE: at(start)}, count, NOW_MS)
            else:
                origin = Origin.STREAM if step == "stream" else Origin.REST
                db.put(bars, origin=origin, verified=step == "verified", completes=False)
        with closing(sqlite3.connect(db.path)) as plain:
            left = plain.execute("SELECT open_minute FROM bar WHERE interval = 1 AND mark & 24 = 0").fetchall()
            stored = plain.execute("SELECT count(*) FROM bar WHERE interval = 1").fetchone()[0]
        assert db.reader.compared_count() == (stored - len(left), stored)
        first = [min(left)[0] * MINUTE_MS] if left else []
        assert [one.first_ms for one in db.reader.unverified()] == first


def test_a_row_of_rest_that_repeats_the_stream_is_no_comparison_unless_it_says_so(db: Stored) -> None:
    db.put(minutes(0, 3), origin=Origin.STREAM)
    db.put(minutes(0, 2))  # as told seconds after the end
    assert first_unverified(db) == 0
    db.put(minutes(0, 2), verified=True)
    assert first_unverified(db) == 2


def test_larger_bars_are_not_asked_for(db: Stored) -> None:
    db.put(some_bars(FIVE_MINUTES, MONDAY_MS, 3), FIVE_MINUTES, Origin.ARCHIVE)
    assert db.reader.unverified() == []


def test_a_disputed_bar_stays_as_it_is_and_is_not_compared_again(db: Stored) -> None:
    db.put(minutes(0, 3), origin=Origin.STREAM)
    db.store.commit([BarsDisputed(db.contract.key, MINUTE, [at(0), at(2)])])
    assert first_unverified(db) == 1
    assert db.held() == minutes(0, 3)
    assert [one.verified for one in db.stored()] == [False] * 3
    assert [one.origin for one in db.stored()] == [Origin.STREAM] * 3


def test_a_repaired_minute_repairs_what_was_made_of_it_at_every_level(db: Stored) -> None:
    bars = minutes(0, 1_440)
    db.put(bars, origin=Origin.STREAM)
    right = [bars[0]._replace(high=99_999, trades=7), *bars[1:]]
    five = aggregate(right[:5], MONDAY_MS)
    db.put([five], FIVE_MINUTES, Origin.REST, completes=False)  # in between, one of the exchange's own
    db.put(right[:99], verified=True)
    for interval in (FIVE_MINUTES, *LARGER[1:4]):
        first = db.held(interval)[0]
        count = interval.span_ms // MINUTE_MS
        assert first == aggregate(right[:count], MONDAY_MS), interval


# --- the ledger


def gaps(db: Stored, now_ms: int = NOW_MS, history: str | None = None) -> list[tuple[str, int, int, str, str]]:
    depths = None if history is None else parse_history(history)
    return [
        (gap.interval.name, (gap.span.start_ms - MONDAY_MS) // MINUTE_MS, (gap.span.stop_ms - MONDAY_MS) // MINUTE_MS,
         gap.reason.value, gap.state.value)
        for gap in db.reader.gaps(now_ms, depths)
        if gap.key == db.contract.key
    ]  # fmt: skip


NOTHING_ELSE = "5m=none,30m=none,4h=none,1d=none,1w=none"


def test_a_hole_is_being_filled_until_it_was_asked_for_too_often(db: Stored) -> None:
    db.put([*minutes(0, 20), *minutes(30, 198)], completes=False)
    assert gaps(db) == [("1m", 20, 30, "being filled", "being filled")]
    for days_ago in range(5 * ASKED_MAX, 0, -5):  # each after the hole's rest
        db.store.commit([GapsAsked(db.contract.key, MINUTE, [Span(at(25), at(30))], NOW_MS - days_ago * DAY_MS)])
    assert gaps(db) == [
        ("1m", 25, 30, "unfillable", "unfillable"),
        ("1m", 20, 25, "being filled", "being filled"),
    ]
    assert db.reader.resting(db.record, MINUTE, NOW_MS + 1_000 * DAY_MS) == [Span(at(25), at(30))]


def test_what_came_after_all_is_forgotten_by_the_next_sweep(db: Stored) -> None:
    db.put([*minutes(0, 20), *minutes(30, 198)], completes=False)
    db.store.commit([GapsAsked(db.contract.key, MINUTE, [Span(at(20), at(30))], NOW_MS)] * 3)
    db.put(minutes(22, 30), completes=False)
    db.store.commit([GapsSwept()])
    assert db.reader.resting(db.record, MINUTE, NOW_MS) == [Span(at(20), at(22))]
    db.put(minutes(20, 22), completes=False)
    db.store.commit([GapsSwept()])
    assert db.reader.resting(db.record, MINUTE, NOW_MS) == []


def test_what_lacks_at_the_end_and_before_the_beginning_are_gaps_as_well(db: Stored) -> None:
    db.put(minutes(100, 150), completes=False)
    assert gaps(db, history=f"1m=2h,{NOTHING_ELSE}") == [
        ("1m", 80, 100, "being filled", "being filled"),
        ("1m", 150, 197, "being filled", "being filled"),
    ]


def test_a_hole_in_our_downtime_is_ours_and_in_the_archive_the_archives(db: Stored) -> None:
    db.put([*minutes(0, 20), *minutes(30, 50), *minutes(60, 198)], completes=False)
    db.store.commit(
        [
            GapNoted(None, MINUTE, Span(at(15), at(31)), Reason.DOWNTIME, NOW_MS),
            GapNoted(db.contract.key, MINUTE, Span(at(50), at(60)), Reason.ARCHIVE, NOW_MS),
        ]
    )
    assert gaps(db) == [
        ("1m", 20, 30, "our downtime", "being filled"),
        ("1m", 50, 60, "archive hole", "being filled"),
    ]


def test_what_the_exchange_does_not_have_is_explained(db: Stored) -> None:
    db.put([*minutes(10, 20), *minutes(30, 198)], absent=[Span(0, at(10)), Span(at(20), at(30))], completes=False)
    assert gaps(db, history=f"1m=4h,{NOTHING_ELSE}") == [
        ("1m", -40, 10, "not listed yet", "explained"),
        ("1m", 20, 30, "no trades", "explained"),
    ]


def test_bars_that_are_there_were_listed_whatever_another_interval_lacks(db: Stored) -> None:
    """Nor does the other one tell then of what is before them: nobody has asked for those minutes."""
    db.put(minutes(10, 198), completes=False)
    db.put([], DAY, absent=[Span(0, at(1_440))])
    assert gaps(db, history=f"1m=4h,{NOTHING_ELSE}") == [("1m", -40, 10, "being filled", "being filled")]


def test_where_another_interval_lacks_its_first_bars_no_bar_is_made_of_a_few_minutes_and_holes_stay_holes(
    db: Stored,
) -> None:
    five = minutes(0, 5)
    db.put([], DAY, absent=[Span(0, at(1_440))])
    db.put([five[1], five[4]])
    assert db.held(FIVE_MINUTES) == db.held(INTERVALS["3m"]) == []
    assert db.reader.holes(db.record, MINUTE, Span(at(0), at(4))) == [Span(at(0), at(1)), Span(at(2), at(4))]
    db.put(five)
    assert db.held(FIVE_MINUTES) == [aggregate(five, at(0))]


def test_an_ended_contract_is_delisted_and_one_whose_symbol_went_on_relisted() -> None:
    with a_store(a_contract(delivery_ms=at(100))) as db:
        db.put(minutes(0, 100), completes=False)
        assert gaps(db, at(200)) == [("1m", 100, 200, "delisted", "explained")]
        again = replace(db.contract, onboard_ms=at(110), delivery_ms=at(10_000_000))
        newer = Stored(db.path, db.store, db.reader, again)
        db.store.commit([ContractsSeen([newer.contract])])
        newer.put(minutes(112, 198), absent=[Span(0, at(112))], completes=False)
        assert gaps(db, at(200)) == [("1m", 100, 200, "relisted", "explained")]
        assert gaps(newer, at(200), f"1m=2h,{NOTHING_ELSE}") == [("1m", 80, 112, "relisted", "explained")]


def test_a_pause_is_told_of_each_contract_whose_minutes_it_emptied(db: Stored) -> None:
    db.put(minutes(0, 198), completes=False)
    db.store.commit([GapNoted(None, MINUTE, Span(at(-5), at(7)), Reason.PAUSE, NOW_MS)])
    assert gaps(db) == [("1m", 0, 7, "exchange pause", "explained")]


# --- pauses


def test_minutes_in_which_no_contract_traded_are_a_pause() -> None:
    with a_store(a_contract(onboard_ms=1)) as first:
        second, third = first.another(), first.another(a_contract(onboard_ms=5))
        bars = minutes(0, 300)
        quiet = [empty(bar) if 40 <= index < 50 else bar for index, bar in enumerate(bars)]
        first.put([empty(bar) if index in (10, 11, 12, 60) else bar for index, bar in enumerate(quiet)])
        second.put([empty(bar) if index in (11, 60, 80) else bar for index, bar in enumerate(quiet)])
        third.put(quiet[45:])
        assert first.reader.pauses(Span(at(0), at(100))) == [Span(at(40), at(50))]
        assert first.reader.pauses(Span(at(0), at(20))) == []
        third.put([bars[47]])
        assert first.reader.pauses(Span(at(0), at(100))) == [Span(at(40), at(47))]


def test_contracts_that_are_seldom_traded_tell_of_none_but_have_a_say() -> None:
    with a_store(a_contract(onboard_ms=1)) as lively:
        sleepy = lively.another()
        bars = minutes(0, 198)
        lively.put([empty(bar) if 40 <= index < 50 else bar for index, bar in enumerate(bars)])
        sleepy.put([bar if index in (44, 90) or index < 30 else empty(bar) for index, bar in enumerate(bars)])
        assert lively.reader.pauses(Span(at(0), at(100))) == []
        other = lively.another()
        other.put([empty(bar) if 40 <= index < 50 else bar for index, bar in enumerate(bars)])
        assert lively.reader.pauses(Span(at(0), at(100))) == [Span(at(40), at(44)), Span(at(45), at(50))]


def test_one_contract_alone_tells_of_no_pause(db: Stored) -> None:
    db.put([empty(bar) for bar in minutes(0, 30)])
    assert db.reader.pauses(Span(at(0), at(30))) == []


def test_a_pause_is_only_where_two_contracts_have_bars() -> None:
    with a_store(a_contract(onboard_ms=1)) as first:
        look, second = Span(at(0), at(300)), first.another()
        quiet = [empty(bar) if 36 <= index < 56 else bar for index, bar in enumerate(minutes(0, 300))]
        first.put(quiet)
        second.put(fives(0, 40), FIVE_MINUTES)  # the last of them was traded, maybe before the run began
        second.put(quiet[44:46] + quiet[48:])
        assert first.reader.pauses(look) == [Span(at(48), at(56))]
        first.another().put(quiet[40:])
        assert first.reader.pauses(look) == [Span(at(40), at(56))]


def test_a_traded_five_minute_bar_says_nothing_of_those_of_its_minutes_that_are_not_stored() -> None:
    with a_store(a_contract(onboard_ms=1)) as sleepy:
        sleepy.put([empty(bar) if 30 <= index < 35 else bar for index, bar in enumerate(minutes(0, 200))])
        for db in (sleepy.another(a_contract(onboard_ms=2)), sleepy.another(a_contract(onboard_ms=3))):
            db.put(fives(0, 30) + fives(30, 200), FIVE_MINUTES)
            db.put(minutes(33, 200))
        assert sleepy.reader.pauses(Span(at(0), at(200))) == []


def test_the_halt_of_2023_09_12_is_found_in_recorded_months(recorded: Recorded) -> None:
    with a_store(a_contract("NEARUSDT", onboard_ms=1)) as near:
        avax = Stored(near.path, near.store, near.reader, a_contract("AVAXUSDT", onboard_ms=2))
        near.store.commit([ContractsSeen([avax.contract])])
        for db in (near, avax):
            db.put(recorded.archive_bars(db.contract.symbol, "1m", "2023-09"), origin=Origin.ARCHIVE, completes=False)
        month = Span(1_693_526_400_000, 1_696_118_400_000)
        halt = Span(1_694_507_640_000, 1_694_508_780_000)  # 08:34 to 08:52
        assert near.reader.pauses(month) == [halt]


def fives(start: int, stop: int) -> list[Bar]:
    return some_bars(FIVE_MINUTES, at(start), (stop - start) // 5)


def test_five_minute_bars_alone_tell_of_pauses_of_ten_minutes_and_more() -> None:
    with a_store(a_contract(onboard_ms=1)) as first:
        second = first.another()
        quiet = {at(40), at(45), at(500), at(1_000), at(1_005), at(1_010)}
        bars = [empty(bar) if bar.open_ms in quiet else bar for bar in fives(0, 1_500)]
        first.put(bars, FIVE_MINUTES, Origin.ARCHIVE)
        assert first.reader.pauses(Span(at(0), at(1_500))) == []
        second.put([*bars[:101], empty(bars[101]), *bars[102:]], FIVE_MINUTES, Origin.ARCHIVE)
        assert first.reader.pauses_span() == Span(at(0), at(1_500))
        assert first.reader.pauses(Span(at(0), at(1_500))) == [Span(at(40), at(50)), Span(at(1_000), at(1_015))]
        assert first.reader.stored_until_ms() == at(1_500)


def test_minutes_tell_of_the_parts_of_a_five_minute_bar_and_it_of_minutes_that_are_falsely_empty() -> None:
    with a_store(a_contract(onboard_ms=1)) as first:
        look, second = Span(at(0), at(500)), first.another()
        for db, start in ((first, 241), (second, 242)):
            db.put([empty(bar) if at(start) <= bar.open_ms < at(258) else bar for bar in minutes(0, 500)])
        third = first.another()
        third.put([empty(bar) if bar.open_ms == at(245) else bar for bar in fives(0, 245)], FIVE_MINUTES)
        assert first.reader.pauses(look) == [Span(at(242), at(258))]
        third.put([empty(bar) for bar in fives(245, 250)] + fives(250, 255), FIVE_MINUTES)
        assert first.reader.pauses(look) == [Span(at(242), at(250)), Span(at(255), at(258))]
        first.put([a_bar(at(245))], FIVE_MINUTES, verified=True)  # though its own minutes are empty
        assert first.reader.pauses(look) == [Span(at(242), at(245)), Span(at(255), at(258))]


def test_a_pause_is_told_of_every_interval_and_withdrawn_where_somebody_was_traded_after_all() -> None:
    with a_store(a_contract(onboard_ms=1)) as first:
        second = first.another()
        bars = [empty(bar) if at(42) <= bar.open_ms < at(62) else bar for bar in minutes(0, 198)]
        for db in (first, second):
            db.put(bars)
        look = Span(at(0), at(198))
        for now_ms in (NOW_MS, NOW_MS + 1):
            first.store.commit([PausesSeen(look, first.reader.pauses(look), now_ms)])
        told = [("1m", 42, 62), ("5m", 45, 60)]
        assert gaps(first) == [(*one, "exchange pause", "explained") for one in told]
        assert {gap.since_ms for gap in first.reader.gaps(NOW_MS)} == {NOW_MS}
        second.put([a_bar(at(50))])
        first.store.commit([PausesSeen(look, first.reader.pauses(look), NOW_MS + 2)])
        told = [("1m", 42, 50), ("1m", 51, 62), ("5m", 45, 50), ("5m", 55, 60)]
        assert gaps(first) == [(*one, "exchange pause", "explained") for one in told]


def test_what_was_taken_for_a_pause_stays_one_when_its_minutes_are_removed() -> None:
    with a_store(a_contract(onboard_ms=1)) as first:
        second = first.another()
        bars = [empty(bar) if 42 <= index < 62 else bar for index, bar in enumerate(minutes(0, 2_000))]
        for db in (first, second):
            db.put(bars, origin=Origin.ARCHIVE)
        look = Span(at(0), at(198))
        first.store.commit([PausesSeen(look, first.reader.pauses(look), NOW_MS)])
        while first.store.remove({MINUTE: at(1_000)}, 10_000, at(2_000)):
            pass
        assert first.reader.pauses(look) == [Span(at(45), at(60))]
        first.store.commit([PausesSeen(look, first.reader.pauses(look), NOW_MS)])
        assert [gap for gap in gaps(first, at(2_000)) if gap[0] == "5m"] == [
            ("5m", 45, 60, "exchange pause", "explained")
        ]
        assert first.reader.gaps(at(2_000))[0].since_ms == NOW_MS


def test_the_pause_of_2025_01_29_is_found_in_recorded_five_minute_bars(recorded: Recorded) -> None:
    with a_store(a_contract("BTCUSDT", onboard_ms=1)) as btc:
        for symbol in ("BTCUSDT", "NEARUSDT", "1000PEPEUSDT"):
            db = btc if symbol == "BTCUSDT" else replace(btc, contract=a_contract(symbol, onboard_ms=2))
            db.store.commit([ContractsSeen([db.contract])])
            bars = recorded.archive_bars(symbol, "5m", "2025-01")
            assert sum(bar.is_empty for bar in bars) == 2
            db.put(bars, FIVE_MINUTES, Origin.ARCHIVE, completes=False)
        pause = Span(1_738_113_900_000, 1_738_114_500_000)  # 01:25 to 01:35
        assert btc.reader.pauses(btc.reader.pauses_span()) == [pause]


# --- retention

KEEP = parse_keep("1m=6h,5m=1d")


def before(now_ms: int) -> dict[Interval, int]:
    cut = {interval: removable_before_ms(interval, depth, now_ms) for interval, depth in KEEP.items()}
    return {interval: time_ms for interval, time_ms in cut.items() if time_ms}


def test_old_bars_go_in_small_steps_and_the_summary_stays_right(db: Stored) -> None:
    db.put(minutes(0, 2_880), origin=Origin.ARCHIVE)
    now_ms = at(2_880)
    steps = []
    while count := db.store.remove(before(now_ms), 500, now_ms):
        steps.append(count)
    assert max(steps) <= 500
    held = db.held()
    assert held[-1].open_ms == at(2_879)
    assert at(2_880 - 6 * 60 - 36) <= held[0].open_ms <= at(2_880 - 6 * 60)
    summary = db.reader.series()[0]
    assert (summary.first_ms, summary.bars, summary.gaps) == (held[0].open_ms, len(held), 0)
    assert first_unverified(db) == (held[0].open_ms - MONDAY_MS) // MINUTE_MS
    assert db.held(FIVE_MINUTES)[0].open_ms <= now_ms - DAY_MS
    assert len(db.held(DAY)) == 2


def test_what_a_larger_bar_may_still_be_made_of_stays(db: Stored) -> None:
    db.put([*minutes(0, 100), *minutes(103, 2_880)], origin=Origin.ARCHIVE)
    db.store.remove(before(at(2_880)), 1_000_000, at(2_880))
    assert db.held()[0].open_ms == at(103)
    for _ in range(ASKED_MAX):
        db.store.commit([GapsAsked(db.contract.key, FIVE_MINUTES, [Span(at(100), at(105))], at(2_880))])
    db.store.remove(before(at(2_880)), 1_000_000, at(2_880))
    assert db.held(FIVE_MINUTES)[0].open_ms == at(90)
    assert db.held()[0].open_ms > at(2_000)


def test_minutes_that_nobody_has_compared_stay_since_larger_bars_were_made_of_them(db: Stored) -> None:
    db.put(minutes(0, 2_880), origin=Origin.STREAM)
    db.put(minutes(0, 700), verified=True)
    while db.store.remove(before(at(2_880)), 10_000, at(2_880)):
        pass
    assert db.held()[0].open_ms == at(700)
    assert db.held(FIVE_MINUTES)[0].open_ms == at(690)
    db.put(minutes(700, 2_880), verified=True)
    db.store.remove(before(at(2_880)), 10_000, at(2_880))
    assert db.held()[0].open_ms > at(2_000)


@pytest.mark.parametrize("number", [0, 3, 704, 719, 1_439])
def test_larger_bars_follow_a_minute_that_is_repaired_after_all_others_might_have_gone(db: Stored, number: int) -> None:
    bars = minutes(0, 4_320)
    db.put(bars, origin=Origin.STREAM)
    db.put([*bars[:number], *bars[number + 1 :]], verified=True)
    while db.store.remove(before(at(4_320)), 10_000, at(4_320)):
        pass
    bars[number] = bars[number]._replace(high=bars[number].high + 900, trades=bars[number].trades + 1)
    db.put([bars[number]], verified=True)
    for interval in (FIVE_MINUTES, HALF_HOUR, FOUR_HOURS, DAY):
        start_ms = interval.floor(at(number))
        parts = [bar for bar in bars if start_ms <= bar.open_ms < interval.next_open(start_ms)]
        (stored,) = [bar for bar in db.held(interval) if bar.open_ms == start_ms]
        assert stored == aggregate(parts, start_ms)


def test_minutes_that_cannot_be_compared_go_a_week_later_than_they_would_have_gone(db: Stored) -> None:
    db.put(minutes(0, 2_880), origin=Origin.STREAM)
    late_ms = at(400) + 7 * DAY_MS
    while db.store.remove(before(late_ms), 10_000, late_ms):
        pass
    assert db.held()[0].open_ms == at(400)


def test_bars_in_progress_begin_as_before_whatever_was_removed(db: Stored) -> None:
    db.put(minutes(0, 3_000), origin=Origin.ARCHIVE)
    whole = aggregate(db.reader.seed(db.record, at(3_000)).bars, MONDAY_MS)
    while db.store.remove(before(at(3_000)), 700, at(3_000)):
        pass
    seed = db.reader.seed(db.record, at(3_000))
    assert seed.holes == []
    assert aggregate(seed.bars, MONDAY_MS) == whole


@pytest.mark.parametrize("interval", STORED)
def test_nothing_goes_that_is_younger_than_asked_for_or_needed(interval: Interval) -> None:
    for keep in ("1h", "7d", "90d", "2y"):
        depth = parse_keep(f"{interval}={keep}")[interval]
        now_ms = MONDAY_MS + 1_234_567_890
        time_ms = removable_before_ms(interval, depth, now_ms)
        assert time_ms <= now_ms - (depth.length_ms or 0)
        assert time_ms <= interval.back(now_ms, 1)
        assert time_ms > now_ms - 2 * (depth.length_ms or 0) - 62 * DAY_MS
    assert removable_before_ms(interval, parse_keep("all")[interval], MONDAY_MS) == 0


# --- from version 1

VERSION_1 = """
CREATE TABLE "contract" ("id" INTEGER NOT NULL PRIMARY KEY, "symbol" TEXT NOT NULL, "onboard_ms" INTEGER NOT NULL,
    "delivery_ms" INTEGER NOT NULL, "contract_type" TEXT NOT NULL, "status" TEXT NOT NULL, "pair" TEXT NOT NULL,
    "base_asset" TEXT NOT NULL, "quote_asset" TEXT NOT NULL, "price_decimals" INTEGER NOT NULL,
    "quantity_decimals" INTEGER NOT NULL, "description" TEXT NOT NULL, "scale_price" INTEGER NOT NULL,
    "scale_volume" INTEGER NOT NULL, "scale_quote" INTEGER NOT NULL);
CREATE UNIQUE INDEX "contractrow_symbol_onboard_ms" ON "contract" ("symbol", "onboard_ms");
CREATE TABLE "bar" ("contract_id" INTEGER NOT NULL, "interval" INTEGER NOT NULL, "open_minute" INTEGER NOT NULL,
    "open" INTEGER NOT NULL, "rise" INTEGER NOT NULL, "fall" INTEGER NOT NULL, "move" INTEGER NOT NULL,
    "volume" INTEGER NOT NULL, "quote_volume" INTEGER NOT NULL, "trades" INTEGER NOT NULL,
    "taker_buy_volume" INTEGER NOT NULL, "taker_buy_quote_volume" INTEGER NOT NULL, "mark" INTEGER NOT NULL,
    PRIMARY KEY ("contract_id", "interval", "open_minute")) WITHOUT ROWID;
CREATE TABLE "partial" ("contract_id" INTEGER NOT NULL, "interval" INTEGER NOT NULL, "open_minute" INTEGER NOT NULL,
    "open" INTEGER NOT NULL, "rise" INTEGER NOT NULL, "fall" INTEGER NOT NULL, "move" INTEGER NOT NULL,
    "volume" INTEGER NOT NULL, "quote_volume" INTEGER NOT NULL, "trades" INTEGER NOT NULL,
    "taker_buy_volume" INTEGER NOT NULL, "taker_buy_quote_volume" INTEGER NOT NULL,
    PRIMARY KEY ("contract_id", "interval")) WITHOUT ROWID;
CREATE TABLE "series" ("contract_id" INTEGER NOT NULL, "interval" INTEGER NOT NULL, "first_ms" INTEGER NOT NULL,
    "last_ms" INTEGER NOT NULL, "bars" INTEGER NOT NULL, PRIMARY KEY ("contract_id", "interval")) WITHOUT ROWID;
CREATE TABLE "absent" ("contract_id" INTEGER NOT NULL, "interval" INTEGER NOT NULL, "start_ms" INTEGER NOT NULL,
    "stop_ms" INTEGER NOT NULL, PRIMARY KEY ("contract_id", "interval", "start_ms")) WITHOUT ROWID;
CREATE TABLE "service" ("id" INTEGER NOT NULL PRIMARY KEY, "state" TEXT NOT NULL, "exchange_ms" INTEGER NOT NULL,
    "committed_at_ms" INTEGER NOT NULL);
CREATE TABLE "document" ("name" TEXT NOT NULL PRIMARY KEY, "text" TEXT NOT NULL) WITHOUT ROWID;
"""
COPIED = ("contract", "bar", "absent", "service", "document")


def test_a_file_of_version_1_keeps_its_bars_and_learns_what_was_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with a_store() as db:
        db.put(minutes(0, 10), verified=True)
        db.put(minutes(10, 20), origin=Origin.STREAM)
        db.another().put(minutes(0, 10), verified=True)
        db.store.close()
        with closing(sqlite3.connect(path)) as old:
            old.executescript(VERSION_1)
            old.execute("ATTACH ? AS new", (str(db.path),))
            for table in COPIED:
                old.execute(f"INSERT INTO {table} SELECT * FROM new.{table}")
            old.execute("INSERT INTO series SELECT contract_id, interval, first_ms, last_ms, bars FROM new.series")
            ((view,),) = old.execute("SELECT sql FROM new.sqlite_master WHERE name = 'klines'").fetchall()
            old.execute(view)
            old.execute(f"PRAGMA application_id = {0x4261726B}")
            old.execute("PRAGMA user_version = 1")
            old.commit()
        expected = db.held()
    store = BarStore.open(path)
    reader = Reader(path)
    upgraded = Stored(path, store, reader, a_contract())
    assert upgraded.held() == expected
    assert first_unverified(upgraded) == 10
    assert len(reader.unverified()) == 1
    key = upgraded.contract.key
    loaded = ArchivedBars(key, MINUTE, BarTable([], SCALE), LoadedFile("2025-04", "f" * 64))
    upgraded.store.commit([GapsAsked(key, MINUTE, [Span(at(30), at(40))], NOW_MS), loaded])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version(),)
    reader.close()
    store.close()
