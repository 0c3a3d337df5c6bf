"""The truth of a simulated exchange: every bar of every contract, at any time, from the plan alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from bars import INTERVALS, MINUTE, Bar, Interval, aggregate
from bars.aggregate import combine
from bars.interval import MINUTE_MS
from exchange.simulated.minutes import MinutePath
from exchange.simulated.plan import ContractPlan, WorldPlan
from exchange.simulated.recorded import RecordedSeries
from exchange.simulated.series import SimulatedSeries

_SMALLER = MappingProxyType({"1h": "1m", "1d": "1h", "1w": "1d", "1M": "1d"})
_BUCKETS_KEPT = 100_000


class Series(Protocol):
    """Where one contract's minutes come from. Minutes count from the epoch."""

    contract: ContractPlan
    first_minute: int
    end_minute: int

    def minute(self, minute: int) -> Bar | None: ...

    def minutes(self, start: int, stop: int) -> list[Bar]: ...

    def path(self, minute: int) -> MinutePath | None: ...

    def flat_bar(self, minute: int) -> Bar: ...


class World:
    """All contracts and their bars. Knows no clock; safe to read from several threads.

    Args:
        recorded: contracts whose bars are given instead of computed.
    """

    def __init__(self, plan: WorldPlan, recorded: Iterable[Series] = ()) -> None:
        self.plan = plan
        halted = frozenset(
            minute for halt in plan.halts for minute in range(halt.start_ms // MINUTE_MS, -(-halt.stop_ms // MINUTE_MS))
        )
        series: list[Series] = [SimulatedSeries(contract, plan.seed, halted) for contract in plan.contracts]
        series += recorded
        self._series: dict[str, list[Series]] = {}
        for one in sorted(series, key=lambda one: one.contract.onboard_ms):
            self._series.setdefault(one.contract.symbol, []).append(one)
        self._bucket = lru_cache(maxsize=_BUCKETS_KEPT)(self._aggregated)

    @property
    def all_series(self) -> Mapping[str, list[Series]]:
        """Every contract's series by symbol, the oldest contract of a symbol first."""
        return self._series

    @property
    def symbols(self) -> list[str]:
        return list(self._series)

    def series(self, symbol: str, at_ms: int | None = None) -> Series | None:
        """The contract that has the symbol at `at_ms` (None: the last one); None for an unknown symbol.

        A symbol belongs to its old contract until the new one is onboarded.
        """
        series = self._series.get(symbol)
        if not series:
            return None
        if at_ms is None:
            return series[-1]
        return next((one for one in reversed(series) if one.contract.onboard_ms <= at_ms), series[0])

    def minute(self, symbol: str, open_ms: int) -> Bar | None:
        """The minute bar that opens at `open_ms`; None before the contract's first trade."""
        return self._of(symbol, open_ms).minute(open_ms // MINUTE_MS)

    def partial(self, symbol: str, open_ms: int, at_ms: int) -> Bar | None:
        """What of the minute that opens at `open_ms` was traded by `at_ms`; None before its first trade.

        From its end on it is the minute's bar, empty or not.
        """
        series = self._of(symbol, open_ms)
        if at_ms >= open_ms + MINUTE_MS:
            return series.minute(open_ms // MINUTE_MS)
        path = series.path(open_ms // MINUTE_MS)
        step = path.steps_until(at_ms - open_ms) if path is not None and at_ms >= open_ms else 0
        return path.bar_after(step) if path is not None and step else None

    def bars(self, symbol: str, interval: Interval, start_ms: int, stop_ms: int, at_ms: int | None = None) -> list[Bar]:
        """The bars, as they will be once closed, of the buckets that open in the half-open span; ascending.

        The first bucket is the one that holds the contract's first trade; it opens before it. After the
        contract's end flat bars go on for ever.

        Args:
            at_ms: of two contracts with this symbol the one that has it at this time; None: at `stop_ms`.
        """
        series = self._of(symbol, stop_ms if at_ms is None else at_ms)
        first_ms = interval.floor(series.first_minute * MINUTE_MS)
        open_ms = max(interval.ceil(start_ms), first_ms)
        if interval is MINUTE:
            return series.minutes(open_ms // MINUTE_MS, -(-stop_ms // MINUTE_MS))
        if isinstance(series, RecordedSeries):
            return series.bars(interval, open_ms, stop_ms)
        bars = []
        while open_ms < stop_ms:
            bars.append(self._closed(series, interval, open_ms))
            open_ms = interval.next_open(open_ms)
        return bars

    def progress(self, symbol: str, interval: Interval, at_ms: int) -> Bar | None:
        """The bar in progress at `at_ms` as REST shows it: flat at the last close before its first trade.

        None before the contract's first trade, and for recorded contracts.
        """
        series = self._of(symbol, at_ms)
        if isinstance(series, RecordedSeries):
            return None
        open_ms, minute_ms = interval.floor(at_ms), MINUTE.floor(at_ms)
        minute = minute_ms // MINUTE_MS
        newest = self.partial(symbol, minute_ms, at_ms)
        if newest is None:
            if minute <= series.first_minute:
                return None
            newest = series.flat_bar(minute)
        before = self._through(series, interval, open_ms, minute_ms)
        return combine(before, newest)._replace(open_ms=open_ms) if before else newest._replace(open_ms=open_ms)

    def _through(self, series: Series, interval: Interval, open_ms: int, stop_ms: int) -> Bar | None:
        """The closed minutes of a bucket up to `stop_ms` as one bar; None when there are none."""
        parts: list[Bar] = []
        at_ms = max(open_ms, series.first_minute * MINUTE_MS)
        for name in ("1d", "1h", "1m"):
            smaller = INTERVALS[name]
            if name != "1m" and not (smaller.nests_in(interval) and smaller is not interval):
                continue
            at_floor_ms = smaller.floor(at_ms) if at_ms == series.first_minute * MINUTE_MS else smaller.ceil(at_ms)
            if smaller is MINUTE:
                parts += series.minutes(at_ms // MINUTE_MS, stop_ms // MINUTE_MS)
                break
            if at_floor_ms > at_ms:
                continue
            while smaller.next_open(at_floor_ms) <= stop_ms:
                parts.append(self._closed(series, smaller, at_floor_ms))
                at_ms = at_floor_ms = smaller.next_open(at_floor_ms)
        return aggregate(parts, open_ms) if parts else None

    def _closed(self, series: Series, interval: Interval, open_ms: int) -> Bar:
        if open_ms >= series.end_minute * MINUTE_MS:
            return series.flat_bar(series.end_minute)._replace(open_ms=open_ms)
        return self._bucket(series.contract.symbol, series.contract.onboard_ms, interval, open_ms)

    def _aggregated(self, symbol: str, onboard_ms: int, interval: Interval, open_ms: int) -> Bar:
        series = self._of(symbol, onboard_ms)
        stop_ms = interval.next_open(open_ms)
        smaller = INTERVALS[_SMALLER.get(interval.name, "1h" if interval.span_ms > INTERVALS["1h"].span_ms else "1m")]
        if smaller is MINUTE:
            return joined(series.minutes(open_ms // MINUTE_MS, stop_ms // MINUTE_MS), open_ms)
        at_ms = max(open_ms, smaller.floor(series.first_minute * MINUTE_MS))
        parts = []
        while at_ms < stop_ms:
            parts.append(self._closed(series, smaller, at_ms))
            at_ms = smaller.next_open(at_ms)
        return joined(parts, open_ms)

    def _of(self, symbol: str, at_ms: int) -> Series:
        series = self.series(symbol, at_ms)
        if series is None:
            raise KeyError(f"looking up a contract: expected one of {len(self._series)}, got {symbol!r}")
        return series


def joined(bars: list[Bar], open_ms: int) -> Bar:
    """`bars.aggregate`, at a third of its cost where all bars have one scale."""
    traded = [bar for bar in bars if bar.trades]
    if not traded or traded[0].scale != traded[-1].scale or bars[0].scale != bars[-1].scale:
        return aggregate(bars, open_ms)
    return Bar(
        open_ms,
        traded[0].open,
        max([bar.high for bar in traded]),
        min([bar.low for bar in traded]),
        traded[-1].close,
        sum([bar.volume for bar in traded]),
        sum([bar.quote_volume for bar in traded]),
        sum([bar.trades for bar in traded]),
        sum([bar.taker_buy_volume for bar in traded]),
        sum([bar.taker_buy_quote_volume for bar in traded]),
        traded[0].scale,
    )
