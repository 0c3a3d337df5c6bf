"""The exchange's error codes and bodies: `{"code": <int>, "msg": "<text>"}`.

Sources: the exchange's error code page, and live answers where they differ from it (-1130's text).
"""

from __future__ import annotations

from typing import Any

import msgspec

NO_CODE = -1

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding JSON from outside may raise: malformed or mistyped, no UTF-8, nested without end."""


class ApiError(Exception):
    """A refusal in the exchange's form, to be answered with `status` and `body()`."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "msg": self.message}


def too_many_requests(limit: int, address: str = "127.0.0.1") -> ApiError:
    return ApiError(
        -1003,
        f"Too many requests; current limit of IP({address}) is {limit} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API.",
        status=429,
    )


def banned_until(until_ms: int, address: str = "127.0.0.1") -> ApiError:
    return ApiError(
        -1003,
        f"Way too many requests; IP({address}) banned until {until_ms}. "
        "Please use the websocket for live updates to avoid bans.",
        status=418,
    )


def restricted_location() -> ApiError:
    """HTTP 451. Its code is 0, which is no success."""
    return ApiError(
        0,
        "Service unavailable from a restricted location according to 'b. Eligibility' in "
        "https://www.binance.com/en/terms. Please contact customer service if you believe you received "
        "this message in error.",
        status=451,
    )


def start_after_end() -> ApiError:
    return ApiError(-1023, "Start time is greater than end time.")


def illegal_characters(name: str, legal: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def duplicate_parameter(name: str) -> ApiError:
    return ApiError(-1101, f"Duplicate values for parameter '{name}' detected.")


def missing_parameter(name: str) -> ApiError:
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def invalid_interval() -> ApiError:
    return ApiError(-1120, "Invalid interval.")


def invalid_symbol() -> ApiError:
    return ApiError(-1121, "Invalid symbol.")


def invalid_symbol_status() -> ApiError:
    """The answer for some contracts that have ended; others go on with flat bars."""
    return ApiError(-1122, "Invalid symbol status.")


def invalid_value(name: str) -> ApiError:
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def not_served(path: str) -> ApiError:
    return ApiError(-1020, f"This operation is not supported: Barkeep has no {path}.", status=404)


def unavailable() -> ApiError:
    """What the exchange says when it cannot answer just now; clients ask again."""
    return ApiError(-1001, "Internal error; unable to process your request. Please try again.", status=503)


def parse_error(body: bytes) -> tuple[int, str]:
    """Code and message of an error body; `NO_CODE` and the first of the text when it is no such body.

    403 and 5xx answers may be HTML, cut, or empty.
    """
    try:
        parsed = msgspec.json.decode(body)
    except UNREADABLE:
        parsed = None
    if isinstance(parsed, dict) and isinstance(parsed.get("code"), int):
        return parsed["code"], str(parsed.get("msg", ""))
    return NO_CODE, " ".join(body[:200].decode("utf-8", "replace").split())
