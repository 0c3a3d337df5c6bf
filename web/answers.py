"""Requests as handlers see them, answers, and refusals in the three forms that are spoken here.

The native form of a refusal is `{"error": {"code": "unknown_symbol", "message": "…"}}`; below the exchange's
own paths it is the exchange's `{"code": -1121, "msg": "Invalid symbol."}`, and below `/udf/` that of UDF,
`{"s": "error", "errmsg": "…"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from wire.errors import ApiError, not_served, unavailable

EXCHANGE_PATHS = ("/fapi/", "/dapi/", "/api/v3/")
UDF_PATHS = "/udf/"
INCOMPLETE_HEADER = "X-Barkeep-Incomplete"
HEADER_MAX = 500
JSON = "application/json"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Answer(NamedTuple):
    """An answer of JSON text; the content type goes without saying."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = NO_HEADERS


Query = Sequence[tuple[str, str]]
"""Names and values of a request's query, decoded, as they came."""
Handler = Callable[[Query], Answer]


class Refusal(Exception):
    """A refusal in the native form: a `code` for machines, a `message` for people."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message}}


class UdfRefusal(Refusal):
    """A refusal in the form of TradingView's UDF protocol, which knows a message only."""

    def body(self) -> dict[str, Any]:
        return {"s": "error", "errmsg": self.message}


def json_answer(body: Any, status: int = 200) -> Answer:
    return Answer(msgspec.json.encode(body), status)


def refused(error: ApiError | Refusal) -> Answer:
    return json_answer(error.body(), error.status)


def saying_what_is_missing(answer: Answer, reason: str | None) -> Answer:
    """The answer, with the header that says what is missing of it, if anything is."""
    return answer if reason is None else answer._replace(headers={INCOMPLETE_HEADER: header_text(reason)})


def header_text(text: str) -> str:
    """The text as a header may hold it: one line of printable ASCII, not too long."""
    escaped = text.encode("ascii", "backslashreplace").decode()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in escaped).split())[:HEADER_MAX]


def refusal_for(path: str, status: int) -> ApiError | Refusal:
    """What to say of a request that no handler answered, in the form that is spoken below `path`.

    Args:
        path: the decoded path of the request.
        status: 404, 405, 503 when the file cannot be read just now, or 500 when the fault is ours.
    """
    exchange_form = path.startswith(EXCHANGE_PATHS)
    if path.startswith(UDF_PATHS):
        return UdfRefusal("refused", _UDF_MESSAGES.get(status, _UDF_MESSAGES[500]), status)
    if status == 404:
        return not_served(path[:100]) if exchange_form else Refusal("not_found", "There is no such page.", status)
    if status == 405:
        if exchange_form:
            return ApiError(-1020, "This operation is not supported.", status)
        return Refusal("method_not_allowed", "This page answers GET and HEAD only.", status)
    if status == 503:
        return unavailable() if exchange_form else Refusal("unavailable", "The data cannot be read just now.", status)
    if exchange_form:
        return ApiError(-1000, "An unknown error occurred while processing the request.", status)
    return Refusal("internal_error", "Answering failed; the log says why.", status)


_UDF_MESSAGES = MappingProxyType(
    {
        404: "there is no such page",
        405: "this page answers GET and HEAD only",
        500: "answering failed; the log says why",
        503: "the data cannot be read just now",
    }
)


def parameters(query: Query, duplicate: Callable[[str], Exception]) -> dict[str, str]:
    """The query's parameters, each of which may be there once.

    Args:
        duplicate: makes the error for the name of one that is there more often.
    """
    unique: dict[str, str] = {}
    for name, value in query:
        if name in unique:
            raise duplicate(name[:40])
        unique[name] = value
    return unique


def native_parameters(query: Query, required: Sequence[str] = ()) -> dict[str, str]:
    """The same of a native path.

    Raises:
        Refusal: a parameter is there more often than once, or one that is required is missing or empty.
    """
    given = parameters(query, lambda name: Refusal("invalid_parameter", f"{name}: expected once, got several times."))
    for name in required:
        if not given.get(name):
            raise Refusal("missing_parameter", f"{name}: expected a value, got none.")
    return given


def invalid_parameter(name: str, expected: str, got: str) -> Refusal:
    """The refusal of a value, in the native form."""
    return Refusal("invalid_parameter", f"{name}: expected {expected}, got {got[:40]!r}.")
