"""A simulated exchange whose clock stands still until the test is ready to watch."""

from __future__ import annotations

import time

from exchange.simulated import SimulatedClock


class HeldClock(SimulatedClock):
    """Shows `start_ms` until it is let go, and then runs.

    What is planned for soon after the start would be over before a busy machine has connected to it.
    """

    def __init__(self, start_ms: int, speed: float) -> None:
        self._let_go_s: float | None = None
        super().__init__(start_ms, speed, self._passed_s)

    def let_go(self) -> None:
        """Let time pass from now on."""
        self._let_go_s = time.monotonic()

    def _passed_s(self) -> float:
        return 0.0 if self._let_go_s is None else time.monotonic() - self._let_go_s
