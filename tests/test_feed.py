"""One feed with one connection: what it asks for, whom it hands what, and when it takes a connection for lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import msgspec
import pytest

from actors.market.feed import SILENCE_S, Feed
from actors.messages import (
    Carry,
    Connect,
    FeedSettled,
    FeedStarted,
    FeedStats,
    FeedWaiting,
    GarbageSeen,
    Listening,
    Receive,
    Tick,
    TimeObserved,
)
from actors.runtime.cell import UnexpectedMessage
from bars import MINUTE
from exchange import Disconnected, StreamConnection
from tests.support.actors import Heard, Stage
from tests.support.market import MONDAY_MS, a_bar
from tests.support.turns import Turns
from tests.support.virtual_connection import VirtualConnection
from wire.frames import KlineEvent, kline_event
from wire.names import kline_stream

BTC, ETH = kline_stream("BTCUSDT", MINUTE), kline_stream("ETHUSDT", MINUTE)


class Patient(VirtualConnection):
    """A connection that keeps how long it was to let frames gather, and whether it was closed."""

    is_closed = False
    gather_s = 0.0

    def receive_batch(self, timeout_s: float, count_max: int, gather_s: float) -> list[bytes]:
        self.gather_s = gather_s
        return super().receive_batch(timeout_s, count_max, gather_s)

    def close(self) -> None:
        super().close()
        self.is_closed = True


class World:
    """A feed; the test plays the pool, the streams and the exchange."""

    def __init__(self) -> None:
        self.connections: list[Patient] = []
        self.refusal: Disconnected | None = None
        self.now_s = 1_000.0
        self._turns = Turns("feed", lambda name: name == "feed-1" and self.is_idle)
        stage = Stage(dispatcher=self._turns)
        self.stage = stage
        self.pool, self.hub, self.supervisor = (stage.recorder(name) for name in ("pool", "hub", "supervisor"))
        self.btc, self.eth = stage.recorder("BTCUSDT"), stage.recorder("ETHUSDT")
        self.cell = stage.play(
            "feed-1",
            lambda: Feed(
                "feed-1",
                lambda: cast(StreamConnection, self._connect()),
                lambda: self.now_s,
                pool=self.pool.address,
                hub=self.hub.address,
                supervisor=self.supervisor.address,
            ),
        )
        self.settle()

    @property
    def connection(self) -> Patient:
        """The newest one."""
        return self.connections[-1]

    @property
    def is_idle(self) -> bool:
        return bool(self.connections) and self.connection.is_idle

    def _connect(self) -> Patient:
        if self.refusal is not None:
            raise self.refusal
        self.connections.append(Patient(lambda _: False, MONDAY_MS))
        return self.connection

    def settle(self) -> None:
        """Until nothing is left to do but to wait for frames."""
        if self.connections:
            self.connection.was_read_in_vain = False
        while self._turns.step() is not None:
            pass

    def tell(self, message: object) -> None:
        self.cell.address.tell(message)
        self.settle()

    def come(self, *frames: bytes) -> None:
        """Frames come, all with one look."""
        for frame in frames:
            self.connection.deliver(frame)
        self.settle()

    def connected(self) -> None:
        """Let it carry two streams, and connect."""
        self.tell(Carry({BTC: self.btc.address, ETH: self.eth.address}))
        self.tell(Connect())

    def stats(self) -> FeedStats:
        self.tell(Tick(MONDAY_MS, MONDAY_MS, self.now_s))
        stats: FeedStats = self.pool.of(FeedStats)[-1]
        return stats

    def waits(self) -> list[tuple[str, float]]:
        """Why it asked the pool for a connection, each with how long the one before had lasted."""
        return [(wait.reason, wait.lived_s) for wait in self.pool.of(FeedWaiting)]

    def complaints(self) -> list[str]:
        return [seen.reason for seen in self.pool.of(GarbageSeen)]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    assert [crash.error for crash in world.stage.crashes] == []


def frame(stream: str, open_ms: int = MONDAY_MS, event_ms: int = MONDAY_MS + 1_000) -> bytes:
    symbol = stream.partition("@")[0].upper()
    event = kline_event(symbol, MINUTE, a_bar(open_ms), closed=False, event_ms=event_ms)
    return msgspec.json.encode({"stream": stream, "data": event})


def opens_ms(stream: Heard) -> list[int]:
    return [event.k.t for event in stream.of(KlineEvent)]


def test_it_waits_for_the_pool_before_it_connects(world: World) -> None:
    world.tell(Carry({BTC: world.btc.address}))
    assert world.connections == []
    assert world.waits() == [("starting", 0.0)]
    assert [started.feed for started in world.hub.of(FeedStarted)] == [world.cell.address]
    assert world.stats().state == "waiting"
    world.tell(Connect())
    assert list(world.connection.publisher.names) == [BTC]


def test_each_frame_reaches_its_contract_in_order(world: World) -> None:
    world.connected()
    later_ms = MONDAY_MS + 60_000
    world.come(frame(BTC), frame(ETH), frame(BTC, later_ms), frame(BTC, later_ms))
    assert (opens_ms(world.btc), opens_ms(world.eth)) == ([MONDAY_MS, later_ms, later_ms], [MONDAY_MS])
    assert [observed.exchange_ms for observed in world.supervisor.of(TimeObserved)] == [MONDAY_MS + 1_000]
    stats = world.stats()
    assert (stats.state, stats.streams, stats.proved, stats.frames, stats.garbage) == ("live", 2, 2, 4, 0)


def test_it_is_settled_once_when_all_is_answered_and_frames_flow(world: World) -> None:
    world.connected()
    assert world.stats().state == "connecting"
    for _ in range(3):
        world.come(frame(BTC))
    assert len(world.pool.of(FeedSettled)) == 1


def test_a_second_leave_to_connect_changes_nothing(world: World) -> None:
    world.connected()
    world.tell(Connect())
    assert len(world.connections) == 1


def test_where_nobody_answers_the_pool_hears_why_and_may_let_it_try_again(world: World) -> None:
    world.refusal = Disconnected("connecting: refused", code=1001)
    world.connected()
    assert world.waits()[-1] == (str(world.refusal), 0.0)
    world.refusal = None
    world.tell(Connect())
    world.come(frame(BTC))
    assert opens_ms(world.btc) == [MONDAY_MS]


@pytest.mark.parametrize("carried", [(), (BTC, ETH)], ids=["while it reads", "while it asks"])
def test_a_broken_connection_is_told_with_its_age_and_another_one_asks_for_everything_again(
    world: World, carried: tuple[str, ...]
) -> None:
    world.connected()
    world.come(frame(BTC))
    world.now_s += 7
    world.connection.is_broken = True
    world.tell(Carry(dict.fromkeys(carried, world.btc.address)) if carried else Receive())
    assert world.waits()[-1][1] == 7
    assert "broke" in world.waits()[-1][0]
    assert world.connection.is_closed
    world.tell(Receive())  # one that was under way
    world.tell(Connect())
    assert set(world.connection.publisher.names) == {BTC, ETH}


def test_a_connection_without_data_for_half_a_minute_is_given_up(world: World) -> None:
    world.connected()
    world.come(frame(BTC))
    world.now_s += SILENCE_S
    world.settle()
    assert len(world.waits()) == 1
    world.now_s += 1
    world.settle()
    assert world.waits()[-1] == (f"no data for {SILENCE_S:.0f} s", SILENCE_S + 1)
    assert world.connection.is_closed


def test_a_connection_on_which_nothing_is_wanted_may_be_silent(world: World) -> None:
    world.connected()
    world.tell(Carry({}))
    world.now_s += 10 * SILENCE_S
    world.settle()
    assert not world.connection.is_closed
    assert list(world.connection.publisher.names) == []


@pytest.mark.parametrize("times", [1, 2])
def test_what_came_before_the_announcement_of_a_shutdown_is_handed_on_and_the_connection_left(
    world: World, times: int
) -> None:
    world.connected()
    world.come(frame(BTC), *times * [b'{"e":"serverShutdown","E":1}'])
    assert opens_ms(world.btc) == [MONDAY_MS]
    assert world.waits()[-1][0] == "the server announced its shutdown"
    assert world.connection.is_closed


def test_an_event_of_another_kind_is_passed_over(world: World) -> None:
    world.connected()
    world.come(b'{"stream":"btcusdt@markPrice","data":{"e":"markPriceUpdate","E":1}}', frame(BTC))
    assert opens_ms(world.btc) == [MONDAY_MS]
    assert world.complaints() == []


def test_garbage_is_counted_and_told_and_keeps_nobody_from_his_frames(world: World) -> None:
    world.connected()
    world.come(b"\xff\xfe", frame("solusdt@kline_1m"), b'{"error":{"code":2,"msg":"no"},"id":9}', frame(BTC))
    assert opens_ms(world.btc) == [MONDAY_MS]
    unreadable, unknown, refused = world.complaints()
    assert unreadable.startswith("reading a frame: expected a kline event or an answer")
    assert unknown == "a frame of 'solusdt@kline_1m', which is not subscribed"
    assert refused.startswith("a request was refused: ")
    assert world.stats().garbage == 3


def test_frames_gather_for_longer_while_nobody_listens(world: World) -> None:
    world.connected()
    unheard_s = world.connection.gather_s
    world.tell(Listening(anybody=True))
    world.settle()
    assert world.connection.gather_s < unheard_s
    world.tell(Listening(anybody=False))
    world.settle()
    assert world.connection.gather_s == unheard_s


def test_on_an_exchange_that_runs_faster_frames_gather_for_as_long_of_its_time(world: World) -> None:
    world.connected()
    unheard_s = world.connection.gather_s
    for second in range(2):
        world.come(frame(BTC, event_ms=MONDAY_MS + second * 60_000))
        world.now_s += 1
    world.settle()
    assert world.connection.gather_s == unheard_s / 60


def test_a_feed_that_stops_closes_its_connection(world: World) -> None:
    world.connected()
    world.cell.request_stop()
    world.settle()
    assert world.connection.is_closed
    assert world.stage.ended == ["feed-1"]


def test_a_feed_that_never_connected_stops_too(world: World) -> None:
    world.cell.request_stop()
    world.settle()
    assert world.stage.ended == ["feed-1"]


def test_a_letter_that_is_none_of_its_own_is_a_mistake(world: World) -> None:
    world.tell(FeedSettled("feed-2"))
    (crash,) = world.stage.crashes
    assert isinstance(crash.error, UnexpectedMessage)
    world.stage.crashes.clear()
