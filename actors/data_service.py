"""The data service as another process sees it: by what it stores of itself with each commit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from storage import Reader, ServiceState

SILENCE_MS = 30_000
"""A data service whose last commit is older does not count as running."""


def wall_clock_ms() -> int:
    """This machine's time, UTC."""
    return time.time_ns() // 1_000_000


class DataService:
    """A data service that writes the file of `reader`, in whatever process.

    Args:
        reader: of the same file.
        wall_ms: the machine's clock, by which commits are dated; for the age of the last one only.
    """

    def __init__(self, reader: Reader, wall_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._reader = reader
        self._wall_ms = wall_ms

    def now_ms(self) -> int | None:
        """The exchange's time: as last stored, and the real time since then while the service is alive.

        None when it never ran.
        """
        state = self._reader.service_state()
        return None if state is None else state.exchange_ms + min(self._age_ms(state), SILENCE_MS)

    def health(self) -> str | None:
        """Why it is not healthy; None when it is."""
        state = self._reader.service_state()
        if state is None:
            return "no data service has written to the database yet"
        return self._silence(state)

    def status(self) -> dict[str, Any]:
        """The body of `/api/status` as the service last told it, `degraded` once that is old; empty if it never ran."""
        state = self._reader.service_state()
        if state is None:
            return {}
        silence = self._silence(state)
        silent = {} if silence is None else {"state": "degraded", "reason": silence}
        return {**json.loads(state.state), **silent}

    def _silence(self, state: ServiceState) -> str | None:
        age_ms = self._age_ms(state)
        return f"the data service's last commit is {age_ms // 1000} s old" if age_ms > SILENCE_MS else None

    def _age_ms(self, state: ServiceState) -> int:
        return max(0, self._wall_ms() - state.committed_at_ms)
