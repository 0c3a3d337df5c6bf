"""The exchange's own REST, answered from the file: its parameters, its rows, its errors.

Beside klines there is what clients ask before them: ping, time, exchangeInfo, and python-binance's spot
ping. Bars that are not held are fetched first. Where that cannot be, they are not invented: the header
`X-Barkeep-Incomplete` says what is missing, and why.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from bars.contract import PERPETUAL_TYPES
from storage import ContractRecord, Reader
from web.answers import Answer, Handler, Query, json_answer, parameters, refused, saying_what_is_missing
from web.exchange_info import ExchangeInfoPage
from web.pages import Held, held_in_rows, within_time
from web.sources import Sources
from web.through import ReadThrough
from wire.errors import (
    ApiError,
    duplicate_parameter,
    invalid_symbol,
    invalid_value,
    missing_parameter,
    unavailable,
)
from wire.names import upper
from wire.requests import KlinesRequest, klines_weight, parse_klines_request

WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
LIGHT_WEIGHT = 1
DATED_TYPES = frozenset({"CURRENT_MONTH", "NEXT_MONTH", "CURRENT_QUARTER", "NEXT_QUARTER", "PERPETUAL_DELIVERING"})


def compatible_routes(sources: Sources, through: ReadThrough) -> list[tuple[str, Handler]]:
    """The exchange's paths that are answered here."""
    pages = _CompatiblePages(sources, through)
    light = {
        "/fapi/v1/ping": pages.ping,
        "/fapi/v1/time": pages.time,
        "/fapi/v1/exchangeInfo": pages.exchange_info,
        "/api/v3/ping": pages.ping,
        "/api/v3/time": pages.time,
    }
    by_limit = {"/fapi/v1/klines": pages.klines, "/fapi/v1/continuousKlines": pages.continuous_klines}
    return [
        *((path, _weighed(handler, lambda _query: LIGHT_WEIGHT)) for path, handler in light.items()),
        *((path, _weighed(handler, _weight_by_limit)) for path, handler in by_limit.items()),
    ]


class _CompatiblePages:
    def __init__(self, sources: Sources, through: ReadThrough) -> None:
        self._reader: Reader = sources.reader
        self._through = through
        self._now_ms = sources.now_ms
        self._exchange_info = ExchangeInfoPage(sources)

    def ping(self, _query: Query) -> Answer:
        return json_answer({})

    def time(self, _query: Query) -> Answer:
        now_ms = self._now_ms()
        if now_ms is None:
            raise unavailable()
        return json_answer({"serverTime": now_ms})

    def exchange_info(self, _query: Query) -> Answer:
        body = self._exchange_info.at(self._now_ms())
        if body is None:
            raise unavailable()
        return Answer(body)

    def klines(self, query: Query) -> Answer:
        request = parse_klines_request(parameters(query, duplicate_parameter))
        return self._rows(request, self._perpetual(request.symbol))

    def continuous_klines(self, query: Query) -> Answer:
        asked = parameters(query, duplicate_parameter)
        request = parse_klines_request(asked, "pair")
        contract_type = upper(asked.get("contractType", ""))
        if not contract_type:
            raise missing_parameter("contractType")
        if contract_type not in PERPETUAL_TYPES | DATED_TYPES:
            raise invalid_value("contractType")
        record = self._perpetual(request.symbol)
        if (record.contract.pair, record.contract.contract_type) != (request.symbol, contract_type):
            raise invalid_symbol()
        return self._rows(request, record)

    def _perpetual(self, symbol: str) -> ContractRecord:
        record = self._reader.find(symbol)
        if record is None or not record.contract.is_perpetual:
            raise invalid_symbol()
        return record

    def _rows(self, request: KlinesRequest, record: ContractRecord) -> Answer:
        request = within_time(request)

        def read() -> tuple[str, Held | None]:
            rows = self._reader.rows_json(
                record, request.interval, start_ms=request.start_ms, end_ms=request.end_ms, limit=request.limit
            )
            return rows, held_in_rows(rows)

        rows, reason = self._through.answer(record, request, read)
        return saying_what_is_missing(Answer(rows.encode()), reason)


def _weighed(handler: Handler, weight: Callable[[Query], int]) -> Handler:
    """Refusals cost too, so they carry the header like answers do.

    What is named is the weight of this request alone: there is no limit here that a client had to keep
    to, and a sum would only make cautious ones wait.
    """

    @functools.wraps(handler)
    def call(query: Query) -> Answer:
        try:
            answer = handler(query)
        except ApiError as error:
            answer = refused(error)
        return answer._replace(headers={**answer.headers, WEIGHT_HEADER: str(weight(query))})

    return call


def _weight_by_limit(query: Query) -> int:
    limit = dict(query).get("limit", "")
    return klines_weight(int(limit) if limit.isascii() and limit.isdecimal() and len(limit) < 10 else None)
