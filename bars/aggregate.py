"""Aggregation: consecutive bars make a larger one, in every field to the last digit.

The rule for empty bars is the exchange's: a minute without trades is flat at the last close and does
not shape a larger bar, whose open is that of the first *traded* minute. A bucket of nothing but empty
minutes is flat at the last close. The exchange itself leaves the placeholders of a halt out of its
larger bars; after a contract-size change they even stand at another price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce

from bars.bar import Bar, checked
from bars.interval import Interval


def combine(first: Bar, second: Bar) -> Bar:
    """One bar that opens with `first` and goes on through `second`, which follows it.

    Associative: bars may be combined in any grouping, as long as their order stays.

    Raises:
        UnitsOverflow: a sum does not fit 63 bits.
    """
    if first.scale != second.scale:
        scale = first.scale.widened(second.scale)
        first, second = first.rescaled(scale), second.rescaled(scale)
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


def aggregate(bars: Iterable[Bar], open_ms: int) -> Bar:
    """One bar that opens at `open_ms` and covers all of `bars`, which are ascending and at least one.

    Raises:
        UnitsOverflow: a sum does not fit 63 bits.
    """
    return reduce(combine, bars)._replace(open_ms=open_ms)


def aggregate_all(bars: Iterable[Bar], interval: Interval) -> Iterator[Bar]:
    """Ascending bars of any smaller interval as bars of `interval`, one for each bucket that has any.

    Whether a bucket's bars are all there is not looked at: that is known where the bars come from.
    """
    bucket: Bar | None = None
    end_ms = 0
    for bar in bars:
        if bucket is not None and bar.open_ms < end_ms:
            bucket = combine(bucket, bar)
            continue
        if bucket is not None:
            yield bucket
        start_ms, end_ms = interval.floor(bar.open_ms), interval.next_open(bar.open_ms)
        bucket = bar._replace(open_ms=start_ms)
    if bucket is not None:
        yield bucket
