"""exchangeInfo: which contracts there are, and what may be spent per minute.

Fields, filters, contract types and statuses come and go; what is not used is not looked at, and unknown
kinds are normal. Order differs between calls, and `serverTime` may be hours old: it is never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from bars import Contract
from wire.errors import UNREADABLE
from wire.names import is_symbol

WEIGHT_LIMIT_DEFAULT = 2400


FILTERS = (
    *("PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MAX_NUM_ORDERS", "MAX_NUM_ALGO_ORDERS"),
    *("MIN_NOTIONAL", "PERCENT_PRICE", "POSITION_RISK_CONTROL"),
)
"""The order in which the exchange's documentation has a contract's filters, and most of its answers too."""


class InvalidExchangeInfo(ValueError):
    """An exchangeInfo that cannot be read at all."""


class ExchangeInfo(NamedTuple):
    """What exchangeInfo says, as far as it is used.

    `unreadable` holds the beginnings of rows that lack something; they are left out of `contracts`.
    `frame` is the answer without its symbols, passed on to our own clients.
    """

    contracts: list[Contract]
    weight_per_minute: int
    unreadable: list[str]
    frame: str


_Time = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Decimals = Annotated[int, msgspec.Meta(ge=0, le=18)]


class _Row(msgspec.Struct, gc=False):
    symbol: str
    onboardDate: _Time  # noqa: N815
    deliveryDate: _Time  # noqa: N815
    contractType: str  # noqa: N815
    status: str
    pair: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    pricePrecision: _Decimals  # noqa: N815
    quantityPrecision: _Decimals  # noqa: N815


class _Body(msgspec.Struct, gc=False):
    symbols: list[msgspec.Raw]
    rateLimits: list[dict[str, Any]] = []  # noqa: N815


def parse_exchange_info(body: bytes) -> ExchangeInfo:
    """Read the answer of /fapi/v1/exchangeInfo.

    Raises:
        InvalidExchangeInfo: no JSON, or without a list of symbols.
    """
    try:
        parsed = msgspec.json.decode(body, type=_Body)
        frame = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise InvalidExchangeInfo(f"reading exchangeInfo: expected symbols, got {body!r:.120} ({error})") from None
    contracts, unreadable = [], []
    for raw in parsed.symbols:
        try:
            contracts.append(_contract(raw))
        except UNREADABLE:
            unreadable.append(bytes(raw)[:60].decode("utf-8", "replace"))
    frame["symbols"] = []
    return ExchangeInfo(
        contracts, _weight_per_minute(parsed.rateLimits), unreadable, msgspec.json.encode(frame).decode()
    )


class _Filter(msgspec.Struct, gc=False):
    filterType: str = ""  # noqa: N815


def with_filters_in_order(description: str) -> bytes:
    """A contract's row of exchangeInfo with its filters in the documented order, unknown ones behind.

    The exchange sends them in any order. Some clients take the first one for the price filter. All else stays to the
    last character, and so does a row whose filters cannot be read.
    """
    text = description.encode()
    try:
        row = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        filters = msgspec.json.decode(row["filters"], type=list[msgspec.Raw])
        filters.sort(key=lambda one: _place(msgspec.json.decode(one, type=_Filter)))
    except (KeyError, *UNREADABLE):
        return text
    return msgspec.json.encode({**row, "filters": filters})


def _place(one: _Filter) -> int:
    return FILTERS.index(one.filterType) if one.filterType in FILTERS else len(FILTERS)


def _contract(raw: msgspec.Raw) -> Contract:
    row = msgspec.json.decode(raw, type=_Row)
    if not (is_symbol(row.symbol) and is_symbol(row.pair)):
        raise msgspec.ValidationError("no symbol")
    return Contract(
        symbol=row.symbol,
        onboard_ms=row.onboardDate,
        delivery_ms=row.deliveryDate,
        contract_type=row.contractType,
        status=row.status,
        pair=row.pair,
        base_asset=row.baseAsset,
        quote_asset=row.quoteAsset,
        price_decimals=row.pricePrecision,
        quantity_decimals=row.quantityPrecision,
        description=bytes(raw).decode(),
    )


def _weight_per_minute(rate_limits: Sequence[dict[str, Any]]) -> int:
    for limit in rate_limits:
        if limit.get("rateLimitType") == "REQUEST_WEIGHT" and limit.get("interval") == "MINUTE":
            value, minutes = limit.get("limit"), limit.get("intervalNum", 1)
            if isinstance(value, int) and isinstance(minutes, int) and value > 0 and minutes > 0:
                return max(1, value // minutes)
    return WEIGHT_LIMIT_DEFAULT
