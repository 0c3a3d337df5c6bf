"""A database in a temporary folder, its writer and its reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bars import MINUTE, Bar, Contract, Interval, Span
from storage import BarStore, ClosedBars, CommitReport, ContractRecord, ContractsSeen, Origin, Reader, StoredBar
from tests.support.market import a_contract

ALL = 1_000_000


@dataclass
class Stored:
    """One contract in a database."""

    path: Path
    store: BarStore
    reader: Reader
    contract: Contract

    def another(self, contract: Contract | None = None) -> Stored:
        """A further contract, without bars, in the same database."""
        count = len(self.reader.contracts())
        contract = replace(contract or self.contract, symbol=f"{count}USDT")
        self.store.commit([ContractsSeen([contract])])
        return replace(self, contract=contract)

    @property
    def record(self) -> ContractRecord:
        record = self.reader.get(self.contract.key)
        assert record is not None
        return record

    def put(
        self,
        bars: Sequence[Bar],
        interval: Interval = MINUTE,
        origin: Origin = Origin.REST,
        absent: Sequence[Span] = (),
        **how: Any,
    ) -> CommitReport:
        return self.store.commit([ClosedBars(self.contract.key, interval, bars, origin, absent=absent, **how)])

    def stored(self, interval: Interval = MINUTE) -> list[StoredBar]:
        return self.reader.bars(self.record, interval, limit=ALL)

    def held(self, interval: Interval = MINUTE) -> list[Bar]:
        return [stored.bar for stored in self.stored(interval)]


@contextmanager
def a_store(contract: Contract | None = None) -> Iterator[Stored]:
    """A new database with one contract."""
    contract = contract or a_contract()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bars.db"
        store = BarStore.open(path)
        store.commit([ContractsSeen([contract])])
        reader = Reader(path)
        try:
            yield Stored(path, store, reader, contract)
        finally:
            reader.close()
            store.close()
