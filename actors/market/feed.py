"""A feed: one WebSocket connection that carries many contracts' streams."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from actors.runtime.cell import Actor, Address
from exchange import ExchangeError, StreamConnection
from wire.frames import Answer, Frame, InvalidFrame, KlineFrame, OtherFrame, decode_frame
from wire.subscriptions import Subscriber

logger = logging.getLogger(__name__)

RECEIVE_S = 0.1
"""How long one step waits for a frame; ticks and commands wait as long at most."""
FRAMES_AT_ONCE = 256
GATHER_S, GATHER_UNHEARD_S = 0.005, 0.1
"""How long after a look at its socket a feed lets frames gather: while somebody listens, and while nobody does. Of the
exchange's time: on one that runs faster, what is a tenth of a second here may be a minute there."""
OBSERVE_EVERY_S = 0.2
SILENCE_S = 30.0
"""A connection without any data for this long is taken for frozen: TCP alive, no close and no frames have been seen."""


class Feed(Actor):
    """Owns one connection. It asks the pool before it connects, and says why when the connection is gone."""

    def __init__(
        self,
        name: str,
        open_connection: Callable[[], StreamConnection],
        monotonic: Callable[[], float],
        *,
        pool: Address,
        hub: Address,
        supervisor: Address,
    ) -> None:
        self._name = name
        self._open_connection = open_connection
        self._monotonic = monotonic
        self._pool = pool
        self._hub = hub
        self._gather_s = GATHER_UNHEARD_S
        self._supervisor = supervisor
        self._streams: Mapping[str, Address] = {}
        self._subscriber = Subscriber()
        self._connection: StreamConnection | None = None
        self._connected_s = 0.0
        self._data_s = 0.0
        self._observed_s = 0.0
        self._observed_ms = 0
        self._speed = 1.0
        self._last_frame_s: float | None = None
        self._is_settled = False
        self._frames = 0
        self._garbage = 0

    def begin(self) -> None:
        self._hub.tell(FeedStarted(self.me))
        self._pool.tell(FeedWaiting(self._name, self.me, "starting", 0.0))

    def end(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def receive(self, message: Any) -> None:
        match message:
            case Receive():
                self._step()
            case Tick():
                self._report()
            case Carry(streams):
                self._streams = streams
                self._subscriber.want(streams)
            case Connect():
                self._connect()
            case Listening(anybody):
                self._gather_s = GATHER_S if anybody else GATHER_UNHEARD_S
            case _:
                super().receive(message)

    def _connect(self) -> None:
        if self._connection is not None:
            return
        try:
            self._connection = self._open_connection()
        except ExchangeError as error:
            self._pool.tell(FeedWaiting(self._name, self.me, str(error), 0.0))
            return
        self._connected_s = self._data_s = self._monotonic()
        self._is_settled = False
        self._subscriber.connected()
        self.me.tell(Receive())

    def _step(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            while (request := self._subscriber.next_request(self._monotonic())) is not None:
                connection.send(request)
            payloads = connection.receive_batch(RECEIVE_S, FRAMES_AT_ONCE, self._gather_s / self._speed)
        except ExchangeError as error:
            self._disconnected(str(error))
            return
        now_s = self._monotonic()
        if payloads:
            self._handle(payloads, now_s)
        if self._connection is None:
            return
        if now_s - self._data_s > SILENCE_S and self._streams:
            self._disconnected(f"no data for {SILENCE_S:.0f} s")
            return
        self.me.tell(Receive())

    def _handle(self, payloads: Sequence[bytes], now_s: float) -> None:
        """Hand each event to its contract's stream; several of one batch keep their order."""
        streams, newest_ms = self._streams, 0
        for payload in payloads:
            try:
                frame = decode_frame(payload)
            except InvalidFrame as error:
                self._complain(str(error))
                continue
            if type(frame) is not KlineFrame:
                self._handle_other(frame)
                continue
            stream = streams.get(frame.stream)
            if stream is None:
                self._complain(f"a frame of {frame.stream!r:.80}, which is not subscribed")
                continue
            self._frames += 1
            self._subscriber.proved(frame.stream)
            newest_ms = max(newest_ms, frame.data.E)
            stream.tell(frame.data)
        if newest_ms:
            self._saw_data(newest_ms, now_s)

    def _saw_data(self, newest_ms: int, now_s: float) -> None:
        self._data_s = self._last_frame_s = now_s
        elapsed_s = now_s - self._observed_s
        if elapsed_s >= OBSERVE_EVERY_S:
            self._speed = max(1.0, (newest_ms - self._observed_ms) / 1_000 / elapsed_s)
            self._observed_s, self._observed_ms = now_s, newest_ms
            self._supervisor.tell(TimeObserved(newest_ms, now_s, is_frame=True))
        if not self._is_settled and self._subscriber.is_settled:
            self._is_settled = True
            self._pool.tell(FeedSettled(self._name))

    def _handle_other(self, frame: Frame) -> None:
        if isinstance(frame, Answer):
            self._subscriber.answered(frame.id)
            if frame.error is not None:
                self._complain(f"a request was refused: {frame.error}")
        elif isinstance(frame, OtherFrame) and frame.event == "serverShutdown":
            self._disconnected("the server announced its shutdown")

    def _complain(self, reason: str) -> None:
        self._garbage += 1
        self._pool.tell(GarbageSeen(self._name, reason))

    def _disconnected(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._pool.tell(FeedWaiting(self._name, self.me, reason, self._monotonic() - self._connected_s))

    def _report(self) -> None:
        state = "waiting" if self._connection is None else "live" if self._is_settled else "connecting"
        proved = len(self._streams) - len(self._subscriber.unproved)
        stats = FeedStats(
            self._name, state, len(self._streams), proved, self._frames, self._garbage, self._last_frame_s
        )
        self._pool.tell(stats)
