"""BarSystem: everything put together, started and stopped. The way to embed Barkeep in another program."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from actors.messages import Subscribe, Unsubscribe
from actors.running import Running
from actors.settings import Settings
from actors.subscriptions import BarView, Subscription, view_of
from actors.vitals import Vitals
from bars import INTERVALS, STORED, ContractKey, Interval, Span
from storage import BarStore, Reader
from wire.names import upper
from wire.published import Deliver

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
        self._vitals = Vitals()
        self._run: Running | None = None
        self._reader: Reader | None = None

    # --- life

    def start(self) -> None:
        """Open the database and start everything; returns when the actors run, not when bars have come.

        Raises:
            StorageError: the database is in use, unusable, or of a newer version.
            InvalidProxy: the environment names a proxy that cannot be.
        """
        if self._run is not None:
            return
        path = self.settings.database
        BarStore.open(path).close()
        self._reader = Reader(path)
        try:
            run = Running(self.settings, self._random, self._vitals)
        except BaseException:
            self._reader.close()
            self._reader = None
            raise
        self._vitals.begin()
        self._run = run
        try:
            run.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything in order: callbacks, then sources; the writer commits last. A second call does nothing."""
        run, reader = self._run, self._reader
        if run is None or reader is None:
            return
        self._run = None
        if run.requests is not None:
            run.requests.close()
        self._end_callbacks(run)
        self._reader = None
        reader.close()  # before the writer: SQLite merges its log into the file when the writer closes last
        run.stop()
        self._vitals.end()

    def _end_callbacks(self, run: Running) -> None:
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
        return self._vitals.wait(timeout_s)

    @property
    def failure(self) -> str | None:
        """Why it gave up, if it did: an actor crashed too often."""
        return self._vitals.failure

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
        failing = self._vitals.status.get("database", {}).get("failing")
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
        return self._vitals.status

    def health(self) -> str | None:
        """Why the system is not healthy; None when it is."""
        if self._run is None and self._vitals.failure is None:
            return "stopped"
        return self._vitals.ill()

    def now_ms(self) -> int | None:
        """The exchange's time, estimated; None before the exchange has named any."""
        return self._vitals.now_ms()

    def _running(self) -> Running:
        if self._run is None:
            raise RuntimeError(NOT_RUNNING)
        return self._run


def _stored(name: str) -> Interval:
    interval = next((interval for interval in STORED if interval.name == name), None)
    if interval is None:
        raise ValueError(f"interval: expected one of {', '.join(map(str, STORED))}, got {name!r}")
    return interval
