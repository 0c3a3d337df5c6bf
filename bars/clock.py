"""The exchange's clock, as far as it can be known from here.

All that concerns the market runs on the exchange's time, which its events and answers carry: a machine
whose own clock is wrong, or an exchange that runs faster than real time, changes nothing.
"""

from __future__ import annotations

from collections import deque

RATE_WINDOW_S = 5.0
"""Over how much real time the rate is measured."""
REAL_TIME_TOLERANCE = 0.2
"""A measured rate this close to 1 is taken for delay that varies, not for another speed."""


class ExchangeClock:
    """Estimates exchange time from observations `(exchange_ms, monotonic_s)`.

    Observations are late by the network's delay and may come in any order; only those that move the
    exchange's time forward count.
    """

    def __init__(self) -> None:
        self._observations: deque[tuple[int, float]] = deque()
        self._rate = 1.0
        self._now_ms = 0

    @property
    def observed_ms(self) -> int | None:
        """The latest time that the exchange itself has named: it is at least this late there."""
        return self._observations[-1][0] if self._observations else None

    def observe(self, exchange_ms: int, monotonic_s: float) -> None:
        """Take in that the exchange named `exchange_ms` when the local monotonic clock showed `monotonic_s`."""
        if self._observations and exchange_ms <= self._observations[-1][0]:
            return
        self._observations.append((exchange_ms, monotonic_s))
        while monotonic_s - self._observations[0][1] > 2 * RATE_WINDOW_S and len(self._observations) > 2:
            self._observations.popleft()
        first_ms, first_s = self._observations[0]
        if monotonic_s - first_s >= RATE_WINDOW_S / 5:
            rate = (exchange_ms - first_ms) / 1_000 / (monotonic_s - first_s)
            self._rate = 1.0 if abs(rate - 1.0) <= REAL_TIME_TOLERANCE else rate

    def now_ms(self, monotonic_s: float) -> int | None:
        """The estimated time there; never goes back. None until something was observed."""
        if not self._observations:
            return None
        latest_ms, latest_s = self._observations[-1]
        elapsed_ms = max(0.0, monotonic_s - latest_s) * 1_000 * self._rate
        self._now_ms = max(self._now_ms, latest_ms + int(elapsed_ms))
        return self._now_ms
