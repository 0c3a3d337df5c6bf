"""What a system last said of itself: its status, the exchange's time, why it gave up. For any thread to read."""

from __future__ import annotations

import threading
import time
from typing import Any

from actors.messages import Tick
from actors.runtime.status import SILENCE_S
from bars import MINUTE_MS


class Vitals:
    """Written by the supervisor, a value at a time, and read by everybody."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {"state": "stopped"}
        self.failure: str | None = None
        """Why the system gave up, if it did."""
        self._clock: tuple[int, float] | None = None
        self._published_s: float | None = None
        self._failed = threading.Event()

    def begin(self) -> None:
        """A run begins: nothing has been heard of it."""
        self._failed.clear()
        self.failure = self._published_s = None

    def end(self) -> None:
        """The run is over."""
        self.status = {**self.status, "state": "stopped"}

    def publish(self, status: dict[str, Any], tick: Tick) -> None:
        """The status as it is now."""
        self.status = status
        self._published_s = tick.monotonic_s
        if tick.now_ms is not None:
            self._clock = (tick.now_ms, tick.monotonic_s)

    def give_up(self, reason: str) -> None:
        """The system cannot go on."""
        self.failure = reason
        self._failed.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the system gives up, but at most `timeout_s`; True when it did."""
        return self._failed.wait(timeout_s)

    def ill(self) -> str | None:
        """Why a system that runs is not healthy; None when it is."""
        if self.failure is not None:
            return self.failure
        if self._published_s is None:
            return "starting"
        if time.monotonic() - self._published_s > SILENCE_S:
            return "the supervisor has not been heard of for more than 30 s"
        reason: str | None = self.status["reason"]
        return reason

    def now_ms(self) -> int | None:
        """The exchange's time, estimated; None before the exchange has named any."""
        if self._clock is None:
            return None
        now_ms, monotonic_s = self._clock
        return now_ms + min(round((time.monotonic() - monotonic_s) * 1_000), MINUTE_MS)
