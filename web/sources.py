"""What the pages are made from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bars import ContractKey, Interval, Span
from storage import Reader
from wire.published import Watch

Fetch = Callable[[ContractKey, Interval, Sequence[Span], float], str | None]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from. The callables may be called by several threads at once; only `fetch` may wait."""

    reader: Reader
    now_ms: Callable[[], int | None]
    """The exchange's time; None while it is not known."""
    health: Callable[[], str | None]
    """Why the service is not healthy; None when it is."""
    status: Callable[[], dict[str, Any]]
    """The body of `/api/status`."""
    monotonic_s: Callable[[], float] = time.monotonic
    """Local time, for the age of what is remembered between two requests."""
    fetch: Fetch | None = None
    """Fetches spans of a stored interval from the exchange and stores them, within a number of seconds. Returns None
    when they are stored, as far as the exchange has any, else why not. None where nothing is fetched on request."""
    watch: Watch | None = None
    """Has live events delivered, by threads that must not be held up. None where there are none: then they are read
    from the file as it changes."""
    silence: Callable[[], str | None] | None = None
    """Why the file fell behind, and `now_ms` with it; None when it did not. None where `now_ms` always goes on."""
    push_clients: Callable[[], int] | None = None
    """How many WebSocket clients are connected; None where there is no push."""
