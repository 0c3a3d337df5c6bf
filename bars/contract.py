"""Contracts: what can be traded, and since and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bars.bar import Scale

PERPETUAL_TYPES = frozenset({"PERPETUAL", "TRADIFI_PERPETUAL"})
"""Gold, equities and currencies are TRADIFI_PERPETUAL: a fifth of all perpetuals."""

NOT_YET_TRADING = frozenset({"PENDING_TRADING", ""})
NO_DELIVERY_MS = 4_133_404_800_000
"""2100-12-25 08:00 UTC: the exchange's way to say that a contract has no end."""


class ContractKey(NamedTuple):
    """What identifies a contract for ever: the exchange gives a dead contract's symbol to new ones."""

    symbol: str
    onboard_ms: int


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract as the exchange describes it at present."""

    symbol: str
    onboard_ms: int
    delivery_ms: int
    """The end: no bar opens at or after it, though the exchange serves flat ones for years."""
    contract_type: str
    status: str
    pair: str
    base_asset: str
    quote_asset: str
    price_decimals: int
    quantity_decimals: int
    description: str = "{}"
    """The exchange's own JSON object for this contract, passed on unread."""

    @property
    def key(self) -> ContractKey:
        return ContractKey(self.symbol, self.onboard_ms)

    @property
    def scale(self) -> Scale:
        """The scale that its values start with; quote volume is price times quantity."""
        decimals = self.price_decimals + self.quantity_decimals
        return Scale(self.price_decimals, self.quantity_decimals, decimals)

    @property
    def is_perpetual(self) -> bool:
        return self.contract_type in PERPETUAL_TYPES

    def is_live(self, now_ms: int) -> bool:
        """Whether it makes bars at `now_ms`: launched, and its delivery date not reached.

        The status alone does not tell: a settled contract's row stays for years, and one about to end
        may show a settlement status before its delivery date.
        """
        return self.status not in NOT_YET_TRADING and now_ms < self.delivery_ms
