"""Decimal text to integers and back."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import BarError, InvalidDecimal, MoreDecimals, UnitsOverflow, to_text, to_units, volume_text
from bars.decimals import TEXT_MAX, UNITS_MAX, rescale

decimals = st.integers(0, 12)
units = st.integers(0, UNITS_MAX)


@given(units, decimals)
def test_text_and_units_are_each_others_inverse(count: int, places: int) -> None:
    assert to_units(to_text(count, places), places) == count


@given(units, decimals)
def test_the_text_is_the_exact_value_with_all_its_decimals(count: int, places: int) -> None:
    text = to_text(count, places)
    assert Decimal(text) == Decimal(count).scaleb(-places)
    assert len(text.partition(".")[2]) == places


@given(units, decimals, st.integers(0, 4))
def test_a_value_keeps_its_worth_in_a_wider_scale(count: int, places: int, more: int) -> None:
    exact = count * 10**more
    if exact > UNITS_MAX:
        with pytest.raises(UnitsOverflow, match="63 bits"):
            rescale(count, places, places + more)
    else:
        assert rescale(count, places, places + more) == exact == to_units(to_text(count, places), places + more)


@given(st.text(max_size=60), decimals)
def test_any_text_is_read_exactly_or_refused(text: str, places: int) -> None:
    try:
        count = to_units(text, places)
    except BarError:
        return
    assert Fraction(count, 10**places) == Fraction(text)
    assert text.isascii()


@given(st.from_regex(r"\A[0-9]{1,12}(\.[0-9]{1,12})?\Z"), decimals)
def test_a_value_that_is_too_fine_names_the_decimals_it_needs(text: str, places: int) -> None:
    needed = max(0, -int(Decimal(text).normalize().as_tuple().exponent))
    if needed <= places:
        assert Decimal(to_units(text, places)).scaleb(-places) == Decimal(text)
    else:
        with pytest.raises(MoreDecimals) as caught:
            to_units(text, places)
        assert caught.value.needed == needed
        assert Decimal(to_units(text, needed)).scaleb(-needed) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "places", "count"),
    [
        ("0", 0, 0),
        ("0", 8, 0),
        ("0.0", 0, 0),
        ("0.0000", 1, 0),
        ("5", 3, 5_000),
        ("12524", 1, 125_240),
        ("83084.90", 2, 8_308_490),
        ("83084.90", 1, 830_849),
        ("0.0000001", 7, 1),
        ("170495790700", 0, 170_495_790_700),
        ("007", 0, 7),
    ],
)
def test_the_exchanges_ways_to_write_a_number(text: str, places: int, count: int) -> None:
    assert to_units(text, places) == count


NO_DECIMALS = [
    "",
    ".",
    ".5",
    "5.",
    "1.2.3",
    "-1",
    "+1",
    "1e3",
    "1E3",
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
    "1,5",
    "null",
]
NO_ASCII_DIGITS = [" 1", "1 ", "1\n", "\u0661\u0662", "\uff11", "\u00b2", "1.\u0662"]
TOO_LONG = ["9" * 41, "9" * 5_000, "0." + "0" * 5_000 + "1"]


@pytest.mark.parametrize("text", [*NO_DECIMALS, *NO_ASCII_DIGITS, *TOO_LONG])
def test_what_is_no_plain_decimal_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(InvalidDecimal) as caught:
        to_units(text, 2)
    assert str(caught.value) == f"reading a decimal: expected digits with at most one point, got {text!r:.80}"


def test_the_longest_text_is_read() -> None:
    assert to_units("0." + "0" * (TEXT_MAX - 2), 0) == 0
    with pytest.raises(InvalidDecimal):
        to_units("0." + "0" * (TEXT_MAX - 1), 0)


def test_a_value_that_is_too_fine_is_named_with_what_was_expected() -> None:
    with pytest.raises(MoreDecimals) as caught:
        to_units("1.2340", 1)
    assert str(caught.value) == "reading '1.2340': expected at most 1 decimals, got 3"


def test_the_greatest_value_fits() -> None:
    assert rescale(UNITS_MAX, 3, 3) == UNITS_MAX
    with pytest.raises(UnitsOverflow):
        rescale(UNITS_MAX + 1, 3, 3)


def test_zero_volume_has_its_own_text() -> None:
    assert volume_text(0, 3) == "0"
    assert volume_text(0, 0) == "0"
    assert volume_text(1, 3) == "0.001"


def test_a_scale_never_narrows() -> None:
    with pytest.raises(ValueError, match="expected at least 3 decimals, got 2"):
        rescale(1, 3, 2)
