"""Decimal text to scaled integers and back, exactly.

The exchange sends prices and volumes as decimal text. Inside, every such value is an integer that
counts units of 10^-decimals, because sums of binary floats print other digits than the exchange does.
"""

from __future__ import annotations

from bars.errors import InvalidDecimal, MoreDecimals, UnitsOverflow

UNITS_MAX = 2**63 - 1
"""The largest count of units that a bar may hold: SQLite's integers are signed 64-bit."""
TEXT_MAX = 40
"""No value that fits is longer: 19 digits, a point, and as many zeros again."""


def to_units(text: str, decimals: int) -> int:
    """The value of plain decimal `text` in units of 10^-decimals.

    Trailing zeros beyond `decimals` carry no value and are accepted: the archive writes an empty
    minute's volume as `0`, `0.0` or `0.0000` depending on the age of the file.

    Raises:
        InvalidDecimal: not ASCII digits with at most one inner point (no sign, no exponent), or too long.
        MoreDecimals: the value needs more decimals than given.
    """
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdecimal()) or not whole or (point and not fraction):
        raise InvalidDecimal(text)
    if len(text) > TEXT_MAX:
        raise InvalidDecimal(text)
    if len(fraction) == decimals:
        return int(digits)
    if len(fraction) > decimals:
        significant = fraction.rstrip("0")
        if len(significant) > decimals:
            raise MoreDecimals(text, given=decimals, needed=len(significant))
        return int(whole + fraction[:decimals])
    return int(digits + "0" * (decimals - len(fraction)))


def to_text(units: int, decimals: int) -> str:
    """The decimal text of `units` of 10^-decimals, padded to exactly `decimals` decimals."""
    if not decimals:
        return str(units)
    digits = str(units).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def volume_text(units: int, decimals: int) -> str:
    """Like `to_text`, but zero is `"0"`, as REST writes the volumes of an empty minute."""
    return to_text(units, decimals) if units else "0"


def rescale(units: int, decimals: int, wider: int) -> int:
    """The same value in units of 10^-wider, where `wider >= decimals`.

    Raises:
        UnitsOverflow: the value would not fit 63 bits.
    """
    if wider < decimals:
        raise ValueError(f"rescaling: expected at least {decimals} decimals, got {wider}")
    rescaled: int = units * 10 ** (wider - decimals)
    if rescaled > UNITS_MAX:
        raise UnitsOverflow(rescaled)
    return rescaled
