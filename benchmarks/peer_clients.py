"""What a user would take instead, each as its own documentation says, with code that only counts what it is handed.

    python -m benchmarks.peer_clients <name> <REST URL> <WebSocket URL> <file with stream names>

prints how many events were delivered whenever a line comes on its standard input, and ends with that. None of them
stores or aggregates anything. The libraries are optional, and imported only by the client that needs them.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple


class Count:
    """How many events the user's code was handed."""

    def __init__(self) -> None:
        self.events = 0

    def one(self, *_: object) -> None:
        self.events += 1


class Exchange(NamedTuple):
    """Where the exchange is, and which streams are wanted."""

    rest_url: str
    ws_url: str
    streams: Sequence[str]

    @property
    def symbols(self) -> list[str]:
        return [name.partition("@")[0].upper() for name in self.streams]


async def ccxt_each(exchange: Exchange, count: Count) -> None:
    """ccxt.pro, watch_ohlcv in a task for each symbol, without its rate limit of a quarter of a second per symbol."""
    client, symbols = await _ccxt(exchange)

    async def watch(symbol: str) -> None:
        while True:
            count.events += len(await client.watch_ohlcv(symbol, "1m"))

    await asyncio.gather(*map(watch, symbols))


async def ccxt_together(exchange: Exchange, count: Count) -> None:
    """ccxt.pro, watch_ohlcv_for_symbols."""
    client, symbols = await _ccxt(exchange)
    while True:
        news = await client.watch_ohlcv_for_symbols([[symbol, "1m"] for symbol in symbols])
        count.events += sum(len(candles) for of_symbol in news.values() for candles in of_symbol.values())


async def _ccxt(exchange: Exchange) -> tuple[Any, list[str]]:
    client = import_module("ccxt.pro").binanceusdm({"enableRateLimit": False, "newUpdates": True})
    client.urls["api"]["fapiPublic"] = f"{exchange.rest_url}/fapi/v1"
    client.urls["api"]["ws"]["linear"] = f"{exchange.ws_url}/ws"
    await client.load_markets()
    return client, [client.markets_by_id[symbol][0]["symbol"] for symbol in exchange.symbols]


async def python_binance(exchange: Exchange, count: Count) -> None:
    """python-binance, futures_multiplex_socket."""
    library = import_module("binance")
    sockets = library.BinanceSocketManager(library.AsyncClient())
    sockets.FSTREAM_URL = f"{exchange.ws_url}/"
    async with sockets.futures_multiplex_socket(list(exchange.streams)) as socket:
        while True:
            await socket.recv()
            count.one()


async def unicorn(exchange: Exchange, count: Count) -> None:
    """unicorn-binance-websocket-api, a callback that is given dicts."""
    library = import_module("unicorn_binance_websocket_api")
    manager = library.BinanceWebSocketApiManager(
        exchange="binance.com-futures",
        websocket_base_uri=f"{exchange.ws_url}/",
        output_default="dict",
        process_stream_data=count.one,
        high_performance=True,
        warn_on_update=False,
    )
    manager.create_stream(channels=["kline_1m"], markets=[symbol.lower() for symbol in exchange.symbols])
    await asyncio.Event().wait()


async def official(exchange: Exchange, count: Count) -> None:
    """The exchange's own SDK, all streams subscribed at once: as documented it takes half a second for each."""
    library = import_module("binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures")
    models = import_module("binance_sdk_derivatives_trading_usds_futures.websocket_streams.models")
    configuration = library.ConfigurationWebSocketStreams(stream_url=exchange.ws_url)
    client = library.DerivativesTradingUsdsFutures(config_ws_streams=configuration)
    connection = await client.websocket_streams.create_connection()
    model = models.KlineCandlestickStreamsResponse
    await connection.subscribe(list(exchange.streams), response_model=model, stream_url="market")
    for name in exchange.streams:
        connection.on("message", count.one, name)
    await asyncio.Event().wait()


class Client(NamedTuple):
    """A client: the distribution it comes in, and what runs it."""

    distribution: str
    run: Callable[[Exchange, Count], Awaitable[None]]


CLIENTS = MappingProxyType(
    {
        "ccxt.pro watch_ohlcv": Client("ccxt", ccxt_each),
        "ccxt.pro watch_ohlcv_for_symbols": Client("ccxt", ccxt_together),
        "python-binance": Client("python-binance", python_binance),
        "unicorn": Client("unicorn-binance-websocket-api", unicorn),
        "official SDK": Client("binance-sdk-derivatives-trading-usds-futures", official),
    }
)


def _answer(count: Count) -> None:
    for _ in sys.stdin:
        print(count.events, flush=True)


def main() -> None:
    name, rest_url, ws_url, file = sys.argv[1:]
    streams = Path(file).read_text(encoding="utf-8").split()
    count = Count()
    threading.Thread(target=_answer, args=(count,), daemon=True).start()
    asyncio.run(_run(CLIENTS[name], Exchange(rest_url, ws_url, streams), count))


async def _run(client: Client, exchange: Exchange, count: Count) -> None:
    await client.run(exchange, count)


if __name__ == "__main__":
    main()
