"""What a contract's description says about it."""

from __future__ import annotations

import pytest

from bars import Contract, ContractKey, Scale
from bars.contract import NO_DELIVERY_MS
from tests.support.market import MONDAY_MS, a_contract

DELIVERY_MS = MONDAY_MS + 86_400_000


@pytest.mark.parametrize(
    ("status", "now_ms", "is_live"),
    [
        ("TRADING", MONDAY_MS, True),
        ("TRADING", DELIVERY_MS - 1, True),
        ("TRADING", DELIVERY_MS, False),
        ("SETTLING", DELIVERY_MS - 1, True),
        ("PENDING_TRADING", MONDAY_MS, False),
        ("", MONDAY_MS, False),
    ],
)
def test_bars_are_made_from_the_launch_to_the_delivery_whatever_the_status_says_before(
    status: str, now_ms: int, is_live: bool
) -> None:
    assert a_contract(status=status, delivery_ms=DELIVERY_MS).is_live(now_ms) is is_live


def test_without_a_delivery_date_it_lives_on() -> None:
    assert a_contract().is_live(NO_DELIVERY_MS - 1)


@pytest.mark.parametrize(
    ("contract_type", "is_perpetual"),
    [("PERPETUAL", True), ("TRADIFI_PERPETUAL", True), ("CURRENT_QUARTER", False), ("", False)],
)
def test_gold_and_equities_are_perpetuals_too_and_quarters_are_none(contract_type: str, is_perpetual: bool) -> None:
    assert a_contract(contract_type=contract_type).is_perpetual is is_perpetual


def test_it_is_known_by_symbol_and_launch_and_starts_with_the_decimals_of_price_quantity_and_both() -> None:
    contract = Contract("AUSDT", 7, 9, "PERPETUAL", "TRADING", "AUSDT", "A", "USDT", 4, 1)
    assert contract.key == ContractKey("AUSDT", 7)
    assert contract.scale == Scale(4, 1, 5)
    assert contract.description == "{}"
