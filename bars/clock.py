"""The exchange's clock, as far as it can be known from here.

All that concerns the market runs on the exchange's time, which its events and answers carry: a machine
whose own clock is wrong, or an exchange that runs faster than real time, changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

RATE_WINDOW_S = 10.0
"""Over how much real time, at most, the rate is measured."""
ANCHOR_EVERY_S = 0.5
"""How often the rate is measured; also the least span to measure it over."""
REAL_TIME_TOLERANCE = 0.2
"""A measured rate no higher above 1 is taken for delay that varies; no exchange is slower than real time."""


class _Observation(NamedTuple):
    exchange_ms: int
    monotonic_s: float


class ExchangeClock:
    """Estimates exchange time from observations `(exchange_ms, monotonic_s)`.

    Observations are late by the network's delay and may come in any order; only those that move the
    exchange's time forward count.

    The rate is measured against *anchors*, some of the observations of the last seconds. A late anchor, or
    a machine that slept in between, makes the exchange seem to race, and an estimate that ran ahead could
    not be taken back. So the lowest rate counts that any anchor gives, in two measurements running. Too low
    a rate only makes the estimate wait for the next observation.
    """

    def __init__(self) -> None:
        self._latest: _Observation | None = None
        self._anchors: tuple[_Observation, ...] = ()
        self._measured = 1.0
        self._rate = 1.0
        self._now_ms = 0

    @property
    def observed_ms(self) -> int | None:
        """The latest time that the exchange itself has named: it is at least this late there."""
        return None if self._latest is None else self._latest.exchange_ms

    def observe(self, exchange_ms: int, monotonic_s: float) -> None:
        """Take in that the exchange named `exchange_ms` when the local monotonic clock showed `monotonic_s`."""
        if self._latest is not None and exchange_ms <= self._latest.exchange_ms:
            return
        self._latest = _Observation(exchange_ms, monotonic_s)
        if not self._anchors or monotonic_s - self._anchors[-1].monotonic_s >= ANCHOR_EVERY_S:
            self._measure(self._latest)

    def now_ms(self, monotonic_s: float) -> int | None:
        """The estimated time there; never goes back. None until something was observed."""
        if self._latest is None:
            return None
        latest_ms, latest_s = self._latest
        elapsed_ms = max(0.0, monotonic_s - latest_s) * 1_000 * self._rate
        self._now_ms = max(self._now_ms, latest_ms + int(elapsed_ms))
        return self._now_ms

    def _measure(self, at: _Observation) -> None:
        anchors = [anchor for anchor in self._anchors if at.monotonic_s - anchor.monotonic_s <= RATE_WINDOW_S]
        self._anchors = (*anchors, at)
        if anchors:
            before, self._measured = self._measured, min(_rate(anchor, at) for anchor in anchors)
            rate = min(before, self._measured)
            self._rate = rate if rate > 1.0 + REAL_TIME_TOLERANCE else 1.0


def _rate(earlier: _Observation, later: _Observation) -> float:
    return (later.exchange_ms - earlier.exchange_ms) / 1_000 / (later.monotonic_s - earlier.monotonic_s)
