"""Many bars of one series as one flat row of integers, for the ways that are too hot for objects."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from bars import Bar, Interval, Scale, Span, UnitsOverflow
from bars.decimals import UNITS_MAX

FIELD_COUNT = 12
"""As the exchange's rows have."""
OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME, CLOSE_TIME, QUOTE, TRADES, TAKER, TAKER_QUOTE, IGNORED = range(FIELD_COUNT)
PRICES = (OPEN, HIGH, LOW, CLOSE)
VOLUMES = (VOLUME, TAKER)
QUOTES = (QUOTE, TAKER_QUOTE)


@dataclass(frozen=True, slots=True)
class BarTable:
    """Sound bars, ascending, of one interval and one scale.

    `values` has twelve integers for each, in the order of the exchange's rows; the last of them means nothing.
    """

    values: Sequence[int]
    scale: Scale

    @classmethod
    def of(cls, bars: Iterable[Bar], interval: Interval, scale: Scale) -> BarTable:
        """The table of ascending bars, which all have this scale."""
        rows = (
            (open_ms, price, high, low, close, v, interval.close_ms(open_ms), q, n, tv, tq, 0)
            for open_ms, price, high, low, close, v, q, n, tv, tq, _ in bars
        )
        return cls(list(chain.from_iterable(rows)), scale)

    def __len__(self) -> int:
        return len(self.values) // FIELD_COUNT

    @property
    def opens_ms(self) -> Sequence[int]:
        return self.values[OPEN_TIME::FIELD_COUNT]

    def bars(self) -> list[Bar]:
        """The same as objects."""
        columns = (self.values[at::FIELD_COUNT] for at in range(FIELD_COUNT))
        return [
            Bar(open_ms, price, high, low, close, v, q, n, tv, tq, self.scale)
            for open_ms, price, high, low, close, v, _, q, n, tv, tq, _ in zip(*columns, strict=True)
        ]

    def within(self, span: Span) -> BarTable:
        """The bars that open in the half-open span."""
        opens_ms = self.opens_ms
        first, stop = bisect_left(opens_ms, span.start_ms), bisect_left(opens_ms, span.stop_ms)
        if first == 0 and stop == len(opens_ms):
            return self
        return BarTable(self.values[first * FIELD_COUNT : stop * FIELD_COUNT], self.scale)

    def rescaled(self, scale: Scale) -> BarTable:
        """The same bars in units of a wider scale.

        Raises:
            UnitsOverflow: a value would not fit 63 bits.
        """
        if scale == self.scale:
            return self
        values = list(self.values)
        for places, was, wider in zip((PRICES, VOLUMES, QUOTES), self.scale, scale, strict=True):
            if wider < was:
                raise ValueError(f"rescaling: expected at least {was} decimals, got {wider}")
            power = 10 ** (wider - was)
            for at in places if power > 1 else ():
                column = [value * power for value in values[at::FIELD_COUNT]]
                if max(column, default=0) > UNITS_MAX:
                    raise UnitsOverflow(max(column))
                values[at::FIELD_COUNT] = column
        return BarTable(values, scale)
