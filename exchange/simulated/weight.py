"""The request weight of one IP: counted by clock minute, refused beyond the limit, punished after that.

REQUEST_WEIGHT is 2400 per minute of the exchange's clock. Beyond it requests get 429; who goes on gets
418, a ban of two minutes growing to three days, and requests during a ban prolong it.
"""

from __future__ import annotations

from collections import Counter

from bars import MINUTE
from bars.interval import DAY_MS
from exchange.simulated.plan import Limits
from wire.errors import banned_until, too_many_requests

_BAN_MAX_MS = 3 * DAY_MS


class WeightMeter:
    """Counts and judges. Times are the exchange's.

    Args:
        used: what was charged, by the minute's open time.
    """

    def __init__(self, limits: Limits, used: Counter[int]) -> None:
        self._limits = limits
        self._used = used
        self._refused: Counter[int] = Counter()
        self._banned_until_ms = 0
        self._bans = 0

    def used(self, now_ms: int) -> int:
        """The weight charged in the minute of `now_ms`."""
        return self._used[MINUTE.floor(now_ms)]

    def charge(self, now_ms: int, weight: int) -> None:
        """Charge one request.

        Raises:
            ApiError: 429 beyond the minute's limit, 418 during a ban.
        """
        minute_ms = MINUTE.floor(now_ms)
        self._used[minute_ms] += weight
        if now_ms < self._banned_until_ms:
            self._banned_until_ms = max(self._banned_until_ms, now_ms + self._limits.ban_ms)
            raise banned_until(self._banned_until_ms)
        if self._used[minute_ms] <= self._limits.weight_per_minute:
            return
        self._refused[minute_ms] += 1
        if self._refused[minute_ms] > self._limits.refused_before_ban:
            self._banned_until_ms = now_ms + min(self._limits.ban_ms << self._bans, _BAN_MAX_MS)
            self._bans = min(self._bans + 1, 12)
            raise banned_until(self._banned_until_ms)
        raise too_many_requests(self._limits.weight_per_minute)
