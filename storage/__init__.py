"""The SQLite file: one process writes it (`BarStore`), any number read it (`Reader`).

What goes in is a change, what comes out plain values; tables, models and SQL stay in here.
"""

from storage.backup import backup
from storage.bar_store import BarStore
from storage.changes import (
    ArchivedBars,
    BarsDisputed,
    Change,
    ClosedBars,
    CommitReport,
    CompletedBar,
    ContractsSeen,
    GapNoted,
    GapsAsked,
    GapsSwept,
    LargerBars,
    LoadedFile,
    Origin,
    PartialBars,
    PausesSeen,
    ServiceState,
    bars_of_rest,
)
from storage.errors import (
    ContractOverflow,
    DatabaseInUse,
    DatabaseNewer,
    DatabaseUnusable,
    StorageError,
    StorageFailed,
    StorageFull,
    UnknownContract,
)
from storage.reader import Reader
from storage.records import (
    BarAt,
    BarsAsOf,
    ContractRecord,
    Gap,
    Glance,
    Seed,
    SeriesSummary,
    StoredBar,
    UnverifiedMinutes,
)
from storage.signal import ChangeSignal
from storage.transaction import EXCHANGE_INFO

__all__ = [
    "EXCHANGE_INFO",
    "ArchivedBars",
    "BarAt",
    "BarStore",
    "BarsAsOf",
    "BarsDisputed",
    "Change",
    "ChangeSignal",
    "ClosedBars",
    "CommitReport",
    "CompletedBar",
    "ContractOverflow",
    "ContractRecord",
    "ContractsSeen",
    "DatabaseInUse",
    "DatabaseNewer",
    "DatabaseUnusable",
    "Gap",
    "GapNoted",
    "GapsAsked",
    "GapsSwept",
    "Glance",
    "LargerBars",
    "LoadedFile",
    "Origin",
    "PartialBars",
    "PausesSeen",
    "Reader",
    "Seed",
    "SeriesSummary",
    "ServiceState",
    "StorageError",
    "StorageFailed",
    "StorageFull",
    "StoredBar",
    "UnknownContract",
    "UnverifiedMinutes",
    "backup",
    "bars_of_rest",
]
