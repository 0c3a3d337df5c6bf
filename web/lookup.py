"""What is stored of the bars that derived ones are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bars import Bar, ContractKey, Interval, Span
from bars.gaps import subtract
from storage import Reader
from web.live import Lack

PARTS_MAX = 31
"""The days of a month; no other interval has as many parts."""


class Found(NamedTuple):
    """The contract that a symbol means now, and for each lack the closed parts and where there are none."""

    key: ContractKey
    contract_type: str
    parts: list[tuple[Lack, list[Bar], list[Span]]]


class Lookup:
    """Looks up, from any thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def find(self, symbol: str, interval: Interval, source: Interval, lacks: Sequence[Lack]) -> Found | None:
        """Read closed bars of `source`; None when there is no such contract.

        Raises:
            StorageError: the file fails.
        """
        record = self._reader.find(symbol)
        if record is None:
            return None
        parts = []
        for lack in lacks:
            whole = Span(lack.bucket_ms, min(lack.stop_ms, interval.next_open(lack.bucket_ms)))
            held = [
                stored.bar
                for stored in self._reader.bars(
                    record, source, start_ms=whole.start_ms, end_ms=whole.stop_ms - 1, limit=PARTS_MAX
                )
                if stored.closed
            ]
            spans = [Span(bar.open_ms, source.next_open(bar.open_ms)) for bar in held]
            missing = self._reader.holes(record, source, whole)
            parts.append((lack, held, list(subtract([whole], sorted([*spans, *missing])))))
        return Found(record.key, record.contract.contract_type, parts)
