"""What embedding programs receive, and how it reaches their callbacks."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from bars import MINUTE, Bar, Interval, to_text
from wire.published import BarEvent

logger = logging.getLogger(__name__)

WAITING_MAX = 10_000
"""A callback that is this many bars behind is cut off."""


@dataclass(frozen=True, slots=True)
class BarView:
    """One bar for people who calculate: times in UTC milliseconds, values as exact decimals."""

    symbol: str
    interval: str
    open_time: int
    close_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: int
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    closed: bool
    origin: str
    verified: bool


def view_of(symbol: str, interval: Interval, bar: Bar, *, closed: bool, origin: str, verified: bool = False) -> BarView:
    """A bar as embedding programs see it."""
    price, volume, quote = bar.scale
    return BarView(
        symbol,
        interval.name,
        bar.open_ms,
        interval.close_ms(bar.open_ms),
        _decimal(bar.open, price),
        _decimal(bar.high, price),
        _decimal(bar.low, price),
        _decimal(bar.close, price),
        _decimal(bar.volume, volume),
        _decimal(bar.quote_volume, quote),
        bar.trades,
        _decimal(bar.taker_buy_volume, volume),
        _decimal(bar.taker_buy_quote_volume, quote),
        closed,
        origin,
        verified,
    )


def _decimal(units: int, decimals: int) -> Decimal:
    """Made from text, which is exact; arithmetic would round to the precision that the calling thread has set."""
    return Decimal(to_text(units, decimals))


class Subscription:
    """Calls one callback, in a thread of its own, with one bar after the other.

    A callback that raises is logged and counted in `errors`; it goes on with the next bar.
    """

    def __init__(self, callback: Callable[[BarView], object], name: str) -> None:
        self.errors = 0
        self._callback = callback
        self._waiting: queue.Queue[BarView | None] = queue.Queue(WAITING_MAX)
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name=f"subscriber {name}", daemon=True)
        self._thread.start()

    def deliver(self, event: BarEvent) -> bool:
        """Hand over one bar without waiting; False when the callback is too far behind."""
        interval = event.interval
        told = "rest" if event.by_rest else "stream"
        origin = told if interval is MINUTE else "aggregated"
        try:
            self._waiting.put_nowait(view_of(event.key.symbol, interval, event.bar, closed=event.closed, origin=origin))
        except queue.Full:
            return False
        return True

    def end(self) -> None:
        """End after the callback that runs now; bars that wait are dropped."""
        self._is_ending = True
        with contextlib.suppress(queue.Full):  # then the thread looks at _is_ending after the next bar
            self._waiting.put_nowait(None)

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, but at most `timeout_s`, and not in that thread itself."""
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (view := self._waiting.get()) is not None and not self._is_ending:
            try:
                self._callback(view)
            except BaseException:  # also sys.exit() and a cancelled coroutine: they would end this thread in silence
                self.errors += 1
                logger.exception("a subscriber of %s %s failed (%d times)", view.symbol, view.interval, self.errors)
