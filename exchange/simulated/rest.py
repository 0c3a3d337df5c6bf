"""The REST side: what is answered to which request. No sockets, no faults, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from bars import MINUTE_MS, Bar, Interval
from exchange.simulated.exchange_info import exchange_info
from exchange.simulated.faults import Dice
from exchange.simulated.plan import ContractPlan
from exchange.simulated.world import Series, World
from wire.errors import (
    ApiError,
    illegal_characters,
    invalid_symbol,
    invalid_symbol_status,
    invalid_value,
    missing_parameter,
)
from wire.requests import KlinesRequest, klines_weight, parse_klines_request
from wire.rows import row_from_bar

ROOT = "/fapi/v1/"
CONTRACT_TYPES = frozenset({"PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER", "TRADIFI_PERPETUAL"})
_JSON = (b"content-type", b"application/json;charset=UTF-8")
_LIMIT_DIGITS = 9


class Answer(NamedTuple):
    """A whole HTTP answer."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = (_JSON,)


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, msgspec.json.encode(value))


def refusal(error: ApiError) -> Answer:
    return json_answer(error.body(), error.status)


def parameters(query: bytes) -> dict[str, str]:
    """The parameters of a query string; text that is not percent-encoded UTF-8 is kept as it is."""
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace"))


def weight(path: str, query: bytes) -> int:
    """What a request costs, refused ones included: `limit=1501` is refused and costs 10."""
    if path not in (f"{ROOT}klines", f"{ROOT}continuousKlines"):
        return 1
    limit = parameters(query).get("limit")
    if limit is None:
        return klines_weight(None)
    whole = limit.isascii() and limit.isdigit() and len(limit) <= _LIMIT_DIGITS
    return klines_weight(int(limit)) if whole else 1


class Rest:
    """Answers requests about a world.

    Args:
        dice: for what differs between calls without being a fault.
    """

    def __init__(self, world: World, dice: Dice) -> None:
        self._world = world
        self._dice = dice

    def answer(self, path: str, query: bytes, now_ms: int, view_ms: int | None = None) -> Answer:
        """The answer to GET `path`?`query` at `now_ms`.

        Args:
            view_ms: when the answering node last heard of the market; None: just now.

        Raises:
            ApiError: the request is refused.
        """
        name = path.removeprefix(ROOT)
        if name == "ping":
            return Answer(200, b"{}")
        if name == "time":
            return json_answer({"serverTime": now_ms})
        if name == "exchangeInfo":
            return Answer(200, exchange_info(self._world, now_ms, self._dice))
        if name in ("klines", "continuousKlines"):
            given = parameters(query)
            if not query.isascii():
                raise illegal_characters("symbol", "^[A-Z0-9-_.]{1,20}$")
            return json_answer(self._klines(name, given, now_ms if view_ms is None else view_ms))
        return Answer(404, b"<html><body><h1>404 Not Found</h1></body></html>", ((b"content-type", b"text/html"),))

    def _klines(self, name: str, given: Mapping[str, str], now_ms: int) -> list[list[int | str]]:
        if name == "klines":
            request = parse_klines_request(given)
            series = self._world.series(request.symbol, now_ms)
        else:
            request = parse_klines_request(given, "pair")
            series = self._of_pair(request.symbol, given.get("contractType", ""), now_ms)
        if series is None or now_ms < series.contract.shown_from_ms:
            raise invalid_symbol()
        if series.contract.refuses_klines and now_ms >= series.contract.delivery_ms:
            raise invalid_symbol_status()
        bars = klines(self._world, series, request, now_ms)
        return [row_from_bar(bar, request.interval) for bar in bars]

    def _of_pair(self, pair: str, contract_type: str, now_ms: int) -> Series | None:
        if not contract_type:
            raise missing_parameter("contractType")
        if contract_type not in CONTRACT_TYPES:
            raise invalid_value("contractType")
        for symbol in self._world.symbols:
            series = self._world.series(symbol, now_ms)
            if series is not None and _is_of(series.contract, pair, contract_type):
                return series
        return None


def _is_of(contract: ContractPlan, pair: str, contract_type: str) -> bool:
    return (contract.pair or contract.symbol) == pair and contract.contract_type == contract_type


def klines(world: World, series: Series, request: KlinesRequest, now_ms: int) -> list[Bar]:
    """The bars that a request brings at `now_ms`, the one in progress included, ascending.

    Both bounds are inclusive on open times. With a start the first `limit` bars from it on, which begin
    at the contract's first bar; without one the newest `limit` bars.
    """
    interval, symbol = request.interval, series.contract.symbol
    newest_ms = interval.floor(now_ms)
    last_ms = newest_ms if request.end_ms is None else interval.floor(min(now_ms, request.end_ms))
    first_ms = interval.floor(series.first_minute * MINUTE_MS)
    if request.start_ms is not None:
        if request.start_ms > now_ms:
            return []
        open_ms = max(first_ms, interval.ceil(request.start_ms))
        last_ms = min(last_ms, _forward(interval, open_ms, request.limit - 1))
    else:
        open_ms = max(first_ms, interval.back(last_ms, request.limit - 1))
    bars = world.bars(symbol, interval, open_ms, min(last_ms + 1, newest_ms), at_ms=now_ms)
    if open_ms <= newest_ms <= last_ms:
        progress = world.progress(symbol, interval, now_ms)
        if progress is not None:
            bars.append(progress)
    return bars


def _forward(interval: Interval, open_ms: int, count: int) -> int:
    if interval.is_calendar:
        return interval.back(open_ms, -count)
    return open_ms + count * interval.span_ms
