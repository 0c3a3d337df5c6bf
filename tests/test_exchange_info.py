"""exchangeInfo: the recorded ones, what changes from call to call, and junk."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import Contract, ContractKey, Scale
from bars.contract import NO_DELIVERY_MS
from tests.support.recorded import Recorded
from wire.exchange_info import (
    WEIGHT_LIMIT_DEFAULT,
    InvalidExchangeInfo,
    parse_exchange_info,
    with_filters_in_order,
)

ROW: dict[str, Any] = {
    "symbol": "币安人生USDT",
    "pair": "币安人生USDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": 1760958000000,
    "status": "TRADING",
    "baseAsset": "币安人生",
    "quoteAsset": "USDT",
    "pricePrecision": 7,
    "quantityPrecision": 0,
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.0001000"}],
}
LIMITS = [
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
]


def body(*rows: Any, limits: Any = LIMITS) -> bytes:
    return json.dumps({"timezone": "UTC", "rateLimits": limits, "symbols": list(rows)}, ensure_ascii=False).encode()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != name}


def test_a_contract_is_read_with_its_own_words_kept() -> None:
    (contract,) = parse_exchange_info(body(ROW)).contracts
    expected = Contract(
        symbol="币安人生USDT",
        onboard_ms=1760958000000,
        delivery_ms=NO_DELIVERY_MS,
        contract_type="PERPETUAL",
        status="TRADING",
        pair="币安人生USDT",
        base_asset="币安人生",
        quote_asset="USDT",
        price_decimals=7,
        quantity_decimals=0,
        description=contract.description,
    )
    assert contract == expected
    assert json.loads(contract.description) == ROW
    assert contract.key == ContractKey("币安人生USDT", 1760958000000)
    assert contract.scale == Scale(7, 0, 7)


def test_the_rest_of_the_answer_is_passed_on_without_its_symbols() -> None:
    info = parse_exchange_info(body(ROW))
    assert json.loads(info.frame) == {"timezone": "UTC", "rateLimits": LIMITS, "symbols": []}


def test_the_recorded_answer_of_2021_is_read_whole(recorded: Recorded) -> None:
    info = parse_exchange_info(recorded.exchange_info("exchangeInfo_prod_2021-07-21.json.gz"))
    assert (len(info.contracts), info.unreadable, info.weight_per_minute) == (122, [], 2400)
    live = [contract for contract in info.contracts if contract.is_live(1_626_858_243_909)]
    assert sum(contract.is_perpetual for contract in live) == 119
    pending = [contract for contract in info.contracts if contract.status == "PENDING_TRADING"]
    assert [(contract.contract_type, contract.is_perpetual) for contract in pending] == [("", False)]


def test_the_recorded_answer_of_a_testnet_has_every_kind(recorded: Recorded) -> None:
    info = parse_exchange_info(recorded.exchange_info("exchangeInfo_testnet_2026-03-31_reserialised.json.gz"))
    assert (len(info.contracts), info.unreadable, info.weight_per_minute) == (705, [], 6000)
    kinds = {contract.contract_type for contract in info.contracts}
    assert kinds == {
        "PERPETUAL",
        "TRADIFI_PERPETUAL",
        "CURRENT_QUARTER",
        "NEXT_QUARTER",
        "CURRENT_QUARTER DELIVERING",
    }
    perpetual = [contract for contract in info.contracts if contract.is_perpetual]
    assert len(perpetual) == 569 + 53 + 50 + 17 + 3 + 1
    assert {contract.symbol for contract in info.contracts if not contract.symbol.isascii()} == {
        "测试测试USDT",
        "币安人生USDT",
        "我踏马来了USDT",
        "龙虾USDT",
    }


@pytest.mark.parametrize(
    ("status", "delivery_ms", "is_live"),
    [
        ("TRADING", NO_DELIVERY_MS, True),
        ("TRADING", 1_000, False),
        ("TRADING", 1_001, True),
        ("SETTLING", 1_001, True),
        ("SETTLING", 999, False),
        ("PRE_SETTLE", NO_DELIVERY_MS, True),
        ("SOMETHING_NEW", NO_DELIVERY_MS, True),
        ("PENDING_TRADING", NO_DELIVERY_MS, False),
        ("", NO_DELIVERY_MS, False),
    ],
)
def test_a_contract_lives_from_its_launch_to_its_delivery(status: str, delivery_ms: int, is_live: bool) -> None:
    row = {**ROW, "status": status, "deliveryDate": delivery_ms}
    assert parse_exchange_info(body(row)).contracts[0].is_live(1_000) is is_live


@pytest.mark.parametrize("name", [name for name in ROW if name != "filters"])
@pytest.mark.parametrize("value", [None, [], {}, True, 1.5, "absent"])
def test_a_row_that_lacks_something_is_left_out_and_named(name: str, value: Any) -> None:
    wrong = without(name) if value == "absent" else {**ROW, name: value}
    info = parse_exchange_info(body(wrong, {**ROW, "symbol": "OTHERUSDT"}))
    assert [contract.symbol for contract in info.contracts] == ["OTHERUSDT"]
    assert len(info.unreadable) == 1
    assert name == "symbol" or "币安人生USDT" in info.unreadable[0]


@pytest.mark.parametrize("name", ["pricePrecision", "quantityPrecision", "onboardDate", "deliveryDate"])
@pytest.mark.parametrize("value", [-1, 2**63, 10**30])
def test_numbers_that_no_contract_can_have_leave_it_out(name: str, value: int) -> None:
    assert parse_exchange_info(body({**ROW, name: value})).contracts == []


@pytest.mark.parametrize("row", [None, 5, "x", [], ["BTCUSDT"]])
def test_a_row_that_is_no_object_harms_no_other(row: Any) -> None:
    info = parse_exchange_info(body(row, ROW))
    assert len(info.contracts) == len(info.unreadable) == 1


@pytest.mark.parametrize(
    ("limits", "weight"),
    [
        (LIMITS, 2_400),
        ([], WEIGHT_LIMIT_DEFAULT),
        ([{}], WEIGHT_LIMIT_DEFAULT),
        ([{**LIMITS[1], "interval": "DAY"}], WEIGHT_LIMIT_DEFAULT),
        ([{**LIMITS[1], "limit": "2400"}], WEIGHT_LIMIT_DEFAULT),
        ([{**LIMITS[1], "limit": 0}], WEIGHT_LIMIT_DEFAULT),
        ([{**LIMITS[1], "intervalNum": 0}], WEIGHT_LIMIT_DEFAULT),
        ([{**LIMITS[1], "intervalNum": 5, "limit": 10_000}], 2_000),
        ([{**LIMITS[1], "intervalNum": 5, "limit": 3}], 1),
    ],
)
def test_the_weight_is_per_minute_and_never_nothing(limits: Any, weight: int) -> None:
    assert parse_exchange_info(body(limits=limits)).weight_per_minute == weight


NO_LIST = [b"", b"null", b"[]", b"{}", b'{"symbols":null}', b'{"symbols":{}}', b'{"code":-1003,"msg":"banned"}']
NO_JSON = [b"<html>", b"\xff", b'{"symbols":["\xff"]}', b"[" * 100_000, b'{"symbols":[],"x":' + b"[" * 5_000]


@pytest.mark.parametrize("junk", [*NO_LIST, *NO_JSON, body(ROW)[:-1]])
def test_what_is_no_exchange_info_is_refused(junk: bytes) -> None:
    with pytest.raises(InvalidExchangeInfo, match="reading exchangeInfo"):
        parse_exchange_info(junk)


@given(
    st.dictionaries(
        st.sampled_from(list(ROW)),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
    )
)
def test_any_row_is_a_contract_or_unreadable(fields: dict[str, Any]) -> None:
    info = parse_exchange_info(msgspec.json.encode({"symbols": [{**ROW, **fields}]}))
    assert len(info.contracts) + len(info.unreadable) == 1
    assert all(0 <= places <= 36 for contract in info.contracts for places in contract.scale)


def test_filters_are_put_in_the_documented_order_and_nothing_else_changes() -> None:
    row = (
        '{"symbol":"币安人生USDT","filters":[{"x":1},{"filterType":"NEW","corridor":{"upper":"1.10"}},'
        '{"filterType":"LOT_SIZE","stepSize":"1"},{"tickSize":"0.0001000","filterType":"PRICE_FILTER"}],"n":1.10}'
    )
    assert with_filters_in_order(row).decode() == (
        '{"symbol":"币安人生USDT","filters":[{"tickSize":"0.0001000","filterType":"PRICE_FILTER"},'
        '{"filterType":"LOT_SIZE","stepSize":"1"},{"x":1},{"filterType":"NEW","corridor":{"upper":"1.10"}}],"n":1.10}'
    )


@pytest.mark.parametrize("row", ["{}", "", "[]", '{"filters":{}}', '{"filters":[1]}', '{"filters":[{"filterType":1}]}'])
def test_filters_that_cannot_be_read_stay_as_they_are(row: str) -> None:
    assert with_filters_in_order(row) == row.encode()
