"""The native API: bars with all we know of them, the contracts, and how the service is doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bars import INTERVALS, ContractKey
from storage import ContractRecord, SeriesSummary, StoredBar
from web.answers import (
    Answer,
    Handler,
    Query,
    Refusal,
    invalid_parameter,
    json_answer,
    native_parameters,
    saying_what_is_missing,
)
from web.as_of import bars_as_of, edge_of
from web.closed import closed_page
from web.exchange_info import newest_contracts
from web.gaps import gap_page
from web.kline import kline_of
from web.overview import overview_page
from web.pages import Held, held_in_bars, within_time
from web.remembered import Remembered
from web.sources import Sources
from web.through import ReadThrough
from wire.names import upper
from wire.requests import LIMIT_DEFAULT, LIMIT_MAX, KlinesRequest
from wire.version import VERSION

TIME_DIGITS_MAX = 18


def native_routes(sources: Sources, through: ReadThrough) -> list[tuple[str, Handler]]:
    """The native paths that are answered here."""
    pages = _NativePages(sources, through)
    routes: dict[str, Handler] = {
        "/api/klines": pages.klines,
        "/api/symbols": pages.symbols,
        "/api/closed": closed_page(sources),
        "/api/overview": overview_page(sources),
        "/api/gaps": gap_page(sources),
        "/api/status": pages.status,
        "/healthz": pages.health,
    }
    index = {"name": "barkeep", "version": VERSION, "openapi": "/openapi.json", "pages": list(routes)}
    return [("/api", lambda _query: json_answer(index)), *routes.items()]


class _NativePages:
    def __init__(self, sources: Sources, through: ReadThrough) -> None:
        self._sources = sources
        self._through = through
        self._symbols = Remembered(self._list_symbols, sources.monotonic_s)

    def klines(self, query: Query) -> Answer:
        asked = native_parameters(query, required=("symbol", "interval"))
        request = within_time(_parse_request(asked))
        edge_ms = edge_of(_whole_number(asked, "as_of"), self._sources.now_ms())
        reader = self._sources.reader
        record = reader.find(request.symbol)
        if record is None or not record.contract.is_perpetual:
            raise Refusal("unknown_symbol", f"There is no contract {request.symbol[:40]!r} here.", 404)

        if edge_ms is not None:
            bars, reason = bars_as_of(self._sources, self._through, record, request, edge_ms)
            return saying_what_is_missing(json_answer(_body(request, bars, as_of=edge_ms)), reason)

        def read() -> tuple[list[StoredBar], Held | None]:
            bars = reader.bars(
                record, request.interval, start_ms=request.start_ms, end_ms=request.end_ms, limit=request.limit
            )
            return bars, held_in_bars(bars)

        bars, reason = self._through.answer(record, request, read)
        return saying_what_is_missing(json_answer(_body(request, bars)), reason)

    def symbols(self, _query: Query) -> Answer:
        return json_answer(self._symbols())

    def status(self, _query: Query) -> Answer:
        return json_answer(self._sources.status())

    def health(self, _query: Query) -> Answer:
        reason = self._sources.health()
        if reason is None:
            return json_answer({"status": "ok"})
        return json_answer({"status": "unhealthy", "reason": reason}, status=503)

    def _list_symbols(self) -> dict[str, Any]:
        series: dict[ContractKey, list[SeriesSummary]] = {}
        for summary in self._sources.reader.series():
            series.setdefault(summary.key, []).append(summary)
        contracts = newest_contracts(self._sources.reader.contracts())
        return {"symbols": [_symbol(record, series.get(record.contract.key, [])) for record in contracts]}


def _body(request: KlinesRequest, bars: Sequence[StoredBar], **more: int) -> dict[str, Any]:
    klines = [kline_of(bar, request.interval) for bar in bars]
    return {"symbol": request.symbol, "interval": request.interval.name, **more, "klines": klines}


def _symbol(record: ContractRecord, series: list[SeriesSummary]) -> dict[str, Any]:
    contract = record.contract
    return {
        "symbol": contract.symbol,
        "contract_type": contract.contract_type,
        "status": contract.status,
        "base_asset": contract.base_asset,
        "quote_asset": contract.quote_asset,
        "onboard_time": contract.onboard_ms,
        "delivery_time": contract.delivery_ms,
        "price_decimals": record.scale.price,
        "quantity_decimals": record.scale.volume,
        "intervals": {
            summary.interval.name: {
                "first": summary.first_ms,
                "last": summary.last_ms,
                "count": summary.bars,
                "gaps": summary.gaps,
            }
            for summary in series
        },
    }


def _parse_request(asked: Mapping[str, str]) -> KlinesRequest:
    """Read the parameters of /api/klines, of which `symbol` and `interval` are there.

    Raises:
        Refusal: naming the parameter, what was expected and what was got.
    """
    interval = INTERVALS.get(asked["interval"])
    if interval is None:
        raise invalid_parameter("interval", f"one of {' '.join(INTERVALS)}", asked["interval"])
    limit = _whole_number(asked, "limit")
    if limit is not None and not 1 <= limit <= LIMIT_MAX:
        raise invalid_parameter("limit", f"1 to {LIMIT_MAX}", asked["limit"])
    start_ms, end_ms = _whole_number(asked, "start"), _whole_number(asked, "end")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise invalid_parameter("start", f"at most end, which is {end_ms}", asked["start"])
    return KlinesRequest(upper(asked["symbol"]), interval, LIMIT_DEFAULT if limit is None else limit, start_ms, end_ms)


def _whole_number(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > TIME_DIGITS_MAX:
        raise invalid_parameter(name, f"a whole number of at most {TIME_DIGITS_MAX} digits", text)
    return int(text)
