"""A fetcher: what it asks the exchange for each job, and whom it tells what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from actors.filling.fetcher import Fetcher
from actors.filling.jobs import Fetched, FetchFailed, InfoJob, PageJob, Priority, TimeJob
from actors.messages import FetcherReady, Hello, Tick, TimeObserved
from actors.runtime.cell import UnexpectedMessage
from bars import MINUTE, MINUTE_MS, Span
from exchange import ExchangeError, Reply, RestClient, Unreachable
from tests.support.actors import Stage
from tests.support.market import MONDAY_MS, SCALE, a_contract, some_bars

BARS = some_bars(MINUTE, MONDAY_MS, 3)
PAGE = PageJob(a_contract(), MINUTE, Span(MONDAY_MS, MONDAY_MS + 3 * MINUTE_MS), SCALE, Priority.SCREEN)


class Exchange:
    """What a client asks; it answers, or fails with `error`."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.error: ExchangeError | None = None
        self.is_closed = False

    def time(self) -> Reply[int]:
        return self._reply("time", MONDAY_MS)

    def exchange_info(self) -> Reply[str]:
        return self._reply("exchangeInfo", "info")

    def klines(self, request: object, scale: object) -> Reply[Any]:
        return self._reply((request, scale), BARS)

    def close(self) -> None:
        self.is_closed = True

    def _reply(self, asked: Any, value: Any) -> Reply[Any]:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        return Reply(value, 7)


class World:
    """A fetcher; the test plays backfill, the supervisor and the exchange."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.exchange = Exchange()
        self.backfill, self.supervisor = self.stage.recorder("backfill"), self.stage.recorder("supervisor")
        self.cell = self.stage.play(
            "fetcher",
            lambda: Fetcher(
                lambda: cast(RestClient, self.exchange),
                lambda: 5.0,
                backfill=self.backfill.address,
                supervisor=self.supervisor.address,
            ),
        )
        self.stage.settle()

    def told(self, message: object) -> list[Any]:
        """What backfill is told after a letter to the fetcher."""
        self.backfill.taken()
        self.cell.address.tell(message)
        self.stage.settle()
        return self.backfill.taken()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    assert [crash.error for crash in world.stage.crashes] == []


def test_it_says_when_it_begins_and_answers_whoever_greets_it(world: World) -> None:
    assert world.backfill.taken() == [FetcherReady(world.cell.address)]
    hello = Hello()
    assert world.told(hello) == [FetcherReady(world.cell.address, hello)]


def test_a_page_is_asked_for_whole_and_answered_with_the_weight_that_is_used(world: World) -> None:
    assert world.told(PAGE) == [Fetched(world.cell.address, PAGE, BARS, 7)]
    ((request, scale),) = world.exchange.asked
    assert (request.symbol, request.interval, request.limit, scale) == ("BTCUSDT", MINUTE, 4, SCALE)
    assert world.supervisor.told == []


def test_only_what_goes_to_the_disk_is_asked_for_with_the_bar_after_it(world: World) -> None:
    world.told(replace(PAGE, reply_to=world.backfill.address))
    ((request, _),) = world.exchange.asked
    assert request.limit == 3


def test_what_there_is_goes_to_backfill_alone(world: World) -> None:
    job = InfoJob(world.backfill.address)
    assert world.told(job) == [Fetched(world.cell.address, job, "info", 7)]
    assert world.supervisor.told == []


def test_the_time_is_told_to_the_supervisor_too(world: World) -> None:
    job = TimeJob()
    assert world.told(job) == [Fetched(world.cell.address, job, MONDAY_MS, 7)]
    assert world.supervisor.told == [TimeObserved(MONDAY_MS, 5.0)]


@pytest.mark.parametrize("job", [PAGE, TimeJob()])
def test_a_failure_is_told_with_its_reason_and_the_next_job_is_done(world: World, job: PageJob | TimeJob) -> None:
    world.exchange.error = Unreachable("asking: nobody")
    assert world.told(job) == [FetchFailed(world.cell.address, job, world.exchange.error)]
    assert world.supervisor.told == []
    world.exchange.error = None
    assert isinstance(world.told(PAGE)[0], Fetched)


def test_a_fetcher_that_stops_closes_its_session(world: World) -> None:
    world.cell.request_stop()
    world.stage.settle()
    assert world.exchange.is_closed


def test_a_letter_that_is_none_of_its_own_is_a_mistake(world: World) -> None:
    assert world.told(Tick(None, None, 0.0)) == []
    (crash,) = world.stage.crashes
    assert isinstance(crash.error, UnexpectedMessage)
    world.stage.crashes.clear()
