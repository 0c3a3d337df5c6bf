"""The exchange's clock: made-up networks, real and accelerated time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import ExchangeClock
from bars.clock import LEAP_MS

START_MS = 1_791_382_992_000


def observed(clock: ExchangeClock, rate: float, seconds: float, per_second: int = 10, from_s: float = 0.0) -> None:
    """Let the clock see an exchange that runs at `rate`, for a while, without delay."""
    for step in range(int(seconds * per_second) + 1):
        now_s = from_s + step / per_second
        clock.observe(START_MS + round(now_s * 1_000 * rate), now_s)


def test_it_knows_nothing_before_the_first_observation() -> None:
    clock = ExchangeClock()
    assert clock.now_ms(5.0) is None
    assert clock.observed_ms is None


def test_it_runs_on_between_observations() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS, 100.0)
    assert clock.now_ms(100.0) == START_MS
    assert clock.now_ms(102.5) == START_MS + 2_500
    assert clock.observed_ms == START_MS


def test_a_moment_before_the_observation_is_no_earlier_time() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS, 100.0)
    assert clock.now_ms(99.0) == START_MS


@pytest.mark.parametrize("rate", [1.0, 5.0, 60.0, 300.0])
def test_it_finds_the_rate_of_an_accelerated_exchange_within_two_seconds(rate: float) -> None:
    clock = ExchangeClock()
    observed(clock, rate, seconds=2.0)
    now_ms = clock.now_ms(2.5)
    assert now_ms is not None
    assert now_ms - START_MS == pytest.approx(2_500 * rate, rel=0.01)


@pytest.mark.parametrize("delay_s", [0.1, 0.5, 0.87])
def test_a_late_first_frame_does_not_make_it_run_ahead(delay_s: float) -> None:
    clock = ExchangeClock()
    clock.observe(START_MS - round(delay_s * 1_000), 0.0)
    for step in range(1, 40):
        clock.observe(START_MS + step * 250, step * 0.25)
        ahead_ms = (clock.now_ms(step * 0.25 + 10) or 0) - (START_MS + step * 250 + 10_000)
        assert ahead_ms <= 0
        clock = _copied_without_estimate(clock)


def _copied_without_estimate(clock: ExchangeClock) -> ExchangeClock:
    """The clock before it was asked: `now_ms` keeps what it said, so a test that looks ahead would spoil it."""
    clock.__dict__["_now_ms"] = 0
    return clock


@pytest.mark.parametrize("stall_s", [3.0, 8.0, 30.0, 3_600.0])
def test_what_was_held_up_and_comes_all_at_once_does_not_make_it_race(stall_s: float) -> None:
    clock = ExchangeClock()
    observed(clock, 1.0, seconds=20)
    end_s = 20 + stall_s
    for step in range(100):  # the backlog, within a tenth of a second
        clock.observe(START_MS + 20_001 + round(stall_s * 10 * step), end_s + step / 1_000)
    observed(clock, 1.0, seconds=5, per_second=1, from_s=end_s + 0.2)
    asked_s = end_s + 5.2 + 30
    assert clock.now_ms(asked_s) == pytest.approx(START_MS + asked_s * 1_000, abs=1)


@pytest.mark.parametrize("slept_s", [20, 3_600, 8 * 3_600])
def test_a_machine_that_slept_does_not_make_it_race(slept_s: int) -> None:
    clock = ExchangeClock()
    observed(clock, 1.0, seconds=20)
    for step in range(1, 4):  # its monotonic clock stood still meanwhile
        at_s = 20 + 0.7 * step
        exchange_ms = START_MS + round((at_s + slept_s) * 1_000)
        clock.observe(exchange_ms, at_s)
        clock.observe(exchange_ms + 50, at_s + 0.05)
        assert clock.now_ms(at_s + 0.6) == exchange_ms + 600


def test_it_stays_with_real_time_when_delays_vary() -> None:
    clock = ExchangeClock()
    delays_s = [0.05, 0.3, 0.1, 0.02, 0.25, 0.15]
    for step in range(200):
        sent_s = step * 0.5
        clock.observe(START_MS + round(sent_s * 1_000), sent_s + delays_s[step % len(delays_s)])
    asked_s = 99.5 + 10
    assert clock.now_ms(asked_s) == pytest.approx(START_MS + asked_s * 1_000, abs=2_600)
    assert (clock.now_ms(asked_s) or 0) <= START_MS + asked_s * 1_000


def test_observations_out_of_order_do_not_move_it_back() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS + 500, 1.0)
    clock.observe(START_MS, 1.1)
    assert clock.observed_ms == START_MS + 500
    assert clock.now_ms(1.1) == START_MS + 600


def test_an_estimate_that_was_given_is_never_taken_back() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS, 0.0)
    assert clock.now_ms(10.0) == START_MS + 10_000
    clock.observe(START_MS + 1, 11.0)  # the exchange stood still
    assert clock.now_ms(11.0) == START_MS + 10_000


@given(
    st.lists(
        st.tuples(st.integers(0, LEAP_MS), st.floats(0, 1_000), st.floats(0, 1_000)),
        max_size=60,
    )
)
def test_whatever_it_sees_it_never_goes_back_nor_behind_what_the_exchange_named(
    seen: list[tuple[int, float, float]],
) -> None:
    clock = ExchangeClock()
    before_ms, named_ms = 0, 0
    for exchange_ms, observed_s, asked_s in seen:
        clock.observe(exchange_ms, observed_s)
        named_ms = max(named_ms, exchange_ms)
        now_ms = clock.now_ms(asked_s)
        assert now_ms is not None
        assert now_ms >= max(before_ms, named_ms)
        assert clock.observed_ms == named_ms
        before_ms = now_ms


@given(st.sampled_from([1.0, 60.0]), st.lists(st.tuples(st.floats(0.01, 2.0), st.floats(0, 0.4)), min_size=1))
def test_however_late_it_hears_it_is_not_ahead_of_the_exchange_by_more_than_the_tolerance(
    rate: float, frames: list[tuple[float, float]]
) -> None:
    clock = ExchangeClock()
    sent_s = heard_s = 0.0
    for gap_s, delay_s in frames:
        sent_s += gap_s
        heard_s = max(heard_s, sent_s + delay_s)
        clock.observe(START_MS + int(sent_s * 1_000 * rate), heard_s)
        if rate == 1.0:
            assert (clock.now_ms(heard_s) or 0) <= START_MS + heard_s * 1_000 + 1


def test_a_single_time_far_ahead_is_not_believed() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS, 0.0)
    clock.observe(START_MS + 100 * LEAP_MS, 1.0)
    clock.observe(START_MS + 2_000, 2.0)
    clock.observe(START_MS + 50 * LEAP_MS, 3.0)
    assert clock.observed_ms == START_MS + 2_000
    assert clock.now_ms(4.0) == START_MS + 4_000


def test_a_leap_that_is_named_twice_is_believed() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS, 0.0)
    clock.observe(START_MS + 100 * LEAP_MS, 1.0)
    clock.observe(START_MS + 100 * LEAP_MS + 50, 1.05)
    assert clock.observed_ms == START_MS + 100 * LEAP_MS + 50


def test_a_leap_that_is_named_again_at_the_same_moment_there_may_be_the_same_frame_twice() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS, 0.0)
    for at_s in (1.0, 1.1):
        clock.observe(START_MS + 100 * LEAP_MS, at_s)
    assert clock.observed_ms == START_MS
    clock.observe(START_MS + 100 * LEAP_MS + 1, 1.2)
    assert clock.observed_ms == START_MS + 100 * LEAP_MS + 1


def test_of_frames_alone_the_first_is_believed_once_a_later_one_confirms_it() -> None:
    clock = ExchangeClock()
    for exchange_ms, expected_ms in (
        (START_MS + 100 * LEAP_MS, None),
        (START_MS, None),
        (START_MS, None),
        (START_MS + 50 * LEAP_MS, None),
        (START_MS + 250, None),
        (START_MS + 500, START_MS + 500),
        (START_MS + 100 * LEAP_MS, START_MS + 500),
    ):
        clock.observe(exchange_ms, 1.0, is_frame=True)
        assert clock.observed_ms == expected_ms


def test_the_first_answer_is_believed_whatever_a_frame_said_before() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS + 100 * LEAP_MS, 1.0, is_frame=True)
    clock.observe(START_MS, 2.0)
    assert clock.observed_ms == START_MS


@pytest.mark.parametrize(("step_ms", "is_believed"), [(LEAP_MS, True), (LEAP_MS + 1, False), (-1, False)])
def test_the_second_naming_of_a_leap_must_follow_the_first_closely(step_ms: int, is_believed: bool) -> None:
    clock = ExchangeClock()
    clock.observe(START_MS, 0.0)
    clock.observe(START_MS + 100 * LEAP_MS, 1.0)
    clock.observe(START_MS + 100 * LEAP_MS + step_ms, 1.0)
    assert clock.observed_ms == (START_MS + 100 * LEAP_MS + step_ms if is_believed else START_MS)


def test_what_is_ahead_by_no_more_than_the_limit_is_no_leap() -> None:
    clock = ExchangeClock()
    clock.observe(START_MS, 0.0)
    clock.observe(START_MS + 1_000 + LEAP_MS, 1.0)
    assert clock.observed_ms == START_MS + 1_000 + LEAP_MS


def test_a_time_that_is_named_again_says_nothing_new() -> None:
    clock = ExchangeClock()
    for at_s in (0.0, 5.0):
        clock.observe(START_MS, at_s)
    assert clock.now_ms(6.0) == START_MS + 6_000


def test_time_begins_at_the_epoch() -> None:
    clock = ExchangeClock()
    clock.observe(0, 5.0)
    assert clock.now_ms(5.0) == 0


@pytest.mark.parametrize("begun_s", [0.0, 1_000_000.0])
@pytest.mark.parametrize(("step_s", "rate"), [(0.5, 2.0), (0.5, 60.0), (10.0, 60.0)])
def test_the_rate_is_known_after_two_measurements_half_a_second_to_ten_seconds_apart(
    begun_s: float, step_s: float, rate: float
) -> None:
    clock = ExchangeClock()
    for step in range(3):
        clock.observe(START_MS + round(step * step_s * rate * 1_000), begun_s + step * step_s)
    assert clock.now_ms(begun_s + 2 * step_s + 1.0) == START_MS + round((2 * step_s + 1.0) * rate * 1_000)


def test_a_rate_within_the_tolerance_is_taken_for_real_time() -> None:
    clock = ExchangeClock()
    for step in range(3):
        clock.observe(START_MS + 1_200 * step, float(step))
    assert clock.now_ms(3.0) == START_MS + 2_400 + 1_000
