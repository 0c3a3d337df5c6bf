"""What one contract's minutes become on their way to the writer and the hub."""

from __future__ import annotations

from dataclasses import replace

from actors.market.aggregator import ANNOUNCE_AGAIN_S, ASK_SEED_AGAIN_S, Aggregator
from actors.messages import (
    BarsPublished,
    ContractChanged,
    MinuteClosed,
    MinuteProgressed,
    MinuteRevised,
    MinutesFrom,
    PairMemberStarted,
    Seeded,
    SeedWanted,
    Store,
    Stored,
    Tick,
    Watched,
)
from bars import FIVE_MINUTES, LARGER, MINUTE, MINUTE_MS, STORED, Bar, IntervalBar, aggregate
from bars.decimals import UNITS_MAX
from storage import Change, ClosedBars, ContractsSeen, Origin, PartialBars
from tests.support.actors import Kill, Stage
from tests.support.market import MONDAY_MS, a_bar, a_contract

CONTRACT = a_contract()
KEY = CONTRACT.key


def minute(number: int) -> Bar:
    return a_bar(MONDAY_MS + number * MINUTE_MS)


class World:
    def __init__(self) -> None:
        self.stage = Stage()
        self.writer = self.stage.recorder("writer")
        self.hub = self.stage.recorder("hub")
        self.backfill = self.stage.recorder("backfill")
        self.now_s = 1_000.0
        self.cell = self.stage.play(
            "aggregator",
            lambda: Aggregator(
                CONTRACT, writer=self.writer.address, hub=self.hub.address, backfill=self.backfill.address
            ),
        )
        self.stage.settle()

    def tell(self, *messages: object) -> None:
        for message in messages:
            self.cell.address.tell(message)
        self.stage.settle()

    def tick(self, later_s: float = 1.0) -> None:
        self.now_s += later_s
        self.tell(Tick(None, None, self.now_s))

    def stored(self) -> list[Change]:
        """What was stored since the last time."""
        return [change for message in self.writer.taken() for change in message.changes]

    def published(self) -> list[BarsPublished]:
        return [message for message in self.hub.taken() if isinstance(message, BarsPublished)]


def closed(first: int, count: int = 1, by_rest: bool = False) -> list[MinuteClosed]:
    return [MinuteClosed(minute(number), by_rest) for number in range(first, first + count)]


def test_it_makes_itself_and_its_contract_known_first() -> None:
    world = World()
    assert world.stored() == [ContractsSeen([CONTRACT], only_new=True)]
    assert world.hub.told == [PairMemberStarted(KEY, world.cell.address)]


def test_closed_minutes_and_the_larger_bars_they_complete_go_out_at_once() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0, 4))
    world.stored()
    world.published()
    world.tell(*closed(4))
    five = aggregate([minute(number) for number in range(5)], MONDAY_MS)
    assert world.stored() == [
        ClosedBars(KEY, MINUTE, [minute(4)], Origin.STREAM, completes=True),
        ClosedBars(KEY, FIVE_MINUTES, [five], Origin.AGGREGATED, completes=True),
    ]
    (published,) = world.published()
    assert published == BarsPublished(KEY, [(MINUTE, minute(4)), (FIVE_MINUTES, five)], closed=True)  # type: ignore[list-item]


def test_where_a_larger_bar_ends_the_disk_adds_it_up_as_well_and_not_before() -> None:
    world = World()
    world.stored()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0, 6))
    minutes = [change for change in world.stored() if isinstance(change, ClosedBars) and change.interval is MINUTE]
    assert [change.completes for change in minutes[1:]] == [False, False, False, True, False]


def test_minutes_that_rest_closed_say_so() -> None:
    world = World()
    world.stored()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0, by_rest=True))
    (change,) = world.stored()
    assert isinstance(change, ClosedBars)
    assert change.origin is Origin.REST


def test_a_minute_that_came_before_is_stored_again_since_it_may_not_have_been_committed() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0, 3))
    world.stored()
    world.tell(*closed(1))
    assert world.stored() == [ClosedBars(KEY, MINUTE, [minute(1)], Origin.STREAM, completes=True)]


def test_while_beginnings_are_missing_the_disk_completes_the_larger_bars() -> None:
    world = World()
    world.stored()
    world.tell(MinutesFrom(MONDAY_MS + MINUTE_MS), *closed(1, 4))
    changes = world.stored()
    assert [(change.interval, change.completes) for change in changes if isinstance(change, ClosedBars)] == [
        (MINUTE, True)
    ] * 4


def test_a_partial_minute_costs_nothing_until_the_tick_which_stores_the_newest_once() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0))
    world.stored()
    for trades in (1, 2, 3):
        world.tell(MinuteProgressed(minute(1)._replace(trades=trades)))
    assert world.stored() == []
    world.tick()
    (change,) = world.stored()
    assert isinstance(change, PartialBars)
    assert [(interval, bar.trades) for interval, bar in change.bars] == [(MINUTE, 3)]
    assert [(interval, bar.trades) for interval, bar in change.begun] == [(i, minute(0).trades) for i in LARGER]
    world.tick()
    assert world.stored() == []


def test_bars_in_progress_hold_every_closed_minute_before_anybody_trades_again() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), MinuteProgressed(minute(0)._replace(trades=1)))
    world.tick()
    world.tell(*closed(0))  # with trades that no frame in between told of
    world.stored()
    world.tick()
    (change,) = world.stored()
    assert change == PartialBars(KEY, [IntervalBar(interval, minute(0)) for interval in LARGER])
    world.tick()
    assert world.stored() == []
    world.tell(MinuteProgressed(minute(1)))
    world.tick()
    (change,) = world.stored()
    assert isinstance(change, PartialBars)
    assert [(interval, bar.trades) for interval, bar in change.begun] == [(i, minute(0).trades) for i in LARGER]


def test_a_bar_in_progress_that_lacks_a_minute_is_not_left_as_it_was_before_that() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0))
    world.tick()
    world.stored()
    world.tell(MinuteProgressed(minute(2)))  # of the one before nothing is known
    world.tick()
    assert world.stored() == [PartialBars(KEY, [IntervalBar(MINUTE, minute(2))], [], list(LARGER))]
    world.tell(MinuteProgressed(minute(2)._replace(trades=9)))
    world.tick()
    assert world.stored() == [PartialBars(KEY, [IntervalBar(MINUTE, minute(2)._replace(trades=9))])]


def test_bars_in_progress_of_a_contract_that_nobody_trades_are_stored_as_soon_as_their_beginning_is_known() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS + 7 * MINUTE_MS))
    world.tick()
    world.tell(Seeded([minute(number) for number in range(7)], MONDAY_MS + 7 * MINUTE_MS))
    world.stored()
    world.tick()
    (change,) = world.stored()
    assert isinstance(change, PartialBars)
    assert [interval for interval, _ in change.bars] == list(LARGER)


def test_what_began_before_a_minute_is_stored_once_with_it() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0))
    world.stored()
    told = []
    for number, trades in ((1, 1), (1, 2), (2, 1), (2, 2)):
        world.tell(MinuteProgressed(minute(number)._replace(trades=trades)))
        world.tick()
        told += [len(change.begun) for change in world.stored() if isinstance(change, PartialBars)]
    assert told == [len(LARGER), 0, len(LARGER), 0]


def test_partial_bars_are_published_only_of_watched_intervals_and_with_every_event() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS))
    world.tell(MinuteProgressed(minute(0)))
    assert world.published() == []
    world.tell(Watched(frozenset({FIVE_MINUTES})), MinuteProgressed(minute(0)), MinuteProgressed(minute(0)))
    published = world.published()
    assert [[bar.interval for bar in message.bars] for message in published] == [[FIVE_MINUTES]] * 2
    assert not any(message.closed for message in published)


def test_trades_that_only_the_end_of_a_minute_told_are_published_of_larger_bars_within_a_tick() -> None:
    world = World()
    world.tell(Watched(frozenset([MINUTE, FIVE_MINUTES])), MinutesFrom(MONDAY_MS))
    world.tell(MinuteProgressed(minute(0)), *closed(0))
    world.published()
    world.tick()
    assert world.published() == []
    world.tell(MinuteProgressed(minute(1)._replace(trades=1)), *closed(1))
    world.published()
    world.tick()
    five = aggregate([minute(0), minute(1)], MONDAY_MS)
    assert world.published() == [BarsPublished(KEY, [IntervalBar(FIVE_MINUTES, five)], closed=False)]
    world.tick()
    world.tell(MinuteProgressed(minute(3)), *closed(2, by_rest=True))
    world.published()
    world.tick()
    five = aggregate([minute(number) for number in range(4)], MONDAY_MS)
    assert world.published() == [BarsPublished(KEY, [IntervalBar(FIVE_MINUTES, five)], closed=False)]


def test_what_bars_in_progress_begin_from_is_asked_for_until_it_comes() -> None:
    world = World()
    start_ms = MONDAY_MS + 7 * MINUTE_MS
    world.tick()
    assert world.backfill.told == []  # where its minutes begin is not known yet
    world.tell(MinutesFrom(start_ms))
    world.tick()
    world.tick()
    wanted = SeedWanted(CONTRACT, start_ms, world.cell.address)
    assert world.backfill.taken() == [wanted]
    world.tell(*closed(7))
    world.tick(ASK_SEED_AGAIN_S)
    assert world.backfill.taken() == [replace(wanted, stop_ms=start_ms + MINUTE_MS)]
    world.tell(Seeded([minute(number) for number in range(7)], start_ms))
    world.tell(MinuteProgressed(minute(8)))
    world.stored()
    world.tick(100)
    assert world.backfill.told == []
    (change,) = world.stored()
    assert isinstance(change, PartialBars)
    assert [bar.interval for bar in (*change.bars, *change.begun)] == list(STORED)


def test_a_seed_that_came_too_late_is_asked_for_again_at_the_next_tick() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS + MINUTE_MS), *closed(1))
    world.tick()
    assert len(world.backfill.taken()) == 1
    world.tell(*closed(9))  # after a hole
    world.tell(Seeded([minute(0)], MONDAY_MS + MINUTE_MS))
    world.tick()
    assert [message.stop_ms for message in world.backfill.taken()] == [MONDAY_MS + 10 * MINUTE_MS]


def test_a_revised_minute_is_stored_and_the_bars_in_progress_begin_anew() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0, 3))
    world.tick()
    world.stored()
    world.backfill.taken()
    revised = minute(1)._replace(trades=99)
    world.tell(MinuteRevised(revised, by_rest=True))
    stores = [message for message in world.writer.told if isinstance(message, Store)]
    assert world.stored() == [ClosedBars(KEY, MINUTE, [revised], Origin.REST, completes=True)]
    world.tick()
    assert world.backfill.told == [], "what is stored is the old minute still"
    world.tell(Stored(stores[-1].ticket))
    world.tick()
    assert [type(message) for message in world.backfill.told] == [SeedWanted]


def test_a_changed_contract_is_the_one_that_is_asked_for() -> None:
    world = World()
    finer = replace(CONTRACT, quantity_decimals=5)
    world.tell(MinutesFrom(MONDAY_MS + MINUTE_MS), ContractChanged(finer))
    world.tick()
    assert [message.contract for message in world.backfill.told] == [finer]


def test_all_larger_intervals_are_completed_by_the_last_minute_of_a_week() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS))
    world.stored()
    bars = dict.fromkeys(LARGER, 0)
    for number in range(7 * 24 * 60):
        world.cell.address.tell(closed(number)[0])
        if number % 1_000 == 0:
            world.stage.settle()
    world.stage.settle()
    for message in world.writer.of(Store):
        for change in message.changes:
            if isinstance(change, ClosedBars) and change.interval is not MINUTE:
                bars[change.interval] += 1
    assert list(bars.values()) == [7 * 288, 7 * 48, 7 * 6, 7, 1]


def test_a_sum_that_does_not_fit_leaves_out_the_larger_bar_and_nothing_else() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS))
    world.stored()
    huge = [replace_volume(minute(number), UNITS_MAX // 2) for number in range(4)]
    world.tell(*(MinuteClosed(bar, False) for bar in huge))
    stored = [change for change in world.stored() if isinstance(change, ClosedBars)]
    assert [change.bars[0] for change in stored] == huge
    assert world.cell.life == 1
    world.tell(*closed(4, 1))
    left_to_the_disk = world.writer.of(Store)[-1].ticket
    world.tell(Stored(left_to_the_disk), *closed(5, 5))
    five_minutes = [
        change.bars[0].open_ms
        for change in world.stored()
        if isinstance(change, ClosedBars) and change.interval is FIVE_MINUTES
    ]
    assert five_minutes == [MONDAY_MS + 5 * MINUTE_MS]


def replace_volume(bar: Bar, units: int) -> Bar:
    return bar._replace(volume=units, quote_volume=units, taker_buy_volume=0, taker_buy_quote_volume=0)


def test_minutes_that_a_former_life_left_wait_for_the_one_that_was_lost() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0))
    for message in (Kill(), *closed(2)):  # the second minute was lost with the crash
        world.cell.address.tell(message)
    world.stage.settle()
    world.cell.restart()
    world.stage.settle()
    world.stored()
    world.published()
    world.tell(*closed(3))
    assert world.published() == []
    world.tell(MinutesFrom(MONDAY_MS + MINUTE_MS), *closed(1, 3))
    assert [sent.bars[0].bar.open_ms for sent in world.published()] == [MONDAY_MS + n * MINUTE_MS for n in (1, 2, 3)]


def test_after_a_bar_that_only_the_disk_can_complete_the_next_ones_go_out_by_the_disk_too() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS + 2 * MINUTE_MS), *closed(2, 3))
    left = world.writer.taken()[-1]
    assert left.changes[0].is_news
    assert left.acknowledge is world.cell.address
    world.published()
    world.tell(*closed(5, 5))
    assert [len(sent.bars) for sent in world.published()] == [1] * 5
    followed = world.writer.taken()[-1]
    assert (len(followed.changes), followed.changes[0].is_news) == (1, True)
    world.tell(Stored(left.ticket))
    world.tell(*closed(10, 5))
    assert len(world.published()[-1].bars) == 1  # the one before is still on its way
    world.tell(Stored(followed.ticket), Stored(world.writer.taken()[-1].ticket))
    world.tell(*closed(15, 5))
    assert [interval for interval, _ in world.published()[-1].bars] == [MINUTE, FIVE_MINUTES]


def test_a_hub_that_does_not_answer_is_told_again_that_it_has_begun() -> None:
    world = World()
    world.hub.taken()
    world.tick()
    world.tick(ANNOUNCE_AGAIN_S)
    assert world.hub.taken() == []
    world.tick()
    assert world.hub.taken() == [PairMemberStarted(KEY, world.cell.address)]
    world.tell(Watched(frozenset()))
    world.tick(2 * ANNOUNCE_AGAIN_S)
    assert world.hub.taken() == []


def test_what_a_stream_that_begins_asks_the_hub_comes_after_all_minutes_that_waited() -> None:
    world = World()
    stream = world.stage.recorder("stream").address
    world.tell(MinutesFrom(MONDAY_MS), *closed(0))
    world.hub.taken()
    world.tell(
        *closed(1), PairMemberStarted(KEY, stream), *closed(2), MinutesFrom(MONDAY_MS + 2 * MINUTE_MS), *closed(2)
    )
    told = world.hub.taken()
    assert [type(message) for message in told] == [BarsPublished, PairMemberStarted, BarsPublished]
    assert [message.bars[0].bar for message in told[::2]] == [minute(1), minute(2)]
    assert told[1].member == stream


def test_a_minute_that_does_not_follow_on_the_one_before_says_so() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0, 2), *closed(5, 2))
    assert [message.is_leap for message in world.published()] == [False, False, True, False]


def test_minutes_that_a_stream_goes_through_again_follow_on_each_other() -> None:
    world = World()
    world.tell(MinutesFrom(MONDAY_MS), *closed(0, 5), MinutesFrom(MONDAY_MS + MINUTE_MS), *closed(1, 6))
    assert not any(message.is_leap for message in world.published())
