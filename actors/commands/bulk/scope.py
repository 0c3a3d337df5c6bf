"""Which contracts and series a bulk download is about, and which listings tell what the archive has of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from actors.commands.bulk.series import Series, Wanted
from actors.options import BadOption
from bars import DAY, MINUTE_MS, Contract, Interval
from bars.contract import NOT_YET_TRADING
from bars.history import Depth
from exchange import ArchiveClient
from storage import Reader
from wire.archive import MONTH, ArchiveFile, Listed, Period, period_of
from wire.archive_plan import Published, plan
from wire.exchange_info import ExchangeInfo

SETTLE_MS = MINUTE_MS
"""Bars that ended later than this ago are left to the live service: a node of the exchange may lag behind."""


def chosen(info: ExchangeInfo, symbols: Sequence[str] | None) -> list[Contract]:
    """The named symbols' contracts, whatever they are; else every trading perpetual. Oldest first.

    Raises:
        BadOption: a symbol that the exchange does not list.
    """
    oldest_first = sorted(info.contracts, key=lambda contract: (contract.onboard_ms, contract.symbol))
    if symbols is None:
        return [one for one in oldest_first if one.is_perpetual and one.status == "TRADING"]
    listed = {contract.symbol for contract in info.contracts}
    for symbol in symbols:
        if symbol not in listed:
            raise BadOption("--symbols", "symbols that the exchange lists", symbol)
    return [contract for contract in oldest_first if contract.symbol in symbols]


def wanted_series(
    wanted: Wanted, contracts: Sequence[Contract], history: Mapping[Interval, Depth], reader: Reader, now_ms: int
) -> list[Series]:
    """The series of these contracts, as far as anything of them is wanted; what was loaded before is known to them."""
    published = Published(now_ms)
    found = []
    for interval in wanted.intervals:
        for contract in contracts:
            span = wanted.span_of(contract, interval, history[interval], now_ms - SETTLE_MS)
            if not span.is_empty and contract.status not in NOT_YET_TRADING:
                is_open_ended = wanted.stop_ms is None
                series = Series(contract, interval, span, wanted.source, published, is_open_ended=is_open_ended)
                series.remember(reader)
                found.append(series)
    return found


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one series and kind, to be asked for."""

    series: Series
    kind: Interval

    def ask(self, client: ArchiveClient) -> list[Listed]:
        """The files that may be wanted: a long listing need not be read from its start."""
        series, kind = self.series, self.kind
        before = Period.of(kind, max(0, kind.floor(series.span.start_ms) - 1))
        symbol, interval = series.contract.symbol, series.interval
        return client.files(symbol, interval, kind, ArchiveFile(symbol, interval, before).key)

    def take(self, files: Sequence[Listed]) -> None:
        """Note what there is."""
        sizes = {period: file.size_bytes for file in files if (period := period_of(file.key)) is not None}
        was = self.series.published
        self.series.published = Published(was.now_ms, (*was.listed, self.kind), {**was.sizes, **sizes})


def listings(series: Series, reader: Reader) -> Iterator[Listing]:
    """The listings that a series needs: none where no file is wanted even if there were all."""
    holes = series.holes(reader)
    steps = plan(holes, series.interval, series.published, series.source, series.tried)
    for kind in (MONTH, DAY):
        if any(period.kind is kind for period in steps.periods):
            yield Listing(series, kind)
