"""Aggregation: consecutive bars make a larger one, in every field to the last digit.

The rule for empty bars is the exchange's: a minute without trades is flat at the last close and does
not shape a larger bar, whose open is that of the first *traded* minute. A bucket of nothing but empty
minutes is flat at the last close. The exchange itself leaves the placeholders of a halt out of its
larger bars; after a contract-size change they even stand at another price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import groupby

from bars.bar import Bar, Scale, checked
from bars.interval import Interval


def aggregate(bars: Iterable[Bar], open_ms: int) -> Bar:
    """One bar that opens at `open_ms` and covers all of `bars`, which are ascending and at least one.

    Raises:
        UnitsOverflow: a sum does not fit 63 bits.
    """
    bars = _of_one_scale(list(bars))
    traded = [bar for bar in bars if not bar.is_empty]
    if not traded:
        return bars[-1]._replace(open_ms=open_ms)
    _, _, highs, lows, _, volumes, quote_volumes, trades, taker_buys, taker_buy_quotes, _ = zip(*traded, strict=True)
    return checked(
        Bar(
            open_ms,
            traded[0].open,
            max(highs),
            min(lows),
            traded[-1].close,
            sum(volumes),
            sum(quote_volumes),
            sum(trades),
            sum(taker_buys),
            sum(taker_buy_quotes),
            traded[0].scale,
        )
    )


def combine(first: Bar, second: Bar) -> Bar:
    """One bar that opens with `first` and goes on through `second`, which follows it.

    Associative: bars may be combined in any grouping, as long as their order stays.

    Raises:
        UnitsOverflow: a sum does not fit 63 bits.
    """
    if first.scale != second.scale:
        return aggregate((first, second), first.open_ms)
    if first.is_empty:
        return second._replace(open_ms=first.open_ms)
    if second.is_empty:
        return first
    return checked(
        Bar(
            first.open_ms,
            first.open,
            max(first.high, second.high),
            min(first.low, second.low),
            second.close,
            first.volume + second.volume,
            first.quote_volume + second.quote_volume,
            first.trades + second.trades,
            first.taker_buy_volume + second.taker_buy_volume,
            first.taker_buy_quote_volume + second.taker_buy_quote_volume,
            first.scale,
        )
    )


def aggregate_all(bars: Iterable[Bar], interval: Interval) -> Iterator[Bar]:
    """Ascending bars of any smaller interval as bars of `interval`, one for each bucket that has any.

    Whether a bucket's bars are all there is not looked at: that is known where the bars come from.
    """
    for open_ms, bucket in groupby(bars, lambda bar: interval.floor(bar.open_ms)):
        yield aggregate(bucket, open_ms)


def _of_one_scale(bars: list[Bar]) -> list[Bar]:
    scale = reduce(Scale.widened, {bar.scale for bar in bars})
    return [bar.rescaled(scale) for bar in bars] if any(bar.scale != scale for bar in bars) else bars
