"""Other people's clients against the real server on loopback, over a file that holds real bars."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import binance  # type: ignore[import-untyped]
import ccxt  # type: ignore[import-untyped]
import pytest

from bars import MINUTE, MINUTE_MS, Contract, IntervalBar
from storage import ClosedBars, ContractsSeen, Origin, PartialBars
from tests.support.market import a_reader
from tests.support.ports import PATIENCE_S
from tests.support.recorded import Recorded
from web import Sources, WebServer, make_app
from wire.exchange_info import parse_exchange_info
from wire.rows import bars_from_rows

MINUTES = 3_000
SYMBOL = "NEARUSDT"
FOREIGN = "币安人生USDT"
HOST = "127.0.0.1"

Row = list[Any]


class Market(NamedTuple):
    """A served market: the rows as the exchange would send them, of which the last is in progress."""

    base: str
    rows: list[Row]


def symbol_row(symbol: str, base_asset: str, onboard_ms: int, price_decimals: int) -> dict[str, Any]:
    """A contract's object in exchangeInfo, with every field that clients look at."""
    tick = f"{10**-price_decimals:.{price_decimals}f}"
    return {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": onboard_ms,
        "status": "TRADING",
        "baseAsset": base_asset,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": price_decimals,
        "quantityPrecision": 0,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "1000000", "stepSize": "1"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "1", "maxQty": "1000000", "stepSize": "1"},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC"],
    }


def exchange_info(onboard_ms: int) -> bytes:
    frame = {
        "timezone": "UTC",
        "serverTime": onboard_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [symbol_row(SYMBOL, "NEAR", onboard_ms, 4), symbol_row(FOREIGN, "币安人生", onboard_ms, 4)],
    }
    return json.dumps(frame, ensure_ascii=False).encode()


def as_sent(archived: Row) -> Row:
    """An archived row as REST sends it: times and the trade count as integers."""
    return [int(archived[0]), *archived[1:6], int(archived[6]), archived[7], int(archived[8]), *archived[9:11], "0"]


@pytest.fixture(scope="module")
def market(recorded: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    rows = [as_sent(row) for row in recorded.archive_rows(SYMBOL, "1m", "2025-06")[: MINUTES + 1]]
    info = parse_exchange_info(exchange_info(rows[0][0]))
    near, foreign = info.contracts
    reader = a_reader(
        tmp_path_factory.mktemp("clients") / "bars.db",
        [ContractsSeen(info.contracts, info.frame), *held(near, rows), *held(foreign, rows)],
    )
    now_ms = rows[-1][0] + MINUTE_MS // 2
    server = WebServer(make_app(Sources(reader, lambda: now_ms, lambda: None, dict)), HOST, 0)
    server.start()
    yield Market(f"http://{HOST}:{server.port}", rows)
    server.stop()


def held(contract: Contract, rows: list[Row]) -> tuple[ClosedBars, PartialBars]:
    bars = bars_from_rows(rows, MINUTE, contract.scale)
    return (
        ClosedBars(contract.key, MINUTE, bars[:-1], Origin.ARCHIVE),
        PartialBars(contract.key, [IntervalBar(MINUTE, bars[-1])]),
    )


def as_floats(rows: list[Row]) -> list[list[float]]:
    """What ccxt makes of rows: it knows floats only."""
    return [[row[0], *(float(text) for text in row[1:6])] for row in rows]


@pytest.fixture
def ccxt_client(market: Market) -> Iterator[Any]:
    client = ccxt.binanceusdm({"urls": {"api": {"fapiPublic": f"{market.base}/fapi/v1"}}})
    client.session.trust_env = False
    yield client
    client.session.close()


@pytest.fixture
def python_binance_client(market: Market, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(binance.Client, "API_URL", f"{market.base}/api")
    monkeypatch.setattr(binance.Client, "FUTURES_URL", f"{market.base}/fapi")
    monkeypatch.setenv("NO_PROXY", HOST)
    client = binance.Client()
    yield client
    client.close_connection()


def test_ccxt_gets_the_newest_bars(market: Market, ccxt_client: Any) -> None:
    assert ccxt_client.fetch_ohlcv("NEAR/USDT:USDT", "1m", limit=1000) == as_floats(market.rows[-1000:])


def test_ccxt_pages_from_a_start(market: Market, ccxt_client: Any) -> None:
    got: list[list[float]] = []
    since_ms = market.rows[0][0]
    while page := ccxt_client.fetch_ohlcv("NEAR/USDT:USDT", "1m", since=since_ms, limit=499):
        got += page
        since_ms = page[-1][0] + MINUTE_MS
    assert got == as_floats(market.rows)


def test_ccxt_finds_a_symbol_in_other_letters(market: Market, ccxt_client: Any) -> None:
    assert ccxt_client.fetch_ohlcv("币安人生/USDT:USDT", "1m", limit=3) == as_floats(market.rows[-3:])


def test_ccxt_takes_our_refusals_for_the_exchanges(ccxt_client: Any) -> None:
    ccxt_client.load_markets()
    with pytest.raises(ccxt.BadSymbol):
        ccxt_client.fapiPublicGetKlines({"symbol": "NOPEUSDT", "interval": "1m"})
    with pytest.raises(ccxt.BadRequest):
        ccxt_client.fapiPublicGetKlines({"symbol": SYMBOL, "interval": "3d"})


def test_ccxt_learns_the_time(market: Market, ccxt_client: Any) -> None:
    assert ccxt_client.fetch_time() == market.rows[-1][0] + MINUTE_MS // 2


def test_python_binance_gets_klines_to_the_last_character(market: Market, python_binance_client: Any) -> None:
    assert python_binance_client.futures_klines(symbol=SYMBOL, interval="1m") == market.rows[-500:]


def test_python_binance_gets_all_history(market: Market, python_binance_client: Any) -> None:
    first_ms = market.rows[0][0]
    assert python_binance_client.futures_historical_klines(SYMBOL, "1m", first_ms - MINUTE_MS) == market.rows


def test_python_binance_gets_continuous_klines(market: Market, python_binance_client: Any) -> None:
    rows = python_binance_client.futures_continuous_klines(
        pair=SYMBOL, contractType="PERPETUAL", interval="1m", limit=10
    )
    assert rows == market.rows[-10:]


def test_python_binance_takes_our_refusals_for_the_exchanges(python_binance_client: Any) -> None:
    with pytest.raises(binance.exceptions.BinanceAPIException, match=r"-1121.*Invalid symbol\."):
        python_binance_client.futures_klines(symbol="NOPEUSDT", interval="1m")


@pytest.mark.parametrize("target", [b"elsewhere:443", b"/fapi/v1/ping"])
def test_who_takes_us_for_a_proxy_is_refused_without_a_traceback(
    market: Market, target: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    port = int(market.base.rpartition(":")[2])
    with caplog.at_level(logging.DEBUG), socket.create_connection((HOST, port), timeout=PATIENCE_S) as client:
        client.sendall(b"CONNECT %s HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n" % target)
        assert client.recv(10_000).startswith(b"HTTP/1.1 40")
    assert [record for record in caplog.records if record.exc_info] == []
