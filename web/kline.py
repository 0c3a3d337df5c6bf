"""A bar in the native form."""

from __future__ import annotations

from typing import Any

from bars import Interval, to_text, volume_text
from storage import StoredBar


def kline_of(stored: StoredBar, interval: Interval) -> dict[str, Any]:
    """All that is known of a bar: times in ms UTC, values as exact decimal text."""
    bar = stored.bar
    price, volume, quote = bar.scale
    return {
        "open_time": bar.open_ms,
        "close_time": interval.close_ms(bar.open_ms),
        "open": to_text(bar.open, price),
        "high": to_text(bar.high, price),
        "low": to_text(bar.low, price),
        "close": to_text(bar.close, price),
        "volume": volume_text(bar.volume, volume),
        "quote_volume": volume_text(bar.quote_volume, quote),
        "trades": bar.trades,
        "taker_buy_volume": volume_text(bar.taker_buy_volume, volume),
        "taker_buy_quote_volume": volume_text(bar.taker_buy_quote_volume, quote),
        "closed": stored.closed,
        "origin": stored.origin.name.lower(),
        "verified": stored.verified,
    }
