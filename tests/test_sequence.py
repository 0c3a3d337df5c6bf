"""Minutes put in order: whatever is lost, late, repeated or wrong, what is passed on is the truth, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import MINUTE_MS, Bar, MinuteSequence, Patience, Scale, Span
from bars.interval import SECOND_MS
from bars.sequence import RECENT_MINUTES, Closed, Event, GivenUp, Partial, Revised
from tests.support.builders import MONDAY_MS, a_bar, an_empty_bar

FAR_MS = 10**9


def at(minute: int) -> int:
    return MONDAY_MS + minute * MINUTE_MS


def truth(count: int) -> list[Bar]:
    """What the exchange would say of the first `count` minutes; every fifth is empty."""
    prices = (1_000, 1_200, 900, 1_100)
    return [a_bar(at(n), prices, 70 + n, 7 + n) if n % 5 else an_empty_bar(at(n), 1_100) for n in range(count)]


def unfinished(bar: Bar) -> Bar:
    return bar._replace(volume=bar.volume // 2, trades=bar.trades // 2, taker_buy_volume=0)


def closed(events: Iterable[Event]) -> list[Bar]:
    return [event.bar for event in events if isinstance(event, Closed)]


def in_span(bars: Sequence[Bar], span: Span) -> list[Bar]:
    return [bar for bar in bars if span.start_ms <= bar.open_ms < span.stop_ms]


class Peer:
    """An exchange that loses, delays, repeats and reorders, and a REST side that is asked for what is wanted."""

    def __init__(self, random: Random, true_bars: list[Bar], first: int | None) -> None:
        self.random = random
        self.true_bars = true_bars
        self.sequence = MinuteSequence(None if first is None else at(first))
        self.events: list[Event] = []
        self.now_ms = MONDAY_MS

    def frame(self, wrong_share: float) -> None:
        passed = [bar for bar in self.true_bars if bar.open_ms <= self.now_ms]
        bar = self.random.choice(passed[-8:])
        final = bar.open_ms + MINUTE_MS <= self.now_ms and self.random.random() < 0.6
        said = bar if final and self.random.random() >= wrong_share else unfinished(bar)
        self.events += self.sequence.on_frame(said, final, self.now_ms)

    def rest(self, loss_share: float) -> None:
        wanted = self.sequence.wanted(self.now_ms)
        if wanted is not None and self.random.random() >= loss_share:
            self.events += self.sequence.on_rows(in_span(self.true_bars, wanted), wanted)

    def settle(self) -> None:
        """In the end the network works, and REST is asked until nothing is wanted or there is nothing."""
        self.now_ms = max(self.now_ms, self.true_bars[-1].open_ms) + FAR_MS
        self.sequence.end_ms = self.true_bars[-1].open_ms + MINUTE_MS
        while (wanted := self.sequence.wanted(self.now_ms)) is not None:
            rows = in_span(self.true_bars, wanted)
            self.events += self.sequence.on_rows(rows, wanted)
            self.now_ms += 20 * SECOND_MS
            if not rows:
                return

    def play(self, steps: int, wrong_share: float = 0.0) -> None:
        for _ in range(steps):
            self.now_ms = min(self.now_ms + self.random.choice((0, 400, 5_000, 40_000)), self.true_bars[-1].open_ms)
            self.frame(wrong_share)
            self.rest(loss_share=0.5)
        self.settle()


randoms = st.integers(0, 2**32).map(Random)


@given(randoms, st.integers(1, 50), st.integers(0, 150), st.booleans())
def test_whatever_the_order_and_the_losses_the_closed_minutes_are_the_true_ones_once(
    random: Random, count: int, steps: int, begins_with_the_first_frame: bool
) -> None:
    true_bars = truth(count)
    peer = Peer(random, true_bars, None if begins_with_the_first_frame else 0)
    peer.play(steps)
    passed_on = closed(peer.events)
    first = 0 if not begins_with_the_first_frame else count - len(passed_on)
    assert passed_on == true_bars[first:]
    assert not any(isinstance(event, Revised) for event in peer.events)
    assert peer.sequence.is_finished


@given(randoms, st.integers(1, RECENT_MINUTES), st.integers(0, 150))
def test_wrong_finals_are_repaired_by_rest(random: Random, count: int, steps: int) -> None:
    true_bars = truth(count)
    peer = Peer(random, true_bars, 0)
    peer.play(steps, wrong_share=0.5)
    assert [bar.open_ms for bar in closed(peer.events)] == [bar.open_ms for bar in true_bars]
    everything = Span(at(0), at(count))
    events = [*peer.events, *peer.sequence.on_rows(true_bars, everything)]
    stored = {event.bar.open_ms: event.bar for event in events if not isinstance(event, Partial)}
    assert list(stored.values()) == true_bars
    assert peer.sequence.on_rows(true_bars, everything) == []


@given(randoms, st.integers(2, 40), st.integers(0, 120), st.sets(st.integers(0, 38)))
def test_minutes_that_the_exchange_never_had_do_not_hold_up_the_others(
    random: Random, count: int, steps: int, absent: set[int]
) -> None:
    true_bars = [bar for n, bar in enumerate(truth(count)) if n not in absent or n == count - 1]
    peer = Peer(random, true_bars, 0)
    peer.now_ms = true_bars[0].open_ms
    peer.play(steps)
    # A lone hole between two minutes that came as frames cannot be told from a slow REST: that is given up later.
    while peer.sequence.next_ms is not None and not peer.sequence.is_finished:
        given_up = None
        while given_up is None:
            peer.now_ms += MINUTE_MS
            given_up = peer.sequence.give_up(peer.now_ms)
        assert in_span(true_bars, given_up.hole) == []
        peer.events += given_up.events
        peer.settle()
    assert closed(peer.events) == true_bars


@given(randoms, st.integers(1, 30), st.integers(0, 100))
def test_partials_never_go_back_and_never_follow_their_final(random: Random, count: int, steps: int) -> None:
    peer = Peer(random, truth(count), 0)
    peer.play(steps)
    newest_ms, next_ms = 0, at(0)
    for event in peer.events:
        if isinstance(event, Partial):
            assert event.bar.open_ms >= max(newest_ms, next_ms)
            newest_ms = event.bar.open_ms
        elif isinstance(event, Closed):
            next_ms = event.bar.open_ms + MINUTE_MS


def test_finals_in_order_pass_at_once() -> None:
    sequence = MinuteSequence()
    for bar in truth(3):
        assert sequence.on_frame(bar, True, bar.open_ms + MINUTE_MS) == [Closed(bar, by_rest=False)]
    assert sequence.next_ms == at(3)


def test_a_final_behind_a_hole_waits_for_the_hole_to_be_filled() -> None:
    bars, sequence = truth(3), MinuteSequence(at(0))
    assert sequence.on_frame(bars[2], True, at(3)) == []
    now_ms = at(3) + 10 * SECOND_MS
    assert sequence.wanted(now_ms) == Span(at(0), at(2))
    assert sequence.wanted(now_ms + 1) is None
    assert sequence.wanted(now_ms + 15 * SECOND_MS) == Span(at(0), at(2))
    events = sequence.on_rows(bars[:2], Span(at(0), at(2)))
    assert events == [Closed(bars[0], True), Closed(bars[1], True), Closed(bars[2], False)]


def test_nothing_is_wanted_before_the_final_had_its_time() -> None:
    sequence = MinuteSequence(at(0), patience=Patience(ask_after_ms=7_000))
    assert sequence.wanted(at(1)) is None
    assert sequence.wanted(at(1) + 6_999) is None
    assert sequence.wanted(at(1) + 7_000) == Span(at(0), at(1))


def test_a_silent_contract_is_asked_for_from_the_minute_in_progress_on() -> None:
    sequence = MinuteSequence()
    assert sequence.wanted(at(0) + 30_000) is None
    assert sequence.wanted(at(1) + 10_000) == Span(at(0), at(1))


def test_what_comes_after_a_short_answer_is_asked_for_at_once() -> None:
    bars, sequence = truth(5), MinuteSequence(at(0))
    now_ms = at(5) + 10 * SECOND_MS
    assert sequence.wanted(now_ms) == Span(at(0), at(5))
    assert closed(sequence.on_rows(bars[:2], Span(at(0), at(5)))) == bars[:2]
    assert sequence.wanted(now_ms) == Span(at(2), at(5))


def test_an_empty_answer_is_no_reason_to_ask_again_at_once() -> None:
    sequence = MinuteSequence(at(0))
    now_ms = at(5) + 10 * SECOND_MS
    wanted = sequence.wanted(now_ms)
    assert wanted is not None
    assert sequence.on_rows([], wanted) == []
    assert sequence.wanted(now_ms + 14_999) is None
    assert sequence.wanted(now_ms + 15_000) == wanted


def test_an_answer_with_older_minutes_only_is_no_reason_either() -> None:
    bars, sequence = truth(3), MinuteSequence(at(0))
    assert closed(sequence.on_rows(bars[:2], Span(at(0), at(2)))) == bars[:2]
    now_ms = at(3) + 10 * SECOND_MS
    assert sequence.wanted(now_ms) == Span(at(2), at(3))
    sequence.on_rows(bars[:2], Span(at(0), at(3)))
    assert sequence.wanted(now_ms + 1_000) is None


def asked_until(sequence: MinuteSequence, now_ms: int, stop_ms: int, rows: Sequence[Bar] = ()) -> list[int]:
    """When REST was asked while it had `rows` only, once a second; what is given up stays behind."""
    asked_ms = []
    while now_ms < stop_ms:
        wanted = sequence.wanted(now_ms)
        if wanted is not None:
            asked_ms.append(now_ms)
            sequence.on_rows(in_span(rows, wanted), wanted)
        sequence.give_up(now_ms)
        now_ms += SECOND_MS
    return asked_ms


def test_a_minute_that_rest_never_shows_is_asked_for_eight_times_at_growing_intervals_and_left_behind() -> None:
    sequence, began_ms = MinuteSequence(at(0)), at(1) + 10 * SECOND_MS
    asked_ms = asked_until(sequence, began_ms, began_ms + 945 * SECOND_MS)
    assert [(ms - began_ms) // SECOND_MS for ms in asked_ms] == [0, 15, 45, 105, 225, 465, 705]
    assert sequence.next_ms == at(0)
    now_ms = began_ms + 945 * SECOND_MS
    wanted = sequence.wanted(now_ms)
    assert wanted is not None
    sequence.on_rows([], wanted)
    assert sequence.give_up(now_ms) == GivenUp(Span(at(0), at(1)), 8, [])
    assert sequence.give_up(now_ms) is None, "the minutes after it were asked for less often"


def test_a_contract_of_which_nothing_comes_any_more_is_asked_for_every_four_minutes_at_most() -> None:
    sequence = MinuteSequence(at(0))
    asked_ms = asked_until(sequence, at(1), at(24 * 60))
    assert len(asked_ms) <= 24 * 60 / 4 + 8
    assert sequence.next_ms is not None
    assert sequence.next_ms > at(23 * 60)


def test_requests_that_fail_count_for_nothing() -> None:
    sequence, now_ms = MinuteSequence(at(0)), at(1) + 10 * SECOND_MS
    for asking in range(100):
        assert sequence.wanted(now_ms + asking * 15 * SECOND_MS) is not None
    assert sequence.give_up(now_ms + FAR_MS) is None


def test_a_contract_that_ended_is_finished_though_its_last_minutes_never_come() -> None:
    sequence = MinuteSequence(at(0), end_ms=at(3))
    asked_until(sequence, at(5), at(60))
    assert sequence.is_finished


@pytest.mark.parametrize("by_rest", [True, False])
def test_a_minute_that_comes_after_it_was_left_behind_is_taken_once(by_rest: bool) -> None:
    bars, sequence = truth(5), MinuteSequence(at(0))
    sequence.on_frame(bars[3], True, at(4))
    asked_until(sequence, at(4), at(40))
    assert sequence.next_ms is not None
    assert sequence.next_ms > at(3)
    for expected in ([Revised(bars[1], by_rest)], []):
        if by_rest:
            assert sequence.on_rows([bars[1]], Span(at(0), at(4))) == expected
        else:
            assert sequence.on_frame(bars[1], True, at(2)) == expected


def test_what_rest_has_again_later_is_asked_for_at_once_when_finals_come() -> None:
    bars, sequence = truth(9), MinuteSequence(at(0))
    asked_until(sequence, at(1), at(8))
    sequence.on_frame(bars[8], True, at(9))
    wanted = sequence.wanted(at(9))
    assert wanted == Span(at(0), at(8))
    assert closed(sequence.on_rows(bars[:8], wanted)) == bars


def test_a_row_without_trades_takes_no_finals_place() -> None:
    bars, sequence = truth(4), MinuteSequence(at(1))
    flat = [an_empty_bar(bar.open_ms, bar.open) for bar in bars[1:]]
    sequence.on_frame(bars[1], True, at(2))
    sequence.on_frame(bars[3], True, at(4))
    events = sequence.on_rows(flat, Span(at(1), at(4)))
    assert events == [Closed(flat[1], by_rest=True), Closed(bars[3], by_rest=False)]


@given(randoms, st.integers(2, 40), st.sets(st.integers(0, 38), max_size=12), st.integers(0, 120))
def test_whatever_is_missing_at_rest_the_other_minutes_come_and_the_lost_ones_are_named(
    random: Random, count: int, absent: set[int], steps: int
) -> None:
    """REST goes on to have a minute after the last, so that a hole is none at its end."""
    true_bars = truth(count)
    shown = [bar for n, bar in enumerate(true_bars) if n not in absent]
    sequence, now_ms = MinuteSequence(at(0), end_ms=at(count)), at(0)
    passed: list[Bar] = []
    behind: list[Span] = []
    for step in range(steps + 400):
        now_ms += random.choice((1_000, 5_000, 30_000)) if step < steps else 30_000
        bar = random.choice(true_bars)
        if bar.open_ms + MINUTE_MS <= now_ms and bar in shown and random.random() < 0.3:
            passed += [event.bar for event in sequence.on_frame(bar, True, now_ms) if not isinstance(event, Partial)]
        wanted = sequence.wanted(now_ms)
        if wanted is not None and random.random() < 0.8:
            rows = in_span(shown, wanted)
            passed += [event.bar for event in sequence.on_rows(rows, wanted) if not isinstance(event, Partial)]
        given_up = sequence.give_up(now_ms)
        if given_up is not None:
            behind.append(given_up.hole)
            passed += closed(given_up.events)
    assert sequence.is_finished
    assert sorted(passed) == shown
    assert all(in_span(shown, hole) == [] for hole in behind)


def test_minutes_that_rest_leaves_out_between_two_others_do_not_exist() -> None:
    bars, sequence = truth(6), MinuteSequence(at(0))
    kept = [bars[1], bars[3], bars[5]]
    assert closed(sequence.on_rows(kept, Span(at(0), at(6)))) == kept
    assert sequence.next_ms == at(6)


def test_a_final_stands_where_rest_leaves_its_minute_out() -> None:
    bars, sequence = truth(6), MinuteSequence(at(0))
    assert sequence.on_frame(bars[3], True, at(4)) == []
    events = sequence.on_rows([bars[0], bars[5]], Span(at(0), at(6)))
    assert events == [Closed(bars[0], True), Closed(bars[3], False), Closed(bars[5], True)]


def test_an_answer_about_later_minutes_does_not_skip_earlier_ones() -> None:
    bars, sequence = truth(4), MinuteSequence(at(0))
    assert sequence.on_rows(bars[2:], Span(at(2), at(4))) == []
    assert sequence.next_ms == at(0)
    assert closed(sequence.on_rows(bars[:2], Span(at(0), at(2)))) == bars


def test_rest_decides_between_two_words_about_a_minute_that_waits() -> None:
    bars, sequence = truth(3), MinuteSequence(at(0))
    sequence.on_frame(unfinished(bars[1]), True, at(2))
    assert sequence.on_rows(bars, Span(at(0), at(3))) == [Closed(bar, by_rest=True) for bar in bars]


def test_the_same_final_twice_says_nothing_new_and_a_different_one_revises() -> None:
    bar, sequence = truth(2)[1], MinuteSequence()
    sequence.on_frame(bar, True, at(2))
    assert sequence.on_frame(bar, True, at(2) + 1) == []
    other = bar._replace(close=bar.low)
    assert sequence.on_frame(other, True, at(2) + 2) == [Revised(other, by_rest=False)]
    assert sequence.on_rows([other], Span(at(1), at(2))) == []
    assert sequence.on_rows([bar], Span(at(1), at(2))) == [Revised(bar, by_rest=True)]


def test_a_repetition_in_a_wider_scale_is_still_a_repetition() -> None:
    bar, sequence = truth(2)[1], MinuteSequence()
    sequence.on_frame(bar, True, at(2))
    assert sequence.on_frame(bar.rescaled(Scale(4, 3, 7)), True, at(2)) == []
    finer = bar.rescaled(Scale(4, 3, 7))._replace(volume=1)
    revised = finer._replace(taker_buy_volume=0)
    assert sequence.on_frame(revised, True, at(2)) == [Revised(revised, by_rest=False)]


def test_a_late_unfinished_frame_of_a_closed_minute_is_dropped() -> None:
    bars, sequence = truth(3), MinuteSequence(at(0))
    sequence.on_frame(bars[0], True, at(1))
    assert sequence.on_frame(unfinished(bars[0]), False, at(1)) == []
    sequence.on_frame(bars[2], True, at(3))
    assert sequence.on_frame(unfinished(bars[2]), False, at(3)) == []


def test_partials_follow_the_events_own_time() -> None:
    bar, sequence = truth(2)[1], MinuteSequence(at(1))
    assert sequence.on_frame(bar, False, 2_000) == [Partial(bar)]
    assert sequence.on_frame(unfinished(bar), False, 1_000) == []
    assert sequence.on_frame(bar, False, 2_500) == [Partial(bar)]


def test_what_is_too_long_ago_is_no_longer_compared() -> None:
    bars, sequence = truth(RECENT_MINUTES + 1), MinuteSequence()
    for bar in bars:
        sequence.on_frame(bar, True, bar.open_ms + MINUTE_MS)
    assert sequence.on_frame(unfinished(bars[1]), True, FAR_MS) == [Revised(unfinished(bars[1]), by_rest=False)]
    assert sequence.on_frame(a_bar(bars[0].open_ms), True, FAR_MS) == []


def test_giving_up_leaves_the_hole_named_and_passes_the_rest_on() -> None:
    bars, sequence = truth(5), MinuteSequence(at(0))
    sequence.on_frame(bars[2], True, at(3))
    sequence.on_frame(bars[3], True, at(4))
    assert sequence.give_up(at(0) + FAR_MS) is None, "nobody has asked for them yet"
    asked_ms = at(3)
    assert sequence.wanted(asked_ms) == Span(at(0), at(2))
    for waited_ms in (*range(MINUTE_MS, 600_000, MINUTE_MS), 599_999):
        assert sequence.give_up(asked_ms + waited_ms) is None
    given_up = sequence.give_up(asked_ms + 600_000)
    assert given_up is not None
    assert (given_up.hole, given_up.asked) == (Span(at(0), at(2)), 0)
    assert closed(given_up.events) == bars[2:4]
    assert sequence.give_up(at(0) + FAR_MS) is None


def test_a_sleep_of_the_machine_is_no_waiting_for_an_answer() -> None:
    bars, sequence = truth(150), MinuteSequence(at(0))
    assert sequence.wanted(at(1) + 10 * SECOND_MS) == Span(at(0), at(1))
    sequence.on_frame(bars[140], True, at(141))  # which tells what time it is
    woken_ms = at(141) + 300
    assert sequence.wanted(woken_ms) == Span(at(0), at(140))
    assert sequence.give_up(woken_ms) is None
    assert len(closed(sequence.on_rows(bars[:140], Span(at(0), at(140))))) == 141


def test_after_a_sleep_an_answer_that_does_not_come_is_waited_for_as_long_as_ever() -> None:
    bars, sequence = truth(150), MinuteSequence(at(0))
    sequence.wanted(at(1) + 10 * SECOND_MS)
    sequence.on_frame(bars[140], True, at(141))
    given_up = [at_ms for at_ms in range(at(141), at(160), 30 * SECOND_MS) if sequence.give_up(at_ms)]
    assert len(given_up) == 1
    assert at(141 + 6) <= given_up[0] <= at(141 + 10)


def test_nothing_that_waits_is_nothing_to_give_up() -> None:
    assert MinuteSequence().give_up(FAR_MS) is None
    assert MinuteSequence(at(0)).give_up(at(0) + FAR_MS) is None


@pytest.mark.parametrize("is_closed", [True, False])
def test_no_minute_opens_at_or_after_the_delivery_time(is_closed: bool) -> None:
    bars, sequence = truth(4), MinuteSequence(at(0), end_ms=at(2))
    assert sequence.on_frame(bars[2], is_closed, at(3)) == []
    assert closed(sequence.on_rows(bars, Span(at(0), at(4)))) == bars[:2]
    assert sequence.is_finished
    assert sequence.wanted(at(0) + FAR_MS) is None


def test_an_ended_contract_wants_its_last_minutes_and_no_more() -> None:
    sequence = MinuteSequence(at(0), end_ms=at(2))
    assert sequence.wanted(at(0) + FAR_MS) == Span(at(0), at(2))
    assert MinuteSequence(end_ms=at(2)).wanted(at(5)) is None


def test_a_final_of_a_later_minute_is_a_reason_to_ask_at_once_and_further_ones_are_none() -> None:
    bars, sequence, now_ms = truth(5), MinuteSequence(at(0)), at(1) + 10 * SECOND_MS
    wanted = sequence.wanted(now_ms)
    assert wanted is not None
    sequence.on_rows([], wanted)
    assert sequence.wanted(now_ms) is None
    sequence.on_frame(bars[2], True, now_ms)
    assert sequence.wanted(now_ms) == wanted
    sequence.on_frame(bars[3], True, now_ms)
    assert sequence.wanted(now_ms) is None


def test_what_comes_first_may_be_rows() -> None:
    bars, sequence = truth(4), MinuteSequence()
    assert closed(sequence.on_rows(bars[1:], Span(at(1), at(4)))) == bars[1:]
    assert sequence.next_ms == at(4)


def test_an_empty_answer_leaves_nothing_behind_not_even_at_the_epoch() -> None:
    sequence = MinuteSequence(0)
    assert sequence.on_rows([], Span(0, MINUTE_MS)) == []
    assert sequence.next_ms == 0


def test_answers_about_earlier_minutes_do_not_make_it_ask_more_rarely() -> None:
    sequence, now_ms = MinuteSequence(at(5)), at(6) + 10 * SECOND_MS
    for _ in range(3):
        sequence.on_rows([], Span(at(0), at(5)))
    for asking in range(3):
        assert sequence.wanted(now_ms + asking * 15 * SECOND_MS) == Span(at(5), at(6))


def test_how_long_others_wait_counts_from_the_first_time_that_the_minutes_were_asked_for() -> None:
    bars, sequence = truth(3), MinuteSequence(at(0))
    sequence.on_frame(bars[2], True, at(3))
    for asking in range(40):
        assert sequence.wanted(at(3) + asking * 15 * SECOND_MS) == Span(at(0), at(2))
    given_up = sequence.give_up(at(3) + 600 * SECOND_MS)
    assert given_up is not None
    assert given_up.hole == Span(at(0), at(2))


def asked_in_vain(sequence: MinuteSequence, asked: Span, times: int) -> None:
    for _ in range(times):
        sequence.on_rows([], asked)


def test_only_minutes_before_one_that_waits_are_left_behind() -> None:
    bars, sequence = truth(5), MinuteSequence(at(0), patience=Patience(askings_max=2))
    asked_in_vain(sequence, Span(at(0), at(5)), 2)
    sequence.on_frame(bars[3], True, at(4))
    assert sequence.give_up(at(5)) == GivenUp(Span(at(0), at(3)), 2, [Closed(bars[3], by_rest=False)])


def test_after_giving_up_what_follows_is_asked_for_as_often_as_in_the_beginning() -> None:
    sequence, now_ms = MinuteSequence(at(0), patience=Patience(askings_max=2)), at(6) + 10 * SECOND_MS
    asked_in_vain(sequence, Span(at(0), at(5)), 2)
    assert sequence.give_up(now_ms) == GivenUp(Span(at(0), at(5)), 2, [])
    for asking in range(3):
        assert sequence.wanted(now_ms + asking * 15 * SECOND_MS) == Span(at(5), at(6))


class TestMinutesThatWereLeftBehind:
    """Minute 0 at first, then, 120 minutes later, those from 2 to 120."""

    BARS = truth(400)

    @pytest.fixture
    def sequence(self) -> MinuteSequence:
        sequence = MinuteSequence(at(0))
        sequence.on_rows(self.BARS[1:2], Span(at(0), at(2)))
        sequence.on_rows(self.BARS[121:122], Span(at(2), at(122)))
        assert sequence.next_ms == at(122)
        return sequence

    def late(self, sequence: MinuteSequence, minute: int) -> bool:
        """Whether a late final is taken for one that was left behind, or for another word about one that was not."""
        bar = self.BARS[minute]._replace(trades=1_000_000)
        events = sequence.on_frame(bar, True, FAR_MS)
        assert events in ([], [Revised(bar, by_rest=False)])
        return bool(events)

    def pass_on(self, sequence: MinuteSequence, count: int) -> None:
        assert sequence.next_ms is not None
        first = (sequence.next_ms - MONDAY_MS) // MINUTE_MS
        for bar in self.BARS[first : first + count]:
            assert sequence.on_frame(bar, True, bar.open_ms + MINUTE_MS) == [Closed(bar, by_rest=False)]

    def test_are_remembered_for_two_hours(self, sequence: MinuteSequence) -> None:
        assert [self.late(sequence, minute) for minute in (0, 2, 120)] == [False, True, True]

    def test_are_taken_once_and_their_neighbours_are_no_news(self, sequence: MinuteSequence) -> None:
        assert [self.late(sequence, minute) for minute in (2, 3)] == [True, True]
        self.pass_on(sequence, 2 * RECENT_MINUTES)
        assert [self.late(sequence, minute) for minute in (1, 2, 3, 4, 121)] == [False, False, False, True, False]


def test_of_two_states_of_one_moment_the_later_counts() -> None:
    bar, sequence = truth(2)[1], MinuteSequence(at(1))
    for state in (unfinished(bar), bar):
        assert sequence.on_frame(state, False, 2_000) == [Partial(state)]
