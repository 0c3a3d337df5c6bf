"""ccxt and ccxt.pro."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt  # type: ignore[import-untyped]
import pytest

from tests.clients.readme import run, run_async, snippet
from tests.clients.served import OTHER, OTHER_PAIR, PAIR, PATIENCE_S, SYMBOL, Served, as_floats

Candles = dict[int, list[float]]


@pytest.fixture(scope="module")
def names(served: Served) -> Iterator[dict[str, Any]]:
    names = run(snippet("ccxt", served.port))
    yield names
    names["exchange"].session.close()


@asynccontextmanager
async def watching(served: Served) -> AsyncIterator[dict[str, Any]]:
    names = await run_async(snippet("ccxt.pro, live", served.port))
    try:
        yield names
    finally:
        await names["exchange"].close()


def keep(candles: Candles, news: list[list[float]]) -> None:
    candles.update((int(candle[0]), candle) for candle in news)


def newest(candles: Candles) -> list[list[float]]:
    return [candles[open_ms] for open_ms in sorted(candles)]


def test_the_readmes_rows_are_the_exchanges(served: Served, names: dict[str, Any]) -> None:
    assert names["rows"][:-1] == as_floats(served.truth(names["rows"], "1h"))


@pytest.mark.parametrize(("timeframe", "symbol", "pair"), [("1m", SYMBOL, PAIR), ("4h", OTHER, OTHER_PAIR)])
def test_history_pages_to_the_exchanges_rows(
    served: Served, names: dict[str, Any], timeframe: str, symbol: str, pair: str
) -> None:
    rows: list[list[float]] = []
    since_ms = served.exchange.now_ms() - 1_200 * 60_000
    while len(page := names["exchange"].fetch_ohlcv(pair, timeframe, since=since_ms, limit=499)) > 1:
        rows += page[:-1]  # the last one may be in progress
        since_ms = page[-1][0]
    assert rows[:-1] == as_floats(served.truth(rows, timeframe, symbol))


def test_watch_ohlcv_tells_the_bar_in_progress_and_the_closed_one(served: Served) -> None:
    async def watch() -> Candles:
        async with watching(served) as names:
            candles: Candles = {}
            keep(candles, names["candles"])
            while len(candles) < 2:
                keep(candles, await asyncio.wait_for(names["exchange"].watch_ohlcv(PAIR, "1m"), PATIENCE_S))
            return candles

    served.expect_live_candles(newest(asyncio.run(watch())))


def test_watch_ohlcv_for_symbols_tells_of_all_of_them(served: Served) -> None:
    async def watch() -> dict[str, Candles]:
        async with watching(served) as names:
            candles: dict[str, Candles] = {PAIR: {}, OTHER_PAIR: {}}
            while any(len(those) < 2 for those in candles.values()):
                asked = [[PAIR, "1m"], [OTHER_PAIR, "1m"]]
                news = await asyncio.wait_for(names["exchange"].watch_ohlcv_for_symbols(asked), PATIENCE_S)
                for pair, by_timeframe in news.items():
                    keep(candles[pair], by_timeframe["1m"])
            return candles

    candles = asyncio.run(watch())
    served.expect_live_candles(newest(candles[PAIR]))
    served.expect_live_candles(newest(candles[OTHER_PAIR]), OTHER)


def test_what_is_not_here_is_refused_so_that_ccxt_understands(names: dict[str, Any]) -> None:
    for ask in (names["exchange"].fetch_order_book, names["exchange"].fetch_funding_rate):
        with pytest.raises(ccxt.BadRequest, match=r"-1020.*Barkeep has no /fapi/v1/"):
            ask(PAIR)
