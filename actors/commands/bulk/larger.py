"""The larger bars that downloaded ones make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from actors.commands.bulk.series import Series
from bars import MINUTE, STORED, Contract, Interval, Span
from bars.gaps import pages
from storage import BarStore, LargerBars, Reader

LADDER_BARS = 50_000
"""How many minutes are looked at in one transaction."""


def made_larger(series: Sequence[Series], reader: Reader, store: BarStore) -> Iterator[Interval]:
    """Make the larger bars that are missing where what is stored makes them up, over the spans of all series.

    What is to be made follows from what is stored, so that it is made also when a former run was killed before.
    Yields the interval of each bar that was made, once it is stored.
    """
    wanted: dict[Contract, dict[Interval, Span]] = {}
    for one in series:
        wanted.setdefault(one.contract, {})[one.interval] = one.span
    for contract, spans in wanted.items():
        for change in _changes(contract, spans, reader):
            for completed in store.commit([change]).completed:
                yield completed.closed.interval


def _changes(contract: Contract, spans: dict[Interval, Span], reader: Reader) -> Iterator[LargerBars]:
    record = reader.get(contract.key)
    assert record is not None, "contracts are stored before their bars"
    for smaller, larger in pairwise(STORED):
        below = [span for interval, span in spans.items() if interval.span_ms <= smaller.span_ms]
        if not below:
            continue
        first_ms, last_ms = min(span.start_ms for span in below), max(span.stop_ms for span in below)
        count = max(1, LADDER_BARS * MINUTE.span_ms // larger.span_ms)
        for hole in reader.holes(record, larger, Span(larger.floor(first_ms), larger.floor(last_ms))):
            for part in pages(hole, larger, count):
                yield LargerBars(contract.key, smaller, part)
