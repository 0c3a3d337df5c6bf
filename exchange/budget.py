"""How much may be asked of the exchange's REST interface, and when.

Every request has a weight. The exchange adds them up per IP and minute of its own clock, at the moment a
request arrives, refused ones included, and names the sum in a header of each answer. Two ceilings hold:

1. Our own: `floor(share * limit)` in every minute as the exchange counts it, whatever the network does.
2. The IP's: other programs spend from the same pool, so the header's sum is kept under the limit as well.

In which minute a request was counted is not told, so it is bounded from both sides:

- Not before the latest time that the exchange had named when it was sent. Such a time is a *proof*: a frame's
  event time, the answer of /time. A new minute's allowance opens with its proof only.
- Not after the time that /time names when it is asked after the request was answered. Until such an answer a
  request counts as *unplaced*, and is charged to every minute that is proved meanwhile, like those in flight.

So neither delays nor a wrong estimate of the exchange's time can break the first ceiling; the estimate only
says when a proof is worth asking for. That costs some one per cent: /time weighs 1. A header that falls would
prove a new minute too, but counters of different backend nodes need not agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bars import MINUTE_MS
from exchange.errors import Banned, ExchangeError, RateLimited
from wire.exchange_info import WEIGHT_LIMIT_DEFAULT

PROOF_WEIGHT = 1
PROOF_RESERVE = 16
"""The most weight in a minute that only requests for a proof may use."""
SKEW_MS = 250
"""How far the clocks of the exchange's parts may differ."""
PATIENCE_MS = 1_000
"""How long frames get to prove a minute that is due before /time is asked."""
SILENCE_MS = 5_000
"""With the allowance used up and no frames for this long, /time is asked: the estimate may be slow."""
FORGIVEN_MS = 10 * MINUTE_MS
"""After this long without a proof /time is asked even with everything spent."""
BAN_MS = 2 * MINUTE_MS
"""Bans start at two minutes and grow: a ban that names no end is waited out for this long, doubling."""
BEHIND_MS = 5 * MINUTE_MS
"""A ban that ends so much later by the estimate than by the answer itself shows that the estimate is behind."""
PAUSE_MS_MAX = 3 * 24 * 60 * MINUTE_MS
"""The longest ban that the exchange documents; an answer that asks for more is not believed."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A request that was charged; to be handed back with what became of it."""

    weight: int
    minute: int | None
    """The exchange minute that was proved when it was sent."""
    places: int | None = None
    """Of a request for /time: the weight of the unplaced requests that were answered before it was sent."""


class WeightBudget:
    """What may have been counted in the present minute, and whether more may be sent.

    All times are the exchange's: `now_ms` the estimated present time, `observed_ms` the latest time that the
    exchange named itself; None while it has named none. The first request goes alone: what its answer says
    was used before may have been spent by our own process before a restart, and counts as ours. One budget is to be
    used as long as a process lives.

    Args:
        share: which part of the limit is ours, above 0 and up to 1.
        limit: the exchange's limit per minute.
    """

    def __init__(self, share: float, limit: int = WEIGHT_LIMIT_DEFAULT) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"sharing the weight limit: expected a share above 0 and up to 1, got {share}")
        self._share = share
        self._limit = limit
        self._minute: int | None = None
        self._spent = 0
        self._in_flight = 0
        self._unplaced = 0
        self._used_by_all = 0
        """What the exchange says that all programs on this IP have used in the present minute, ours included."""
        self._is_first = True
        self._is_exhausted = False
        self._is_proving = False
        self._no_proof_before_ms = 0
        self._not_over_before_ms = 0
        self._pause_until_ms = 0
        self._pause_over_s = math.inf
        """When a pause ends whose end by the exchange's clock could be missed, by our own clock."""
        self._now_s = 0.0
        self._bans = 0

    @property
    def allowed(self) -> int:
        """Our share of a minute, in weight."""
        return math.floor(self._share * self._limit + 1e-9)

    @property
    def limit(self) -> int:
        """The exchange's limit per minute, for all programs on this IP."""
        return self._limit

    @property
    def used(self) -> int:
        """What is charged to the present minute, in weight; some of it may have been counted in another one."""
        return self._spent

    @property
    def pause_until_ms(self) -> int:
        """Until when nothing may be sent; 0 if there never was a pause."""
        return self._pause_until_ms

    def set_limit(self, limit: int) -> None:
        """Take over the limit per minute that exchangeInfo names."""
        self._limit = limit

    def tick(self, now_s: float) -> None:
        """Take in our own clock's time."""
        self._now_s = now_s
        if now_s >= self._pause_over_s:
            self._pause_until_ms, self._pause_over_s = 0, math.inf

    def pause(self, until_ms: int, over_s: float = math.inf) -> None:
        """Send nothing before `until_ms`, or before our own clock shows `over_s`; a longer pause stays."""
        if until_ms > self._pause_until_ms:
            self._pause_until_ms, self._pause_over_s = until_ms, over_s

    def take(self, weight: int, now_ms: int | None, observed_ms: int | None, keep: int = 0) -> Charge | None:
        """Charge a request that is about to be sent; None, and nothing is charged, when it may not be.

        Args:
            keep: how much of the present minute's weight has to be left for requests that matter more.
        """
        if not self.may_send(weight, now_ms, observed_ms, keep):
            return None
        return self._charge(Charge(weight, self._minute))

    def may_send(self, weight: int, now_ms: int | None, observed_ms: int | None, keep: int = 0) -> bool:
        """Whether a request of this weight may be sent now."""
        self._enter_minute(observed_ms)
        if not self._is_open(now_ms):
            return False
        fits = self._has_room(weight + keep)
        self._is_exhausted = self._is_exhausted or not fits
        return fits

    def has_room(self, weight: int, observed_ms: int | None) -> bool:
        """Whether the present minute has this much weight left, apart from what is held back for proofs."""
        self._enter_minute(observed_ms)
        return self._has_room(weight)

    def needs_proof(self, now_ms: int | None, observed_ms: int | None) -> bool:
        """Whether to ask for /time before anything else: for a new minute's proof, or to place what was sent.

        While the exchange has named no time at all, it is due as soon as nothing is in flight.
        """
        self._enter_minute(observed_ms)
        if self._is_proving or not self._is_open(now_ms):
            return False
        if now_ms is None or observed_ms is None:
            return not self._in_flight
        if now_ms < self._no_proof_before_ms:
            return False
        if self._unplaced >= max(10, self.allowed // 16):
            return True
        is_known_not_over = now_ms < self._not_over_before_ms
        if now_ms >= self._end_ms() + SKEW_MS + PATIENCE_MS and not is_known_not_over:
            return True
        is_silent = now_ms >= observed_ms + SILENCE_MS and self._spent + PROOF_WEIGHT < self.allowed
        is_silent = is_silent and not is_known_not_over
        return self._is_exhausted and not self._in_flight and (self._unplaced > 0 or is_silent)

    def take_proof(self, now_ms: int | None, observed_ms: int | None) -> Charge | None:
        """Charge a request for /time, for which a little is held back; None when it may not be sent.

        Long after the end of the last minute proved it is let through in any case: without a proof there
        would never be one.
        """
        self._enter_minute(observed_ms)
        is_long_over = now_ms is not None and self._minute is not None and now_ms >= self._end_ms() + FORGIVEN_MS
        if not self._is_open(now_ms) or not (is_long_over or self._fits(PROOF_WEIGHT, self.allowed, self._limit)):
            return None
        self._is_proving = True
        self._no_proof_before_ms = 0
        return self._charge(Charge(PROOF_WEIGHT, self._minute, places=self._unplaced))

    def answered(
        self, charge: Charge, used_weight: int | None, named_ms: int | None = None, now_ms: int | None = None
    ) -> None:
        """The exchange answered.

        Args:
            used_weight: its header's sum; None if it had none.
            named_ms: the answer of /time.
            now_ms: the estimated present time; it may be ahead.
        """
        self._bans = 0
        if charge.places is None or named_ms is None:
            self._counted(charge, used_weight)
            self._is_first = False
            return
        self._enter_minute(named_ms)
        before = self._counted(charge, used_weight)
        self._is_first = False
        left_ms = self._end_ms() + SKEW_MS - named_ms
        if now_ms is not None and now_ms > named_ms:
            self._not_over_before_ms = now_ms + left_ms
        if named_ms + SKEW_MS < self._end_ms():
            self._unplaced -= charge.places + charge.weight + before
        else:  # too near to a minute's end to tell the minute: asking on would only spend what is held back
            self._no_proof_before_ms = max(self._end_ms() + SKEW_MS, self._not_over_before_ms)

    def lost(self, charge: Charge) -> None:
        """Nobody will ever say what became of the request; it is over, whatever that was."""
        self._counted(charge, None)

    def all_lost(self) -> None:
        """As `lost`, of everything that is in flight."""
        self._counted(Charge(self._in_flight, self._minute, places=0), None)

    def failed(self, charge: Charge, error: ExchangeError, now_ms: int | None) -> None:
        """The request failed at `now_ms`. A limit or a ban pauses all requests, if the exchange's time is known."""
        self._counted(charge, error.used_weight)
        if charge.places is not None and now_ms is not None:
            self._no_proof_before_ms = now_ms + SILENCE_MS
        if now_ms is not None and isinstance(error, RateLimited):
            self._pause_for(error.retry_after_s, now_ms, MINUTE_MS - now_ms % MINUTE_MS + SKEW_MS)
        elif now_ms is not None and isinstance(error, Banned):
            if error.until_ms is None:
                self._pause_for(error.retry_after_s, now_ms, BAN_MS << min(self._bans, 16))
            else:
                self._pause_until(error.until_ms, error.left_s, now_ms)
            self._bans += 1

    def _pause_until(self, until_ms: int, left_s: float | None, now_ms: int) -> None:
        # After this machine has slept the estimate may be hours behind. As nothing may be asked meanwhile, it can stay
        # so until the ban ends by it.
        over_s = math.inf
        if left_s is not None and until_ms - now_ms > left_s * 1_000 + BEHIND_MS:
            over_s = self._now_s + left_s
        self.pause(min(until_ms, now_ms + PAUSE_MS_MAX), over_s)

    def _pause_for(self, asked_s: float | None, now_ms: int, otherwise_ms: int) -> None:
        pause_ms = otherwise_ms if asked_s is None else math.ceil(asked_s * 1_000)
        self.pause(now_ms + min(pause_ms, PAUSE_MS_MAX))

    def _is_open(self, now_ms: int | None) -> bool:
        if now_ms is not None and now_ms < self._pause_until_ms:
            return False
        return not (self._is_first and self._in_flight)

    def _has_room(self, weight: int) -> bool:
        reserve = min(PROOF_RESERVE, max(2, self.allowed // 20))
        return self._fits(weight, self.allowed - reserve, self._limit - self._limit // 50)

    def _fits(self, weight: int, own_max: int, total_max: int) -> bool:
        # What was answered is within the highest sum seen; what is in flight may come on top of it.
        return self._spent + weight <= own_max and self._used_by_all + self._in_flight + weight <= total_max

    def _charge(self, charge: Charge) -> Charge:
        self._spent += charge.weight
        self._in_flight += charge.weight
        return charge

    def _counted(self, charge: Charge, used_weight: int | None) -> int:
        """Take note that a request is over; returns what had been used before the first one, which is ours as well."""
        before, is_first = 0, self._is_first and used_weight is not None
        self._in_flight -= charge.weight
        self._unplaced += charge.weight
        self._is_proving = self._is_proving and charge.places is None
        if used_weight is not None and is_first:
            before = max(0, used_weight - charge.weight)
            self._spent += before
            self._unplaced += before
            self._is_first = False
        if is_first or charge.minute == self._minute:  # the sum of an older charge may be that of an older minute
            at_least = self._used_by_all + charge.weight if used_weight is None else used_weight
            self._used_by_all = max(self._used_by_all, at_least)
        return before

    def _enter_minute(self, observed_ms: int | None) -> None:
        if observed_ms is None:
            return
        minute = (observed_ms - SKEW_MS) // MINUTE_MS
        if self._minute is None:
            self._minute = minute
        elif minute > self._minute:
            self._minute = minute
            self._spent = self._in_flight + self._unplaced
            self._used_by_all = 0
            self._is_exhausted = False

    def _end_ms(self) -> int:
        assert self._minute is not None
        return (self._minute + 1) * MINUTE_MS
