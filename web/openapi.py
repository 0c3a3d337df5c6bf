"""`/openapi.json`: what every page takes and answers, as OpenAPI 3.1. Written by hand; tests hold the pages to it."""

from __future__ import annotations

from typing import Any

from bars.contract import PERPETUAL_TYPES
from web.access import SIZE_MAX
from web.answers import INCOMPLETE_HEADER
from web.closed import WAIT_MAX_S
from web.compatible import WEIGHT_HEADER
from web.guard import BODY_MAX, BODY_S
from web.native import TIME_DIGITS_MAX
from web.openapi_schemas import Schema, ref, schemas
from web.udf import SECONDS_DIGITS_MAX
from wire.requests import LIMIT_DEFAULT, LIMIT_MAX
from wire.version import VERSION

TIME_MAX = 10**TIME_DIGITS_MAX - 1
SECONDS_MAX = 10**SECONDS_DIGITS_MAX - 1
JSON = "application/json"

_DESCRIPTION = """\
Every Binance USDⓈ-M perpetual's bars, exact and live, from your own machine. Times are UTC milliseconds unless a name
says otherwise; prices and volumes are exact decimals. Each parameter may be given once; unknown ones are ignored. An
answer that lacks bars says so in the header X-Barkeep-Incomplete."""


def document() -> dict[str, Any]:
    """The whole document, of one application."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Barkeep",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "native", "description": "Barkeep's own pages"},
            {"name": "exchange", "description": "as from fapi.binance.com, errors included"},
            {"name": "udf", "description": "TradingView's UDF protocol"},
            {"name": "operation", "description": "for who runs it"},
        ],
        "paths": {path: {"get": operation} for path, operation in _operations().items()},
        "security": [{}, *({name: list[str]()} for name in _keys())],
        "components": {"schemas": schemas(), "headers": _headers(), "securitySchemes": _keys()},
    }


def _operations() -> dict[str, dict[str, Any]]:
    return {**_native(), **_operation_pages(), **_exchange(), **_udf()}


def _native() -> dict[str, dict[str, Any]]:
    bars = [INCOMPLETE_HEADER]
    return {
        "/api/klines": _page(
            "native",
            "klines",
            "Bars with all that is known of them",
            [
                _symbol(),
                _interval(),
                _time("start", "the first open time, inclusive; without it the newest bars are answered"),
                _time("end", "the last open time, inclusive"),
                _limit(),
                _time(
                    "as_of",
                    "a past time: the bars as they stood at the close of the last minute whose close time is not after "
                    "it. Closed bars until then, and the bar then in progress, made of smaller ones that had ended",
                ),
            ],
            {
                200: _ok("Klines", bars),
                400: _refused("Error", "what is wrong"),
                404: _refused("Error", "there is no such contract"),
            },
        ),
        "/api/closed": _page(
            "native",
            "closed",
            "All symbols' closed bar of one time, once the last one is in",
            [
                _interval(),
                _time("open_time", "the start of a bucket", required=True),
                _parameter("wait", f"for how many seconds to wait for late symbols, at most {WAIT_MAX_S}", _seconds()),
            ],
            {200: _ok("ClosedKlines"), 400: _refused("Error", "what is wrong")},
        ),
        "/api/overview": _page(
            "native",
            "overview",
            "Every perpetual at a glance: its price and its last 24 hours",
            [_parameter("closes", "0 leaves the closes out", {"enum": ["0", "1"], "default": "1"})],
            {200: _ok("Overview"), 400: _refused("Error", "what is wrong")},
        ),
        "/api": _page("native", "index", "What there is", [], {200: _ok("Index")}),
        "/api/symbols": _page("native", "symbols", "Contracts, and what is stored of each", [], {200: _ok("Symbols")}),
        "/api/gaps": _page(
            "native",
            "gaps",
            "Every span without bars, and why",
            [
                _parameter("symbol", "only of this contract", {"type": "string"}, example="BTCUSDT"),
                _parameter("interval", "only of this interval", ref("StoredInterval")),
                _parameter("reason", "only for this reason", ref("GapReason")),
                _parameter("state", "only in this state", ref("GapState")),
            ],
            {
                200: _ok("Gaps"),
                400: _refused("Error", "what is wrong"),
                404: _refused("Error", "there is no such contract"),
            },
        ),
    }


def _operation_pages() -> dict[str, dict[str, Any]]:
    unhealthy = {503: {"description": "not healthy, with the reason", "content": _json(ref("Health"))}}
    return {
        "/api/status": _page("operation", "status", "How the data service is", [], {200: _ok("Status")}),
        "/healthz": _without_token(
            _page("operation", "health", "Whether it is healthy", [], {200: _ok("Health"), **unhealthy})
        ),
        "/metrics": _page("operation", "metrics", "For Prometheus", [], {200: _plain({"type": "string"})}),
        "/openapi.json": _page("operation", "openapi", "This document", [], {200: _ok_object()}),
    }


def _exchange() -> dict[str, dict[str, Any]]:
    bars = [INCOMPLETE_HEADER, WEIGHT_HEADER]
    span = [
        _time("startTime", "the first open time, inclusive; without it the newest bars are answered"),
        _time("endTime", "the last open time, inclusive"),
        _limit(),
    ]
    kinds = {"type": "string", "enum": sorted(PERPETUAL_TYPES)}
    continuous = [_symbol("pair"), _parameter("contractType", "", kinds, required=True), _interval(), *span]
    empty = {"description": "an empty object", "content": _json({"type": "object", "maxProperties": 0})}
    rows = {200: _ok("ExchangeRows", bars), 400: _refused("ExchangeError", "what is wrong")}
    ping, time = {200: _with_headers(empty, [WEIGHT_HEADER])}, {200: _ok("ExchangeTime", [WEIGHT_HEADER])}
    pages = {
        "/fapi/v1/klines": ("exchangeKlines", "Rows of bars", [_symbol(), _interval(), *span], rows),
        "/fapi/v1/continuousKlines": ("exchangeContinuousKlines", "Rows of a pair's perpetual", continuous, rows),
        "/fapi/v1/exchangeInfo": ("exchangeInfo", "The contracts", [], {200: _ok("ExchangeInfo", [WEIGHT_HEADER])}),
        "/fapi/v1/time": ("exchangeTime", "The exchange's time", [], time),
        "/fapi/v1/ping": ("exchangePing", "Nothing", [], ping),
        "/api/v3/time": ("spotTime", "The exchange's time, where some clients look for it", [], time),
        "/api/v3/ping": ("spotPing", "Nothing, where some clients look for it", [], ping),
    }
    return {path: _page("exchange", *page, error="ExchangeError") for path, page in pages.items()}


def _udf() -> dict[str, dict[str, Any]]:
    seconds = {"type": "integer", "minimum": -SECONDS_MAX, "maximum": SECONDS_MAX}
    refused, unknown = _refused("UdfError", "what is wrong"), _refused("UdfError", "there is no such symbol")
    symbol = _parameter(
        "symbol", "`BTCUSDT` or `BINANCE:BTCUSDT`", {"type": "string", "minLength": 1}, required=True, example="BTCUSDT"
    )
    history = [
        symbol,
        _parameter("resolution", "", ref("Resolution"), required=True, example="60"),
        _parameter("from", "the first open time, inclusive, in seconds; countback wins over it", seconds),
        _parameter("to", "the end, exclusive, in seconds", seconds, required=True),
        _parameter("countback", "so many bars before `to`", {**seconds, "minimum": 1}),
    ]
    search = [
        _parameter("query", "part of a symbol", {"type": "string"}, example="btc"),
        _parameter("type", "only of this type", {"type": "string"}),
        _parameter("exchange", "only of this exchange", {"type": "string"}),
        _parameter("limit", "how many at most", {**seconds, "minimum": 0}),
    ]
    bars = {
        "description": "bars, or that there are none, or why they cannot be had now",
        "content": _json({"oneOf": [ref("UdfBars"), ref("UdfNoData"), ref("UdfError")]}),
    }
    group = [_parameter("group", "`BINANCE`", {"type": "string"}, example="BINANCE")]
    seconds_text = {"type": "string", "pattern": "^[0-9]+$"}
    pages: dict[str, tuple[str, str, list[Schema], dict[int, Schema]]] = {
        "/udf/config": ("udfConfig", "What is supported", [], {200: _ok("UdfConfig")}),
        "/udf/symbols": ("udfSymbol", "One contract", [symbol], {200: _ok("UdfSymbol"), 400: refused, 404: unknown}),
        "/udf/symbol_info": ("udfSymbolInfo", "All", group, {200: _ok("UdfSymbolInfo"), 400: refused}),
        "/udf/search": ("udfSearch", "Contracts by part of their symbol", search, {200: _ok("UdfFound"), 400: refused}),
        "/udf/history": (
            "udfHistory",
            "Bars",
            history,
            {200: _with_headers(bars, [INCOMPLETE_HEADER]), 400: refused, 404: unknown},
        ),
        "/udf/time": ("udfTime", "The exchange's time in seconds", [], {200: _plain(seconds_text)}),
    }
    return {path: _page("udf", *page, error="UdfError") for path, page in pages.items()}


# Parts of operations


def _page(
    tag: str,
    name: str,
    summary: str,
    parameters: list[Schema],
    responses: dict[int, Schema],
    error: str = "Error",
) -> dict[str, Any]:
    every = {
        401: _refused(error, "a token is set, and was not given"),
        403: _refused(error, "asked under a host name that nobody gave, or by another site's page with a cookie"),
        408: _refused(error, f"a body did not arrive within {BODY_S:g} s"),
        413: _refused(error, f"a body of more than {BODY_MAX} bytes"),
        431: _refused(error, f"path, query and headers of more than {SIZE_MAX} bytes"),
        503: _refused(error, "the data cannot be read just now, the exchange's time is not known, or no place is free"),
    }
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        **({"parameters": parameters} if parameters else {}),
        "responses": {str(status): response for status, response in {**every, **responses}.items()},
    }


def _without_token(page: dict[str, Any]) -> dict[str, Any]:
    """The page that is there for everybody."""
    responses = {status: response for status, response in page["responses"].items() if status != "401"}
    return {**page, "security": [], "responses": responses}


def _parameter(
    name: str, description: str, schema: Schema, *, required: bool = False, example: str | None = None
) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": required,
        **({"description": description} if description else {}),
        "schema": schema,
        **({"example": example} if example is not None else {}),
    }


def _symbol(name: str = "symbol") -> Schema:
    words = "a contract of any letters; ASCII ones in either case"
    return _parameter(name, words, {"type": "string", "minLength": 1}, required=True, example="BTCUSDT")


def _interval() -> Schema:
    return _parameter("interval", "", ref("Interval"), required=True, example="1h")


def _time(name: str, description: str, *, required: bool = False) -> Schema:
    schema = {"type": "integer", "format": "int64", "minimum": 0, "maximum": TIME_MAX}
    return _parameter(name, description, schema, required=required)


def _limit() -> Schema:
    schema = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
    return _parameter("limit", "the most bars to answer", schema)


def _seconds() -> Schema:
    return {"type": "number", "minimum": 0, "maximum": WAIT_MAX_S}


def _json(schema: Schema) -> Schema:
    return {JSON: {"schema": schema}}


def _ok(name: str, headers: list[str] | None = None) -> Schema:
    return _with_headers({"description": "the answer", "content": _json(ref(name))}, headers or [])


def _ok_object() -> Schema:
    return {"description": "OpenAPI 3.1", "content": _json({"type": "object"})}


def _plain(schema: Schema) -> Schema:
    return {"description": "the answer", "content": {"text/plain": {"schema": schema}}}


def _refused(error: str, description: str) -> Schema:
    return {"description": description, "content": _json(ref(error))}


def _with_headers(response: Schema, names: list[str]) -> Schema:
    if not names:
        return response
    return {**response, "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def _keys() -> dict[str, Schema]:
    """How the token is given, where one is set."""
    return {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-MBX-APIKEY"},
    }


def _headers() -> dict[str, Schema]:
    return {
        INCOMPLETE_HEADER: {"description": "what of the answer is missing, and why", "schema": {"type": "string"}},
        WEIGHT_HEADER: {"description": "what this request weighs", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    }
