"""exchangeInfo as the exchange sends it: every field, in another order each time, with a stale time."""

from __future__ import annotations

from typing import Any

import msgspec

from bars import to_text
from bars.contract import NO_DELIVERY_MS
from bars.interval import HOUR_MS
from exchange.simulated.faults import Dice
from exchange.simulated.plan import ContractPlan
from exchange.simulated.world import World

_ORDER_TYPES = ("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")


def exchange_info(world: World, now_ms: int, dice: Dice) -> bytes:
    """The body of /fapi/v1/exchangeInfo at `now_ms`.

    The order of symbols, of a symbol's keys and of its filters differs between calls; `serverTime` is
    that of a cached object, up to hours old.
    """
    rows = [
        _shuffled(_row(contract, now_ms, dice), dice)
        for series in world.all_series.values()
        if (contract := _shown([one.contract for one in series], now_ms)) is not None
    ]
    dice.shuffle(rows)
    return msgspec.json.encode(
        {
            "timezone": "UTC",
            "serverTime": now_ms - dice.below(10 * HOUR_MS),
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": world.plan.limits.weight_per_minute,
                },
                {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
            ],
            "exchangeFilters": [],
            "assets": [
                {"asset": asset, "marginAvailable": True, "autoAssetExchange": "-10000"}
                for asset in ("USDT", "USDC", "BTC")
            ],
            "symbols": rows,
        }
    )


def _shown(contracts: list[ContractPlan], now_ms: int) -> ContractPlan | None:
    """The contract of a symbol that has the symbol's one row: the latest that is listed."""
    return next((contract for contract in reversed(contracts) if contract.shown_from_ms <= now_ms), None)


def _shuffled(row: dict[str, Any], dice: Dice) -> dict[str, Any]:
    keys = list(row)
    dice.shuffle(keys)
    dice.shuffle(row["filters"])
    return {key: row[key] for key in keys}


def _row(contract: ContractPlan, now_ms: int, dice: Dice) -> dict[str, Any]:
    scale = contract.scale_at(now_ms)
    step = to_text(1, scale.volume)
    row: dict[str, Any] = {
        "symbol": contract.symbol,
        "pair": contract.pair or contract.symbol,
        "contractType": contract.contract_type,
        "deliveryDate": contract.delivery_ms if now_ms >= contract.announced_ms else NO_DELIVERY_MS,
        "onboardDate": contract.onboard_ms,
        "status": contract.status_at(now_ms),
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": contract.base_asset,
        "quoteAsset": contract.quote_asset,
        "marginAsset": contract.quote_asset,
        "pricePrecision": scale.price,
        "quantityPrecision": scale.volume,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": contract.underlying[0],
        "underlyingSubType": list(contract.underlying[1:]),
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": to_text(contract.tick_units, contract.price_decimals),
                "maxPrice": "4529764",
                "tickSize": to_text(contract.tick_units, contract.price_decimals),
            },
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "1000000", "stepSize": step},
            {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "12000", "stepSize": step},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDown": "0.9500",
                "multiplierDecimal": "4",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": _ORDER_TYPES,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA", "PSB"],
    }
    if dice.hits(0.05):  # nodes differ: some know fields and filters that others do not
        row["settlePlan"] = 0
        row["filters"].append({"filterType": "NOTIONAL_CORRIDOR", "corridor": {"upper": "1.1", "lower": "0.9"}})
    return row
