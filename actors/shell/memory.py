"""How a process of ours treats memory. A program that embeds Barkeep decides that for itself."""

from __future__ import annotations

import ctypes
import gc
import sys

GARBAGE_FROM = 50_000
"""How many new objects that may be part of cycles it takes until cycles are looked for among them."""
ARENAS_MAX = 2
_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def calm_collector() -> None:
    """Have Python look for cyclic garbage more rarely.

    A thousand contracts are some 300,000 objects that stay, and every second 10,000 come and go by themselves: by
    default that sets off a look at all of them every few seconds, a tenth of the CPU at 1,200 events a second.
    """
    gc.set_threshold(GARBAGE_FROM)


def share_arenas() -> None:
    """Let the threads share few pools of memory, where the C library is glibc.

    Frames come in on one thread and go in another. With a pool for every thread, as glibc has by default, resident
    memory grew by a tenth within a day of the market, although as much was in use as before; with two it does not.
    Python runs one thread at a time: they do not wait for each other here.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, ARENAS_MAX)
