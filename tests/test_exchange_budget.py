"""The weight budget, alone and against a server that counts as the exchange does."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bars import MINUTE_MS, ExchangeClock
from exchange.budget import FORGIVEN_MS, PAUSE_MS_MAX, PROOF_RESERVE, SKEW_MS, Charge, WeightBudget
from exchange.errors import Banned, RateLimited, ServerFault, Unreachable

START_MS = 1_791_382_980_000  # the start of a minute
PAGE = 2


@dataclass
class Network:
    """What lies between us and the server, and how fast its time runs. All delays in real seconds."""

    seed: int = 0
    speed: float = 1.0
    delay_s: tuple[float, float] = (0.025, 0.1)
    frame_every_s: float | None = 0.25
    frame_delay_s: tuple[float, float] = (0.05, 0.1)
    skew_ms: int = 0
    lost_of_100: int = 0
    start_ms: int = START_MS + 7_000


@dataclass
class World:
    """A server that counts weight per minute of its clock at arrival, one client, and other programs."""

    budget: WeightBudget
    network: Network
    in_flight_max: int = 4
    others: Callable[[int], int] = lambda _: 0
    """How much the other programs have spent by so many milliseconds of a minute."""
    clock: ExchangeClock = field(default_factory=ExchangeClock)
    ours: Counter[int] = field(default_factory=Counter)
    total_max: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.network.seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._now_s = 0.0
        self._sent = 0
        self._in_flight = 0

    def run(self, minutes: float) -> None:
        """Let the client ask for as much as it may, for so many exchange minutes."""
        self._frame()
        self._tick()
        end_s = minutes * 60 / self.network.speed
        while self._events and self._events[0][0] < end_s:
            self._now_s, _, event = heapq.heappop(self._events)
            event()

    def whole_minutes(self, minutes: int) -> list[int]:
        """Our weight in the whole minutes since the start, as the server counted it."""
        first = self.network.start_ms // MINUTE_MS + 1
        return [self.ours[first + index] for index in range(minutes)]

    def _server_ms(self) -> int:
        return self.network.start_ms + int(self._now_s * 1_000 * self.network.speed)

    def _after(self, delay_s: float, event: Callable[[], None]) -> None:
        self._sent += 1
        heapq.heappush(self._events, (self._now_s + delay_s, self._sent, event))

    def _tick(self) -> None:
        self._after(0.05 / max(1.0, self.network.speed / 10), self._tick)
        self._ask()

    def _frame(self) -> None:
        if self.network.frame_every_s is not None:
            named_ms = self._server_ms() + self._random.randint(0, self.network.skew_ms)
            self._after(self._random.uniform(*self.network.frame_delay_s), lambda: self._observe(named_ms))
            self._after(self.network.frame_every_s, self._frame)

    def _observe(self, named_ms: int) -> None:
        self.clock.observe(named_ms, self._now_s)
        self._ask()

    def _ask(self) -> None:
        while self._in_flight < self.in_flight_max:
            now_ms, observed_ms = self.clock.now_ms(self._now_s), self.clock.observed_ms
            charge = None
            if self.budget.needs_proof(now_ms, observed_ms):
                charge = self.budget.take_proof(now_ms, observed_ms)
            if charge is None and observed_ms is not None:
                charge = self.budget.take(PAGE, now_ms, observed_ms)
            if charge is None:
                return
            self._send(charge)

    def _send(self, charge: Charge) -> None:
        self._in_flight += 1
        lost = self._random.randrange(200) if self.network.lost_of_100 else 200
        if lost < self.network.lost_of_100:  # half of the losses happen on the way there, half on the way back
            self._after(self._random.uniform(*self.network.delay_s), lambda: self._arrive(charge, answers=False))
            self._after(2 * self.network.delay_s[1], lambda: self._fail(charge))
        elif lost < 2 * self.network.lost_of_100:
            self._after(2 * self.network.delay_s[1], lambda: self._fail(charge))
        else:
            self._after(self._random.uniform(*self.network.delay_s), lambda: self._arrive(charge, answers=True))

    def _arrive(self, charge: Charge, answers: bool) -> None:
        minute, within_ms = divmod(self._server_ms(), MINUTE_MS)
        self.ours[minute] += charge.weight
        used = self.ours[minute] + self.others(within_ms)
        self.total_max = max(self.total_max, used)
        named_ms = self._server_ms() + self._random.randint(0, self.network.skew_ms)
        if answers:
            self._after(self._random.uniform(*self.network.delay_s), lambda: self._answer(charge, used, named_ms))

    def _answer(self, charge: Charge, used: int, named_ms: int) -> None:
        self._in_flight -= 1
        if charge.places is None:
            self.budget.answered(charge, used)
        else:
            self.clock.observe(named_ms, self._now_s)
            self.budget.answered(charge, used, named_ms)
        self._ask()

    def _fail(self, charge: Charge) -> None:
        self._in_flight -= 1
        self.budget.failed(charge, Unreachable("timed out"), self.clock.now_ms(self._now_s))


delays = st.tuples(st.floats(0.0, 0.2), st.floats(0.2, 3.0))
networks = st.builds(
    Network,
    seed=st.integers(0, 2**32),
    speed=st.sampled_from([0.5, 1.0, 1.1, 7.0, 60.0]),
    delay_s=delays,
    frame_every_s=st.one_of(st.none(), st.floats(0.05, 20.0)),
    frame_delay_s=delays,
    skew_ms=st.integers(0, SKEW_MS),
    lost_of_100=st.sampled_from([0, 0, 5, 30]),
    start_ms=st.integers(START_MS, START_MS + MINUTE_MS),
)


@given(networks, st.floats(0.01, 1.0), st.integers(1, 12))
@settings(max_examples=150)
def test_no_minute_of_the_server_ever_holds_more_than_our_share(network: Network, share: float, flights: int) -> None:
    budget = WeightBudget(share, limit=400)
    world = World(budget, network, flights)
    world.run(minutes=3.5)
    assert max(world.ours.values(), default=0) <= budget.allowed


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
def test_nine_tenths_of_the_share_are_used_while_there_is_work(share: float, seed: int) -> None:
    budget = WeightBudget(share)
    world = World(budget, Network(seed))
    world.run(minutes=4)
    assert min(world.whole_minutes(3)) >= 0.9 * budget.allowed
    assert sum(world.whole_minutes(3)) >= 0.95 * 3 * budget.allowed


@pytest.mark.parametrize("delay_s", [0.025, 0.2, 0.35, 0.39, 0.4, 0.41, 0.45])
def test_nine_tenths_are_used_also_when_the_network_is_just_fast_enough_for_it(delay_s: float) -> None:
    budget = WeightBudget(0.2)
    world = World(budget, Network(delay_s=(delay_s, delay_s * 1.01)), in_flight_max=4)
    world.run(minutes=4)
    possible = min(budget.allowed, int(4 * PAGE * 60 / (2 * delay_s * 1.01)))
    assert min(world.whole_minutes(3)) >= 0.9 * possible


def test_without_any_frames_the_share_is_used_all_the_same() -> None:
    budget = WeightBudget(0.5)
    world = World(budget, Network(frame_every_s=None))
    world.run(minutes=4)
    assert min(world.whole_minutes(3)) >= 0.9 * budget.allowed


def test_an_exchange_that_runs_sixty_times_faster_is_used_as_well() -> None:
    budget = WeightBudget(0.1)
    world = World(budget, Network(speed=60.0, delay_s=(0.001, 0.004), frame_every_s=0.005, frame_delay_s=(0.001, 0.01)))
    world.run(minutes=4)
    assert min(world.whole_minutes(3)) >= 0.9 * budget.allowed


@pytest.mark.parametrize("others", [0, 1_000, 1_900, 2_300, 2_400])
def test_what_others_use_is_left_to_them(others: int) -> None:
    budget = WeightBudget(1.0)
    world = World(budget, Network(seed=others), others=lambda within_ms: min(others, others * within_ms // 100))
    world.run(minutes=4)
    beyond_the_first_look = 4 * PAGE  # sent before the minute's first answer shows what the others have used
    assert world.total_max <= max(2_400, others + beyond_the_first_look)
    assert min(world.whole_minutes(3)) >= 0.9 * (2_400 - others - 2_400 // 50 - PROOF_RESERVE)


def test_nothing_is_sent_before_the_new_minute_is_proved() -> None:
    budget = WeightBudget(0.5, limit=40)
    at_ms = START_MS + 30_000
    assert [budget.take(PAGE, at_ms, at_ms)] != [None]
    budget.answered(Charge(PAGE, START_MS // MINUTE_MS), 2)
    while (charge := budget.take(PAGE, at_ms, at_ms)) is not None:
        budget.answered(charge, budget.used)
    for now_ms in range(at_ms, START_MS + 3 * MINUTE_MS, 1_000):
        assert budget.take(PAGE, now_ms, at_ms) is None
    assert budget.take(PAGE, START_MS + MINUTE_MS, START_MS + MINUTE_MS) is None
    place_all(budget, at_ms)
    assert budget.take(PAGE, START_MS + MINUTE_MS + SKEW_MS, START_MS + MINUTE_MS + SKEW_MS) is not None


def test_what_is_in_flight_over_the_boundary_counts_in_both_minutes() -> None:
    budget = settled_budget()
    budget.take(10, START_MS + 59_000, START_MS + 59_000)
    assert budget.used == 10
    budget.may_send(1, START_MS + MINUTE_MS + 500, START_MS + MINUTE_MS + 500)
    assert budget.used == 10


def test_what_was_answered_before_the_time_was_asked_counts_in_one_minute() -> None:
    budget = settled_budget()
    charge = budget.take(10, START_MS + 10_000, START_MS + 10_000)
    assert charge is not None
    budget.answered(charge, 10)
    place_all(budget, START_MS + 11_000)
    budget.may_send(1, START_MS + MINUTE_MS + 500, START_MS + MINUTE_MS + 500)
    assert budget.used == 0


def test_what_was_used_before_the_first_answer_may_be_our_own_from_before_a_restart() -> None:
    budget = WeightBudget(0.5)
    charge = budget.take_proof(None, None)
    assert charge is not None
    assert budget.take(PAGE, None, None) is None
    assert not budget.needs_proof(None, None)
    budget.answered(charge, 901, START_MS + 5_000)
    assert budget.used == 901
    budget.may_send(1, START_MS + MINUTE_MS + 500, START_MS + MINUTE_MS + 500)
    assert budget.used <= 1


def test_the_time_is_asked_once_the_estimate_says_that_the_minute_is_over() -> None:
    budget = settled_budget()
    assert not budget.needs_proof(START_MS + MINUTE_MS + 1_000, START_MS + 59_000)
    late_ms = START_MS + MINUTE_MS + 1_250
    assert budget.needs_proof(late_ms, START_MS + 59_000)
    charge = budget.take_proof(late_ms, START_MS + 59_000)
    assert charge is not None
    assert not budget.needs_proof(late_ms, START_MS + 59_000)
    budget.failed(charge, Unreachable("no answer"), late_ms)
    assert not budget.needs_proof(late_ms + 4_999, START_MS + 59_000)
    assert budget.needs_proof(late_ms + 5_000, START_MS + 59_000)


def test_with_everything_spent_the_time_can_still_be_asked() -> None:
    budget = settled_budget()
    while budget.take(PAGE, START_MS, START_MS + 1_000) is not None:
        pass
    assert budget.used == budget.allowed - PROOF_RESERVE
    for _ in range(PROOF_RESERVE):
        charge = budget.take_proof(START_MS + 2_000, START_MS + 1_000)
        assert charge is not None
        budget.failed(charge, Unreachable("no answer"), START_MS + 2_000)
    assert budget.take_proof(START_MS + 2_000, START_MS + 1_000) is None
    assert budget.take_proof(START_MS + MINUTE_MS + FORGIVEN_MS, START_MS + 1_000) is not None


def test_refused_requests_and_those_without_an_answer_are_charged_too() -> None:
    budget = settled_budget()
    for error in (ServerFault("503", used_weight=2), Unreachable("no answer")):
        charge = budget.take(PAGE, START_MS + 1_000, START_MS + 1_000)
        assert charge is not None
        budget.failed(charge, error, START_MS + 1_100)
    assert budget.used == 4


def test_a_broken_limit_pauses_until_the_next_minute_or_as_long_as_asked() -> None:
    budget = settled_budget()
    fail(budget, RateLimited("429"), START_MS + 15_000)
    assert budget.pause_until_ms == START_MS + MINUTE_MS + SKEW_MS
    assert budget.take(1, START_MS + 30_000, START_MS + 30_000) is None
    assert not budget.needs_proof(START_MS + 30_000, START_MS + 15_000)
    fail_later_ms = START_MS + MINUTE_MS + 1_000
    fail(budget, RateLimited("429", retry_after_s=90), fail_later_ms)
    assert budget.pause_until_ms == fail_later_ms + 90_000


def test_a_ban_pauses_until_it_ends() -> None:
    budget = settled_budget()
    fail(budget, Banned("418", until_ms=START_MS + 600_000), START_MS + 15_000)
    assert budget.pause_until_ms == START_MS + 600_000
    fail(budget, Banned("418", until_ms=9_999_999_999_999), START_MS + 600_000)
    assert budget.pause_until_ms == START_MS + 600_000 + PAUSE_MS_MAX


def test_a_ban_that_the_estimate_would_outlast_by_hours_ends_by_our_own_clock() -> None:
    budget, now_ms, until_ms = settled_budget(), START_MS + 15_000, START_MS + 150 * MINUTE_MS
    budget.tick(1_000.0)
    fail(budget, Banned("418", until_ms=until_ms, left_s=121), now_ms)  # the machine has slept
    budget.tick(1_120.9)
    assert not budget.needs_proof(now_ms + 120_900, now_ms)
    budget.tick(1_121.0)
    assert budget.needs_proof(now_ms + 121_000, now_ms)
    assert budget.pause_until_ms == 0


def test_a_ban_is_waited_out_by_the_exchanges_clock_where_it_is_known() -> None:
    budget, now_ms, until_ms = settled_budget(), START_MS + 15_000, START_MS + 150 * MINUTE_MS
    budget.tick(1_000.0)
    fail(budget, Banned("418", until_ms=until_ms, left_s=121), now_ms)
    assert budget.may_send(1, until_ms, until_ms)  # frames have told how late it is
    fail(budget, Banned("418", until_ms=until_ms + 10 * MINUTE_MS, left_s=600), until_ms)
    budget.tick(1_121.0)
    assert not budget.may_send(1, until_ms + 9 * MINUTE_MS, until_ms + 9 * MINUTE_MS)
    budget.tick(9_999.0)
    assert not budget.may_send(1, until_ms + 9 * MINUTE_MS, until_ms + 9 * MINUTE_MS)


def test_bans_without_an_end_are_waited_out_doubling_until_an_answer_comes() -> None:
    budget = settled_budget()
    pauses = []
    now_ms = START_MS + 1_000
    for _ in range(3):
        fail(budget, Banned("418"), now_ms)
        pauses.append((budget.pause_until_ms - now_ms) // MINUTE_MS)
        now_ms = budget.pause_until_ms
    charge = budget.take(1, now_ms, now_ms)
    assert charge is not None
    budget.answered(charge, 1)
    fail(budget, Banned("418"), now_ms)
    assert [*pauses, (budget.pause_until_ms - now_ms) // MINUTE_MS] == [2, 4, 8, 2]


def test_a_new_limit_from_the_exchange_takes_effect_at_once() -> None:
    budget = WeightBudget(0.5)
    budget.set_limit(6_000)
    assert budget.allowed == 3_000


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan")])
def test_a_share_is_above_zero_and_up_to_one(share: float) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        WeightBudget(share)


def test_the_share_of_a_limit_is_rounded_down_without_errors_of_binary_fractions() -> None:
    assert [WeightBudget(percent / 100).allowed for percent in range(1, 101)] == [24 * n for n in range(1, 101)]


def settled_budget() -> WeightBudget:
    """A budget past its first request, with nothing charged, in the minute of `START_MS`."""
    budget = WeightBudget(0.5)
    charge = budget.take_proof(None, None)
    assert charge is not None
    budget.answered(charge, 1, START_MS - MINUTE_MS + 30_000)
    budget.may_send(1, START_MS + 300, START_MS + 300)
    assert budget.used == 0
    return budget


def place_all(budget: WeightBudget, named_ms: int) -> None:
    charge = budget.take_proof(named_ms, named_ms)
    assert charge is not None
    budget.answered(charge, None, named_ms)


def fail(budget: WeightBudget, error: RateLimited | Banned, now_ms: int) -> None:
    charge = budget.take(1, now_ms, now_ms)
    assert charge is not None
    budget.failed(charge, error, now_ms)


def test_what_is_kept_for_requests_that_matter_more_is_there_for_them() -> None:
    budget, now_ms = WeightBudget(0.5, limit=400), START_MS + 1_000
    taken = [budget.take(PAGE, now_ms, now_ms)]
    assert taken[0] is not None
    budget.answered(taken[0], PAGE)
    while (charge := budget.take(PAGE, now_ms, now_ms, keep=50)) is not None:
        budget.answered(charge, None)
    assert budget.used <= budget.allowed - 50
    assert budget.has_room(40, now_ms)
    assert budget.take(40, now_ms, now_ms) is not None
    assert not budget.has_room(40, now_ms)


def test_a_time_too_near_to_a_minutes_end_to_tell_the_minute_is_not_asked_for_again_until_that_is_over() -> None:
    end_ms = 100 * MINUTE_MS
    budget = WeightBudget(0.1)
    first = budget.take_proof(end_ms - 30_000, None)
    assert first is not None
    budget.answered(first, 1, end_ms - 30_000)
    while (charge := budget.take(2, end_ms - 30_000, end_ms - 30_000)) is not None:
        budget.answered(charge, None)
    for named_ms in (end_ms - 100, end_ms + 100):
        proof = budget.take_proof(named_ms, named_ms)
        assert proof is not None
        budget.answered(proof, None, named_ms)
        assert not budget.needs_proof(named_ms, named_ms)
        assert not budget.needs_proof(end_ms + 249, named_ms)
    assert budget.needs_proof(end_ms + 250, end_ms + 100)


def test_a_request_that_was_lost_says_nothing_of_what_was_used_before() -> None:
    budget = WeightBudget(0.5)
    charge = budget.take_proof(None, None)
    assert charge is not None
    budget.lost(charge)
    again = budget.take_proof(None, None)
    assert again is not None
    assert budget.take(PAGE, None, None) is None
    budget.answered(again, 901, START_MS + 5_000)
    assert budget.used >= 901


def test_requests_that_were_lost_count_until_the_time_was_asked_and_keep_nothing_back() -> None:
    budget, now_ms = settled_budget(), START_MS + 1_000
    assert budget.take(PAGE, now_ms, now_ms) is not None
    assert budget.take_proof(now_ms, now_ms) is not None
    budget.all_lost()
    assert budget.used == PAGE + 1
    while (charge := budget.take(PAGE, now_ms, now_ms)) is not None:
        budget.answered(charge, None)
    assert budget.needs_proof(now_ms, now_ms)
    place_all(budget, now_ms)
    later_ms = now_ms + MINUTE_MS
    assert budget.take(PAGE, later_ms, later_ms) is not None
    assert budget.used == PAGE


def test_what_was_used_before_the_first_answer_counts_in_the_minute_that_is_found_out_next() -> None:
    for is_proof in (True, False):
        budget = WeightBudget(0.5)
        sleepy_ms = START_MS - 60 * MINUTE_MS  # the clock does not believe yet what time it is
        charge = (budget.take_proof if is_proof else partial(budget.take, 1))(sleepy_ms, sleepy_ms)
        assert charge is not None
        budget.answered(charge, 901, START_MS + 5_000 if is_proof else None)
        budget.may_send(1, START_MS + 6_000, START_MS + 6_000)
        assert budget.used == 901


def test_an_estimate_that_is_ahead_does_not_ask_for_the_time_again_and_again() -> None:
    budget = settled_budget()
    ahead_ms = START_MS + 4 * MINUTE_MS
    asked = 0
    for later_ms in range(0, 52_000, 250):
        if budget.needs_proof(ahead_ms + later_ms, START_MS + 8_000):
            asked += 1
            charge = budget.take_proof(ahead_ms + later_ms, START_MS + 8_000)
            assert charge is not None
            budget.answered(charge, None, START_MS + 8_000 + later_ms, ahead_ms + later_ms)
    assert asked == 1
    assert budget.needs_proof(ahead_ms + 52_250, START_MS + 8_000)
