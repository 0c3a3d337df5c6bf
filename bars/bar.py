"""The bar: one candle in exact integers."""

from __future__ import annotations

from typing import NamedTuple

from bars.decimals import UNITS_MAX, rescale
from bars.errors import InvalidBar, UnitsOverflow


class Scale(NamedTuple):
    """How many decimals the units of each kind of field have.

    A contract starts with the exchange's pricePrecision, quantityPrecision and their sum, and is
    widened when a finer value arrives; it never narrows.
    """

    price: int
    volume: int
    quote: int

    def widened(self, other: Scale) -> Scale:
        """The narrowest scale that holds the values of both."""
        if other == self:
            return self
        return Scale(max(self.price, other.price), max(self.volume, other.volume), max(self.quote, other.quote))


class Bar(NamedTuple):
    """One candle. Prices, volumes and quote volumes count units of `scale`.

    Which interval, which contract, and whether it is closed is said where the bar is kept or sent:
    the same numbers are a closed minute and the beginning of a partial week.
    """

    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_buy_volume: int
    taker_buy_quote_volume: int
    scale: Scale

    @property
    def is_empty(self) -> bool:
        """Whether nobody traded: such a bar is flat at the last close and shapes no larger bar.

        A flat bar with trades is common and not empty.
        """
        return self.trades == 0 and self.volume == 0

    def rescaled(self, scale: Scale) -> Bar:
        """The same bar in units of a wider `scale`.

        Raises:
            UnitsOverflow: a value would not fit 63 bits.
        """
        if scale == self.scale:
            return self
        was = self.scale
        return Bar(
            self.open_ms,
            rescale(self.open, was.price, scale.price),
            rescale(self.high, was.price, scale.price),
            rescale(self.low, was.price, scale.price),
            rescale(self.close, was.price, scale.price),
            rescale(self.volume, was.volume, scale.volume),
            rescale(self.quote_volume, was.quote, scale.quote),
            self.trades,
            rescale(self.taker_buy_volume, was.volume, scale.volume),
            rescale(self.taker_buy_quote_volume, was.quote, scale.quote),
            scale,
        )


def checked(bar: Bar) -> Bar:
    """The bar itself, if its fields agree with each other and fit.

    Raises:
        InvalidBar: low above open or close, high below them, taker volume above volume, or trades below 0.
        UnitsOverflow: a value does not fit 63 bits.
    """
    if not bar.low <= bar.open <= bar.high or not bar.low <= bar.close <= bar.high:
        raise InvalidBar(f"checking a bar: expected low <= open, close <= high, got {bar}")
    if bar.taker_buy_volume > bar.volume or bar.taker_buy_quote_volume > bar.quote_volume:
        raise InvalidBar(f"checking a bar: expected taker buy volume within volume, got {bar}")
    if bar.trades < 0:
        raise InvalidBar(f"checking a bar: expected trades from 0, got {bar}")
    if bar.high > UNITS_MAX or bar.quote_volume > UNITS_MAX or bar.volume > UNITS_MAX or bar.trades > UNITS_MAX:
        raise UnitsOverflow(max(bar.high, bar.quote_volume, bar.volume, bar.trades))
    return bar


def are_equal(one: Bar, other: Bar) -> bool:
    """Whether two bars have the same values, whatever their scales."""
    scale = one.scale.widened(other.scale)
    return one.rescaled(scale) == other.rescaled(scale)
