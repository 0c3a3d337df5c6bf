"""The writer on a real database: whole commits, a full disk, acknowledgements, durability."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase

from actors.market.retention import REMOVED_AT_ONCE
from actors.market.writer import CHANGES_AT_ONCE, DURABLE_EVERY_S, PUBLISH_WITHIN_MS, Writer
from actors.messages import BarsPublished, Report, StatusMade, Store, Stored, Tick
from bars import DAY, FIVE_MINUTES, MINUTE, MINUTE_MS, Bar, Contract, IntervalBar
from bars.decimals import UNITS_MAX
from bars.history import parse_keep
from storage import BarStore, Change, ClosedBars, ContractsSeen, Origin, PartialBars, Reader
from tests.support.actors import Kill, Stage
from tests.support.market import MONDAY_MS, a_bar, a_contract, some_bars

BTC, ETH = a_contract("BTCUSDT"), a_contract("ETHUSDT")


class Disk:
    """A store that counts its commits and can be full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits: list[bool] = []
        self.opened = 0

    def open(self) -> BarStore:
        store = BarStore.open(self.path)
        commit, self.commits = store.commit, []

        def counted(changes: Any, *, durable: bool = False) -> Any:
            report = commit(changes, durable=durable)
            self.commits.append(durable)
            return report

        store.commit = counted  # type: ignore[method-assign]
        self._database: SqliteDatabase = store._database  # noqa: SLF001  # the limit belongs to the connection
        self.opened += 1
        return store

    def fill(self) -> None:
        self._database.pragma("max_page_count", self._database.pragma("page_count"))

    def make_room(self) -> None:
        self._database.pragma("max_page_count", 1_000_000)


class World:
    """A writer and those it talks to."""

    def __init__(self, path: Path) -> None:
        self.disk = Disk(path)
        self.stage = Stage()
        self.hub = self.stage.recorder("hub")
        self.supervisor = self.stage.recorder("supervisor")
        self.asker = self.stage.recorder("asker")
        self.now_s = 1_000.0
        self.cell = self.stage.play(
            "writer",
            lambda: Writer(self.disk.open, lambda: 77_000, hub=self.hub.address, supervisor=self.supervisor.address),
        )
        self.stage.settle()
        self.store(ContractsSeen([BTC, ETH]))
        self.tick()
        self.reader = Reader(path)

    def tell(self, message: object) -> None:
        self.cell.address.tell(message)
        self.stage.settle()

    def store(self, *changes: Change, ticket: object = None) -> None:
        self.tell(Store(changes, None if ticket is None else self.asker.address, ticket))

    def tick(self, later_s: float = 0.25) -> None:
        self.now_s += later_s
        self.tell(Tick(MONDAY_MS, MONDAY_MS, self.now_s))

    def stop(self) -> None:
        self.cell.request_stop()
        self.stage.settle()

    def held(self, contract: Contract = BTC) -> list[int]:
        """The open times of the closed minutes, in minutes."""
        record = self.reader.get(contract.key)
        assert record is not None
        stored = self.reader.bars(record, MINUTE, limit=100_000)
        return [(one.bar.open_ms - MONDAY_MS) // MINUTE_MS for one in stored if one.closed]

    def facts(self) -> dict[str, Any]:
        return dict(self.supervisor.of(Report)[-1].facts)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "bars.db")
    yield world
    if not world.stage.ended:
        world.stop()
    world.reader.close()


def minutes(first: int, count: int = 1, contract: Contract = BTC) -> ClosedBars:
    bars = some_bars(MINUTE, MONDAY_MS + first * MINUTE_MS, count)
    return ClosedBars(contract.key, MINUTE, bars, Origin.STREAM, completes=False)


def test_what_came_since_the_last_tick_is_committed_together_and_acknowledged_only_then(world: World) -> None:
    before = len(world.disk.commits)
    world.store(minutes(0), ticket="first")
    world.store(minutes(1), minutes(0, contract=ETH), ticket="second")
    assert world.held() == []
    assert world.asker.told == []
    world.tick()
    assert (world.held(), world.held(ETH)) == ([0, 1], [0])
    assert world.asker.told == [Stored("first"), Stored("second")]
    assert len(world.disk.commits) == before + 1
    world.tick()
    assert len(world.disk.commits) == before + 1
    world.store(minutes(1, contract=ETH))
    world.tick()
    assert world.asker.told == [Stored("first"), Stored("second")]
    assert len(world.disk.commits) == before + 2
    assert world.facts() == {
        "last_commit_s": world.now_s,
        "last_commit": 77_000,
        "commits": len(world.disk.commits),
        "bars_written": 4,
        "bars_removed": 0,
        "waiting": 0,
        "dropped": 0,
        "failing": None,
    }


def test_of_partial_bars_only_the_newest_are_written(world: World) -> None:
    for price in (1, 2):
        bar = a_bar(MONDAY_MS)._replace(trades=price)
        world.store(PartialBars(BTC.key, [IntervalBar(MINUTE, bar)]))
    world.tick()
    record = world.reader.get(BTC.key)
    assert record is not None
    (newest,) = world.reader.bars(record, MINUTE, limit=10)
    assert (newest.bar.trades, newest.closed) == (2, False)


def test_a_bar_in_progress_that_is_not_known_any_more_is_gone_whatever_else_waits_to_be_written(world: World) -> None:
    def of_the_day() -> list[int]:
        world.tick()
        record = world.reader.get(BTC.key)
        assert record is not None
        return [one.bar.trades for one in world.reader.bars(record, DAY, limit=10)]

    whole, newest = IntervalBar(DAY, a_bar(MONDAY_MS)), IntervalBar(MINUTE, a_bar(MONDAY_MS + 2 * MINUTE_MS))
    world.store(PartialBars(BTC.key, [whole]))
    assert of_the_day() == [whole.bar.trades]
    world.store(PartialBars(BTC.key, [newest], unknown=[DAY]), PartialBars(BTC.key, [newest]))
    assert of_the_day() == []
    world.store(PartialBars(BTC.key, [newest], unknown=[DAY]), PartialBars(BTC.key, [whole]))
    assert of_the_day() == [whole.bar.trades]


def test_what_began_before_a_minute_is_kept_with_its_newer_states_until_it_is_written(world: World) -> None:
    begun = [IntervalBar(DAY, a_bar(MONDAY_MS))]
    later = a_bar(MONDAY_MS + MINUTE_MS)
    world.store(PartialBars(BTC.key, [IntervalBar(MINUTE, later)], begun))
    world.store(PartialBars(BTC.key, [IntervalBar(MINUTE, later._replace(trades=2))]))
    world.tick()
    record = world.reader.get(BTC.key)
    assert record is not None
    (day,) = world.reader.bars(record, DAY, limit=10)
    assert day.bar.trades == begun[0].bar.trades + 2


def test_very_many_changes_do_not_wait_for_a_tick(world: World) -> None:
    world.store(*(minutes(0) for _ in range(CHANGES_AT_ONCE - 1)))
    assert world.held() == []
    world.store(minutes(1), ticket="last")
    assert world.held() == [0, 1]
    assert world.asker.told == [Stored("last")]


def test_the_status_is_stored_with_the_next_commit(world: World) -> None:
    world.tell(StatusMade('{"state":"live"}', MONDAY_MS))
    world.tick()
    state = world.reader.service_state()
    assert state is not None
    assert (state.state, state.exchange_ms, state.committed_at_ms) == ('{"state":"live"}', MONDAY_MS, 77_000)


def test_about_once_a_minute_a_commit_is_durable(world: World) -> None:
    world.disk.commits.clear()
    seconds = 200
    for second in range(seconds):
        world.store(minutes(second))
        world.tick(1.0)
    assert len(world.disk.commits) == seconds
    at = [second for second, durable in enumerate(world.disk.commits) if durable]
    assert len(at) == 3
    assert all(later - earlier <= DURABLE_EVERY_S + 1 for earlier, later in pairwise([0, *at]))


def test_a_full_disk_loses_nothing_is_reported_and_tried_again_every_second(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.disk.fill()
    world.store(minutes(0, 3_000), ticket="much")
    world.tick()
    assert "keeping what came and trying again every second" in caplog.text
    assert "full" in world.facts()["failing"]
    assert world.facts()["waiting"] == 3_000
    world.store(minutes(3_000, 2), PartialBars(BTC.key, [IntervalBar(MINUTE, a_bar(MONDAY_MS + 9_999 * MINUTE_MS))]))
    for _ in range(20):
        world.tick()
    assert len(caplog.records) == 1
    assert world.held() == []
    assert world.asker.told == []
    world.disk.make_room()
    world.tick(0.5)
    world.tick(0.5)
    assert world.held() == list(range(3_002))
    assert world.asker.told == [Stored("much")]
    assert world.facts()["failing"] is None
    assert "can be written again; nothing was lost" in caplog.text


def test_while_the_disk_is_full_even_many_changes_wait_for_the_next_try(world: World) -> None:
    world.disk.fill()
    world.store(minutes(0, 3_000))
    world.tick()
    world.disk.make_room()
    world.store(*(minutes(0) for _ in range(CHANGES_AT_ONCE)))
    assert world.held() == []
    world.tick(1.0)
    assert len(world.held()) == 3_000


def test_a_disk_that_is_full_to_the_end_costs_what_was_kept_and_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.disk.fill()
    world.store(minutes(0, 3_000))
    world.stop()
    assert "1 changes are lost, and fetched again at the next start" in caplog.text
    assert world.stage.ended == ["writer"]
    BarStore.open(world.disk.path).close()


def test_a_crash_costs_only_the_message_that_killed_what_was_collected_is_committed(world: World) -> None:
    world.cell.address.tell(Store([minutes(0)]))
    world.cell.address.tell(Kill())
    world.cell.address.tell(Store([minutes(1)]))
    world.stage.settle()
    assert world.held() == [0]
    assert world.disk.commits[-1:] == [True]
    world.cell.restart()
    world.tick()
    assert world.held() == [0, 1]
    assert world.disk.opened == 2
    assert len(world.stage.crashes) == 1


def test_stopping_commits_the_rest_durably_and_lets_go_of_the_file(world: World) -> None:
    world.cell.address.tell(Store([minutes(0)]))
    world.stop()
    assert world.held() == [0]
    assert world.disk.commits[-1:] == [True]
    BarStore.open(world.disk.path).close()


def too_much(contract: Contract) -> ClosedBars:
    """Two minutes whose sum does not fit."""
    half = UNITS_MAX // 2 + 1
    bars = [a_bar(MONDAY_MS + number * MINUTE_MS)._replace(quote_volume=half, volume=half) for number in range(5)]
    return ClosedBars(contract.key, MINUTE, bars, Origin.STREAM)


def test_a_contract_whose_values_do_not_fit_is_left_out_and_named_and_others_do_not_suffer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.store(minutes(0), too_much(ETH), PartialBars(ETH.key, [IntervalBar(MINUTE, a_bar(MONDAY_MS))]), ticket="all")
    world.tick()
    assert (world.held(), world.held(ETH)) == ([0], [])
    assert "ETHUSDT" in caplog.text
    assert "what waits of this contract is left out" in caplog.text
    assert world.asker.told == [Stored("all")]
    assert world.facts()["failing"] is None


def test_a_wider_scale_that_does_not_fit_leaves_out_that_contract_only(world: World) -> None:
    large = a_bar(MONDAY_MS)._replace(quote_volume=UNITS_MAX, volume=UNITS_MAX)
    world.store(ClosedBars(ETH.key, MINUTE, [large], Origin.STREAM))
    world.tick()
    finer = Bar(*large[:10], scale=large.scale._replace(volume=large.scale.volume + 1))
    world.store(
        ContractsSeen([BTC, replace(ETH, quantity_decimals=ETH.quantity_decimals + 1)]),
        minutes(0),
        ClosedBars(ETH.key, MINUTE, [finer], Origin.REST),
    )
    world.tick()
    assert (world.held(), world.held(ETH)) == ([0], [0])
    assert world.stage.crashes == []


def test_what_does_not_fit_at_the_end_costs_the_others_nothing(world: World) -> None:
    world.store(minutes(0), too_much(ETH))
    world.stop()
    assert (world.held(), world.held(ETH)) == ([0], [])


def test_larger_bars_that_were_completed_on_the_disk_are_published_while_they_are_news(world: World) -> None:
    now_ms = MONDAY_MS + 5 * MINUTE_MS + PUBLISH_WITHIN_MS
    world.store(ClosedBars(BTC.key, MINUTE, some_bars(MINUTE, MONDAY_MS - 5 * MINUTE_MS, 10), Origin.REST))
    world.tell(Tick(now_ms, now_ms, world.now_s + 0.25))
    (published,) = world.hub.of(BarsPublished)
    assert published.key == BTC.key
    assert published.closed
    assert [(bar.interval, bar.bar.open_ms) for bar in published.bars] == [(FIVE_MINUTES, MONDAY_MS)]


def test_before_the_time_is_known_nothing_that_is_completed_on_the_disk_is_news(world: World) -> None:
    world.store(ClosedBars(BTC.key, MINUTE, some_bars(MINUTE, MONDAY_MS, 10), Origin.REST))
    world.tell(Tick(None, None, world.now_s + 0.25))
    assert world.held() == list(range(10))
    assert world.hub.of(BarsPublished) == []


def test_bars_that_end_with_live_minutes_are_published_in_order_however_late_and_whoever_made_them(
    world: World,
) -> None:
    by_rest = some_bars(FIVE_MINUTES, MONDAY_MS, 1)
    world.store(ClosedBars(BTC.key, FIVE_MINUTES, by_rest, Origin.REST, verified=True))
    minutes = some_bars(MINUTE, MONDAY_MS + MINUTE_MS, 9)
    late_ms = MONDAY_MS + 100 * PUBLISH_WITHIN_MS
    world.store(*(ClosedBars(BTC.key, MINUTE, [one], Origin.STREAM, is_news=True) for one in reversed(minutes)))
    world.tell(Tick(late_ms, late_ms, world.now_s + 0.25))
    published = [(sent.bars[0].interval, sent.bars[0].bar.open_ms, sent.is_history) for sent in world.hub.told]
    assert published == [(FIVE_MINUTES, MONDAY_MS + n * 5 * MINUTE_MS, False) for n in (0, 1)]
    assert world.hub.told[0].bars[0].bar == by_rest[0]


def test_what_a_crash_or_the_end_commits_is_published_too(world: World) -> None:
    minutes = some_bars(MINUTE, MONDAY_MS, 10)
    world.store(ClosedBars(BTC.key, MINUTE, minutes[:4], Origin.STREAM))
    world.store(ClosedBars(BTC.key, MINUTE, minutes[4:5], Origin.STREAM, is_news=True))
    world.tell(Kill())
    world.cell.restart()
    world.stage.settle()
    world.store(ClosedBars(BTC.key, MINUTE, minutes[5:9], Origin.STREAM))
    world.store(ClosedBars(BTC.key, MINUTE, minutes[9:], Origin.STREAM, is_news=True))
    world.stop()
    published = [sent.bars[0].bar.open_ms for sent in world.hub.of(BarsPublished)]
    assert published == [MONDAY_MS, MONDAY_MS + 5 * MINUTE_MS]


def test_old_bars_go_while_new_ones_come_and_the_count_is_told(tmp_path: Path) -> None:
    disk, stage = Disk(tmp_path / "bars.db"), Stage()
    hub, supervisor = stage.recorder("hub"), stage.recorder("supervisor")
    keep = parse_keep("1m=6h")
    make = lambda: Writer(disk.open, lambda: 0, hub=hub.address, supervisor=supervisor.address, keep=keep)  # noqa: E731
    writer = stage.play("writer", make).address
    bars = some_bars(MINUTE, MONDAY_MS, 12_000)
    writer.tell(Store([ContractsSeen([BTC]), ClosedBars(BTC.key, MINUTE, bars, Origin.REST, verified=True)]))
    stop_ms = bars[-1].open_ms + MINUTE_MS
    for beat in range(6):
        writer.tell(Tick(stop_ms + beat, stop_ms + beat, 1.0 + beat))
        stage.settle()
    told = [message.facts["bars_removed"] for message in supervisor.told if isinstance(message, Report)]
    assert told[:4] == [0, REMOVED_AT_ONCE, 2 * REMOVED_AT_ONCE, told[-1]]
    assert 12_000 - 360 - 30 - 240 <= told[-1] <= 12_000 - 360
    reader = Reader(disk.path)
    (minutes, *larger) = reader.series()
    assert (minutes.bars, minutes.last_ms) == (12_000 - told[-1], bars[-1].open_ms)
    assert larger[0].first_ms == MONDAY_MS
    reader.close()
