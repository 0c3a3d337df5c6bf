"""What can be wrong with a value.

BarError
├ InvalidDecimal    text that is no plain decimal number
├ MoreDecimals      a value finer than the scale it should be held in: widen the scale
├ UnitsOverflow     a value that does not fit 63 bits
└ InvalidBar        fields that contradict each other (low above high, a foreign open time …)
"""

from __future__ import annotations


class BarError(ValueError):
    """A value that no bar can hold as it came."""


class InvalidDecimal(BarError):
    """Text that is no plain decimal number."""

    def __init__(self, text: str) -> None:
        super().__init__(f"reading a decimal: expected digits with at most one point, got {text!r:.80}")


class MoreDecimals(BarError):
    """A value that is finer than the scale it should be held in."""

    def __init__(self, text: str, *, given: int, needed: int) -> None:
        super().__init__(f"reading {text!r:.80}: expected at most {given} decimals, got {needed}")
        self.needed = needed


class UnitsOverflow(BarError):
    """A value that does not fit 63 bits."""

    def __init__(self, units: int) -> None:
        super().__init__(f"holding a value: expected at most 63 bits, got {units.bit_length()} ({units})")


class InvalidBar(BarError):
    """Fields of one bar that contradict each other."""
