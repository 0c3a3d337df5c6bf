"""python-binance: both its clients and its sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import binance  # type: ignore[import-untyped]
import pytest

from bars.interval import HOUR_MS
from tests.clients.readme import run, run_async, snippet
from tests.clients.served import OTHER, PATIENCE_S, SYMBOL, Frame, Row, Served, has_final


@pytest.fixture(autouse=True)
def _addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the README sets for the whole process is undone after the test."""
    for client in (binance.Client, binance.AsyncClient):
        monkeypatch.setattr(client, "API_URL", client.API_URL)
        monkeypatch.setattr(client, "FUTURES_URL", client.FUTURES_URL)
    monkeypatch.setattr(binance.BinanceSocketManager, "FSTREAM_URL", binance.BinanceSocketManager.FSTREAM_URL)


@pytest.fixture
def names(served: Served) -> dict[str, Any]:
    return run(snippet("python-binance", served.port))


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[dict[str, Any]]:
    """The README's client, and what its snippet printed as `shown`."""
    shown: list[Any] = []
    names = await run_async(snippet("python-binance, live", served.port), print=shown.append)
    try:
        yield {**names, "shown": shown}
    finally:
        await names["client"].close_connection()


async def received(socket: Any, path: str | None = None) -> list[Frame]:
    """The `k` of what comes until a bar was told of in progress and as closed, of one stream if `path` names one."""
    frames: list[Frame] = []
    while not has_final(frames):
        event = await asyncio.wait_for(socket.recv(), PATIENCE_S)
        if path is None or event["stream"] == path:
            frames.append((event if path is None else event["data"])["k"])
    return frames


def test_the_readmes_rows_are_the_exchanges(served: Served, names: dict[str, Any]) -> None:
    assert names["rows"][:-1] == served.truth(names["rows"], "1h")
    hours = (served.exchange.now_ms() - served.exchange.plan.start_ms) // HOUR_MS
    assert 48 <= len(names["rows"]) <= 49 + hours + 1  # the exchange runs faster than this machine's clock


def test_all_history_of_an_interval_that_is_not_stored(served: Served, names: dict[str, Any]) -> None:
    rows = names["Client"]().futures_historical_klines(OTHER, "15m", "30 hours ago UTC")
    assert rows[:-1] == served.truth(rows, "15m", OTHER)


def test_the_asynchronous_client_gets_the_same_rows(served: Served) -> None:
    async def ask() -> tuple[list[Row], list[Row]]:
        async with connected(served) as names:
            client = names["client"]
            return (
                await client.futures_historical_klines(SYMBOL, "1m", "20 hours ago UTC"),
                await client.futures_continuous_klines(pair=SYMBOL, contractType="PERPETUAL", interval="1m", limit=50),
            )

    history, continuous = asyncio.run(ask())
    assert len(history) > 1_000
    assert history[:-1] == served.truth(history)
    assert continuous[:-1] == served.truth(continuous)


def test_kline_futures_socket_tells_the_bar_in_progress_and_the_closed_one(served: Served) -> None:
    async def listen() -> tuple[list[Any], list[Frame]]:
        async with connected(served) as names:
            manager = names["BinanceSocketManager"](names["client"])
            async with manager.kline_futures_socket(SYMBOL, "1m") as socket:
                return names["shown"], await received(socket)

    shown, frames = asyncio.run(listen())
    assert [(event["e"], event["ps"], event["ct"]) for event in shown] == [("continuous_kline", SYMBOL, "PERPETUAL")]
    served.expect_live(frames)


def test_futures_multiplex_socket_tells_of_all_its_streams(served: Served) -> None:
    streams = [f"{OTHER.lower()}@kline_1m", f"{SYMBOL.lower()}@kline_5m"]

    async def listen() -> list[Frame]:
        async with connected(served) as names:
            manager = names["BinanceSocketManager"](names["client"])
            async with manager.futures_multiplex_socket(streams) as socket:
                await received_of_each(socket, set(streams))
                return await received(socket, streams[0])

    served.expect_live(asyncio.run(listen()), OTHER)


async def received_of_each(socket: Any, streams: set[str]) -> None:
    while streams:
        event = await asyncio.wait_for(socket.recv(), PATIENCE_S)
        streams.discard(event["stream"])


def test_what_is_not_here_is_refused_so_that_it_understands(names: dict[str, Any]) -> None:
    client = names["Client"]("key", "secret")
    for ask in (client.futures_account, client.futures_position_information, client.futures_mark_price):
        with pytest.raises(binance.exceptions.BinanceAPIException, match=r"-1020.*Barkeep has no /fapi/v"):
            ask()
