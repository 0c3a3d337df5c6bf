"""Calls a WSGI application without a socket, and checks that it keeps to the protocol."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

WsgiApp = Callable[..., Iterable[bytes]]


class Answered(NamedTuple):
    """An answer; the names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(app: WsgiApp, target: str, method: str = "GET") -> Answered:
    """The answer to a request for `target`: a path, already percent-encoded where needed, and its query."""
    path, _, query = target.partition("?")
    errors = io.StringIO()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "wsgi.errors": errors,
    }
    setup_testing_defaults(environ)
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda _data: None

    chunks = validator(app)(environ, start_response)
    body = b"".join(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert errors.getvalue() == ""
    status, headers = started[-1]
    return Answered(int(status.split()[0]), {name.lower(): value for name, value in headers}, body)
