"""The simulated exchange's clock: starts where it is told to, runs at the speed it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable


class SimulatedClock:
    """Exchange time that runs `speed` times as fast as the local monotonic clock.

    Args:
        start_ms: the exchange's time now.
        monotonic: seconds of a clock that never goes back; a test passes its own.
    """

    def __init__(self, start_ms: int, speed: float = 1.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        if speed <= 0:
            raise ValueError(f"starting a clock: expected a speed above 0, got {speed}")
        self.start_ms = start_ms
        self.speed = speed
        self._monotonic = monotonic
        self._started_s = monotonic()

    def now_ms(self) -> int:
        """Exchange time, UTC milliseconds."""
        return self.start_ms + int((self._monotonic() - self._started_s) * 1_000 * self.speed)

    def monotonic_s(self) -> float:
        """Local seconds, for what concerns the network and not the market."""
        return self._monotonic()

    def wait_s(self, until_ms: int) -> float:
        """Local seconds until the exchange's clock shows `until_ms`; 0 when it has."""
        due_s = self._started_s + (until_ms - self.start_ms) / 1_000 / self.speed
        return max(0.0, due_s - self._monotonic())
