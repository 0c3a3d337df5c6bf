"""The simulated exchange: REST, streams, archive and listing on one loopback port, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

import uvicorn

from exchange.simulated.archive import LISTING_PATH, Archive
from exchange.simulated.clock import SimulatedClock
from exchange.simulated.connections import Audience, Connection
from exchange.simulated.counters import Counters
from exchange.simulated.default_plan import default_plan
from exchange.simulated.disturbance import Disturbance
from exchange.simulated.faults import Dice, FaultPlan
from exchange.simulated.front import Http
from exchange.simulated.keeper import GOING_AWAY, Keeper
from exchange.simulated.plan import WorldPlan
from exchange.simulated.push import Push
from exchange.simulated.recorded import RecordedSeries
from exchange.simulated.replay import RecordedFrame, replay
from exchange.simulated.rest import Rest
from exchange.simulated.sockets import Socket
from exchange.simulated.streams import Streams
from exchange.simulated.weight import WeightMeter
from exchange.simulated.world import World

HOST = "127.0.0.1"
BACKLOG = 1024
WORKERS = 2
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0


@final
class SimulatedExchange:
    """An exchange on loopback. May be used in a `with` statement; then it runs inside it.

    Args:
        plan: the world; None: the default one of seed 1.
        faults: what goes wrong; may be replaced at any time by assigning to `faults`.
        speed: how many times faster than real time the exchange's clock runs.
        port: 0 picks a free one.
        recorded: contracts whose bars are given by recorded files.
        pushes: whether the streams tell the world's bars; without, only `replay` sends frames.
        clock: replaces the clock that `plan` and `speed` give.
    """

    def __init__(
        self,
        plan: WorldPlan | None = None,
        faults: FaultPlan | None = None,
        speed: float = 1.0,
        port: int = 0,
        *,
        recorded: Iterable[RecordedSeries] = (),
        pushes: bool = True,
        clock: SimulatedClock | None = None,
    ) -> None:
        self.plan = plan or default_plan()
        self.faults = faults or FaultPlan()
        self.world = World(self.plan, recorded)
        self.counters = Counters()
        self.port = port
        self._speed = speed
        self._pushes = pushes
        self._clock = clock
        self._audience = Audience()
        self._keeper: Keeper | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._parts: tuple[Push | Http, ...] = ()

    def start(self) -> None:
        """Start serving, and the clock with it; returns when connections are accepted.

        Raises:
            OSError: the port is taken.
        """
        listener = _listen(self.port)
        self.port = listener.getsockname()[1]
        if self._clock is None:
            self._clock = SimulatedClock(self.plan.start_ms, self._speed)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener)), name=f"simulated-exchange-{self.port}", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise TimeoutError(f"starting the simulated exchange: not ready after {START_TIMEOUT_S} s")

    def stop(self) -> None:
        """Stop serving; what is open is cut. A second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._call(self._begin_stop)
        thread.join(STOP_TIMEOUT_S)

    def __enter__(self) -> SimulatedExchange:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def rest_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def archive_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def listing_url(self) -> str:
        """The whole address up to the `?`."""
        return f"http://{HOST}:{self.port}{LISTING_PATH}"

    def now_ms(self) -> int:
        """The exchange's time."""
        return self._clock.now_ms() if self._clock else self.plan.start_ms

    def disconnect_all(self) -> None:
        """Break every connection now, without a word."""
        self._each_connection(Keeper.cut)

    def close_all(self, code: int = GOING_AWAY, reason: str = "") -> None:
        """Close every connection now with a code."""
        self._each_connection(lambda keeper, connection: keeper.close(connection, code, reason))

    def freeze_connections(self) -> None:
        """Send the connections of this moment no data any more; they stay open, and pings go on."""
        self._each_connection(Keeper.freeze)

    def replay(self, frames: Iterable[RecordedFrame], speed: float | None = None, timeout_s: float = 60.0) -> int:
        """Send recorded frames to those who subscribed; returns how many frames somebody got.

        Args:
            speed: how many times faster than they were received; None: as fast as clients take them.
        """
        assert self._loop is not None, "replaying needs a started exchange"
        coroutine = replay(self._audience, frames, speed)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    async def _serve(self, listener: socket.socket) -> None:
        assert self._clock is not None
        self._loop = asyncio.get_running_loop()
        seed, limits = self.plan.seed, self.plan.limits
        disturbance = Disturbance(self._current_faults, Dice(seed, "frames"))
        keeper = Keeper(
            self._audience, self._clock, limits, self._current_faults, Dice(seed, "connections"), self.counters
        )
        push = Push(self.world, self._clock, self._audience, disturbance, self.counters, keeper.step)
        streams = Streams(
            self._audience, keeper, self._clock, limits, self._current_faults, Dice(seed, "handshakes"), self.counters
        )
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="simulated-answer") as workers:
            http = Http(
                Rest(self.world, Dice(seed, "nodes")),
                Archive(self.world),
                WeightMeter(limits, self.counters.weight_by_minute),
                self._clock,
                self._current_faults,
                Dice(seed, "answers"),
                self.counters,
                workers,
            )
            self._keeper, self._parts = keeper, (push, http)
            self._server = uvicorn.Server(_config(http, streams))
            push.start(self._loop, tells=self._pushes)
            self._ready.set()
            await self._server.serve(sockets=[listener])

    def _begin_stop(self) -> None:
        for part in self._parts:
            part.stop()
        if self._keeper is not None:
            for connection in list(self._audience.connections):
                self._keeper.cut(connection)
        if self._server is not None:
            self._server.should_exit = True

    def _current_faults(self) -> FaultPlan:
        return self.faults

    def _each_connection(self, action: Callable[[Keeper, Connection], None]) -> None:
        def act() -> None:
            assert self._keeper is not None
            for connection in list(self._audience.connections):
                action(self._keeper, connection)

        self._call(act)

    def _call(self, action: Callable[[], None]) -> None:
        """Do something in the server's thread, and wait until it is done."""

        async def run() -> None:
            action()

        assert self._loop is not None, "the exchange was not started"
        asyncio.run_coroutine_threadsafe(run(), self._loop).result(STOP_TIMEOUT_S)


def _listen(port: int) -> socket.socket:
    """A listening socket that names its protocol: only then does asyncio turn off Nagle's delay of 40 ms."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _config(http: Http, streams: Streams) -> uvicorn.Config:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await (http if scope["type"] == "http" else streams)(scope, receive, send)

    return uvicorn.Config(
        application,
        ws=Socket,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=2,
    )
