"""One minute of one contract: what was traded in it, as a whole and up to any moment.

A minute is a path of prices that starts at its open, visits its high and its low, and ends at its close,
with volume flowing evenly along it. Every total is a closed formula of the position on that path, in
integers: a prefix costs as little as the whole, grows monotonically, and ends in the whole exactly.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from bars import Bar, Scale
from bars.interval import MINUTE_MS

PATH = 1024
"""The last position of the path."""
PUSH_MS = 250
"""The exchange sends a symbol's updates at most this often."""
_ACTIVE_MS = MINUTE_MS - PUSH_MS
_GOLDEN = 0x9E3779B97F4A7C15


class MinutePath(NamedTuple):
    """A minute with trades. Prices are in ticks of `tick` units; `first_turn < second_turn` are positions of
    the path, and `turns` the prices there (high and low, in either order)."""

    open_ms: int
    open: int
    close: int
    first_turn: int
    second_turn: int
    turns: tuple[int, int]
    tick: int
    volume: int
    trades: int
    taker_buy_volume: int
    steps: int
    """In how many steps, at most four a second, the trades come."""
    salt: int
    scale: Scale

    def step_ms(self, step: int) -> int:
        """When step 1 … `steps` happens, after the minute's start; at least 250 ms apart."""
        start_ms = (step - 1) * _ACTIVE_MS // self.steps
        room_ms = _ACTIVE_MS // self.steps - PUSH_MS
        if room_ms <= 0:
            return start_ms
        return start_ms + (self.salt * (2 * step + 1) * _GOLDEN >> 40) % room_ms

    def steps_until(self, offset_ms: int) -> int:
        """How many steps have happened by `offset_ms` after the minute's start, that moment included."""
        step = min(self.steps, offset_ms * self.steps // _ACTIVE_MS + 2)
        while step > 0 and self.step_ms(step) > offset_ms:
            step -= 1
        return step

    def bar(self) -> Bar:
        """The whole minute."""
        first, second = self.turns
        high, low = (first, second) if first >= second else (second, first)
        volume, tick, at_first, at_second = self.volume, self.tick, self.first_turn, self.second_turn
        volume_first = -(-volume * at_first // PATH)
        volume_second = -(-volume * at_second // PATH)
        doubled = volume_first * (self.open + first) + (volume_second - volume_first) * (first + second)
        quote = (doubled + (volume - volume_second) * (second + self.close)) // 2 * tick
        taker = self.taker_buy_volume
        return Bar(
            self.open_ms,
            self.open * tick,
            high * tick,
            low * tick,
            self.close * tick,
            volume,
            quote,
            self.trades,
            taker,
            quote * taker // volume,
            self.scale,
        )

    def bar_after(self, step: int) -> Bar:
        """The minute as it stands after `step` (1 … `steps`) steps."""
        if step >= self.steps:
            return self.bar()
        at = step * PATH // self.steps
        passed = [(0, self.open)]
        passed += [turn for turn in zip((self.first_turn, self.second_turn), self.turns, strict=True) if turn[0] <= at]
        target = [(self.first_turn, self.turns[0]), (self.second_turn, self.turns[1]), (PATH, self.close)]
        (left_at, left), (right_at, right) = passed[-1], target[len(passed) - 1]
        price = left + (right - left) * (at - left_at) // (right_at - left_at)
        prices = [price for _, price in passed]
        high, low = max(*prices, price), min(*prices, price)
        quote, volume = self._quote([*passed, (at, price)]), -(-self.volume * at // PATH)
        wobble = (self.salt * (2 * step + 1) * _GOLDEN >> 44) % (1 + (high - low) // 4) - (high - low) // 8
        close = min(high, max(low, price + wobble))
        return Bar(
            self.open_ms,
            self.open * self.tick,
            high * self.tick,
            low * self.tick,
            close * self.tick,
            volume,
            quote,
            -(-self.trades * at // PATH),
            -(-self.taker_buy_volume * at // PATH),
            quote * self.taker_buy_volume // self.volume,
            self.scale,
        )

    def _quote(self, points: list[tuple[int, int]]) -> int:
        doubled = 0
        for (left_at, left), (right_at, right) in pairwise(points):
            volume = -(-self.volume * right_at // PATH) + (-self.volume * left_at // PATH)
            doubled += volume * (left + right)
        return doubled // 2 * self.tick


def flat(open_ms: int, price: int, scale: Scale) -> Bar:
    """A bar without trades, as the exchange makes it: flat at the last close, all sums zero."""
    return Bar(open_ms, price, price, price, price, 0, 0, 0, 0, 0, scale)
