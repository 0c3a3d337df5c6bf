"""Requests for klines: how they are asked for, what they weigh, and how a server reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bars import INTERVALS, Interval, Span
from wire.errors import illegal_characters, invalid_interval, invalid_value, missing_parameter, start_after_end
from wire.names import upper

LIMIT_DEFAULT = 500
LIMIT_MAX = 1500
PAGE_BARS = 499
"""The most bars per weight under the documented brackets and the measured ones alike."""
CATCH_UP_BARS = 99
"""The most bars for weight 1 under both."""
WEIGHT_WITHOUT_LIMIT = 5

_DIGITS = "0123456789"


class KlinesRequest(NamedTuple):
    """A request for klines. Both times are inclusive and compared with open times."""

    symbol: str
    interval: Interval
    limit: int = LIMIT_DEFAULT
    start_ms: int | None = None
    end_ms: int | None = None


def klines_weight(limit: int | None) -> int:
    """What a request with this `limit` costs, by the documented brackets, which are the dearer ones.

    Without a limit 500 rows come for weight 5.
    """
    if limit is None:
        return WEIGHT_WITHOUT_LIMIT
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1000 else 10


def page_request(symbol: str, interval: Interval, span: Span) -> KlinesRequest:
    """The request for all bars that open within the half-open `span`."""
    return KlinesRequest(symbol, interval, interval.count(*span), span.start_ms, span.stop_ms - 1)


def with_next(interval: Interval, span: Span) -> Span:
    """`span` and the bucket after it, where asking for that too costs no more.

    A row after what was asked for shows that the answer had come further than that. An empty answer shows nothing.
    """
    longer = Span(span.start_ms, interval.next_open(span.stop_ms))
    costs_more = klines_weight(interval.count(*longer)) > klines_weight(interval.count(*span))
    return span if costs_more else longer


def query(request: KlinesRequest) -> dict[str, str]:
    """The parameters of a request; the HTTP client percent-encodes a non-ASCII symbol."""
    parameters = {"symbol": request.symbol, "interval": request.interval.name, "limit": str(request.limit)}
    if request.start_ms is not None:
        parameters["startTime"] = str(request.start_ms)
    if request.end_ms is not None:
        parameters["endTime"] = str(request.end_ms)
    return parameters


def parse_klines_request(parameters: Mapping[str, str], symbol_name: str = "symbol") -> KlinesRequest:
    """Read a request as the exchange does. Whether the symbol exists is the caller's to say.

    Args:
        parameters: the query's parameters, decoded.
        symbol_name: `symbol`, or `pair` for continuous klines.

    Raises:
        ApiError: with the exchange's code for what is wrong.
    """
    symbol = parameters.get(symbol_name, "")
    if not symbol:
        raise missing_parameter(symbol_name)
    interval_name = parameters.get("interval", "")
    if not interval_name:
        raise missing_parameter("interval")
    interval = INTERVALS.get(interval_name)
    if interval is None:
        raise invalid_interval()
    limit = _whole_number(parameters, "limit", digits_max=9)
    start_ms = _whole_number(parameters, "startTime", digits_max=18)
    end_ms = _whole_number(parameters, "endTime", digits_max=18)
    if limit is not None and not 1 <= limit <= LIMIT_MAX:
        raise invalid_value("limit")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise start_after_end()
    return KlinesRequest(upper(symbol), interval, LIMIT_DEFAULT if limit is None else limit, start_ms, end_ms)


def _whole_number(parameters: Mapping[str, str], name: str, digits_max: int) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not digits or not set(digits) <= set(_DIGITS):
        raise illegal_characters(name, f"^-?[0-9]{{1,{digits_max + 2}}}$")
    if text != digits or len(digits) > digits_max:
        raise invalid_value(name)
    return int(digits)
