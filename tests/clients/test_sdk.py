"""The exchange's own SDK: REST, and its three sockets, of which two stay idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from binance_sdk_derivatives_trading_usds_futures import BadRequestError

from tests.clients.readme import run_async, snippet
from tests.clients.served import PATIENCE_S, SYMBOL, Frame, Served, has_final

STREAM = f"{SYMBOL.lower()}@kline_1m"


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[tuple[dict[str, Any], asyncio.Queue[Any]]]:
    """The README's names, and what its stream tells."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    names = await run_async(snippet("the exchange's SDK", served.port), print=events.put_nowait)
    try:
        yield names, events
    finally:
        await names["client"].websocket_streams.close_connection()


def test_rows_and_live_bars_are_the_exchanges(served: Served) -> None:
    async def listen() -> tuple[dict[str, Any], list[Frame], list[str]]:
        async with connected(served) as (names, events):
            frames: list[Frame] = []
            while not has_final(frames):
                event = await asyncio.wait_for(events.get(), PATIENCE_S)
                frames.append(event.k.to_dict())
            return names, frames, [connection.url_path for connection in names["client"].websocket_streams.connections]

    names, frames, paths = asyncio.run(listen())
    assert paths == ["market", "public", "private"]
    assert len(names["rows"]) == 100
    assert names["rows"][:-1] == served.truth(names["rows"], "1h")
    served.expect_live(frames)


def test_it_lists_and_ends_its_subscriptions(served: Served) -> None:
    async def ask() -> list[dict[str, Any]]:
        async with connected(served) as (names, _):
            streams = names["client"].websocket_streams
            before = await asyncio.wait_for(streams.list_subscribe(), PATIENCE_S)
            await asyncio.wait_for(streams.unsubscribe([STREAM]), PATIENCE_S)
            return [before, await asyncio.wait_for(streams.list_subscribe(), PATIENCE_S)]

    before, after = asyncio.run(ask())
    assert (before["result"], after["result"]) == ([STREAM], [])
    assert UUID(before["id"]) != UUID(after["id"])


def test_it_takes_our_refusals_for_the_exchanges(served: Served) -> None:
    async def ask() -> None:
        async with connected(served) as (names, _):
            names["client"].rest_api.kline_candlestick_data("NOPEUSDT", "1m")

    with pytest.raises(BadRequestError, match="Invalid symbol"):
        asyncio.run(ask())
