"""BarSystem: everything put together, started and stopped. The way to embed Barkeep in another program."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from actors.data_service import wall_clock_ms
from actors.messages import Beat, Begin, StopAll, Subscribe, Tick, Unsubscribe
from actors.parts import Entrances, Parts, outside
from actors.runtime.cell import Address, Cell, Crash
from actors.runtime.dispatcher import ThreadDispatcher
from actors.runtime.status import SILENCE_S, Status
from actors.runtime.supervisor import BEAT_S, Supervisor, Wiring
from actors.runtime.threads import RealThreads
from actors.settings import Settings
from actors.span_requests import SpanRequests
from actors.subscriptions import BarView, Subscription, view_of
from bars import INTERVALS, MINUTE_MS, STORED, ContractKey, Interval, Span
from storage import BarStore, Reader
from wire.names import upper
from wire.published import Deliver

logger = logging.getLogger(__name__)

START_S = 30.0
STOP_S = 20.0
STEPS = 5
"""In each beat the metronome strikes so often: what the contracts do in one step keeps frames waiting for 3 ms."""
CALLBACK_S = 2.0
"""How long a callback that runs may take to end when nobody wants it any more."""
NOT_RUNNING = "the system is not running: expected start() before, or a with block"


class BarSystem:
    """Keeps the bars of the chosen contracts in one database.

        with BarSystem(database="bars.db", symbols=["BTCUSDT"]) as bars:
            bars.subscribe(print, symbol="BTCUSDT", interval="5m")
            bars.latest("BTCUSDT", "5m")
            bars.history("BTCUSDT", "5m", limit=500)

    Takes a `Settings`, or the command line's options as keywords. It installs no signal handler, configures
    no logging and never ends the process; several systems live side by side on different databases.

    Raises (when made):
        BadOption: an option's value is not acceptable.
    """

    def __init__(self, settings: Settings | None = None, **options: Any) -> None:
        self.settings = Settings.of(**options) if settings is None else settings
        self._random = Random()
        self._subscriptions: dict[object, Subscription] = {}
        self._status: dict[str, Any] = {"state": "stopped"}
        self._clock: tuple[int, float] | None = None
        self._published_s: float | None = None
        self._failure: str | None = None
        self._failed = threading.Event()
        self._run: _Run | None = None
        self._reader: Reader | None = None

    # --- life

    def start(self) -> None:
        """Open the database and start everything; returns when the actors run, not when bars have come.

        Raises:
            StorageError: the database is in use, unusable, or of a newer version.
        """
        if self._run is not None:
            return
        path = self.settings.database
        BarStore.open(path).close()
        self._reader = Reader(path)
        self._failed.clear()
        self._failure = self._published_s = None
        self._run = _Run(self)
        try:
            self._run.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in order: callbacks, then sources; the writer commits last. A second call does nothing."""
        run, self._run = self._run, None
        if run is None:
            return
        if run.requests is not None:
            run.requests.close()
        self._end_callbacks(run)
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()  # before the writer: SQLite merges its log into the file when the writer closes last
        run.stop()
        self._status = {**self._status, "state": "stopped"}

    def _end_callbacks(self, run: _Run) -> None:
        subscriptions, self._subscriptions = self._subscriptions, {}
        for token, subscription in subscriptions.items():
            run.hub.tell(Unsubscribe(token))
            subscription.end()
        deadline_s = time.monotonic() + CALLBACK_S
        for subscription in subscriptions.values():
            subscription.join(max(0.0, deadline_s - time.monotonic()))

    def __enter__(self) -> BarSystem:  # noqa: PYI034 - Self came with Python 3.11
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the system gives up, but at most `timeout_s`; True when it did."""
        return self._failed.wait(timeout_s)

    @property
    def failure(self) -> str | None:
        """Why it gave up, if it did: an actor crashed too often."""
        return self._failure

    # --- bars

    def subscribe(
        self, callback: Callable[[BarView], object], symbol: str | None = None, interval: str | None = None
    ) -> object:
        """Call `callback` with each bar as it changes, partial ones and closed ones, in a thread of its own.

        Args:
            symbol: of one contract only; None for all.
            interval: one of the stored ones; None for all of them.

        Returns a token for `unsubscribe`.

        Raises:
            ValueError: an interval that is not stored.
            RuntimeError: the system is not running.
        """
        chosen = None if interval is None else _stored(interval)
        name = None if symbol is None else upper(symbol)
        hub, token = self._running().hub, object()
        subscription = self._subscriptions[token] = Subscription(callback, name or "all")
        hub.tell(Subscribe(token, subscription.deliver, name, chosen))
        return token

    def unsubscribe(self, token: object) -> None:
        """End a subscription. An unknown token does nothing."""
        subscription = self._subscriptions.pop(token, None)
        if subscription is not None:
            self._running().hub.tell(Unsubscribe(token))
            subscription.end()
            subscription.join(CALLBACK_S)

    def watch(self, symbol: str, interval: Interval, deliver: Deliver) -> Callable[[], None]:
        """Have `deliver` called with each event of a symbol and stored interval, by an actor: it must not wait.

        Returns what ends that; it may be called at any time, even after the system has stopped.

        Raises:
            RuntimeError: the system is not running.
        """
        hub, token = self._running().hub, object()
        hub.tell(Subscribe(token, deliver, symbol, interval))
        return lambda: hub.tell(Unsubscribe(token))

    def latest(self, symbol: str, interval: str) -> BarView | None:
        """The newest stored bar, partial or closed; at most about a second old. None when there is none.

        Raises:
            ValueError: an interval that is not served.
            RuntimeError: the system is not running.
        """
        bars = self.history(symbol, interval, limit=1)
        return bars[0] if bars else None

    def history(
        self, symbol: str, interval: str, *, start: int | None = None, end: int | None = None, limit: int = 500
    ) -> list[BarView]:
        """Stored bars of any of the 14 intervals, ascending; a bar in progress comes last.

        Args:
            start: the first open time in ms; without it the newest `limit` bars come.
            end: the last open time in ms.

        Raises:
            ValueError: an interval that is not served.
            RuntimeError: the system is not running.
        """
        chosen = INTERVALS.get(interval)
        if chosen is None:
            raise ValueError(f"interval: expected one of {', '.join(INTERVALS)}, got {interval!r}")
        reader = self._reader
        if reader is None:
            raise RuntimeError(NOT_RUNNING)
        record = reader.find(upper(symbol))
        if record is None:
            return []
        stored = reader.bars(record, chosen, start_ms=start, end_ms=end, limit=limit)
        return [
            view_of(
                record.contract.symbol,
                chosen,
                one.bar,
                closed=one.closed,
                origin=one.origin.name.lower(),
                verified=one.verified,
            )
            for one in stored
        ]

    def fetch(self, key: ContractKey, interval: Interval, spans: Sequence[Span], timeout_s: float) -> str | None:
        """Fetch closed bars of a stored interval that are not stored, and wait until they are.

        Many may ask for the same or overlapping spans at once: each bar is fetched once. The weight budget holds.

        Args:
            spans: half-open spans of open times, in whole buckets.
            timeout_s: how long to wait at most.

        Returns None when they are stored, as far as the exchange has any; else why not, in one line.
        """
        run = self._run
        if run is None or run.requests is None:
            return NOT_RUNNING
        failing = self._status.get("database", {}).get("failing")
        if failing is not None:
            return f"the database cannot be written: {failing}"  # what is fetched would be waited for in vain
        return run.requests.fetch(key, interval, spans, timeout_s)

    def stop_fetching(self) -> None:
        """Let every thread go that waits in `fetch`. Before a server stops whose threads may be among them."""
        run = self._run
        if run is not None and run.requests is not None:
            run.requests.close()

    # --- state

    def status(self) -> dict[str, Any]:
        """The status, at most about a second old."""
        return self._status

    def health(self) -> str | None:
        """Why the system is not healthy; None when it is."""
        if self._failure is not None:
            return self._failure
        if self._run is None:
            return "stopped"
        if self._published_s is None:
            return "starting"
        if time.monotonic() - self._published_s > SILENCE_S:
            return "the supervisor has not been heard of for more than 30 s"
        reason: str | None = self._status["reason"]
        return reason

    def now_ms(self) -> int | None:
        """The exchange's time, estimated; None before the exchange has named any."""
        if self._clock is None:
            return None
        now_ms, monotonic_s = self._clock
        return now_ms + min(round((time.monotonic() - monotonic_s) * 1_000), MINUTE_MS)

    def _running(self) -> _Run:
        if self._run is None:
            raise RuntimeError(NOT_RUNNING)
        return self._run

    def _publish(self, status: dict[str, Any], tick: Tick) -> None:
        self._status = status
        self._published_s = tick.monotonic_s
        if tick.now_ms is not None:
            self._clock = (tick.now_ms, tick.monotonic_s)

    def _give_up(self, reason: str) -> None:
        self._failure = reason
        self._failed.set()


class _Run:
    """One run of a system: its threads and actors."""

    def __init__(self, system: BarSystem) -> None:
        self._settings = system.settings
        self._threads = RealThreads(time.monotonic)
        self._ended = threading.Event()
        self._is_over = threading.Event()
        self._give_up = system._give_up  # noqa: SLF001 - two halves of one thing
        out = outside(system.settings, time.monotonic, wall_clock_ms)
        wiring = Wiring(
            threads=self._threads,
            random=system._random,  # noqa: SLF001
            parts=Parts(system.settings, system._random, out),  # noqa: SLF001
            status=Status(str(system.settings.database), wall_clock_ms()),
            publish=system._publish,  # noqa: SLF001
            give_up=system._give_up,  # noqa: SLF001
            all_ended=self._ended.set,
            steps=STEPS,
        )
        self._own = ThreadDispatcher("supervisor", time.monotonic)
        self._cell = Cell("supervisor", lambda: Supervisor(wiring), self._own, self._crashed)
        self._metronome = threading.Thread(target=self._beat, name="metronome", daemon=True)
        self.hub: Address
        self.requests: SpanRequests | None = None

    def start(self) -> None:
        supervisor = self._cell.launch()
        self._metronome.start()
        entrances: Entrances = supervisor.ask(Begin(), timeout_s=START_S)
        self.hub = entrances.hub
        self.requests = SpanRequests(entrances.backfill)

    def stop(self) -> None:
        self._cell.address.tell(StopAll())
        if not self._ended.wait(STOP_S):
            logger.error("stopping took longer than %d s; going on without", STOP_S)
        self._is_over.set()
        self._cell.request_stop()
        self._own.close(timeout_s=2.0)
        self._threads.close(timeout_s=2.0)
        self._metronome.join(2.0)

    def _beat(self) -> None:
        while not self._is_over.wait(BEAT_S / STEPS):
            self._cell.address.tell(Beat(time.monotonic()))

    def _crashed(self, crash: Crash) -> None:
        self._give_up(f"the supervisor crashed: {crash.error!r}")


def _stored(name: str) -> Interval:
    interval = next((interval for interval in STORED if interval.name == name), None)
    if interval is None:
        raise ValueError(f"interval: expected one of {', '.join(map(str, STORED))}, got {name!r}")
    return interval
