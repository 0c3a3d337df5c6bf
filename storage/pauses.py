"""Pauses of the exchange: minutes in which no contract was traded, though their bars are there, all of them empty."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from bars import MINUTE_MS, Span
from bars.gaps import merge, subtract
from storage import contracts
from storage.records import ContractRecord

CONTRACTS_MIN = 2
"""One contract alone tells nothing: a minute without trades is common."""
CONTRACTS_MANY = 10
MINUTES_MIN = 3
"""Of fewer contracts than `CONTRACTS_MANY`, shorter runs of empty minutes also coincide by chance. The pauses that are
known took 10 to 19 minutes; of 793 runs of one and 27 of two empty minutes in recorded months none was one."""


def find(connection: sqlite3.Connection, span: Span) -> list[Span]:
    """The pauses within a half-open span, as far as minutes are stored; ascending.

    The perpetuals of crypto currencies are looked at: others rest at weekends. The oldest contracts, which are
    the most traded, say first when nothing was traded; the others only have to agree.
    """
    held = _held(connection)
    minutes: set[int] = set()
    open_parts = [span]
    for record, covered in held:
        for part in (one.intersect(covered) for one in open_parts):
            if not part.is_empty:
                minutes |= _empty(connection, record.id, part)
        open_parts = list(subtract(open_parts, [covered]))
        if not open_parts:
            break
    runs = merge(Span(minute * MINUTE_MS, (minute + 1) * MINUTE_MS) for minute in minutes)
    return [pause for run in runs for pause in _agreed(connection, run, held)]


def stored_span(connection: sqlite3.Connection) -> Span:
    """From the oldest stored minute of any contract to the end of the newest; empty where there are none."""
    first_ms, last_ms = connection.execute(
        "SELECT min(first_ms), max(last_ms) FROM series WHERE interval = 1"
    ).fetchone()
    return Span(0, 0) if first_ms is None else Span(first_ms, last_ms + MINUTE_MS)


def _held(connection: sqlite3.Connection) -> list[tuple[ContractRecord, Span]]:
    """Contracts and the spans of their minutes, the oldest contract first."""
    spans = {
        contract_id: Span(first_ms, last_ms + MINUTE_MS)
        for contract_id, first_ms, last_ms in connection.execute(
            "SELECT contract_id, first_ms, last_ms FROM series WHERE interval = 1"
        )
    }
    records = sorted(contracts.every(connection), key=lambda record: record.contract.onboard_ms)
    return [
        (record, spans[record.id])
        for record in records
        if record.id in spans and record.contract.contract_type == "PERPETUAL"
    ]


def _agreed(connection: sqlite3.Connection, run: Span, held: Iterable[tuple[ContractRecord, Span]]) -> list[Span]:
    """The parts of a run of minutes, empty for one contract, that are so for all."""
    parts, witnesses = [run], 0
    for record, covered in held:
        if covered.intersect(run).is_empty:
            continue
        witnesses += 1
        parts = list(subtract(parts, _traded(connection, record.id, run)))
        if not parts:
            return []
    if witnesses < CONTRACTS_MIN:
        return []
    length_min = MINUTE_MS if witnesses >= CONTRACTS_MANY else MINUTES_MIN * MINUTE_MS
    return [part for part in parts if part.stop_ms - part.start_ms >= length_min]


def _empty(connection: sqlite3.Connection, contract_id: int, span: Span) -> set[int]:
    return {minute for (minute,) in connection.execute(_query("trades = 0 AND volume = 0"), _key(contract_id, span))}


def _traded(connection: sqlite3.Connection, contract_id: int, span: Span) -> Sequence[Span]:
    rows = connection.execute(_query("(trades > 0 OR volume > 0)"), _key(contract_id, span))
    return merge(Span(minute * MINUTE_MS, (minute + 1) * MINUTE_MS) for (minute,) in rows)


def _query(which: str) -> str:
    return f"""SELECT open_minute FROM bar
        WHERE contract_id = ? AND interval = 1 AND open_minute >= ? AND open_minute < ? AND {which}"""


def _key(contract_id: int, span: Span) -> tuple[int, int, int]:
    return contract_id, span.start_ms // MINUTE_MS, -(-span.stop_ms // MINUTE_MS)
