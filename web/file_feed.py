"""Live events without a live system: from the database, as the data service changes it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from bars import ContractKey, Interval
from storage import ChangeSignal, ContractRecord, Reader, StorageError
from web.tail import Tail
from wire.published import BarEvent, Deliver

logger = logging.getLogger(__name__)

POLL_S = 0.05
LIST_AGAIN_S = 30.0
"""How often it is looked up which contract a symbol means: the exchange gives dead contracts' symbols to new ones."""
LIST_SOON_S = 2.0
"""While a symbol is watched that means none yet."""
FAILED_WAIT_S = 1.0
JOIN_S = 5.0


@dataclass(slots=True, eq=False)
class _Watched:
    symbol: str
    interval: Interval
    deliver: Deliver
    is_wanted: bool = True
    key: ContractKey | None = None
    tail: Tail = field(init=False)

    def __post_init__(self) -> None:
        self.tail = Tail(self.interval)

    def mean(self, key: ContractKey) -> None:
        """The symbol means this contract now."""
        if key != self.key:
            self.key, self.tail = key, Tail(self.interval)


class FileFeed:
    """Watches series in the file of `reader`, in a thread of its own, which works only while somebody listens.

    SQLite tells cheaply whether anything was committed, which is asked every 50 ms; only then the series are read.

    Args:
        now_ms: the exchange's time; None while it is not known.
    """

    def __init__(
        self,
        reader: Reader,
        now_ms: Callable[[], int | None],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._records: dict[str, ContractRecord] = {}
        self._listed_s = -LIST_AGAIN_S
        self._news: queue.SimpleQueue[_Watched | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def watch(self, symbol: str, interval: Interval, deliver: Deliver) -> Callable[[], None]:
        """Have `deliver` called with each event of a symbol and stored interval; returns what ends that."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="file-feed", daemon=True)
            self._thread.start()
        watched = _Watched(symbol, interval, deliver)
        self._news.put(watched)

        def stop() -> None:
            watched.is_wanted = False

        return stop

    def close(self) -> None:
        """End the thread. A second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._news.put(None)
            thread.join(JOIN_S)

    def _run(self) -> None:
        with ExitStack() as held:
            signal: ChangeSignal | None = None
            every: list[_Watched] = []
            wait_s = POLL_S
            while self._collect(every, wait_s):
                wait_s = POLL_S
                try:
                    if signal is None:
                        signal = held.enter_context(closing(self._reader.change_signal()))
                    if signal.has_changed():
                        self._look(every)
                except StorageError as error:
                    logger.error("following the database: %s; trying again", error)
                    wait_s = FAILED_WAIT_S

    def _collect(self, every: list[_Watched], wait_s: float) -> bool:
        """Wait a moment, and take in who is new and who has left; False at the end. With nobody left, wait for one."""
        every[:] = [watched for watched in every if watched.is_wanted]
        timeout_s = wait_s if every else None
        while True:
            try:
                watched = self._news.get(timeout=timeout_s)
            except queue.Empty:
                return True
            if watched is None:
                return False
            self._begin(watched)
            every.append(watched)
            timeout_s = 0.0

    def _begin(self, watched: _Watched) -> None:
        """Look where a series ends now: what comes after that is news."""
        try:
            self._look([watched])
        except StorageError as error:
            logger.error("following the database: %s; trying again", error)

    def _look(self, every: list[_Watched]) -> None:
        now_s = self._monotonic_s()
        self._list_contracts(every, now_s)
        known = [(watched, record) for watched in every if (record := self._records.get(watched.symbol)) is not None]
        for watched, record in known:
            watched.mean(record.key)
        newest = self._reader.newest([(record, watched.interval, watched.tail.last_ms) for watched, record in known])
        for (watched, record), (last_ms, closed, in_progress) in zip(known, newest, strict=True):
            if watched.tail.last_ms is None:
                watched.tail.begin(last_ms, in_progress, self._now_ms() or 0)
                continue
            for bar, is_closed in watched.tail.look(closed, in_progress, now_s):
                if watched.is_wanted and not watched.deliver(BarEvent(record.key, watched.interval, bar, is_closed)):
                    watched.is_wanted = False

    def _list_contracts(self, every: list[_Watched], now_s: float) -> None:
        """Look up which contract each symbol means. However many names mean nothing, this is one query."""
        are_known = all(watched.symbol in self._records for watched in every)
        if now_s - self._listed_s >= (LIST_AGAIN_S if are_known else LIST_SOON_S):
            self._listed_s = now_s
            self._records = {record.contract.symbol: record for record in self._reader.contracts()}
