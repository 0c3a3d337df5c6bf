"""Which actors there are, who knows whom, and who falls with whom."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from actors.filling.backfill import Backfill
from actors.filling.fetcher import Fetcher
from actors.filling.reconciler import Reconciler
from actors.market.aggregator import Aggregator
from actors.market.directory import Directory
from actors.market.feed import Feed
from actors.market.feed_pool import FeedPool
from actors.market.hub import Hub, HubBook
from actors.market.stream import SymbolStream
from actors.market.waiting import LIVE_BARS_MAX
from actors.market.writer import Writer
from actors.messages import ChildSpec
from actors.runtime.cell import Address
from actors.runtime.supervisor import StartOne
from actors.settings import Settings
from bars import Contract, ContractKey, Patience
from bars.history import within
from exchange import Backoff, RestClient, StreamConnection, WeightBudget, market_stream_url, proxy_for
from storage import BarStore, Reader

FETCHERS = 4
BLOCKED_S = 1.5
"""An actor that hangs in a request or in connecting has nothing to hand over: stopping does not wait for it."""
SECOND_BEATS = 4
"""Streams are told the time once a second, and tell their aggregators."""


class Entrances(NamedTuple):
    """The actors that are told something from outside."""

    hub: Address
    backfill: Address


@dataclass(frozen=True, slots=True)
class Outside:
    """The ways out of the process; a test may put others in their place."""

    open_store: Callable[[], BarStore]
    open_reader: Callable[[], Reader]
    open_client: Callable[[], RestClient]
    open_connection: Callable[[], StreamConnection]
    monotonic: Callable[[], float]
    wall_ms: Callable[[], int]


def outside(settings: Settings, monotonic: Callable[[], float], wall_ms: Callable[[], int]) -> Outside:
    """The real ways out, as the settings say."""
    url = market_stream_url(settings.ws_url)
    rest_proxy = proxy_for(settings.rest_url, settings.proxy, os.environ)
    stream_proxy = proxy_for(url, settings.proxy, os.environ)
    return Outside(
        open_store=lambda: BarStore.open(settings.database),
        open_reader=lambda: Reader(settings.database),
        open_client=lambda: RestClient(settings.rest_url, rest_proxy),
        open_connection=lambda: StreamConnection.open(url, stream_proxy),
        monotonic=monotonic,
        wall_ms=wall_ms,
    )


def _is_of_a_pair(name: str) -> bool:
    return name.startswith(("stream ", "aggregator "))


class Parts:
    """Makes the specifications of all actors. Sinks start first; sources stop first.

    Who begins anew with whom: after a crash of the writer, whatever it had not committed is found missing by
    the pairs, which go on from what is stored. A stream goes on from there when its aggregator crashed.
    Backfill and the pool are told anew by the directory what there is, so it begins anew whenever they do. The
    reconciler knows what it has asked of backfill and sent to the writer, and forgets it when one of them does.

    What outlives a crash in memory: what subscribers were told, and what was spent of the exchange's weight.

    Args:
        live_bars_max: how many bars that came live may wait for the disk.
    """

    def __init__(
        self,
        settings: Settings,
        random: Random,
        out: Outside,
        patience: Patience | None = None,
        live_bars_max: int = LIVE_BARS_MAX,
    ) -> None:
        self._settings = settings
        self._random = random
        self._out = out
        self._patience = patience or Patience()
        self._live_bars_max = live_bars_max
        self._addresses: dict[str, Address] = {}

    def start(self, supervisor: Address, start: StartOne) -> Entrances:
        """Start all but the pairs and the feeds, which the directory and the pool ask for."""
        book, budget = HubBook(), WeightBudget(self._settings.weight_share)
        fetchers: list[Address] = []
        out, settings = self._out, self._settings
        history = within(settings.history, settings.keep)
        hub = start(ChildSpec("hub", lambda: Hub(book), every_beats=SECOND_BEATS, stops_with=6))
        writer = start(
            ChildSpec(
                "writer",
                lambda: Writer(
                    out.open_store,
                    out.wall_ms,
                    hub=hub,
                    supervisor=supervisor,
                    keep=settings.keep,
                    live_bars_max=self._live_bars_max,
                ),
                own_thread=True,
                stops_with=5,
                takes_along=lambda name: _is_of_a_pair(name) or name in ("backfill", "directory", "reconciler"),
            )
        )
        backfill = start(
            ChildSpec(
                "backfill",
                lambda: Backfill(
                    out.open_reader,
                    budget,
                    Backoff(self._random),
                    history,
                    self._patience,
                    writer=writer,
                    supervisor=supervisor,
                    complaints=lambda: self._addresses["feeds"],
                    fetchers=lambda: fetchers,
                ),
                own_thread=True,
                stops_with=4,
                takes_along=lambda name: name in ("directory", "reconciler"),
            )
        )
        for number in range(FETCHERS):
            fetchers.append(start(self._fetcher_spec(number, backfill, supervisor)))
        pool = start(
            ChildSpec(
                "feeds",
                lambda: FeedPool(lambda name: self._feed_spec(name, supervisor), self._random, supervisor=supervisor),
                stops_with=1,
                takes_along=lambda name: name == "directory" or name.startswith("feed "),
            )
        )
        self._addresses = {"hub": hub, "writer": writer, "backfill": backfill, "feeds": pool}
        self._addresses["directory"] = start(
            ChildSpec(
                "directory",
                lambda: Directory(
                    settings.symbols, supervisor=supervisor, backfill=backfill, feeds=pool, writer=writer
                ),
                stops_with=0,
            )
        )
        start(
            ChildSpec(
                "reconciler",
                lambda: Reconciler(
                    out.open_reader,
                    history,
                    writer=writer,
                    backfill=backfill,
                    supervisor=supervisor,
                    directory=lambda: self._addresses["directory"],
                ),
                own_thread=True,
                stops_with=4,
            )
        )
        return Entrances(hub, backfill)

    def start_pair(self, contract: Contract, start: StartOne) -> Address:
        """Start a contract's aggregator and stream; returns the stream."""
        stream_name, aggregator_name = self.pair_names(contract.key)
        known = self._addresses
        aggregator = start(
            ChildSpec(
                aggregator_name,
                lambda: Aggregator(contract, writer=known["writer"], hub=known["hub"], backfill=known["backfill"]),
                every_beats=0,
                stops_with=3,
                takes_along=lambda name: name == stream_name,
            )
        )
        return start(
            ChildSpec(
                stream_name,
                lambda: SymbolStream(
                    contract,
                    self._patience,
                    aggregator=aggregator,
                    backfill=known["backfill"],
                    directory=known["directory"],
                    complaints=known["feeds"],
                ),
                every_beats=SECOND_BEATS,
                stops_with=2,
            )
        )

    def pair_names(self, key: ContractKey) -> tuple[str, str]:
        """The names of a contract's stream and aggregator, in the order in which they stop."""
        return f"stream {key.symbol}@{key.onboard_ms}", f"aggregator {key.symbol}@{key.onboard_ms}"

    def _fetcher_spec(self, number: int, backfill: Address, supervisor: Address) -> ChildSpec:
        return ChildSpec(
            f"fetcher {number}",
            lambda: Fetcher(self._out.open_client, self._out.monotonic, backfill=backfill, supervisor=supervisor),
            own_thread=True,
            every_beats=0,
            stops_with=4,
            ends_within_s=BLOCKED_S,
        )

    def _feed_spec(self, name: str, supervisor: Address) -> ChildSpec:
        return ChildSpec(
            name,
            lambda: Feed(
                name,
                self._out.open_connection,
                self._out.monotonic,
                pool=self._addresses["feeds"],
                hub=self._addresses["hub"],
                supervisor=supervisor,
            ),
            own_thread=True,
            stops_with=1,
            ends_within_s=BLOCKED_S,
        )
