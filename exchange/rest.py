"""The exchange's REST interface: each method is one request and has one answer or one error."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from bars import Bar, BarError, Scale
from exchange.errors import InvalidAnswer
from exchange.fetch import fetch, open_session
from exchange.refusals import error_from_answer, weight_used
from wire.exchange_info import ExchangeInfo, InvalidExchangeInfo, parse_exchange_info
from wire.requests import KlinesRequest, query
from wire.rows import bars_from_rows, decode_rows

TIME_BYTES_MAX = 64 * 1024
EXCHANGE_INFO_BYTES_MAX = 16 * 1024 * 1024
"""924 symbols have 1.15 MB."""
KLINES_BYTES_MAX = 1024 * 1024
"""1,500 rows have 200 to 250 KB."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """What was asked for, and what the exchange says was used of the minute's weight; None if it does not say."""

    value: T
    used_weight: int | None


class _Time(msgspec.Struct):
    serverTime: int  # noqa: N815


class RestClient:
    """Asks the exchange over HTTP. Never retries, never follows redirections; for one thread at a time.

    Every method raises an `ExchangeError`: `Unreachable` when no answer came, else by what the answer says.

    Args:
        base_url: `https://fapi.binance.com`.
        proxy: the URL of a proxy, as `proxy_for` gives it; the environment is not looked at.
        timeout_s: for connecting and for each wait for bytes; a whole answer may take three times as long.
        tls: which certificates to trust; None: those of the system and of certifi.
    """

    def __init__(
        self, base_url: str, proxy: str | None = None, timeout_s: float = 10.0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = open_session(proxy, tls)

    def time(self) -> Reply[int]:
        """The exchange's time in UTC milliseconds. Weight 1."""
        return self._get("/fapi/v1/time", {}, TIME_BYTES_MAX, _read_time)

    def exchange_info(self) -> Reply[ExchangeInfo]:
        """All contracts and the weight limit. Weight 1."""
        return self._get("/fapi/v1/exchangeInfo", {}, EXCHANGE_INFO_BYTES_MAX, parse_exchange_info)

    def klines(self, request: KlinesRequest, scale: Scale) -> Reply[list[Bar]]:
        """The bars that `request` asks for, ascending, the last of them possibly still in progress.

        All have one scale: `scale`, widened where a value needs it. Weight by `wire.requests.klines_weight`.
        """
        return self._get(
            "/fapi/v1/klines", query(request), KLINES_BYTES_MAX, lambda body: _read_klines(body, request, scale)
        )

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _get(
        self, path: str, parameters: Mapping[str, str], answer_bytes_max: int, read: Callable[[bytes], T]
    ) -> Reply[T]:
        asked = f"GET {path}" + (f"?{urlencode(parameters, safe=':')}" if parameters else "")
        status, headers, body = fetch(
            self._session,
            self._base_url + path,
            parameters,
            asked=asked,
            timeout_s=self._timeout_s,
            answer_timeout_s=3 * self._timeout_s,
            answer_bytes_max=answer_bytes_max,
        )
        if not 200 <= status < 300:
            raise error_from_answer(asked, status, headers, body)
        used_weight = weight_used(headers)
        try:
            return Reply(read(body), used_weight)
        except (BarError, InvalidExchangeInfo, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidAnswer(f"{asked}: {error}", used_weight=used_weight) from error


def _read_time(body: bytes) -> int:
    return msgspec.json.decode(body, type=_Time).serverTime


def _read_klines(body: bytes, request: KlinesRequest, scale: Scale) -> list[Bar]:
    bars = bars_from_rows(decode_rows(body), request.interval, scale)
    if len(bars) > request.limit:
        raise BarError(f"reading klines: expected at most {request.limit} rows, got {len(bars)}")
    if bars and request.start_ms is not None and bars[0].open_ms < request.start_ms:
        raise BarError(f"reading klines: expected rows from {request.start_ms} on, got {bars[0].open_ms}")
    if bars and request.end_ms is not None and bars[-1].open_ms > request.end_ms:
        raise BarError(f"reading klines: expected rows up to {request.end_ms}, got {bars[-1].open_ms}")
    return bars
