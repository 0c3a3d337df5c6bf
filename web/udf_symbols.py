"""Contracts as TradingView's UDF protocol describes and finds them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

from storage import ContractRecord

EXCHANGE = "BINANCE"
TYPES = MappingProxyType({"PERPETUAL": "crypto", "TRADIFI_PERPETUAL": "futures"})
"""The protocol's word for a kind of contract."""

_WORDS = MappingProxyType({"PERPETUAL": "perpetual", "TRADIFI_PERPETUAL": "TradFi perpetual"})
_PUNCTUATION = str.maketrans("", "", "/-_. ")


def symbol_facts(record: ContractRecord, resolutions: Sequence[str]) -> dict[str, Any]:
    """What a chart needs to know of a contract. A price step is one unit of the last decimal that prices have."""
    symbol = record.contract.symbol
    return {
        "name": symbol,
        "full_name": _full_name(symbol),
        "ticker": symbol,
        "description": _description(record),
        "type": TYPES[record.contract.contract_type],
        "exchange": EXCHANGE,
        "listed_exchange": EXCHANGE,
        "timezone": "Etc/UTC",
        "session": "24x7",
        "pricescale": 10**record.scale.price,
        "minmov": 1,
        "minmovement": 1,
        "minmov2": 0,
        "fractional": False,
        "pointvalue": 1,
        "currency_code": record.contract.quote_asset,
        "format": "price",
        "has_intraday": True,
        "has_daily": True,
        "has_weekly_and_monthly": True,
        "intraday_multipliers": [name for name in resolutions if name.isdecimal()],
        "supported_resolutions": list(resolutions),
        "has_empty_bars": False,
        "has_no_volume": False,
        "visible_plots_set": "ohlcv",
        "volume_precision": record.scale.volume,
        "data_status": "streaming",
    }


def symbol_columns(records: Sequence[ContractRecord], resolutions: Sequence[str]) -> dict[str, Any]:
    """The same of many contracts, in columns; what all have in common is there once."""
    return {
        "symbol": [record.contract.symbol for record in records],
        "ticker": [record.contract.symbol for record in records],
        "description": [_description(record) for record in records],
        "type": [TYPES[record.contract.contract_type] for record in records],
        "currency-code": [record.contract.quote_asset for record in records],
        "pricescale": [10**record.scale.price for record in records],
        "minmovement": 1,
        "minmov2": 0,
        "fractional": False,
        "pointvalue": 1,
        "exchange-listed": EXCHANGE,
        "exchange-traded": EXCHANGE,
        "timezone": "Etc/UTC",
        "session-regular": "24x7",
        "has-intraday": True,
        "has-daily": True,
        "has-weekly-and-monthly": True,
        "intraday-multipliers": [name for name in resolutions if name.isdecimal()],
        "supported-resolutions": list(resolutions),
        "has-no-volume": False,
    }


def found_by(records: Iterable[ContractRecord], query: str, *, kind: str, exchange: str) -> list[dict[str, Any]]:
    """The contracts that a search finds, best first: the symbol itself, those that begin so, those that have it inside.

    Args:
        query: part of a symbol, in any letters; `btc/usdt` finds BTCUSDT. Empty: all.
        kind, exchange: only of this type and exchange; empty: of any.
    """
    if exchange.upper() not in ("", EXCHANGE):
        return []
    sought = _folded(without_exchange(query))
    ranked = []
    for record in records:
        rank = _rank(record, sought)
        if rank is not None and kind in ("", TYPES[record.contract.contract_type]):
            ranked.append((rank, record.contract.symbol, record))
    return [_found(record) for _, _, record in sorted(ranked, key=lambda one: one[:2])]


def without_exchange(name: str) -> str:
    """`BINANCE:BTCUSDT` as `BTCUSDT`."""
    exchange, colon, symbol = name.partition(":")
    return symbol if colon and exchange.upper() == EXCHANGE else name


def _rank(record: ContractRecord, sought: str) -> int | None:
    symbol = _folded(record.contract.symbol)
    if sought in (symbol, _folded(record.contract.base_asset)):
        return 0
    if symbol.startswith(sought):
        return 1
    return 2 if sought in symbol else None


def _folded(text: str) -> str:
    return text.translate(_PUNCTUATION).casefold()


def _found(record: ContractRecord) -> dict[str, Any]:
    symbol = record.contract.symbol
    return {
        "symbol": symbol,
        "full_name": _full_name(symbol),
        "ticker": symbol,
        "description": _description(record),
        "exchange": EXCHANGE,
        "type": TYPES[record.contract.contract_type],
    }


def _full_name(symbol: str) -> str:
    return f"{EXCHANGE}:{symbol}"


def _description(record: ContractRecord) -> str:
    contract = record.contract
    return f"{contract.base_asset} / {contract.quote_asset} {_WORDS[contract.contract_type]}"
