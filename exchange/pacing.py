"""How long to wait before trying again. Pure: times are local monotonic seconds, passed in."""

from __future__ import annotations

from collections import deque
from random import Random

from exchange.budget import PAUSE_MS_MAX
from exchange.errors import Banned, ExchangeError, RateLimited

CONNECTIONS_MAX = 250
"""The exchange allows 300 attempts in five minutes and IP; some are left to the user's other programs.

Documented for spot only; the futures' number is not established.
"""
CONNECTIONS_WINDOW_S = 300.0

FAULT_S_MAX = 300.0
"""After a fault nobody waits for longer than this, whatever the answer asks for: it may be a proxy's, and asking every
five minutes harms nobody."""
WITHOUT_A_CLOCK_S = 120.0
"""How long a ban is waited out at least while the exchange's clock is not known yet. Bans start at two minutes."""
WITHOUT_A_CLOCK_S_MAX = 900.0
"""And at most: the answer's Date alone tells its length then, which is not always of the clock that the ban's end is
of, as where an exchange is replayed. Four questions an hour hardly prolong a long ban."""


def wait_s(error: ExchangeError, backoff_s: float, *, knows_time: bool) -> float:
    """How long to ask for nothing after a failure, by our own clock: what the answer asks for, else `backoff_s`.

    Args:
        knows_time: whether the exchange's time is known; then limits and bans are waited out by a `WeightBudget`.
    """
    if isinstance(error, Banned) and not knows_time:
        return min(max(error.left_s or 0.0, WITHOUT_A_CLOCK_S), WITHOUT_A_CLOCK_S_MAX)
    if error.retry_after_s is None:
        return backoff_s
    is_limit = isinstance(error, (RateLimited, Banned))
    return min(error.retry_after_s, PAUSE_MS_MAX / 1_000 if is_limit else FAULT_S_MAX)


class Backoff:
    """Delays that double with each failure, each drawn evenly from zero to that ("full jitter").

    Args:
        random: where chance comes from; a seeded one repeats itself.
        first_s: the upper bound of the first delay.
        cap_s: the upper bound of all delays.
        stable_s: after a success has lasted this long, the next failure counts as the first again.
    """

    def __init__(self, random: Random, first_s: float = 1.0, cap_s: float = 60.0, stable_s: float = 60.0) -> None:
        self._random = random
        self._first_s = first_s
        self._cap_s = cap_s
        self._stable_s = stable_s
        self._bound_s = first_s
        self._up_since_s: float | None = None

    def succeeded(self, now_s: float) -> None:
        """It works since `now_s`, or still does."""
        if self._up_since_s is None:
            self._up_since_s = now_s

    def failed(self, now_s: float) -> float:
        """It failed at `now_s`: the seconds to wait before the next attempt."""
        if self._up_since_s is not None and now_s - self._up_since_s >= self._stable_s:
            self._bound_s = self._first_s
        self._up_since_s = None
        bound_s = min(self._bound_s, self._cap_s)
        self._bound_s = min(2 * bound_s, self._cap_s)
        return self._random.uniform(0.0, bound_s)


class ConnectionPacer:
    """Keeps all connections of this process under the exchange's limit of attempts."""

    def __init__(self, attempts_max: int = CONNECTIONS_MAX, window_s: float = CONNECTIONS_WINDOW_S) -> None:
        self._window_s = window_s
        self._attempts_s: deque[float] = deque(maxlen=attempts_max)

    def may_connect(self, now_s: float) -> float:
        """The seconds to wait before the next attempt; 0 for none."""
        if len(self._attempts_s) < (self._attempts_s.maxlen or 0):
            return 0.0
        return max(0.0, self._attempts_s[0] + self._window_s - now_s)

    def connecting(self, now_s: float) -> None:
        """An attempt is made at `now_s`, whatever becomes of it."""
        self._attempts_s.append(now_s)
