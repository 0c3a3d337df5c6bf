"""What is asked next, when nobody but the exchange knows what time it is."""

from __future__ import annotations

from random import Random

import pytest

from actors.filling.jobs import InfoJob, TimeJob
from actors.filling.spending import ASK_TIME_EVERY_S, Spending
from actors.messages import Hello
from bars import MINUTE_MS
from bars.interval import HOUR_MS
from exchange import Backoff, Banned, ExchangeError, ServerFault, WeightBudget
from tests.support.actors import Stage
from tests.support.market import MONDAY_MS


class World:
    """A fetcher that is free, and a clock that somebody keeps."""

    def __init__(self) -> None:
        stage = Stage()
        self.fetcher = stage.recorder("fetcher 0")
        self._stage = stage
        self.now_s = 1_000.0
        self.budget = WeightBudget(0.5, limit=120)
        self.spending = self.new_life()
        self.spending.ready(self.fetcher.address, None)
        self.greeted()
        self.tick(MONDAY_MS, MONDAY_MS)
        self.answered(MONDAY_MS)

    def new_life(self) -> Spending:
        return Spending(self.budget, Backoff(Random(1)), 10_000, lambda _: None)

    def tick(self, now_ms: int, observed_ms: int, later_s: float = 2 * ASK_TIME_EVERY_S) -> int:
        """How often the time is asked for now."""
        self.now_s += later_s
        self.spending.tick(now_ms, observed_ms, self.now_s)
        self.spending.dispatch()
        self._stage.settle()
        return len(self.fetcher.of(TimeJob))

    def greeted(self) -> None:
        """The fetcher answers what it was told by way of greeting."""
        self._stage.settle()
        for hello in self.fetcher.of(Hello):
            self.fetcher.told.remove(hello)
            self.spending.ready(self.fetcher.address, hello)

    def answered(self, time_ms: int) -> None:
        """The exchange names its time, if it was asked."""
        for job in self.fetcher.taken():
            self.spending.answered(self.fetcher.address, job, 1, time_ms)
            self.spending.observe(time_ms)


def test_a_leap_of_time_that_the_clock_does_not_believe_yet_is_asked_for_again() -> None:
    world = World()
    world.tick(MONDAY_MS + 2 * MINUTE_MS, MONDAY_MS)
    world.answered(MONDAY_MS + HOUR_MS)  # the machine has slept
    assert world.tick(MONDAY_MS + 3 * MINUTE_MS, MONDAY_MS) == 1
    world.answered(MONDAY_MS + HOUR_MS + 2_000)
    assert world.tick(MONDAY_MS + HOUR_MS + 4_000, MONDAY_MS + HOUR_MS + 2_000) == 0


def test_a_fetcher_that_began_anew_may_still_have_its_job_and_gets_no_other_before_it_has_answered() -> None:
    world = World()
    world.spending.queue.push(InfoJob(world.fetcher.address))
    world.tick(MONDAY_MS + 2_000, MONDAY_MS + 2_000)
    world.spending.ready(world.fetcher.address, None)
    world.tick(MONDAY_MS + 4_000, MONDAY_MS + 4_000)
    assert [type(message) for message in world.fetcher.told] == [InfoJob, Hello]
    world.greeted()
    world.tick(MONDAY_MS + 6_000, MONDAY_MS + 6_000)
    first, again = world.fetcher.told
    assert not world.spending.answered(world.fetcher.address, first, 1, None)
    assert world.spending.answered(world.fetcher.address, again, 2, None)


def test_a_greeting_that_was_answered_late_says_nothing_of_the_next_one() -> None:
    world = World()
    world.spending.ready(world.fetcher.address, None)
    world.spending.ready(world.fetcher.address, None)
    world.tick(MONDAY_MS + 2_000, MONDAY_MS + 2_000)
    earlier, later = world.fetcher.of(Hello)
    world.spending.queue.push(InfoJob(world.fetcher.address))
    world.spending.ready(world.fetcher.address, earlier)
    world.tick(MONDAY_MS + 4_000, MONDAY_MS + 4_000)
    assert not world.fetcher.of(InfoJob)
    world.spending.ready(world.fetcher.address, later)
    world.tick(MONDAY_MS + 6_000, MONDAY_MS + 6_000)
    assert len(world.fetcher.of(InfoJob)) == 1


def test_nothing_is_asked_while_a_fetcher_may_have_something_to_do_for_a_former_life() -> None:
    stage = Stage()
    fetchers = [stage.recorder(f"fetcher {number}") for number in range(2)]
    spending = Spending(WeightBudget(0.5), Backoff(Random(1)), 10_000, lambda _: None)
    spending.begin([fetcher.address for fetcher in fetchers])
    for fetcher in fetchers:
        spending.tick(None, None, 1_000.0)
        spending.dispatch()
        stage.settle()
        assert not any(one.of(TimeJob) for one in fetchers)
        spending.ready(fetcher.address, fetcher.of(Hello)[0])
    spending.dispatch()
    stage.settle()
    assert sum(len(one.of(TimeJob)) for one in fetchers) == 1


def test_several_lives_in_a_minute_spend_no_more_than_one() -> None:
    world, sent = World(), 0
    for number in range(200):
        at_ms = MONDAY_MS + 1_000 + number * 100
        world.spending.queue.push(InfoJob(world.fetcher.address))
        world.tick(at_ms, at_ms)
        jobs = world.fetcher.taken()
        sent += len(jobs)
        if number % 20:
            for job in jobs:
                world.spending.answered(world.fetcher.address, job, None, at_ms if isinstance(job, TimeJob) else None)
        else:  # it crashes, and the answer finds another life
            world.spending = world.new_life()
            world.spending.begin([world.fetcher.address])
            world.greeted()
    assert 50 < sent <= world.budget.allowed


@pytest.mark.parametrize(
    ("error", "waits_s"),
    [
        (ServerFault("HTTP 503", retry_after_s=10**9), 301),
        (Banned("HTTP 418", retry_after_s=10**9), 3 * 86_400 + 1),
    ],
)
def test_an_answer_that_asks_to_wait_for_years_is_not_believed(error: ExchangeError, waits_s: float) -> None:
    world = World()
    world.spending.queue.push(InfoJob(world.fetcher.address))
    world.tick(MONDAY_MS + 2_000, MONDAY_MS + 2_000)
    (job,) = world.fetcher.taken()
    assert world.spending.failed(world.fetcher.address, job, error)
    world.spending.hold_off(error)
    world.spending.queue.push(InfoJob(world.fetcher.address))
    at_ms = MONDAY_MS + 4 * 86_400_000
    world.tick(at_ms, at_ms, 100)
    assert world.fetcher.told == []
    world.tick(at_ms, at_ms, waits_s)
    assert world.fetcher.told != []
