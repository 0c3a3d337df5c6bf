"""Who hears of which bars, in what order, and what becomes of a subscriber that cannot keep up."""

from __future__ import annotations

import pytest

from actors.market.hub import Hub, HubBook
from actors.messages import (
    BarsPublished,
    FeedStarted,
    Listening,
    PairMemberStarted,
    Subscribe,
    Tick,
    Unsubscribe,
    Watched,
)
from bars import FIVE_MINUTES, MINUTE, MINUTE_MS, STORED, ContractKey, Interval, IntervalBar
from tests.support.actors import Fall, Heard, Kill, Stage
from tests.support.market import MONDAY_MS, a_bar
from wire.published import BarEvent

BTC, ETH = ContractKey("BTCUSDT", 1), ContractKey("ETHUSDT", 2)


class Listener:
    """Keeps what is delivered, as long as it can."""

    def __init__(self, patience: int = 1_000) -> None:
        self.heard: list[tuple[str, str, int, bool]] = []
        self.patience = patience

    def deliver(self, event: BarEvent) -> bool:
        if len(self.heard) == self.patience:
            return False
        minute = (event.bar.open_ms - MONDAY_MS) // MINUTE_MS
        self.heard.append((event.key.symbol, event.interval.name, minute, event.closed))
        return True


class World:
    def __init__(self) -> None:
        self.stage = Stage()
        self.book = book = HubBook()
        self.cell = self.stage.play("hub", lambda: Hub(book))
        self.aggregators: dict[ContractKey, Heard] = {}
        self.now_s = 1_000.0
        self.tick(self.now_s)

    def tell(self, message: object) -> None:
        self.cell.address.tell(message)
        self.stage.settle()

    def tick(self, now_s: float) -> None:
        self.tell(Tick(None, None, now_s))

    def let_pass(self, seconds: int) -> None:
        """Second by second."""
        for _ in range(seconds):
            self.now_s += 1
            self.tick(self.now_s)

    def start(self, *keys: ContractKey) -> None:
        for key in keys:
            heard = self.aggregators.setdefault(key, self.stage.recorder(f"aggregator {key.symbol}"))
            self.tell(PairMemberStarted(key, heard.address))

    def watched(self, key: ContractKey) -> set[Interval]:
        """What the aggregator was last told."""
        last: Watched = self.aggregators[key].of(Watched)[-1]
        return set(last.intervals)

    def subscribe(
        self, token: object, symbol: str | None = None, interval: Interval | None = None, patience: int = 1_000
    ) -> Listener:
        listener = Listener(patience)
        self.tell(Subscribe(token, listener.deliver, symbol, interval))
        return listener

    def publish(
        self,
        minute: int,
        closed: bool = False,
        key: ContractKey = BTC,
        interval: Interval = MINUTE,
        is_leap: bool = False,
    ) -> None:
        bar = IntervalBar(interval, a_bar(MONDAY_MS + minute * MINUTE_MS))
        self.tell(BarsPublished(key, [bar], closed, is_leap=is_leap))


def test_each_hears_what_he_asked_for() -> None:
    world = World()
    everything = world.subscribe("everything")
    one = world.subscribe("one", "BTCUSDT", FIVE_MINUTES)
    minutes = world.subscribe("minutes", None, MINUTE)
    world.publish(0)
    world.publish(0, interval=FIVE_MINUTES)
    world.publish(0, key=ETH, interval=FIVE_MINUTES, closed=True)
    assert everything.heard == [
        ("BTCUSDT", "1m", 0, False),
        ("BTCUSDT", "5m", 0, False),
        ("ETHUSDT", "5m", 0, True),
    ]
    assert one.heard == [("BTCUSDT", "5m", 0, False)]
    assert minutes.heard == [("BTCUSDT", "1m", 0, False)]


def test_after_a_final_nothing_of_that_bar_or_an_older_one_of_its_series_goes_out() -> None:
    world = World()
    listener = world.subscribe("one")
    world.publish(1)
    world.publish(1, closed=True)
    for minute, closed in ((1, False), (1, True), (0, True), (0, False)):
        world.publish(minute, closed)
    world.publish(0, closed=True, interval=FIVE_MINUTES)
    world.publish(0, closed=True, key=ETH)
    world.publish(2)
    world.publish(2, closed=True)
    assert listener.heard == [
        ("BTCUSDT", "1m", 1, False),
        ("BTCUSDT", "1m", 1, True),
        ("BTCUSDT", "5m", 0, True),
        ("ETHUSDT", "1m", 0, True),
        ("BTCUSDT", "1m", 2, False),
        ("BTCUSDT", "1m", 2, True),
    ]


def test_one_who_cannot_keep_up_is_cut_off_and_the_others_hear_on(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.start(BTC)
    slow, quick = world.subscribe("slow", patience=2), world.subscribe("quick", interval=MINUTE)
    for minute in range(4):
        world.publish(minute, closed=True)
    slow.patience = 1_000
    world.publish(4, closed=True)
    assert len(slow.heard) == 2
    assert len(quick.heard) == 5
    assert [record.message for record in caplog.records] == [
        "a subscriber of BTCUSDT 1m could not keep up and is cut off"
    ]
    assert world.watched(BTC) == {MINUTE}


def test_one_who_raises_is_cut_off_and_is_no_crash_of_the_hub(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_event: BarEvent) -> bool:
        raise Fall("the loop is closed")

    world = World()
    world.tell(Subscribe("broken", broken, None, None))
    other = world.subscribe("other")
    world.publish(0)
    world.publish(1)
    assert len(other.heard) == 2
    assert world.stage.crashes == []
    assert caplog.text.count("Fall: the loop is closed") == 1


def test_aggregators_are_told_which_intervals_are_listened_to() -> None:
    world = World()
    world.start(BTC, ETH)
    assert (world.watched(BTC), world.watched(ETH)) == (set(), set())
    world.subscribe("five", "BTCUSDT", FIVE_MINUTES)
    assert (world.watched(BTC), world.watched(ETH)) == ({FIVE_MINUTES}, set())
    world.subscribe("minutes", None, MINUTE)
    assert (world.watched(BTC), world.watched(ETH)) == ({FIVE_MINUTES, MINUTE}, {MINUTE})
    world.subscribe("all of one", "ETHUSDT")
    assert world.watched(ETH) == set(STORED)
    for token in ("five", "minutes", "all of one", "never subscribed"):
        world.tell(Unsubscribe(token))
    assert (world.watched(BTC), world.watched(ETH)) == (set(), set())


def test_an_aggregator_that_starts_later_or_anew_is_told_at_once() -> None:
    world = World()
    world.subscribe("five", "BTCUSDT", FIVE_MINUTES)
    world.start(BTC)
    assert world.watched(BTC) == {FIVE_MINUTES}
    world.aggregators[BTC].taken()
    world.start(BTC)
    assert world.watched(BTC) == {FIVE_MINUTES}


def test_stream_and_aggregator_of_a_contract_are_both_told() -> None:
    world = World()
    members = [world.stage.recorder("stream BTCUSDT"), world.stage.recorder("aggregator BTCUSDT")]
    for member in members:
        world.tell(PairMemberStarted(BTC, member.address))
    world.subscribe("five", "BTCUSDT", FIVE_MINUTES)
    assert [member.of(Watched)[-1].intervals for member in members] == [{FIVE_MINUTES}] * 2


def test_an_answer_names_the_life_that_asked() -> None:
    world, life = World(), object()
    member = world.stage.recorder("stream BTCUSDT")
    world.tell(PairMemberStarted(BTC, member.address, life))
    world.subscribe("five", "BTCUSDT", FIVE_MINUTES)
    assert [watched.life for watched in member.of(Watched)] == [life, None]


def test_one_who_has_left_hears_no_more() -> None:
    world = World()
    listener = world.subscribe("one")
    world.publish(0)
    world.tell(Unsubscribe("one"))
    world.publish(1)
    assert len(listener.heard) == 1


def test_a_hub_that_begins_anew_still_knows_its_subscribers_and_the_finals() -> None:
    world = World()
    world.start(BTC)
    listener = world.subscribe("one", "BTCUSDT", MINUTE)
    world.publish(1, closed=True)
    world.tell(Kill())
    world.cell.restart()
    world.publish(1, closed=True)
    world.publish(0)
    world.publish(2)
    assert [heard[2:] for heard in listener.heard] == [(1, True), (2, False)]
    world.subscribe("another", "BTCUSDT", FIVE_MINUTES)
    assert world.watched(BTC) == {MINUTE, FIVE_MINUTES}


def test_feeds_are_told_when_the_first_comes_to_listen_and_when_the_last_has_left() -> None:
    world = World()
    feed = world.stage.recorder("feed 1")
    world.tell(FeedStarted(feed.address))
    assert feed.taken() == [Listening(False)]
    world.subscribe("one")
    world.subscribe("other", "BTCUSDT", patience=0)
    assert feed.taken() == [Listening(True)]
    world.start(BTC)
    world.publish(0)  # the other is cut off
    world.tell(Unsubscribe("one"))
    assert feed.taken() == [Listening(False)]
    late = world.stage.recorder("feed 2")
    world.subscribe("again")
    world.tell(FeedStarted(late.address))
    assert late.taken() == [Listening(True)]


def test_a_feed_that_was_stopped_is_forgotten_when_another_begins() -> None:
    world = World()
    for number in range(3):
        feed = world.stage.recorder(f"feed 1.{number}")
        world.tell(FeedStarted(feed.address))
        feed.cell.request_stop()
        world.stage.settle()
    assert list(world.book.feeds) == ["feed 1.2"]


def test_a_minutes_event_says_whether_rest_told_of_it() -> None:
    world, events = World(), list[BarEvent]()

    def deliver(event: BarEvent) -> bool:
        events.append(event)
        return True

    world.tell(Subscribe("me", deliver, None, None))
    for minute, by_rest in enumerate((False, True)):
        bars = [IntervalBar(MINUTE, a_bar(MONDAY_MS + minute * MINUTE_MS))]
        world.tell(BarsPublished(BTC, bars, closed=True, by_rest=by_rest))
    assert [event.by_rest for event in events] == [False, True]


def test_whoever_begins_is_told_which_minute_was_told_of_last() -> None:
    world = World()
    world.start(BTC)
    assert world.aggregators[BTC].of(Watched)[-1].final_ms is None
    world.publish(7, closed=True)
    world.publish(5, closed=True, interval=FIVE_MINUTES)
    world.start(BTC)
    assert world.aggregators[BTC].of(Watched)[-1].final_ms == MONDAY_MS + 7 * MINUTE_MS


def test_what_history_completes_does_not_overtake_minutes_that_are_still_to_come() -> None:
    world = World()
    listener = world.subscribe("me", interval=FIVE_MINUTES)
    for last_told in (8, 9):
        world.publish(last_told, closed=True)
        bar = IntervalBar(FIVE_MINUTES, a_bar(MONDAY_MS + 5 * MINUTE_MS))
        world.tell(BarsPublished(BTC, [bar], closed=True, is_history=True))
        assert len(listener.heard) == (last_told == 9)


def finals_of(listener: Listener) -> list[int]:
    return [minute for _, _, minute, closed in listener.heard if closed]


def test_a_larger_bar_that_comes_before_its_forerunner_waits_for_it() -> None:
    world = World()
    world.start(BTC)
    listener = world.subscribe("me", interval=FIVE_MINUTES)
    world.publish(0, closed=True, interval=FIVE_MINUTES)
    for minute in range(4, 15):
        world.publish(minute, closed=True)
    world.publish(10, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == [0]
    world.start(BTC)  # a pair that begins anew goes on where nothing is missing
    assert world.aggregators[BTC].of(Watched)[-1].final_ms == MONDAY_MS + 4 * MINUTE_MS
    world.publish(5, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == [0, 5, 10]
    world.publish(10, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == [0, 5, 10]
    world.start(BTC)
    assert world.aggregators[BTC].of(Watched)[-1].final_ms == MONDAY_MS + 14 * MINUTE_MS


def test_a_larger_bar_waits_ten_minutes_at_most_for_its_forerunner() -> None:
    world = World()
    listener = world.subscribe("me", interval=FIVE_MINUTES)
    world.publish(0, closed=True, interval=FIVE_MINUTES)
    for minute in range(4, 60):  # all at once, and long behind
        world.publish(minute, closed=True)
    world.publish(10, closed=True, interval=FIVE_MINUTES)
    world.let_pass(599)
    assert finals_of(listener) == [0]
    world.publish(15, closed=True, interval=FIVE_MINUTES)
    world.let_pass(1)
    assert finals_of(listener) == [0, 10, 15]


def test_while_the_machine_sleeps_no_larger_bar_waits() -> None:
    world = World()
    listener = world.subscribe("me", interval=FIVE_MINUTES)
    world.publish(0, closed=True, interval=FIVE_MINUTES)
    world.publish(10, closed=True, interval=FIVE_MINUTES)
    for hour in range(1, 100):
        world.tick(hour * 3_600.0)
    world.tell(Kill())
    world.cell.restart()
    for hour in range(101, 110):
        world.tick(hour * 3_600.0)
    assert finals_of(listener) == [0]
    world.publish(5, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == [0, 5, 10]


@pytest.mark.parametrize("is_leap", [True, False])
def test_no_larger_bar_waits_where_minutes_were_left_out_but_where_they_were_lost_here(is_leap: bool) -> None:
    world = World()
    world.start(BTC)
    listener = world.subscribe("me", interval=FIVE_MINUTES)
    world.publish(0, closed=True, interval=FIVE_MINUTES)
    for minute in (4, 5, 6, 8, 9, 10, 11, 12, 13, 14):
        world.publish(minute, closed=True, is_leap=is_leap and minute == 8)
    world.publish(10, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == ([0, 10] if is_leap else [0])
    world.start(BTC)
    assert world.aggregators[BTC].of(Watched)[-1].final_ms == MONDAY_MS + (14 if is_leap else 4) * MINUTE_MS


def test_where_minutes_were_left_out_the_larger_bars_before_and_after_are_waited_for_all_the_same() -> None:
    world = World()
    listener = world.subscribe("me", interval=FIVE_MINUTES)
    world.publish(0, closed=True, interval=FIVE_MINUTES)
    for minute in (*range(4, 12), *range(13, 30)):
        world.publish(minute, closed=True, is_leap=minute == 13)
    world.publish(25, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == [0]
    world.publish(5, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == [0, 5]
    world.publish(15, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == [0, 5, 15]
    world.publish(20, closed=True, interval=FIVE_MINUTES)
    assert finals_of(listener) == [0, 5, 15, 20, 25]
