"""The directory: which contracts there are, and which of them run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from actors.messages import (
    Carry,
    ContractChanged,
    ContractsFailed,
    ContractsFetched,
    ContractsWanted,
    Drop,
    KeepHistory,
    MinutesRepaired,
    PairFinished,
    PairStarted,
    Report,
    StartPair,
    StopPair,
    Store,
    SymbolState,
    Tick,
)
from actors.runtime.cell import Actor, Address
from bars import MINUTE, MINUTE_MS, Contract, ContractKey
from storage import ContractsSeen
from wire.exchange_info import ExchangeInfo
from wire.names import kline_stream

logger = logging.getLogger(__name__)

REFRESH_MS = 5 * MINUTE_MS
RETRY_S = 5.0
RETURNED_AFTER = 3
"""After so many answers in a row by which a contract that has ended here goes on, it is started again. Its end was put
off; a single answer may be some minutes old."""


class Directory(Actor):
    """Owns the list of contracts: starts those that were launched, ends those whose delivery date came.

    Args:
        symbols: which to keep; None for every trading perpetual.
    """

    def __init__(
        self,
        symbols: tuple[str, ...] | None,
        *,
        supervisor: Address,
        backfill: Address,
        feeds: Address,
        writer: Address,
    ) -> None:
        self._symbols = symbols
        self._supervisor = supervisor
        self._backfill = backfill
        self._feeds = feeds
        self._writer = writer
        self._contracts: dict[ContractKey, Contract] = {}
        self._stored: dict[ContractKey, Contract] = {}
        self._stopped: set[ContractKey] = set()
        self._running: dict[ContractKey, Address | None] = {}
        self._states: dict[ContractKey, str] = {}
        self._finished: set[ContractKey] = set()
        self._returned: dict[ContractKey, int] = {}
        """How many answers in a row have said of contracts that are finished that they go on."""
        self._missing: tuple[str, ...] = ()
        self._dated: set[str] = set()
        self._is_asking = False
        self._now_ms = 0
        self._refreshed_ms: int | None = None
        self._retry_s = 0.0
        self._has_changed = True
        """Whether there is something to report."""

    def begin(self) -> None:
        self._ask()

    def receive(self, message: Any) -> None:
        match message:
            case Tick(now_ms, _, monotonic_s):
                self._on_tick(now_ms, monotonic_s)
                return
            case ContractsFetched(info, stored):
                self._is_asking = False
                self._stored = {contract.key: contract for contract in stored}
                self._refresh(info)
            case ContractsFailed(_, stored):
                self._is_asking = False
                if not self._contracts:
                    self._update(stored)  # what the exchange does not list is not known yet
            case PairStarted(contract, stream):
                self._started(contract, stream)
            case PairFinished(key):
                self._finish(key)
            case SymbolState(key, state):
                self._states[key] = state
                self._remind(key)
            case MinutesRepaired(key):
                if (running := self._running.get(key)) is not None:
                    running.tell(message)
            case _:
                super().receive(message)
        self._has_changed = True

    def _ask(self) -> None:
        self._is_asking = True
        self._backfill.tell(ContractsWanted(self.me))

    def _on_tick(self, now_ms: int | None, monotonic_s: float) -> None:
        if now_ms is not None:
            self._now_ms = now_ms
            if self._refreshed_ms is None:
                self._refreshed_ms = now_ms
            for key, contract in self._contracts.items():
                if key in self._running or key in self._finished:
                    continue
                if contract.is_live(now_ms):
                    self._start(contract)
                elif now_ms >= contract.delivery_ms:
                    self._stop(key)
            if now_ms - self._refreshed_ms >= REFRESH_MS and not self._is_asking:
                self._refreshed_ms = now_ms
                self._ask()
        if not self._contracts and not self._is_asking and monotonic_s >= self._retry_s:
            self._retry_s = monotonic_s + RETRY_S
            self._ask()
        if self._has_changed:
            self._has_changed = False
            self._report()

    def _refresh(self, info: ExchangeInfo) -> None:
        if info.unreadable:
            logger.warning("exchangeInfo: %d rows were unreadable: %.200s", len(info.unreadable), info.unreadable)
        chosen = self._update(info.contracts)
        self._take_back(chosen)
        self._tell_missing({contract.symbol for contract in chosen})
        self._tell_dated(chosen)
        self._writer.tell(Store([ContractsSeen(chosen, info.frame)]))
        newest = {contract.symbol: contract for contract in sorted(chosen, key=lambda one: one.onboard_ms)}
        for contract in newest.values():  # by a symbol the exchange can be asked for its newest contract only
            self._backfill.tell(KeepHistory(contract))

    def _update(self, contracts: Iterable[Contract]) -> list[Contract]:
        chosen = [contract for contract in contracts if self._is_chosen(contract)]
        chosen += self._superseded(chosen)
        for contract in chosen:
            before = self._contracts.get(contract.key)
            self._contracts[contract.key] = contract
            stream = self._running.get(contract.key)
            if before is not None and before != contract and stream is not None:
                stream.tell(ContractChanged(contract))
        return chosen

    def _take_back(self, chosen: Iterable[Contract]) -> None:
        """Let contracts begin again whose end was put off when it had come already."""
        newest = {key.symbol: key for key in sorted(self._contracts, key=lambda key: key.onboard_ms)}
        live = [one.key for one in chosen if newest[one.symbol] == one.key and one.is_live(self._now_ms)]
        self._returned = {key: self._returned.get(key, 0) + 1 for key in live if key in self._finished}
        for key, answers in self._returned.items():
            if answers >= RETURNED_AFTER:
                logger.warning("%s goes on after the delivery date that was announced", key.symbol)
                self._finished.discard(key)

    def _remind(self, key: ContractKey) -> None:
        """A stream in a new life tells its state first, and knows the contract only as it was at its start."""
        contract, stream = self._contracts.get(key), self._running.get(key)
        if contract is not None and stream is not None:
            stream.tell(ContractChanged(contract))

    def _superseded(self, listed: list[Contract]) -> list[Contract]:
        """Contracts whose symbol went to a newer one: each ends where the newer begins, whatever was announced.

        Also those of which this is stored already: their pairs may still run, and not know it.
        """
        newest = {contract.symbol: contract for contract in listed}
        return [
            replace(known, delivery_ms=min(known.delivery_ms, newest[known.symbol].onboard_ms))
            for known in {**self._stored, **self._contracts}.values()
            if known.symbol in newest and known.onboard_ms < newest[known.symbol].onboard_ms
        ]

    def _is_chosen(self, contract: Contract) -> bool:
        """Of every perpetual those that trade or that we already know; of named symbols any that exist.

        One that ended while nothing ran here is known from the database, and its last bars may be missing.
        """
        if self._symbols is not None:
            return contract.symbol in self._symbols
        is_known = contract.key in self._contracts or contract.key in self._stored
        return contract.is_perpetual and (contract.status == "TRADING" or is_known)

    def _tell_missing(self, found: set[str]) -> None:
        missing = tuple(symbol for symbol in self._symbols or () if symbol not in found)
        if missing and missing != self._missing:
            logger.warning("the exchange does not list %s", ", ".join(missing))
        self._missing = missing

    def _tell_dated(self, chosen: list[Contract]) -> None:
        """Of one that is not launched yet the type is not known either."""
        found = {one.symbol for one in chosen if one.contract_type and not one.is_perpetual}
        if new := sorted(found - self._dated):
            logger.warning("not perpetual, so stored for SQL and export and served to no client: %s", ", ".join(new))
        self._dated |= found

    def _start(self, contract: Contract) -> None:
        self._running[contract.key] = None
        self._stopped.discard(contract.key)
        self._has_changed = True
        self._supervisor.tell(StartPair(contract, self.me))

    def _stop(self, key: ContractKey) -> None:
        """A pair of which this life knows nothing may run on from before it, and its symbol be another contract's."""
        if key not in self._stopped:
            self._stopped.add(key)
            self._supervisor.tell(StopPair(key))

    def _started(self, contract: Contract, stream: Address) -> None:
        self._running[contract.key] = stream
        self._carry(contract.symbol)

    def _carry(self, symbol: str) -> None:
        """Have the frames of a symbol brought to its newest contract: the exchange gives symbols again."""
        running = [key for key in self._running if key.symbol == symbol]
        name = kline_stream(symbol, MINUTE)
        if not running:
            self._feeds.tell(Drop(frozenset({name})))
        elif (stream := self._running[max(running, key=lambda key: key.onboard_ms)]) is not None:
            self._feeds.tell(Carry({name: stream}))

    def _finish(self, key: ContractKey) -> None:
        """End a pair once; also one that runs on from before this life, in which its contract was not live."""
        if key in self._finished:
            return
        logger.info("%s has reached its delivery date; its history stays", key.symbol)
        self._finished.add(key)
        self._running.pop(key, None)
        self._states.pop(key, None)
        self._carry(key.symbol)
        if key not in self._stopped:
            self._supervisor.tell(StopPair(key))

    def _report(self) -> None:
        states = Counter(self._states.get(key, "starting") for key in self._running)
        counted = {"live": 0, "late": 0, **states, "ended": len(self._finished)}
        facts = {"total": len(self._running), **counted, "missing": list(self._missing)}
        self._supervisor.tell(Report("symbols", facts))
