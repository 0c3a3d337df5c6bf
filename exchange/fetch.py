"""One HTTP request, one answer: bounded in size and time, through the proxy that was given and no other."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.exceptions import SSLError as BrokenTLS

from exchange.errors import InvalidAnswer, Unreachable
from exchange.tls import trusting_context
from wire.version import VERSION

USER_AGENT = f"barkeep/{VERSION}"
_CHUNK_BYTES = 65_536


class HttpAnswer(NamedTuple):
    """What came back, whatever its status; the body decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def open_session(proxy: str | None = None, tls: ssl.SSLContext | None = None) -> requests.Session:
    """A session that keeps its connections, and reads no proxies, passwords or certificates from the environment."""
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "gzip", "Accept": "*/*"})
    session.mount("https://", _TrustingAdapter(tls or trusting_context()))
    if proxy is not None:
        session.proxies = {"http": proxy, "https": proxy}
    return session


def fetch(
    session: requests.Session,
    url: str,
    parameters: Mapping[str, str],
    *,
    asked: str,
    timeout_s: float,
    answer_timeout_s: float,
    answer_bytes_max: int,
) -> HttpAnswer:
    """Ask once. Redirections are not followed: they are an answer like any other.

    Args:
        asked: the request in words, for the errors' texts.
        timeout_s: for connecting, and for each wait for bytes.
        answer_timeout_s: for the whole body, from its first byte on.
        answer_bytes_max: the most that a body may have, decompressed.

    Raises:
        Unreachable: no answer.
        InvalidAnswer: an answer whose body is cut, broken, too long or too slow.
    """
    try:
        response = session.get(url, params=parameters, timeout=timeout_s, stream=True, allow_redirects=False)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Unreachable(f"{asked}: no answer: {_innermost(error)}") from error
    with response:
        body = _read_body(response, asked, answer_timeout_s, answer_bytes_max)
        return HttpAnswer(response.status_code, response.headers, body)


def _read_body(response: requests.Response, asked: str, answer_timeout_s: float, answer_bytes_max: int) -> bytes:
    body = bytearray()
    deadline_s = time.monotonic() + answer_timeout_s
    try:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > answer_bytes_max:
                raise InvalidAnswer(f"{asked}: expected at most {answer_bytes_max} bytes, got more")
            if time.monotonic() > deadline_s:
                raise InvalidAnswer(f"{asked}: expected an answer within {answer_timeout_s} s, got {len(body)} bytes")
    except (ReadTimeoutError, BrokenTLS) as error:
        raise Unreachable(f"{asked}: connection broke after {len(body)} bytes: {_innermost(error)}") from error
    except HTTPError as error:
        raise InvalidAnswer(f"{asked}: expected a whole body, got {len(body)} bytes: {_innermost(error)}") from error
    return bytes(body)


def _innermost(error: BaseException) -> str:
    """The plain reason at the bottom of requests' and urllib3's wrappings."""
    while True:
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            return f"{type(error).__name__}: {error}"[:200]
        error = inner


class _TrustingAdapter(HTTPAdapter):
    """Transport over https with our trust, through a proxy too."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)
