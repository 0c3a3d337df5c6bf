"""When a crashed actor lives again, and when restarting makes no more sense. Pure arithmetic on time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """At most `restarts_max` restarts in `window_s`, each later than the one before, up to `delay_max_s`."""

    restarts_max: int = 10
    window_s: float = 60.0
    delay_min_s: float = 0.05
    delay_max_s: float = 5.0


class RestartBudget:
    """The restarts of one actor so far. Times are monotonic seconds."""

    def __init__(self, policy: RestartPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._crashes_s: deque[float] = deque()

    def crashed(self, now_s: float) -> float | None:
        """How long to wait before the next life; None when there were too many crashes to go on.

        The delay doubles with every crash in the window, and is jittered down to half so that many actors
        which fell together do not rise together.
        """
        policy = self._policy
        while self._crashes_s and now_s - self._crashes_s[0] > policy.window_s:
            self._crashes_s.popleft()
        self._crashes_s.append(now_s)
        if len(self._crashes_s) > policy.restarts_max:
            return None
        delay_s = min(policy.delay_max_s, policy.delay_min_s * 2.0 ** (len(self._crashes_s) - 1))
        return delay_s * self._random.uniform(0.5, 1.0)
