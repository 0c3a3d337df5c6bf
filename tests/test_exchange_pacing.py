"""Delays between attempts."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import Banned, Blocked, ExchangeError, RateLimited, ServerFault
from exchange.pacing import FAULT_S_MAX, WITHOUT_A_CLOCK_S, WITHOUT_A_CLOCK_S_MAX, Backoff, ConnectionPacer, wait_s


class Longest(Random):
    """Chance that always gives the longest delay."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return b


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(Longest(), first_s=1.0, cap_s=10.0)
    assert [backoff.failed(0.0) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_delays_start_anew_only_after_a_success_that_lasted() -> None:
    backoff = Backoff(Longest(), first_s=1.0, cap_s=60.0, stable_s=30.0)
    assert backoff.failed(0.0) == 1.0
    backoff.succeeded(10.0)
    backoff.succeeded(39.0)
    assert backoff.failed(39.9) == 2.0
    backoff.succeeded(50.0)
    assert backoff.failed(80.0) == 1.0
    assert backoff.failed(200.0) == 2.0


@given(st.integers(), st.integers(1, 50))
def test_delays_are_spread_over_the_whole_span_and_repeatable(seed: int, failures: int) -> None:
    one, other = Backoff(Random(seed)), Backoff(Random(seed))
    delays = [one.failed(0.0) for _ in range(failures)]
    assert delays == [other.failed(0.0) for _ in range(failures)]
    assert all(0.0 <= delay <= min(60.0, 2.0**index) for index, delay in enumerate(delays))


@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=200), st.integers(1, 20))
def test_no_window_ever_holds_more_attempts_than_allowed(pauses: list[float], attempts_max: int) -> None:
    pacer = ConnectionPacer(attempts_max, window_s=60.0)
    now_s, attempts = 0.0, []
    for pause_s in pauses:
        now_s += pause_s
        now_s += pacer.may_connect(now_s)
        pacer.connecting(now_s)
        attempts.append(now_s)
    for index, start_s in enumerate(attempts):
        assert sum(at_s < start_s + 60.0 - 1e-6 for at_s in attempts[index:]) <= attempts_max


def test_an_attempt_within_the_limit_does_not_wait() -> None:
    pacer = ConnectionPacer(2, window_s=300.0)
    for _ in range(2):
        assert pacer.may_connect(1_000.0) == 0.0
        pacer.connecting(1_000.0)
    assert pacer.may_connect(1_001.0) == 299.0
    assert pacer.may_connect(1_300.0) == 0.0


HOUR_S, DAY_S = 3_600.0, 86_400.0


@pytest.mark.parametrize(
    ("error", "knows_time", "expected_s"),
    [
        (ServerFault("HTTP 503"), True, 0.7),
        (ServerFault("HTTP 503", retry_after_s=20), True, 20.0),
        (ServerFault("HTTP 503", retry_after_s=10 * DAY_S), True, FAULT_S_MAX),
        (Blocked("HTTP 403", retry_after_s=HOUR_S), False, FAULT_S_MAX),
        (RateLimited("HTTP 429", retry_after_s=HOUR_S), False, HOUR_S),
        (RateLimited("HTTP 429", retry_after_s=10_000 * DAY_S), False, 3 * DAY_S),
        (Banned("HTTP 418", until_ms=1, left_s=HOUR_S), True, 0.7),
        (Banned("HTTP 418", until_ms=1, left_s=600), False, 600.0),
        (Banned("HTTP 418", until_ms=1, left_s=HOUR_S), False, WITHOUT_A_CLOCK_S_MAX),
        (Banned("HTTP 418"), False, WITHOUT_A_CLOCK_S),
        (Banned("HTTP 418", retry_after_s=1, left_s=1), False, WITHOUT_A_CLOCK_S),
    ],
)
def test_what_an_answer_asks_for_is_waited_within_bounds(
    error: ExchangeError, knows_time: bool, expected_s: float
) -> None:
    assert wait_s(error, 0.7, knows_time=knows_time) == expected_s
