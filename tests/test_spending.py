"""What is asked next, when nobody but the exchange knows what time it is."""

from __future__ import annotations

from random import Random

from actors.jobs import TimeJob
from actors.spending import ASK_TIME_EVERY_S, Spending
from bars import MINUTE_MS
from bars.interval import HOUR_MS
from exchange import Backoff, WeightBudget
from tests.support.actors import Stage
from tests.support.market import MONDAY_MS


class World:
    """A fetcher that is free, and a clock that somebody keeps."""

    def __init__(self) -> None:
        stage = Stage()
        self.fetcher = stage.recorder("fetcher 0")
        self._stage = stage
        self.now_s = 1_000.0
        self.spending = Spending(WeightBudget(0.5), Backoff(Random(1)), 10_000, lambda _: None)
        self.spending.ready(self.fetcher.address)
        self.tick(MONDAY_MS, MONDAY_MS)
        self.answered(MONDAY_MS)

    def tick(self, now_ms: int, observed_ms: int, later_s: float = 2 * ASK_TIME_EVERY_S) -> int:
        """How often the time is asked for now."""
        self.now_s += later_s
        self.spending.tick(now_ms, observed_ms, self.now_s)
        self.spending.dispatch()
        self._stage.settle()
        return len(self.fetcher.of(TimeJob))

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
