"""Contracts and bars for tests, made up but exact, and a database file that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from bars import Bar, Contract, Interval, Scale
from bars.contract import NO_DELIVERY_MS
from storage import BarStore, Change, Reader

MONDAY_MS = 1_767_571_200_000
"""2026-01-05 00:00 UTC, where every interval but the month has a bucket start."""
SCALE = Scale(2, 3, 5)


def a_contract(
    symbol: str = "BTCUSDT",
    *,
    onboard_ms: int = MONDAY_MS,
    delivery_ms: int = NO_DELIVERY_MS,
    contract_type: str = "PERPETUAL",
    pair: str | None = None,
    status: str = "TRADING",
) -> Contract:
    pair = symbol if pair is None else pair
    described = {"symbol": symbol, "pair": pair, "contractType": contract_type, "status": status}
    return Contract(
        symbol=symbol,
        onboard_ms=onboard_ms,
        delivery_ms=delivery_ms,
        contract_type=contract_type,
        status=status,
        pair=pair,
        base_asset=symbol.removesuffix("USDT"),
        quote_asset="USDT",
        price_decimals=SCALE.price,
        quantity_decimals=SCALE.volume,
        description=json.dumps(described, ensure_ascii=False),
    )


def a_bar(open_ms: int) -> Bar:
    """A traded bar whose values tell its open time apart from others."""
    price = 10_000 + open_ms // 60_000 % 1_000
    volume = 1_000 + open_ms // 60_000 % 7
    return Bar(open_ms, price, price + 20, price - 10, price + 5, volume, volume * price, 3, 400, 400 * price, SCALE)


def some_bars(interval: Interval, start_ms: int, count: int) -> list[Bar]:
    """`count` bars without a gap, the first at `start_ms`."""
    bars = []
    for _ in range(count):
        bars.append(a_bar(start_ms))
        start_ms = interval.next_open(start_ms)
    return bars


def a_reader(path: Path, changes: Iterable[Change]) -> Reader:
    """A reader over a new database file that `changes` were committed to."""
    store = BarStore.open(path)
    store.commit(list(changes))
    store.close()
    return Reader(path)
