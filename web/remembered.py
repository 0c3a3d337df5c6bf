"""An answer that is kept for a moment, because it costs much and is asked for often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_AGE_S = 1.0
"""Partial bars are committed once a second, so nothing served gets older than twice that."""


class Remembered(Generic[T]):
    """The latest result of `compute`, at most `max_age_s` old.

    Threads that ask at the same moment may compute it twice; each sees a whole result. What `compute`
    raises is not remembered.
    """

    def __init__(
        self, compute: Callable[[], T], monotonic_s: Callable[[], float], max_age_s: float = MAX_AGE_S
    ) -> None:
        self._compute = compute
        self._monotonic_s = monotonic_s
        self._max_age_s = max_age_s
        self._latest: tuple[float, T] | None = None

    def __call__(self) -> T:
        latest, now_s = self._latest, self._monotonic_s()
        if latest is not None and now_s - latest[0] < self._max_age_s:
            return latest[1]
        result = self._compute()
        self._latest = now_s, result
        return result
