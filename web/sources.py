"""What the pages are made from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storage import Reader


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from. The callables may be called by several threads at once, and must not wait."""

    reader: Reader
    now_ms: Callable[[], int | None]
    """The exchange's time; None while it is not known."""
    health: Callable[[], str | None]
    """Why the service is not healthy; None when it is."""
    status: Callable[[], dict[str, Any]]
    """The body of `/api/status`."""
    monotonic_s: Callable[[], float] = time.monotonic
    """Local time, for the age of what is remembered between two requests."""
