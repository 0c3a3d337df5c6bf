"""WebSocket frames: kline events and answers, read and written.

A combined connection wraps events as `{"stream": name, "data": event}`; answers to requests come unwrapped
between them. A kline event carries the whole bar so far, not a difference:

    {"e":"kline","E":1791382992723,"s":"BTCUSDT","k":{"t":1791382980000,"T":1791383039999,"s":"BTCUSDT","i":"1m",
     "f":8153633367,"L":8153634395,"o":"83084.90","c":"83091.60","h":"83091.70","l":"83051.20","v":"13.551",
     "n":1027,"x":false,"q":"1125714.73960","V":"6.426","Q":"533856.66860","B":"0"}}

`n` is not always L - f + 1, so neither is checked by the other; f and L are -1 where unknown.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bars import Bar, InvalidBar, Scale, checked, to_text, to_units
from bars.interval import INTERVALS, Interval
from wire.errors import UNREADABLE
from wire.rows import widened


class InvalidFrame(ValueError):
    """A frame that is neither an event we know how to skip, nor a kline event, nor an answer."""

    def __init__(self, payload: bytes | str, why: str) -> None:
        super().__init__(f"reading a frame: expected a kline event or an answer, got {payload!r:.120} ({why})")


class Kline(msgspec.Struct, frozen=True, gc=False):
    """The `k` of a kline event, in the exchange's letters."""

    t: int
    T: int
    i: str
    o: str
    c: str
    h: str
    l: str  # noqa: E741
    v: str
    n: int
    x: bool
    q: str
    V: str
    Q: str
    f: int = -1
    L: int = -1


class KlineEvent(msgspec.Struct, frozen=True, gc=False):
    """A kline event; `s` is missing from continuous ones, which carry `ps` and `ct`."""

    e: str
    E: int
    k: Kline
    s: str = ""


class KlineFrame(msgspec.Struct, frozen=True, gc=False):
    """A kline event with the name of its stream as it was subscribed."""

    stream: str
    data: KlineEvent


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The answer to a request: `result` when it was accepted, `error` when not."""

    id: Any = None
    result: Any = None
    error: str | None = None


class OtherFrame(msgspec.Struct, frozen=True, gc=False):
    """An event of a kind that carries no bars; `serverShutdown` asks for a new connection."""

    event: str


Frame = KlineFrame | Answer | OtherFrame

_decode_kline = msgspec.json.Decoder(KlineFrame).decode
_decode_any = msgspec.json.Decoder().decode


def decode_frame(payload: bytes | str) -> Frame:
    """Read one frame of a combined connection.

    Raises:
        InvalidFrame: no JSON, or JSON of no known form.
    """
    try:
        frame = _decode_kline(payload)
    except UNREADABLE:
        return _decode_other(payload)
    return frame if frame.data.e == "kline" else OtherFrame(frame.data.e)


def _decode_other(payload: bytes | str) -> Frame:
    try:
        frame = _other(_decode_any(payload))
    except UNREADABLE as error:
        raise InvalidFrame(payload, str(error)) from None
    if frame is None:
        raise InvalidFrame(payload, "no object, or a kline event with missing or mistyped fields")
    return frame


def _other(frame: Any) -> Frame | None:
    if not isinstance(frame, dict):
        return None
    event = frame.get("data", frame)
    if isinstance(event, list) and event and isinstance(event[0], dict):
        event = event[0]
    if isinstance(event, dict) and isinstance(event.get("e"), str) and event["e"] != "kline":
        return OtherFrame(event["e"])
    if "error" in frame or "code" in frame:  # documented flat, measured nested: both are met
        detail = frame.get("error", frame)
        return Answer(frame.get("id"), error=str(detail))
    return Answer(frame.get("id"), frame["result"]) if "result" in frame else None


def bar_from_kline(kline: Kline, scale: Scale) -> Bar:
    """The bar that a kline event carries, in units of `scale`.

    Raises:
        BarError: a value that is no decimal, is finer than `scale`, contradicts another, or does not fit;
            a bar whose times are not those of a bucket of its interval.
    """
    interval = INTERVALS.get(kline.i)
    if interval is None or not interval.is_bucket(kline.t, kline.T):
        raise InvalidBar(f"reading a kline: expected a bucket's times, got {kline.i!r:.20} {kline.t} to {kline.T}")
    price, volume, quote = scale
    return checked(
        Bar(
            kline.t,
            to_units(kline.o, price),
            to_units(kline.h, price),
            to_units(kline.l, price),
            to_units(kline.c, price),
            to_units(kline.v, volume),
            to_units(kline.q, quote),
            kline.n,
            to_units(kline.V, volume),
            to_units(kline.Q, quote),
            scale,
        )
    )


def bar_from_event(event: KlineEvent, scale: Scale) -> Bar:
    """The bar that a kline event carries, in units of `scale`.

    Raises:
        BarError: as `bar_from_kline`; an event from before its bar's beginning, or a final from before its end.
    """
    kline = event.k
    if kline.t > event.E or (kline.x and event.E <= kline.T):
        raise InvalidBar(f"reading an event: expected a time after {kline.T if kline.x else kline.t}, got {event.E}")
    return bar_from_kline(kline, scale)


def scale_of_kline(kline: Kline, scale: Scale) -> Scale:
    """`scale`, widened so that it holds every value of the kline.

    Raises:
        BarError: a value that is no decimal.
    """
    return widened(scale, (kline.o, kline.h, kline.l, kline.c), (kline.v, kline.V), (kline.q, kline.Q))


def kline_event(
    symbol: str,
    interval: Interval,
    bar: Bar,
    *,
    closed: bool,
    event_ms: int,
    trade_ids: tuple[int, int] = (-1, -1),
    contract_type: str | None = None,
) -> dict[str, Any]:
    """The kline event for a bar, in the exchange's order of keys.

    Zeros are padded like other values, unlike in REST: `"Q":"0.0000"` in a frame of 2021.
    With `contract_type` it is a continuous_kline event of the pair `symbol`.
    """
    price, volume, quote = bar.scale
    kline = Kline(
        bar.open_ms,
        interval.close_ms(bar.open_ms),
        interval.name,
        to_text(bar.open, price),
        to_text(bar.close, price),
        to_text(bar.high, price),
        to_text(bar.low, price),
        to_text(bar.volume, volume),
        bar.trades,
        closed,
        to_text(bar.quote_volume, quote),
        to_text(bar.taker_buy_volume, volume),
        to_text(bar.taker_buy_quote_volume, quote),
        *trade_ids,
    )
    return event_of(symbol, kline, event_ms=event_ms, contract_type=contract_type)


def event_of(symbol: str, kline: Kline, *, event_ms: int, contract_type: str | None = None) -> dict[str, Any]:
    """The event that carries a kline, in the exchange's order of keys; as `kline_event` otherwise."""
    told: dict[str, Any] = {
        "t": kline.t,
        "T": kline.T,
        "s": symbol,
        "i": kline.i,
        "f": kline.f,
        "L": kline.L,
        "o": kline.o,
        "c": kline.c,
        "h": kline.h,
        "l": kline.l,
        "v": kline.v,
        "n": kline.n,
        "x": kline.x,
        "q": kline.q,
        "V": kline.V,
        "Q": kline.Q,
        "B": "0",
    }
    if contract_type is None:
        return {"e": "kline", "E": event_ms, "s": symbol, "k": told}
    del told["s"]
    return {"e": "continuous_kline", "E": event_ms, "ps": symbol, "ct": contract_type, "k": told}
