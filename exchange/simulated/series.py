"""One contract's minutes, each computed from a hash of (seed, contract, hour)."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b, shake_128
from struct import Struct
from typing import NamedTuple

from bars import Bar, Scale
from bars.interval import DAY_MS, HOUR_MS, MINUTE_MS
from exchange.simulated.minutes import PATH, MinutePath, flat
from exchange.simulated.plan import ContractPlan

BLOCK_MINUTES = 60
_HOUR_MINUTES = HOUR_MS // MINUTE_MS
_WEEKEND_DAYS = (2, 3)  # of days since the epoch, modulo 7: it was a Thursday
_DRIFTS = ((720, 150_000), (96, 60_000), (24, 30_000), (6, 12_000), (1, 5_000))
"""Waves of price: length in hours, height in millionths of the base price."""
_NOISE_PPM = 900
_WICK_PPM = 700
_MILLION = 1_000_000
_OPENING_JUMPS = (0, 0, 0, 0, 1, 1, 2, 3)
"""In ticks. In the exchange's data half of all minutes open at the price that the last one closed at."""

Bits = tuple[int, int, int, int]
_WORDS = 4
_UNPACKED_BYTES = BLOCK_MINUTES * _WORDS * 8
_unpack = Struct(f">{BLOCK_MINUTES * _WORDS}Q").unpack


class _Precision(NamedTuple):
    """How much finer the values of a minute are than the plan's first ones."""

    scale: Scale
    price_factor: int
    quantity_factor: int


class SimulatedSeries:
    """A contract that trades by chance. Minutes count from the epoch.

    Args:
        halted: minutes in which nobody trades.
        blocks: how many hours of bars to keep at hand.
    """

    def __init__(self, contract: ContractPlan, seed: int, halted: frozenset[int], blocks: int = 24) -> None:
        self.contract = contract
        self.first_minute = contract.first_ms // MINUTE_MS
        self.end_minute = -(-contract.delivery_ms // MINUTE_MS)
        self._halted = halted
        identity = f"{seed}/{contract.symbol}/{contract.onboard_ms}".encode()
        self._key = blake2b(identity, digest_size=16).digest()
        self._change_minute = contract.precision.at_ms // MINUTE_MS if contract.precision else None
        self._split_minute = contract.split.at_ms // MINUTE_MS if contract.split else None
        self._before = _Precision(contract.scale_at(0), 1, 1)
        self._after = self._precision_after()
        self._weekend_quiet = contract.weekend_quiet_permille
        self.block = lru_cache(maxsize=blocks)(self._block)
        self.path = lru_cache(maxsize=4)(self._traded_path)
        self._words = lru_cache(maxsize=4)(self._hash)
        self._level = lru_cache(maxsize=512)(self._drift_ticks)

    def minute(self, minute: int) -> Bar | None:
        """The minute's bar; None before the first trade."""
        if minute < self.first_minute:
            return None
        if minute >= self.end_minute:
            return self._carried(minute, self.end_minute)
        return self.block(minute // BLOCK_MINUTES)[minute - self._block_start(minute)]

    def minutes(self, start: int, stop: int) -> list[Bar]:
        """The bars of the half-open span of minutes, ascending, none before the first trade."""
        bars: list[Bar] = []
        at = max(start, self.first_minute)
        while at < min(stop, self.end_minute):
            block_start = self._block_start(at)
            block = self.block(at // BLOCK_MINUTES)
            bars += block[at - block_start : min(stop, self.end_minute) - block_start]
            at = block_start + len(block)
        if at < stop:
            last = self._carried(at, self.end_minute)
            bars += [last._replace(open_ms=minute * MINUTE_MS) for minute in range(at, stop)]
        return bars

    def _traded_path(self, minute: int) -> MinutePath | None:
        """How the minute's trades came; None when there were none."""
        if not self.first_minute <= minute < self.end_minute:
            return None
        bits = self._bits(minute)
        return self._path_of(minute, bits) if self._trades_in(minute, bits) else None

    def flat_bar(self, minute: int) -> Bar:
        """The bar that a minute after the first one would have without trades."""
        return self._carried(minute, min(minute, self.end_minute))

    def _block_start(self, minute: int) -> int:
        return max(minute // BLOCK_MINUTES * BLOCK_MINUTES, self.first_minute)

    def _block(self, number: int) -> list[Bar]:
        """An hour's bars, from the first trade's minute on and before the contract's end."""
        start = max(number * BLOCK_MINUTES, self.first_minute)
        stop = min((number + 1) * BLOCK_MINUTES, self.end_minute)
        bars: list[Bar] = []
        price = self._boundary(start - 1, self._bits(start - 1))
        for minute in range(start, stop):
            bits = self._bits(minute)
            before, price = price, self._boundary(minute, bits)
            if self._trades_in(minute, bits):
                bars.append(self._path(minute, bits, before, price).bar())
            elif bars:
                scale = self._precision(minute).scale
                bars.append(flat(minute * MINUTE_MS, bars[-1].rescaled(scale).close, scale))
            else:
                bars.append(self._carried(minute, minute))
        return bars

    def _carried(self, minute: int, before: int) -> Bar:
        """A flat bar at the last close before the minute `before`."""
        scale = self._precision(minute).scale
        traded = before - 1
        while not self._trades_in(traded, self._bits(traded)):
            traded -= 1
        close = self._path_of(traded, self._bits(traded)).bar().rescaled(scale).close
        return flat(minute * MINUTE_MS, close, scale)

    def _path_of(self, minute: int, bits: Bits) -> MinutePath:
        before = self._boundary(minute - 1, self._bits(minute - 1))
        return self._path(minute, bits, before, self._boundary(minute, bits))

    def _bits(self, minute: int) -> Bits:
        """The minute's own share of its hour's hash."""
        hour, inside = divmod(minute, BLOCK_MINUTES)
        at = _WORDS * inside
        word, wicks, sizes, salt = self._words(hour)[at : at + _WORDS]
        return word, wicks, sizes, salt

    def _hash(self, hour: int) -> tuple[int, ...]:
        """One hash of (seed, contract, hour), long enough for all of its minutes."""
        return _unpack(shake_128(b"%b%d" % (self._key, hour)).digest(_UNPACKED_BYTES))

    def _trades_in(self, minute: int, bits: Bits) -> bool:
        if minute <= self.first_minute:
            return True
        quiet = self.contract.quiet_permille
        if self._weekend_quiet is not None and minute * MINUTE_MS // DAY_MS % 7 in _WEEKEND_DAYS:
            quiet = self._weekend_quiet
        return (bits[0] & 0x3FF) * 1_000 >> 10 >= quiet and minute not in self._halted

    def _boundary(self, minute: int, bits: Bits) -> int:
        """The price, in the plan's first ticks, that the end of `minute` is drawn to."""
        hour, inside = divmod(minute, _HOUR_MINUTES)
        left, right = self._level(hour), self._level(hour + 1)
        noise = (bits[0] >> 10 & 0xFFFF) - 0x8000
        price = left + ((right - left) * inside // _HOUR_MINUTES) + (left * noise * _NOISE_PPM // (_MILLION << 15))
        return max(1, price)

    def _drift_ticks(self, hour: int) -> int:
        millionths = _MILLION
        for length, height in _DRIFTS:
            at, inside = divmod(hour, length)
            left, right = self._lattice(length, at, height), self._lattice(length, at + 1, height)
            millionths += left + (right - left) * inside // length
        return max(8, self.contract.price_ticks * millionths // _MILLION)

    def _lattice(self, length: int, at: int, height: int) -> int:
        digest = blake2b(b"%d/%d" % (length, at), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big") % (2 * height + 1) - height

    def _precision_after(self) -> _Precision:
        change = self.contract.precision
        if change is None:
            return self._before
        price = change.price_decimals - self.contract.price_decimals
        quantity = change.quantity_decimals - self.contract.quantity_decimals
        if price < 0 or quantity < 0:
            raise ValueError(f"planning {self.contract.symbol}: expected precision to grow, got {change}")
        return _Precision(self.contract.scale_at(change.at_ms), 10**price, 10**quantity)

    def _precision(self, minute: int) -> _Precision:
        changed = self._change_minute is not None and minute >= self._change_minute
        return self._after if changed else self._before

    def _path(self, minute: int, bits: Bits, before: int, close: int) -> MinutePath:
        """The minute that goes from about `before` to `close`; each draw takes its own bits of the hash."""
        plan = self.contract
        word, wicks, sizes, salt = bits
        trades = 1 + plan.trades_per_minute * (64 + (word >> 26 & 0xFF) * (word >> 34 & 0xFF) // 96) // 256
        opened = before + _OPENING_JUMPS[word >> 42 & 7]
        if trades == 1:
            close = opened
        high, low = (opened, close) if opened >= close else (close, opened)
        if trades > 3:
            wick = before * _WICK_PPM // _MILLION + 1
            high += (wicks & 0xFF) * (wicks >> 8 & 0xFF) * wick >> 16
            low = max(1, low - ((wicks >> 16 & 0xFF) * (wicks >> 24 & 0xFF) * wick >> 16))
        volume = trades * (1 + plan.quantity_units * (32 + (sizes & 0xFF)) // 160)
        volume -= (sizes >> 8 & 0xFFFF) % (1 + volume // (trades + 1))
        scale = self._before.scale
        if self._change_minute is not None and minute >= self._change_minute:
            _, price_factor, quantity_factor = self._after
            scale = self._after.scale
            volume = volume * quantity_factor + (sizes >> 24 & 0xFFFF) % quantity_factor
            opened = opened * price_factor + (wicks >> 32 & 0xFFF) % price_factor
            close = close * price_factor + (wicks >> 44 & 0xFFF) % price_factor
            high, low = high * price_factor + price_factor - 1, low * price_factor
            if trades == 1:
                high = low = close = opened
        if self._split_minute is not None and minute >= self._split_minute:
            opened, close, high, low = self._split(opened, close, high, low)
        first_turn = 1 + (salt & 0x1FF)
        frames = plan.frames_per_minute
        return MinutePath(
            minute * MINUTE_MS,
            opened,
            close,
            first_turn,
            first_turn + 1 + (salt >> 9 & 0xFFFF) % (PATH - 2 - first_turn),
            (high, low) if wicks >> 63 else (low, high),
            plan.tick_units,
            volume,
            trades,
            volume * (sizes >> 40 & 0xFF) // 255,
            max(1, min(trades, frames - (sizes >> 48 & 0x1F) * frames // 64)),
            salt,
            scale,
        )

    def _split(self, *prices: int) -> list[int]:
        factor = self.contract.split.factor if self.contract.split else 1
        return [max(1, price // factor) for price in prices]
