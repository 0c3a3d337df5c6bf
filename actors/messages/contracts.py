"""Which contracts there are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.runtime.cell import Address
from bars import Contract, ContractKey
from wire.exchange_info import ExchangeInfo


@dataclass(frozen=True, slots=True)
class ContractsWanted:
    """Ask the exchange which contracts there are."""

    reply_to: Address


@dataclass(frozen=True, slots=True)
class ContractsFetched:
    """What the exchange lists; `stored` are those known from before."""

    info: ExchangeInfo
    stored: Sequence[Contract] = ()


@dataclass(frozen=True, slots=True)
class ContractsFailed:
    """The exchange did not say; `stored` are those known from before."""

    reason: str
    stored: Sequence[Contract]


@dataclass(frozen=True, slots=True)
class StartPair:
    """Start the stream and the aggregator of a contract; answered with `PairStarted`, running or not."""

    contract: Contract
    reply_to: Address


@dataclass(frozen=True, slots=True)
class PairStarted:
    contract: Contract
    stream: Address


@dataclass(frozen=True, slots=True)
class StopPair:
    key: ContractKey


@dataclass(frozen=True, slots=True)
class PairFinished:
    """The contract's last minute was passed on."""

    key: ContractKey


@dataclass(frozen=True, slots=True)
class ContractChanged:
    contract: Contract


@dataclass(frozen=True, slots=True)
class SymbolState:
    """A stream has changed its state: it is `live`, or `late`."""

    key: ContractKey
    state: str
