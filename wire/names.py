"""Stream names: which stream carries which bars.

`btcusdt@kline_1m` for every contract; the exchange also has `btcusdt_perpetual@continuousKline_1m`.
Only ASCII letters are lower-cased: `币安人生USDT` streams as `币安人生usdt@kline_1m`. A wrong or upper-case
name is acknowledged and stays silent.
"""

from __future__ import annotations

import string
from typing import NamedTuple

from bars import INTERVALS, Interval

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_CONTINUOUS_SUFFIXES = (("_tradifi_perpetual", "TRADIFI_PERPETUAL"), ("_perpetual", "PERPETUAL"))  # longest first


SYMBOL_MAX = 100
_NOT_IN_SYMBOLS = frozenset(" /\\?#%&=@,;:<>\"'`|*$")


class Stream(NamedTuple):
    """What a stream name asks for; `contract_type` only of a continuous stream."""

    symbol: str
    interval: Interval
    contract_type: str | None = None


def lower(symbol: str) -> str:
    """The symbol as stream names write it."""
    return symbol.translate(_LOWER)


def upper(symbol: str) -> str:
    """The symbol as everything else writes it; REST accepts lower case and answers upper."""
    return symbol.translate(_UPPER)


def is_symbol(text: str) -> bool:
    """Whether it could be the name of a contract: printable, and nothing that means something else in an address, a
    stream's name, a file's name or a page."""
    return (
        0 < len(text) <= SYMBOL_MAX and text.isprintable() and not _NOT_IN_SYMBOLS.intersection(text) and text[0] != "."
    )


def kline_stream(symbol: str, interval: Interval) -> str:
    """The name of the stream that carries a contract's bars of one interval."""
    return f"{lower(symbol)}@kline_{interval.name}"


def parse_stream(name: str) -> Stream | None:
    """What a stream name asks for; None for every name that carries no bars, wrong case included."""
    subject, at, kind = name.partition("@")
    channel, _, interval_name = kind.partition("_")
    interval = INTERVALS.get(interval_name)
    if not subject or not at or interval is None or lower(subject) != subject:
        return None
    if channel == "kline":
        return Stream(upper(subject), interval)
    if channel != "continuousKline":
        return None
    for suffix, contract_type in _CONTINUOUS_SUFFIXES:
        if subject.endswith(suffix) and subject != suffix:
            return Stream(upper(subject.removesuffix(suffix)), interval, contract_type)
    return None
