"""Which history is asked for: plans and their pages, what bars in progress begin from, what answers leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from actors.filling.history import LEFT_TO_LIVE_MS, plans_for, wanted_holes
from actors.filling.jobs import PageJob, Plan, Priority
from actors.filling.seeds import ASK_AGAIN_S, COMMIT_S, IN_VAIN_REST_MS, LOOKS_AT_ONCE, Seeds
from actors.messages import SeedWanted
from bars import DAY, FIVE_MINUTES, FOUR_HOURS, HALF_HOUR, MINUTE, MINUTE_MS, STORED, WEEK, Interval, Span, aggregate
from bars.coverage import LATE_ROWS_MS, absences
from bars.history import ALL, Depth, parse_history
from bars.interval import DAY_MS, HOUR_MS
from bars.ledger import Reason
from storage import GapNoted, GapsAsked, Seed
from tests.support.actors import Stage
from tests.support.market import MONDAY_MS, a_bar, a_contract, some_bars
from tests.support.stored import Stored, a_store
from wire.requests import PAGE_BARS

SETTLE_MS = 10_000
YEARS_AGO_MS = MONDAY_MS - 700 * DAY_MS


@pytest.fixture
def stored() -> Iterator[Stored]:
    with a_store(a_contract(onboard_ms=YEARS_AGO_MS)) as stored:
        yield stored


def _pages(
    stored: Stored, interval: Interval, priority: Priority, depth: str = "7d", at_ms: int = MONDAY_MS
) -> list[Span]:
    depth_of = ALL if depth == "all" else Depth.parse(depth)
    plan = Plan(stored.contract, interval, priority)
    plan.holes = wanted_holes(plan, depth_of, stored.reader, at_ms)
    left = plan.pages_left
    pages = list(iter(plan.next_page, None))
    assert (left, plan.pages_left) == (len(pages), 0)
    return pages


# --- plans


def test_first_screens_of_all_contracts_come_in_two_rounds_and_before_any_depth() -> None:
    history = parse_history("5m=none")
    plans = [plan for arrival in (3, 4) for plan in plans_for(a_contract(), history, arrival)]
    ordered = sorted(plans, key=lambda plan: (plan.priority, plan.rank))
    assert [plan.interval for plan in ordered[:4]] == [MINUTE, FOUR_HOURS] * 2
    assert {plan.interval for plan in ordered[4:10]} == {HALF_HOUR, DAY, WEEK}
    assert {plan.priority for plan in ordered[:10]} == {Priority.SCREEN}
    assert {plan.priority for plan in ordered[10:]} == {Priority.DEPTH}
    assert {plan.priority for plan in plans if plan.interval is FIVE_MINUTES} == {Priority.DEPTH}


def test_where_no_depth_is_wanted_holes_since_the_first_stored_bar_are_filled_all_the_same(stored: Stored) -> None:
    assert _pages(stored, FIVE_MINUTES, Priority.DEPTH, "none") == []
    held = some_bars(FIVE_MINUTES, MONDAY_MS - DAY_MS, 10)
    stored.put([*held[:3], *held[7:]], FIVE_MINUTES)
    pages = _pages(stored, FIVE_MINUTES, Priority.DEPTH, "none", held[-1].open_ms + HOUR_MS)
    assert pages[-1] == Span(held[3].open_ms, held[7].open_ms)


def test_a_hole_that_was_asked_for_in_vain_rests_ever_longer_and_is_given_up_in_the_end(stored: Stored) -> None:
    stored.put(some_bars(MINUTE, MONDAY_MS, 300), completes=False)
    hole, asked_at = Span(MONDAY_MS - 10 * MINUTE_MS, MONDAY_MS), []
    for hour in range(500):
        at_ms = MONDAY_MS + 300 * MINUTE_MS + hour * HOUR_MS
        if any(page.intersect(hole) == hole for page in _pages(stored, MINUTE, Priority.DEPTH, "600d", at_ms=at_ms)):
            asked_at.append(hour)
            stored.store.commit([GapsAsked(stored.contract.key, MINUTE, [hole], at_ms)])
    assert asked_at == [0, 1, 2, 6, 22, 86]


def test_a_first_screen_is_one_page_that_ends_with_the_newest_settled_bar(stored: Stored) -> None:
    at_ms = MONDAY_MS + 90_000
    assert _pages(stored, MINUTE, Priority.SCREEN, at_ms=at_ms) == [
        Span(MONDAY_MS - 498 * MINUTE_MS, MONDAY_MS + MINUTE_MS)
    ]
    (week,) = _pages(stored, WEEK, Priority.SCREEN, "all", at_ms)
    assert week.stop_ms == MONDAY_MS


def test_a_first_screen_reaches_no_further_back_than_the_depth(stored: Stored) -> None:
    assert _pages(stored, MINUTE, Priority.SCREEN, "2h") == [Span(MONDAY_MS - 2 * HOUR_MS, MONDAY_MS)]


def test_depth_is_fetched_newest_first_and_leaves_the_newest_to_the_live_feed(stored: Stored) -> None:
    pages = _pages(stored, MINUTE, Priority.DEPTH, "1d")
    stop_ms = MONDAY_MS - LEFT_TO_LIVE_MS
    assert pages[0] == Span(stop_ms - PAGE_BARS * MINUTE_MS, stop_ms)
    assert all(newer.start_ms == older.stop_ms for newer, older in pairwise(pages))
    assert pages[-1].start_ms == stop_ms - DAY_MS


def test_only_what_is_missing_is_fetched(stored: Stored) -> None:
    held_ms = MONDAY_MS - HOUR_MS
    stored.put(some_bars(MINUTE, held_ms, 20))
    assert _pages(stored, MINUTE, Priority.SCREEN, "2h") == [
        Span(held_ms + 20 * MINUTE_MS, MONDAY_MS),
        Span(held_ms - HOUR_MS, held_ms),
    ]


def test_what_the_exchange_does_not_have_is_not_asked_again(stored: Stored) -> None:
    stored.put([], absent=[Span(0, MONDAY_MS - HOUR_MS)])
    assert _pages(stored, MINUTE, Priority.DEPTH, "all") == [Span(MONDAY_MS - HOUR_MS, MONDAY_MS - LEFT_TO_LIVE_MS)]


def test_a_hole_behind_the_depth_is_filled_back_to_the_oldest_bar(stored: Stored) -> None:
    oldest_ms = MONDAY_MS - 10 * HOUR_MS
    stored.put([a_bar(oldest_ms)])
    pages = _pages(stored, MINUTE, Priority.DEPTH, "1h")
    assert pages[-1].start_ms == oldest_ms + MINUTE_MS


def test_nothing_is_asked_for_from_after_a_contracts_end() -> None:
    end_ms = MONDAY_MS - 3 * HOUR_MS
    with a_store(a_contract(onboard_ms=YEARS_AGO_MS, delivery_ms=end_ms)) as stored:
        (page,) = _pages(stored, MINUTE, Priority.SCREEN, "4h")
        assert page == Span(MONDAY_MS - 4 * HOUR_MS, end_ms)
        assert _pages(stored, MINUTE, Priority.SCREEN, "1h") == []


def test_a_contract_that_is_not_stored_yet_lacks_everything(stored: Stored) -> None:
    plan = Plan(a_contract("NEWUSDT", onboard_ms=YEARS_AGO_MS), MINUTE, Priority.SCREEN)
    assert wanted_holes(plan, Depth.parse("2h"), stored.reader, MONDAY_MS) == [Span(MONDAY_MS - 2 * HOUR_MS, MONDAY_MS)]


# --- seeds


class Asking:
    """An aggregator that wants the beginning of its bars at `stop_ms`."""

    def __init__(self, stored: Stored, stop_ms: int) -> None:
        self.wanted = SeedWanted(stored.contract, stop_ms, Stage().recorder("aggregator").address)
        self.seeds = Seeds(stored.reader, SETTLE_MS)
        self.seeds.want(self.wanted, 0.0)
        self.observed_ms = stop_ms + HOUR_MS

    def made(self, now_s: float) -> tuple[list[Seed], list[PageJob]]:
        ready, jobs = self.seeds.made(now_s, self.observed_ms)
        assert all(wanted is self.wanted for wanted, _ in ready)
        return [seed for _, seed in ready], jobs


WEDNESDAY_4_31 = MONDAY_MS + 2 * DAY_MS + 4 * HOUR_MS + 31 * MINUTE_MS


def _put_week_until(stored: Stored, intervals: Sequence[Interval]) -> None:
    """Closed bars from Monday to Wednesday 04:31: days, a 4h bar, a 30m bar, a minute."""
    at_ms = MONDAY_MS
    for interval, count in ((DAY, 2), (FOUR_HOURS, 1), (HALF_HOUR, 1), (MINUTE, 1)):
        if interval in intervals:
            stored.put(some_bars(interval, at_ms, count), interval, completes=False)
        for _ in range(count):
            at_ms = interval.next_open(at_ms)
    assert at_ms == WEDNESDAY_4_31


def test_a_seed_is_made_at_once_of_what_is_stored(stored: Stored) -> None:
    _put_week_until(stored, STORED)
    asking = Asking(stored, WEDNESDAY_4_31)
    (seed,), jobs = asking.made(0.0)
    assert jobs == []
    assert aggregate(seed.bars, MONDAY_MS).open_ms == MONDAY_MS
    assert [bar.open_ms for bar in seed.bars][:3] == [MONDAY_MS, MONDAY_MS + DAY_MS, MONDAY_MS + 2 * DAY_MS]
    assert seed.bars[-1].open_ms == WEDNESDAY_4_31 - MINUTE_MS
    assert len(asking.seeds) == 0
    assert asking.made(10.0) == ([], [])


def test_what_a_seed_lacks_is_asked_for_once_and_the_seed_is_made_when_it_is_stored(stored: Stored) -> None:
    _put_week_until(stored, [FOUR_HOURS, HALF_HOUR, MINUTE])
    asking = Asking(stored, WEDNESDAY_4_31)
    _, (job,) = asking.made(0.0)
    assert (job.interval, job.span, job.priority) == (DAY, Span(MONDAY_MS, MONDAY_MS + 2 * DAY_MS), Priority.SEED)
    assert asking.made(0.5) == ([], [])
    assert asking.made(1.5) == ([], [])
    stored.put(some_bars(DAY, MONDAY_MS, 2), DAY, completes=False)
    asking.seeds.stored(job, asking.observed_ms)
    seeds, jobs = asking.made(1.75)
    assert (len(seeds), jobs) == (1, [])


def test_a_page_that_brought_nothing_is_asked_for_again_two_minutes_of_the_exchange_later(stored: Stored) -> None:
    _put_week_until(stored, [FOUR_HOURS, HALF_HOUR, MINUTE])
    asking = Asking(stored, WEDNESDAY_4_31)
    _, (job,) = asking.made(0.0)
    asking.seeds.stored(job, asking.observed_ms)
    asking.observed_ms += IN_VAIN_REST_MS - 1
    assert asking.made(2.0) == ([], [])
    asking.observed_ms += 1
    _, (again,) = asking.made(4.0)
    assert again.span == job.span


def test_a_page_that_will_not_come_is_asked_for_again_but_not_soon(stored: Stored) -> None:
    _put_week_until(stored, [FOUR_HOURS, HALF_HOUR, MINUTE])
    asking = Asking(stored, WEDNESDAY_4_31)
    _, (job,) = asking.made(0.0)
    asking.seeds.refused(job, 1.0)
    assert asking.made(2.0) == ([], [])
    _, (again,) = asking.made(1.0 + ASK_AGAIN_S)
    assert again.span == job.span


def test_the_newest_minutes_are_asked_for_only_when_the_writer_has_had_time(stored: Stored) -> None:
    _put_week_until(stored, [DAY, FOUR_HOURS, HALF_HOUR])
    asking = Asking(stored, WEDNESDAY_4_31)
    assert asking.made(0.0) == ([], [])
    _, (job,) = asking.made(COMMIT_S)
    assert (job.interval, job.span) == (MINUTE, Span(WEDNESDAY_4_31 - MINUTE_MS, WEDNESDAY_4_31))


def test_minutes_that_may_still_move_are_not_asked_for(stored: Stored) -> None:
    _put_week_until(stored, [DAY, FOUR_HOURS, HALF_HOUR])
    asking = Asking(stored, WEDNESDAY_4_31)
    asking.observed_ms = WEDNESDAY_4_31 + SETTLE_MS - 1
    assert asking.made(COMMIT_S) == ([], [])
    asking.observed_ms += 1
    assert len(asking.made(COMMIT_S + 1)[1]) == 1


def test_while_a_first_screen_is_on_its_way_nothing_is_asked_for_besides(stored: Stored) -> None:
    asking = Asking(stored, WEDNESDAY_4_31)
    key = stored.contract.key
    asking.seeds.expect(key, MINUTE)
    asking.seeds.expect(key, FOUR_HOURS)
    assert asking.made(COMMIT_S) == ([], [])
    asking.seeds.arrived(key, MINUTE)
    assert asking.made(COMMIT_S + 1) == ([], [])
    asking.seeds.arrived(key, FOUR_HOURS)
    assert len(asking.made(COMMIT_S + 2)[1]) > 0


def test_a_newer_wish_of_a_contract_takes_the_place_of_the_older_one_and_asks_nothing_twice(stored: Stored) -> None:
    _put_week_until(stored, [FOUR_HOURS, HALF_HOUR, MINUTE])
    asking = Asking(stored, WEDNESDAY_4_31)
    assert len(asking.made(0.0)[1]) == 1
    asking.wanted = SeedWanted(stored.contract, WEDNESDAY_4_31, asking.wanted.reply_to)
    asking.seeds.want(asking.wanted, 5.0)
    assert asking.made(5.0) == ([], [])
    stored.put(some_bars(DAY, MONDAY_MS, 2), DAY, completes=False)
    assert len(asking.made(6.0)[0]) == 1


def test_of_many_wishes_some_are_looked_at_each_time_and_all_in_turn(stored: Stored) -> None:
    others = [stored, *(stored.another() for _ in range(LOOKS_AT_ONCE))]
    seeds = Seeds(stored.reader, SETTLE_MS)
    for one in others:
        one.put([], WEEK, absent=[Span(0, MONDAY_MS + 7 * DAY_MS)])
        _put_week_until(one, STORED)
        seeds.want(SeedWanted(one.contract, WEDNESDAY_4_31, Stage().recorder("aggregator").address), 0.0)
    made = [len(seeds.made(0.0, WEDNESDAY_4_31)[0]) for _ in range(2)]
    assert made == [LOOKS_AT_ONCE, 1]


@pytest.mark.parametrize("ask_again_s", [10.0, 1_000.0])
def test_wishes_that_cannot_be_granted_do_not_keep_others_from_being_looked_at(
    stored: Stored, ask_again_s: float
) -> None:
    others = [stored.another() for _ in range(4 * LOOKS_AT_ONCE)]  # as many as are looked at in a second
    seeds = Seeds(stored.reader, SETTLE_MS)
    wishes = [SeedWanted(one.contract, WEDNESDAY_4_31, Stage().recorder("one").address) for one in (*others, stored)]
    stored.put([], WEEK, absent=[Span(0, MONDAY_MS + 7 * DAY_MS)])
    _put_week_until(stored, STORED)
    made = []
    for beat in range(60):
        now_s = beat / 4
        if now_s % ask_again_s == 0:
            for wish in wishes:
                seeds.want(wish, now_s)
        made += [wanted for wanted, _ in seeds.made(now_s, WEDNESDAY_4_31)[0]]
    assert set(map(id, made)) == {id(wishes[-1])}


def test_what_was_found_missing_before_the_first_stored_bar_is_asked_for_too(stored: Stored) -> None:
    hole = Span(MONDAY_MS - 3 * HOUR_MS, MONDAY_MS - 3 * HOUR_MS + MINUTE_MS)
    stored.put(some_bars(MINUTE, MONDAY_MS - HOUR_MS, 55))
    assert _pages(stored, MINUTE, Priority.DEPTH, "none") == []
    stored.store.commit([GapNoted(stored.contract.key, MINUTE, hole, Reason.UNFILLABLE, MONDAY_MS)])
    assert _pages(stored, MINUTE, Priority.DEPTH, "none") == [hole]
    assert _pages(stored, MINUTE, Priority.SCREEN, "none") == []
    for _ in range(2):
        stored.store.commit([GapsAsked(stored.contract.key, MINUTE, [hole], MONDAY_MS)])
    assert _pages(stored, MINUTE, Priority.DEPTH, "none") == []
    assert _pages(stored, MINUTE, Priority.DEPTH, "none", MONDAY_MS + 2 * HOUR_MS)[-1] == hole


# --- what answers leave out

ASKED = Span(MONDAY_MS, MONDAY_MS + 10 * MINUTE_MS)
MUCH_LATER_MS = ASKED.stop_ms + LATE_ROWS_MS


def _minutes(*numbers: int) -> list[int]:
    return [MONDAY_MS + number * MINUTE_MS for number in numbers]


@pytest.mark.parametrize(
    ("got", "onboard_ms", "now_ms", "expected"),
    [
        pytest.param(range(10), 0, MUCH_LATER_MS, [], id="all came"),
        pytest.param([0, 1, 4, 9], 0, MUCH_LATER_MS, [(2, 4), (5, 9)], id="holes inside never were"),
        pytest.param([0, 1, 4, 9], 0, ASKED.stop_ms, [(2, 4), (5, 9)], id="even fresh ones: later bars are there"),
        pytest.param([0, 7], 0, MUCH_LATER_MS, [(1, 7), (8, 10)], id="an old answer's end"),
        pytest.param([0, 7], 0, MUCH_LATER_MS - 1, [(1, 7)], id="a fresh answer's end may be late"),
        pytest.param([3, 4, 5, 6, 7, 8, 9], 0, MUCH_LATER_MS, [(0, 3)], id="a beginning after the launch"),
        pytest.param(range(2, 10), MONDAY_MS, MUCH_LATER_MS, [(None, 2)], id="before the first trade"),
        pytest.param(range(2, 10), MONDAY_MS + 90_000, MUCH_LATER_MS, [(None, 2)], id="launched later"),
        pytest.param([], MONDAY_MS + 90_000, MUCH_LATER_MS, [(None, 10)], id="nothing, before the launch"),
        pytest.param([], 0, MUCH_LATER_MS, [(0, 10)], id="nothing, long ago"),
        pytest.param([], 0, MUCH_LATER_MS - 1, [], id="nothing, but it may come"),
        pytest.param([], MONDAY_MS, MUCH_LATER_MS - 1, [], id="nothing yet of a new contract"),
    ],
)
def test_what_an_answer_leaves_out(
    got: Sequence[int], onboard_ms: int, now_ms: int, expected: list[tuple[int | None, int]]
) -> None:
    bars = [a_bar(open_ms) for open_ms in _minutes(*got)]
    spans = [
        Span(0 if start is None else MONDAY_MS + start * MINUTE_MS, MONDAY_MS + stop * MINUTE_MS)
        for start, stop in expected
    ]
    assert absences(ASKED, bars, MINUTE, onboard_ms, now_ms, in_vain=[ASKED]) == spans


def test_a_first_week_that_opens_before_the_launch_tells_that_there_was_none_before() -> None:
    asked = Span(MONDAY_MS - 21 * DAY_MS, MONDAY_MS + 7 * DAY_MS)
    launch_ms = MONDAY_MS + 3 * DAY_MS
    assert absences(asked, [a_bar(MONDAY_MS)], WEEK, launch_ms, MUCH_LATER_MS + 7 * DAY_MS) == [Span(0, MONDAY_MS)]


def test_that_nothing_was_before_the_launch_is_known_at_once() -> None:
    launch_ms = MONDAY_MS + 3 * HOUR_MS
    before = Span(MONDAY_MS - 2 * DAY_MS, MONDAY_MS)
    assert absences(before, [], FOUR_HOURS, launch_ms, launch_ms + HOUR_MS) == [Span(0, MONDAY_MS)]
    around = Span(MONDAY_MS - DAY_MS, MONDAY_MS + DAY_MS)
    assert absences(around, [], FOUR_HOURS, launch_ms, launch_ms) == [Span(0, MONDAY_MS)]
