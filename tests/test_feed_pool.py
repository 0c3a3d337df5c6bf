"""Which feed carries what, how fast connections are made, and how a feed is followed by another."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from actors.market.feed_pool import ROTATE_MS, SUCCESSOR_S, FeedPool
from actors.messages import (
    Carry,
    ChildSpec,
    Connect,
    Drop,
    FeedSettled,
    FeedStats,
    FeedWaiting,
    GarbageSeen,
    Report,
    StartChild,
    StopChild,
    Tick,
)
from actors.runtime.cell import Address
from bars.interval import HOUR_MS
from exchange.pacing import CONNECTIONS_MAX, CONNECTIONS_WINDOW_S
from tests.support.actors import Heard, Kill, Recorder, Stage
from tests.support.market import MONDAY_MS
from wire.subscriptions import STREAMS_PER_CONNECTION


class NoDelay(Random):
    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return b


class World:
    """A pool; the test plays the supervisor and the feeds."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.supervisor = self.stage.recorder("supervisor")
        self.feeds: dict[str, Heard] = {}
        self.now_s = 1_000.0
        self.now_ms = MONDAY_MS
        self.cell = self.stage.play(
            "pool",
            lambda: FeedPool(self._spec, NoDelay(), supervisor=self.supervisor.address),
        )
        self.stream = self.stage.recorder("stream").address

    @staticmethod
    def _spec(name: str) -> ChildSpec:
        return ChildSpec(name, lambda: Recorder([]))

    def tell(self, message: object) -> None:
        self.cell.address.tell(message)
        self.stage.settle()

    def tick(self, later_s: float = 0.25, later_ms: int | None = None) -> None:
        """Time passes; feeds that were started since announce themselves."""
        self.now_s += later_s
        self.now_ms += round(later_s * 1_000) if later_ms is None else later_ms
        self.tell(Tick(self.now_ms, self.now_ms, self.now_s))
        for start in self.take(StartChild):
            feed = self.feeds[start.spec.name] = self.stage.recorder(start.spec.name)
            self.tell(FeedWaiting(start.spec.name, feed.address, "starting", 0.0))

    def take(self, kind: type) -> list[Any]:
        found = self.supervisor.of(kind)
        self.supervisor.told[:] = [message for message in self.supervisor.told if not isinstance(message, kind)]
        return found

    def carry(self, *names: str, stream: Address | None = None) -> None:
        self.tell(Carry(dict.fromkeys(names, stream or self.stream)))

    def carried(self, feed: str) -> set[str]:
        """What a feed was last told to carry."""
        return set(self.feeds[feed].of(Carry)[-1].streams)

    def connects(self, feed: str) -> int:
        return len(self.feeds[feed].of(Connect))

    def live(self, *names: str) -> None:
        """Streams are wanted, and the feed `feed 1` delivers them."""
        self.carry(*names)
        self.tick()
        self.tick()
        self.tell(FeedSettled("feed 1"))

    def facts(self) -> dict[str, Any]:
        return dict(self.supervisor.of(Report)[-1].facts)


def test_a_feed_is_told_all_of_its_streams_and_then_to_connect_once() -> None:
    world = World()
    world.carry("a@kline_1m", "b@kline_1m")
    world.carry("c@kline_1m")
    for _ in range(4):
        world.tick()
    assert list(world.feeds) == ["feed 1"]
    assert world.carried("feed 1") == {"a@kline_1m", "b@kline_1m", "c@kline_1m"}
    assert world.connects("feed 1") == 1


def test_no_feed_carries_more_than_200_streams_and_a_free_place_is_taken_again() -> None:
    world = World()
    names = [f"s{number}@kline_1m" for number in range(2 * STREAMS_PER_CONNECTION + 1)]
    world.carry(*names)
    world.tick()
    assert [len(world.carried(feed)) for feed in ("feed 1", "feed 2", "feed 3")] == [200, 200, 1]
    assert world.carried("feed 1") == set(names[:200])
    world.tell(Drop(frozenset({names[7], "unknown@kline_1m"})))
    world.carry("new@kline_1m")
    world.tick()
    assert world.carried("feed 1") == {*names[:7], *names[8:200], "new@kline_1m"}
    assert len(world.feeds) == 3


def test_what_is_carried_already_disturbs_no_feed_unless_its_stream_is_another() -> None:
    world = World()
    world.carry("a@kline_1m")
    world.tick()
    told = len(world.feeds["feed 1"].of(Carry))
    world.carry("a@kline_1m")
    world.tick()
    assert len(world.feeds["feed 1"].of(Carry)) == told
    another = world.stage.recorder("another stream").address
    world.carry("a@kline_1m", stream=another)
    world.tick()
    assert world.feeds["feed 1"].of(Carry)[-1].streams == {"a@kline_1m": another}


def test_connections_are_made_no_faster_than_the_exchange_allows() -> None:
    world = World()
    feeds = CONNECTIONS_MAX + 5
    world.carry(*(f"s{number}@kline_1m" for number in range(feeds * STREAMS_PER_CONNECTION)))
    world.tick()
    world.tick()
    assert sum(world.connects(feed) for feed in world.feeds) == CONNECTIONS_MAX
    world.tick(CONNECTIONS_WINDOW_S - 0.5)
    assert sum(world.connects(feed) for feed in world.feeds) == CONNECTIONS_MAX
    world.tick(0.5)
    assert sum(world.connects(feed) for feed in world.feeds) == feeds


def test_a_feed_that_lost_its_connection_waits_longer_each_time_until_it_was_stable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.live("a@kline_1m")
    feed = world.feeds["feed 1"]
    for number, delay_s in enumerate((1.0, 2.0, 4.0), start=1):
        world.tell(FeedWaiting("feed 1", feed.address, "the connection broke", 0.5))
        world.tick(delay_s - 0.25)
        assert world.connects("feed 1") == number
        world.tick(0.25)
        assert world.connects("feed 1") == number + 1
    assert "feed 1: the connection broke; connecting again in 4.0 s" in caplog.text
    world.tick(3_600)
    world.tell(FeedWaiting("feed 1", feed.address, "cut after long", 3_600.0))
    world.tick(1.0)
    assert world.connects("feed 1") == 5


def test_before_the_exchange_cuts_a_connection_a_new_one_is_settled_and_only_then_the_old_one_stops() -> None:
    world = World()
    world.live("a@kline_1m")
    world.tick(0.25, ROTATE_MS - HOUR_MS)
    assert list(world.feeds) == ["feed 1"]
    world.tick(0.25, HOUR_MS)
    assert list(world.feeds) == ["feed 1", "feed 1.1"]
    world.tick()
    assert world.connects("feed 1.1") == 1
    assert world.carried("feed 1.1") == {"a@kline_1m"}
    assert world.take(StopChild) == []
    world.carry("b@kline_1m")
    world.tick()
    assert world.carried("feed 1") == world.carried("feed 1.1") == {"a@kline_1m", "b@kline_1m"}
    world.tell(FeedSettled("feed 1.1"))
    assert world.take(StopChild) == [StopChild("feed 1")]
    world.tick(0.25, ROTATE_MS - HOUR_MS)
    assert "feed 1.2" not in world.feeds
    world.tick(0.25, HOUR_MS)
    assert "feed 1.2" in world.feeds


def test_feeds_that_were_born_together_rotate_one_after_the_other() -> None:
    world = World()
    world.carry(*(f"s{number}@kline_1m" for number in range(3 * STREAMS_PER_CONNECTION)))
    world.tick()
    world.tick()
    for feed in list(world.feeds):
        world.tell(FeedSettled(feed))
    world.tick(0.25, ROTATE_MS - HOUR_MS)
    new = []
    for _ in range(60):
        known = set(world.feeds)
        world.tick(0.25, HOUR_MS // 60)
        new.append(len(set(world.feeds) - known))
        for feed in set(world.feeds) - known:
            world.tell(FeedSettled(feed))
    assert sum(new) == 3
    assert max(new) == 1


def test_a_successor_that_does_not_settle_is_given_up_for_another_and_the_old_one_goes_on() -> None:
    world = World()
    world.live("a@kline_1m")
    world.tick(0.25, ROTATE_MS)
    assert "feed 1.1" in world.feeds
    world.tick(SUCCESSOR_S + 1, 1)
    assert world.take(StopChild) == [StopChild("feed 1.1")]
    world.tick()
    assert "feed 1.2" in world.feeds
    world.tell(FeedSettled("feed 1.1"))
    assert world.take(StopChild) == []
    world.tell(FeedSettled("feed 1.2"))
    assert world.take(StopChild) == [StopChild("feed 1")]


def test_a_feed_that_carries_nothing_any_more_is_not_followed_by_another() -> None:
    world = World()
    world.live("a@kline_1m")
    world.tell(Drop(frozenset({"a@kline_1m"})))
    world.tick(0.25, ROTATE_MS)
    world.tick(0.25, ROTATE_MS)
    assert list(world.feeds) == ["feed 1"]


def test_a_feed_that_nobody_knows_is_stopped() -> None:
    world = World()
    left_over = world.stage.recorder("feed 1.7")
    world.tell(FeedWaiting("feed 1.7", left_over.address, "starting", 0.0))
    assert world.take(StopChild) == [StopChild("feed 1.7")]
    assert left_over.told == []


def test_a_pool_that_begins_anew_stops_the_feeds_left_over_and_carries_what_it_is_told_again() -> None:
    world = World()
    world.live("a@kline_1m")
    world.tell(Kill())
    world.cell.address.tell(FeedSettled("feed 1"))
    world.cell.restart()
    world.stage.settle()
    world.tell(FeedWaiting("feed 1", world.feeds["feed 1"].address, "starting", 0.0))
    assert world.take(StopChild) == [StopChild("feed 1")]
    world.carry("a@kline_1m")
    world.tick()
    world.tick()
    assert world.carried("feed 1") == {"a@kline_1m"}
    assert world.connects("feed 1") == 1


def test_feeds_are_reported_with_what_they_have_seen() -> None:
    world = World()
    world.live("a@kline_1m")
    world.tell(FeedStats("feed 1", "live", 1, 1, 50, 2, 1_000.4))
    world.tell(FeedStats("unknown", "live", 1, 1, 50, 2, 9_999.0))
    world.tell(FeedWaiting("feed 1", world.feeds["feed 1"].address, "cut", 5.0))
    world.tick(10.0)
    facts = world.facts()
    assert facts["last_frame_s"] == 1_000.4
    assert facts["feeds"] == [
        {
            "name": "feed 1",
            "state": "live",
            "streams": 1,
            "proved": 1,
            "frames": 50,
            "garbage": 2,
            "reconnects": 1,
        }
    ]


def test_junk_is_counted_and_complained_about_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for number in range(300):
        world.tell(GarbageSeen("feed 1", f"junk {number}"))
        world.tick(0.5)
    complaints = [record.message for record in caplog.records if "could not be read" in record.message]
    assert complaints[0] == "1 frames or answers could not be read so far; last feed 1: junk 0"
    assert len(complaints) == 3
    assert world.facts()["garbage"] == 300
