"""`/api/closed`: all symbols' closed bar of one open time in one answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bars import INTERVALS, Interval
from bars.interval import TIME_MAX_MS
from storage import BarAt, Reader
from web.answers import Answer, Handler, Query, invalid_parameter, json_answer, native_parameters
from web.kline import kline_of
from web.sources import Sources

WAIT_MAX_S = 300
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


class ClosedRequest(NamedTuple):
    """Which bars, and how long to wait for the last of them, in seconds."""

    interval: Interval
    open_ms: int
    wait_s: float


def closed_page(sources: Sources) -> Handler:
    """The handler of `/api/closed?interval=&open_time=&wait=`. It answers at once: `web.hold` waits before."""

    def handle(query: Query) -> Answer:
        request = parse_closed_request(query)
        found = sources.reader.closed_at(request.interval, request.open_ms)
        late = [one.record.contract.symbol for one in found if one.bar is None]
        klines = [
            {"symbol": one.record.contract.symbol, **kline_of(one.bar, request.interval)} for one in found if one.bar
        ]
        body = {
            "interval": request.interval.name,
            "open_time": request.open_ms,
            "complete": is_complete(found, sources.reader),
            "klines": klines,
            "late": late,
        }
        return json_answer(body)

    return handle


def is_complete(found: Sequence[BarAt], reader: Reader) -> bool:
    """Whether every bar of a time is in. Of a time at which nothing traded it is, unless no contract is known yet."""
    return all(one.bar is not None for one in found) if found else bool(reader.contracts())


def parse_closed_request(query: Query) -> ClosedRequest:
    """Read the parameters.

    Raises:
        Refusal: naming the parameter, what was expected and what was got.
    """
    asked = native_parameters(query, required=("interval", "open_time"))
    interval = INTERVALS.get(asked["interval"])
    if interval is None:
        raise invalid_parameter("interval", f"one of {' '.join(INTERVALS)}", asked["interval"])
    return ClosedRequest(interval, _open_ms(asked["open_time"], interval), _wait_s(asked))


def _open_ms(text: str, interval: Interval) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(TIME_MAX_MS))
    if not is_number or interval.floor(int(text)) != int(text):
        raise invalid_parameter("open_time", f"the start of a bucket of {interval} in milliseconds", text)
    return int(text)


def _wait_s(asked: Mapping[str, str]) -> float:
    text = asked.get("wait", "0")
    if not _SECONDS.fullmatch(text):
        raise invalid_parameter("wait", f"a number of seconds, of which at most {WAIT_MAX_S} count", text)
    return min(float(text), WAIT_MAX_S)
