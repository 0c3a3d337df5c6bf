"""Bars and hypothesis strategies for tests of pure code."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from bars import MINUTE_MS, Bar, Scale

SCALE = Scale(2, 1, 3)
MONDAY_MS = 1_744_588_800_000  # 2025-04-14 00:00 UTC


def a_bar(
    open_ms: int = 0,
    prices: tuple[int, int, int, int] = (1_000, 1_200, 900, 1_100),
    volume: int = 70,
    trades: int = 7,
    scale: Scale = SCALE,
) -> Bar:
    """A bar with trades; prices are open, high, low, close."""
    return Bar(open_ms, *prices, volume, volume * 100, trades, volume // 2, volume * 50, scale)


def an_empty_bar(open_ms: int = 0, price: int = 1_000, scale: Scale = SCALE) -> Bar:
    """A bar without trades, flat at `price`."""
    return Bar(open_ms, price, price, price, price, 0, 0, 0, 0, 0, scale)


@st.composite
def bars(draw: st.DrawFn, open_ms: int = 0, scale: Scale = SCALE) -> Bar:
    """Any bar of sensible size; one in three is empty."""
    price = st.integers(1, 100_000)
    if draw(st.integers(0, 2)) == 0:
        return an_empty_bar(open_ms, draw(price), scale)
    low, *between, high = sorted(draw(st.tuples(price, price, price, price)))
    first, last = draw(st.permutations(between))
    volume, quote = draw(st.integers(0, 10**9)), draw(st.integers(0, 10**12))
    taker, taker_quote = draw(st.integers(0, volume)), draw(st.integers(0, quote))
    return Bar(open_ms, first, high, low, last, volume, quote, draw(st.integers(1, 9_999)), taker, taker_quote, scale)


@st.composite
def minutes(draw: st.DrawFn, start_ms: int, size_min: int = 1, size_max: int = 30) -> Sequence[Bar]:
    """Contiguous minutes from `start_ms` on."""
    count = draw(st.integers(size_min, size_max))
    return [draw(bars(start_ms + index * MINUTE_MS)) for index in range(count)]
