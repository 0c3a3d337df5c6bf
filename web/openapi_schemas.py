"""The shapes of all answers, as JSON Schema: what is in `components` of `/openapi.json`."""

from __future__ import annotations

from typing import Any

from bars import INTERVALS, STORED
from bars.ledger import Reason, State
from web.udf import RESOLUTIONS
from web.udf_symbols import EXCHANGE, TYPES

Schema = dict[str, Any]

ORIGINS = ("stream", "rest", "archive", "aggregated")


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def time_ms(description: str) -> Schema:
    return {"type": "integer", "format": "int64", "description": f"{description} (UTC milliseconds)"}


def schemas() -> dict[str, Schema]:
    """By name."""
    return {**_native(), **_exchange(), **_udf()}


def _object(properties: dict[str, Schema], *, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """An object that has these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
        **more,
    }


def _some(properties: dict[str, Schema], **more: Any) -> Schema:
    """An object that may lack properties, and have more: what the service tells of itself."""
    return {"type": "object", "properties": properties, **more}


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _text(description: str = "", **more: Any) -> Schema:
    return {"type": "string", **({"description": description} if description else {}), **more}


def _whole(description: str = "", **more: Any) -> Schema:
    return {"type": "integer", "minimum": 0, **({"description": description} if description else {}), **more}


def _number(description: str) -> Schema:
    return {"type": "number", "description": description}


def _native() -> dict[str, Schema]:
    kline = {
        "open_time": time_ms("the first millisecond"),
        "close_time": time_ms("the last millisecond"),
        **{name: ref("Decimal") for name in ("open", "high", "low", "close", "volume", "quote_volume")},
        "trades": _whole("how many trades"),
        "taker_buy_volume": ref("Decimal"),
        "taker_buy_quote_volume": ref("Decimal"),
        "closed": {"type": "boolean", "description": "its interval is over and its values are final"},
        "origin": _text("where it came from", enum=list(ORIGINS)),
        "verified": {"type": "boolean", "description": "compared with the exchange's REST and equal"},
    }
    return {
        "Decimal": _text("an exact decimal", pattern=r"^[0-9]+(\.[0-9]+)?$", examples=["83137.90"]),
        "Interval": _text("a length of bars, as the exchange writes it", enum=list(INTERVALS)),
        "StoredInterval": _text("an interval that is stored", enum=[interval.name for interval in STORED]),
        "Kline": _object(kline),
        "Klines": _object(
            {
                "symbol": _text(),
                "interval": ref("Interval"),
                "as_of": time_ms("the end of the minute that the answer stands for; only where as_of was given"),
                "klines": _array(ref("Kline"), description="oldest first"),
            },
            optional=("as_of",),
        ),
        "ClosedKlines": _object(
            {
                "interval": ref("Interval"),
                "open_time": time_ms("the open time of all these bars"),
                "complete": {"type": "boolean", "description": "whether no symbol is late"},
                "klines": _array(_object({"symbol": _text(), **kline}), description="by symbol"),
                "late": _array(_text(), description="symbols whose closed bar is not there yet"),
            }
        ),
        "Index": _object({"name": _text(), "version": _text(), "openapi": _text(), "pages": _array(_text())}),
        "Overview": _object(
            {"time": time_ms("the exchange's, when this was put together"), "symbols": _array(ref("Glance"))}
        ),
        "Glance": _object(_glance(), optional=("closes",)),
        "Symbols": _object({"symbols": _array(ref("Symbol"))}),
        "Symbol": _object(
            {
                "symbol": _text(),
                "contract_type": _text(examples=["PERPETUAL", "TRADIFI_PERPETUAL"]),
                "status": _text("as the exchange says it", examples=["TRADING"]),
                "base_asset": _text(),
                "quote_asset": _text(),
                "onboard_time": time_ms("since when it is traded"),
                "delivery_time": time_ms("its end; in the year 2100 where it has none"),
                "price_decimals": _whole(),
                "quantity_decimals": _whole(),
                "intervals": {
                    "type": "object",
                    "description": "what is stored, by interval",
                    "propertyNames": ref("StoredInterval"),
                    "additionalProperties": ref("Series"),
                },
            }
        ),
        "Series": _object(
            {
                "first": time_ms("open time of the first closed bar"),
                "last": time_ms("open time of the last closed bar"),
                "count": _whole("closed bars"),
                "gaps": _whole("bars between the first and the last that are neither held nor known not to exist"),
            }
        ),
        "Gaps": _object({"gaps": _array(ref("Gap"))}),
        "Gap": _object(
            {
                "symbol": _text(),
                "interval": ref("StoredInterval"),
                "from": time_ms("inclusive"),
                "to": time_ms("exclusive"),
                "reason": ref("GapReason"),
                "state": ref("GapState"),
                "since": time_ms("since when it is known, or when it began"),
            }
        ),
        "GapReason": _text("why there are no bars", enum=[reason.value for reason in Reason]),
        "GapState": _text("what is done about it", enum=[state.value for state in State]),
        "Status": _status(),
        "Health": _object(
            {"status": _text(enum=["ok", "unhealthy"]), "reason": _text("why it is not healthy")}, optional=("reason",)
        ),
        "Error": _object(
            {
                "error": _object(
                    {
                        "code": _text("for programs", examples=["unknown_symbol", "invalid_parameter"]),
                        "message": _text("for people: what was expected, and what was got"),
                    }
                )
            }
        ),
    }


def _glance() -> dict[str, Schema]:
    nullable = {"oneOf": [ref("Decimal"), {"type": "null"}]}
    return {
        "symbol": _text(),
        "base_asset": _text(),
        "quote_asset": _text(),
        "contract_type": _text(examples=["PERPETUAL", "TRADIFI_PERPETUAL"]),
        "status": _text("as the exchange says it", examples=["TRADING"]),
        "price_decimals": _whole(),
        "last": ref("Decimal"),
        "open": {"description": "the price 24 hours ago, or at the first bar since", **nullable},
        "high": nullable,
        "low": nullable,
        "change_percent": {
            "description": "from open to last, rounded to two decimals",
            "type": ["string", "null"],
            "pattern": r"^-?[0-9]+\.[0-9]{2}$",
        },
        "volume": ref("Decimal"),
        "quote_volume": ref("Decimal"),
        "trades": _whole(),
        "minutes": _whole("how many minutes the bars found span; 1441 where none of the last 24 hours is missing"),
        "closes": _array(ref("Decimal"), description="at each full hour of the last 24, ascending"),
    }


def _status() -> Schema:
    nullable_time = {**time_ms("null while it is not known"), "type": ["integer", "null"]}
    return _some(
        {
            "state": _text(enum=["starting", "live", "degraded", "stopped"]),
            "reason": _text("why it is not live", type=["string", "null"]),
            "exchange_time": nullable_time,
            "started_at": time_ms("by the clock of this machine"),
            "version": _text(),
            "feeds": _array(
                _some({"name": _text(), "state": _text(), "streams": _whole(), "frames": _whole()}),
                description="the connections to the exchange",
            ),
            "symbols": _some({}, description="contracts by state"),
            "lag_ms": {"type": ["integer", "null"], "description": "how far the newest event is behind"},
            "restarts": _whole("actors started anew after a crash"),
            "gaps": _whole("spans without bars that are not explained"),
            "gaps_by_reason": _some({}, additionalProperties=_whole()),
            "verified": _some({"share": _number("of the stored minutes, from 0 to 1")}),
            "backfill": _some({"pages_done": _whole(), "pages_left": _whole()}),
            "database": _some({"path": _text(), "bars_written": _whole()}),
        },
        description="How the data service is; empty when none ever ran on this database.",
    )


def _exchange() -> dict[str, Schema]:
    decimal = ref("Decimal")
    row = [
        time_ms("open time"),
        *(decimal for _ in ("open", "high", "low", "close", "volume")),
        time_ms("close time, the last millisecond"),
        decimal,
        _whole("trades"),
        decimal,
        decimal,
        _text("means nothing"),
    ]
    return {
        "ExchangeRow": {
            "type": "array",
            "description": "open time, open, high, low, close, volume, close time, quote volume, trades, taker buy "
            "volume, taker buy quote volume, ignored",
            "prefixItems": row,
            "minItems": len(row),
            "maxItems": len(row),
        },
        "ExchangeRows": _array(ref("ExchangeRow"), description="oldest first; the last one may be in progress"),
        "ExchangeTime": _object({"serverTime": time_ms("now")}),
        "ExchangeInfo": _some(
            {
                "serverTime": time_ms("now, or when this was stored"),
                "symbols": _array(_some({"symbol": _text()}, required=["symbol"])),
            },
            description="the exchange's own frame and contracts",
            required=["serverTime", "symbols"],
        ),
        "ExchangeError": _object(
            {"code": {"type": "integer", "examples": [-1121]}, "msg": _text(examples=["Invalid symbol."])}
        ),
    }


def _udf() -> dict[str, Schema]:
    resolution, resolutions = _text(enum=list(RESOLUTIONS)), _array(ref("Resolution"))
    kind = _text(enum=list(TYPES.values()))
    time_s = {"type": "integer", "format": "int64", "description": "UTC seconds"}
    column = {"type": "array", "items": _number("written with the exact digits of the decimal")}
    found = {"symbol": _text(), "full_name": _text(), "ticker": _text(), "description": _text()}
    boolean = {"type": "boolean"}
    named = _array(_object({"value": _text(), "name": _text(), "desc": _text()}, optional=("desc",)))
    facts = {
        **{name: _text() for name in ("name", "full_name", "ticker", "description")},
        "type": kind,
        **{name: _text() for name in ("exchange", "listed_exchange", "timezone", "session")},
        "pricescale": _whole("10 to the power of the prices' decimals"),
        **{name: _whole() for name in ("minmov", "minmovement", "minmov2", "pointvalue", "volume_precision")},
        **{name: _text() for name in ("currency_code", "format", "visible_plots_set", "data_status")},
        **dict.fromkeys(
            ("has_intraday", "has_daily", "has_weekly_and_monthly", "has_empty_bars", "has_no_volume"), boolean
        ),
        "fractional": boolean,
        "intraday_multipliers": resolutions,
        "supported_resolutions": resolutions,
    }
    columns = {name: _array(_text()) for name in ("symbol", "ticker", "description", "type", "currency-code")}
    return {
        "Resolution": resolution,
        "UdfConfig": _object(
            {
                "supported_resolutions": resolutions,
                **{
                    f"supports_{name}": boolean
                    for name in ("group_request", "search", "time", "marks", "timescale_marks")
                },
                "exchanges": named,
                "symbols_types": named,
            }
        ),
        "UdfSymbol": _object(facts),
        "UdfSymbolInfo": _some(
            {**columns, "pricescale": _array(_whole()), "supported-resolutions": resolutions},
            description="many contracts in columns; what all have in common is there once",
            required=[*columns, "pricescale"],
        ),
        "UdfFound": _array(_object({**found, "exchange": _text(enum=[EXCHANGE]), "type": kind})),
        "UdfBars": _object({"s": {"const": "ok"}, "t": _array(time_s), **dict.fromkeys("ohlcv", column)}),
        "UdfNoData": _object(
            {"s": {"const": "no_data"}, "nextTime": {**time_s, "description": "of the newest bar before; seconds"}},
            optional=("nextTime",),
        ),
        "UdfError": _object({"s": {"const": "error"}, "errmsg": _text()}),
    }
