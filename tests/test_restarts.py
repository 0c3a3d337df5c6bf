"""How long a crashed actor waits for its next life, and when there is none."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.restarts import RestartBudget, RestartPolicy

POLICY = RestartPolicy(restarts_max=6, window_s=60.0, delay_min_s=0.5, delay_max_s=4.0)


class NoJitter(Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return b


def test_the_delay_doubles_up_to_a_cap_until_there_were_too_many() -> None:
    budget = RestartBudget(POLICY, NoJitter())
    assert [budget.crashed(now_s) for now_s in range(7)] == [0.5, 1, 2, 4, 4, 4, None]


def test_crashes_that_left_the_window_no_longer_count() -> None:
    budget = RestartBudget(POLICY, NoJitter())
    assert [budget.crashed(now_s) for now_s in (0, 1, 2)] == [0.5, 1, 2]
    assert budget.crashed(60.0) == 4
    assert budget.crashed(61.5) == 2
    assert budget.crashed(1_000.0) == 0.5


def test_an_actor_that_crashes_now_and_then_lives_for_ever() -> None:
    budget = RestartBudget(POLICY, NoJitter())
    assert all(budget.crashed(day * 86_400.0) == 0.5 for day in range(100))


@given(st.integers(), st.lists(st.floats(0, 5), min_size=1, max_size=20))
def test_every_delay_lies_between_half_of_the_doubled_one_and_all_of_it(seed: int, pauses_s: list[float]) -> None:
    jittered, plain = RestartBudget(POLICY, Random(seed)), RestartBudget(POLICY, NoJitter())
    now_s = 0.0
    for pause_s in pauses_s:
        now_s += pause_s
        delay_s, bound_s = jittered.crashed(now_s), plain.crashed(now_s)
        assert (delay_s is None) == (bound_s is None)
        if delay_s is not None and bound_s is not None:
            assert bound_s / 2 <= delay_s <= bound_s


def test_two_that_fall_together_do_not_rise_together() -> None:
    assert RestartBudget(POLICY, Random(1)).crashed(0.0) != RestartBudget(POLICY, Random(2)).crashed(0.0)
