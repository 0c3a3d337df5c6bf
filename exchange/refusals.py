"""From the status, headers and body of an HTTP answer that is no success to the error it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime

from exchange.errors import (
    Banned,
    Blocked,
    ExchangeError,
    InvalidAnswer,
    InvalidSymbol,
    RateLimited,
    Refused,
    Restricted,
    ServerFault,
    SymbolEnded,
)
from wire.errors import NO_CODE, parse_error

WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"

_FAULT_CODES = frozenset({-1000, -1001, -1007, -1008, -1016})
_BANNED_UNTIL = re.compile(r"banned until (\d{1,16})\b")
_GEO_BLOCK = "the exchange does not serve this location (geo block); a proxy elsewhere may help"


def error_from_answer(asked: str, status: int, headers: Mapping[str, str], body: bytes) -> ExchangeError:
    """The error for an answer that is no success.

    Args:
        asked: the request in words, for the text: `GET /fapi/v1/time`.
        status: the HTTP status; not 2xx.
        headers: names in any case.
        body: the exchange's `{"code", "msg"}`, or HTML, cut, or empty.
    """
    code, message = parse_error(body)
    retry_after_s, used_weight = retry_after(headers), weight_used(headers)
    text = f"{asked}: HTTP {status}: {message or 'no text'}" + (f" ({code})" if code != NO_CODE else "")
    if 300 <= status < 400:
        location = header(headers, "location") or "nowhere"
        return InvalidAnswer(f"{asked}: HTTP {status}: expected an answer, got a redirection to {location:.120}")
    if status == 418 or (code == -1003 and _BANNED_UNTIL.search(message)):
        until = _BANNED_UNTIL.search(message)
        until_ms = int(until[1]) if until else None
        left_s = retry_after_s if retry_after_s is not None or until_ms is None else _time_left(headers, until_ms)
        return Banned(text, until_ms=until_ms, left_s=left_s, retry_after_s=retry_after_s, used_weight=used_weight)
    if status == 429 or code == -1003:
        return RateLimited(text, retry_after_s=retry_after_s, used_weight=used_weight)
    if status == 451 or (code == 0 and "restricted location" in message):
        return Restricted(f"{asked}: HTTP {status}: {_GEO_BLOCK}", used_weight=used_weight)
    if status == 403:
        return Blocked(text, retry_after_s=retry_after_s, used_weight=used_weight)
    if status >= 500 or status == 408 or code in _FAULT_CODES:
        return ServerFault(text, retry_after_s=retry_after_s, used_weight=used_weight)
    refusal = {-1121: InvalidSymbol, -1122: SymbolEnded}.get(code, Refused)
    return refusal(
        text, status=status, code=code, message=message, retry_after_s=retry_after_s, used_weight=used_weight
    )


def weight_used(headers: Mapping[str, str]) -> int | None:
    """What all programs on this IP have used of the minute's weight, by the exchange's count; None if unsaid."""
    return _whole_number(header(headers, WEIGHT_HEADER))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of Retry-After. Documented for spot only; used where it comes. A date is not looked at."""
    return _whole_number(header(headers, "retry-after"))


def _time_left(headers: Mapping[str, str], until_ms: int) -> float | None:
    """Seconds from an answer's Date, which servers that have a clock must send (RFC 9110, 6.6.1), until a later time;
    None if it has no readable or no earlier one. Date is cut to seconds, so that it is up to a second too much."""
    try:
        sent = parsedate_to_datetime(header(headers, "date") or "")
        left_s = until_ms / 1_000 - sent.replace(tzinfo=sent.tzinfo or timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return None
    return left_s if left_s > 0 else None


def header(headers: Mapping[str, str], name: str) -> str | None:
    """A header's value, its name in any case."""
    return next((value for key, value in headers.items() if key.lower() == name.lower()), None)


def _whole_number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
