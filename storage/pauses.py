"""Pauses of the exchange: times in which no contract was traded, though their bars are there, all of them empty."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bars import FIVE_MINUTES, MINUTE, MINUTE_MS, Span
from bars.gaps import merge, subtract
from bars.interval import HOUR_MS
from storage import bar_rows, contracts, holes, series
from storage.records import ContractRecord

EVIDENCE = (MINUTE, FIVE_MINUTES)
"""Whose bars tell: the smaller to the minute. The pauses that are known are too short for larger ones."""
CONTRACTS_MIN = 2
"""One contract alone tells nothing: a minute without trades is common."""
LIVELY_PERMILLE = 950
"""A contract that has no trades in more than one bar of twenty around a time says nothing by having none then."""
AROUND_MS = 3 * HOUR_MS
CONTRACTS_MANY = 10
MINUTES_MIN = 3
"""Of fewer contracts than `CONTRACTS_MANY`, shorter runs of empty minutes also coincide by chance. The pauses that are
known took 10 to 19 minutes; of 793 runs of one and 27 of two empty minutes in recorded months none was one."""
FIVES_MIN = 2
"""The same where only five-minute bars tell: 2025-01-29 has two of them without trades, 2025-08-29 three."""

_LENGTHS = ", ".join(str(bar_rows.minutes(interval)) for interval in EVIDENCE)


class _Held(NamedTuple):
    """Where a contract has bars that tell."""

    record: ContractRecord
    spans: Sequence[Span]


class _Told(NamedTuple):
    """What a contract's bars tell of a run of minutes."""

    traded: Sequence[Span]
    covered: Sequence[Span]
    """Where it has bars at all: of the rest of the run it says nothing."""
    has_minutes: bool

    def covers(self, span: Span) -> bool:
        return not any(subtract([span], self.covered))


def find(connection: sqlite3.Connection, span: Span) -> list[Span]:
    """The pauses within a half-open span, as far as bars of at most five minutes are stored; ascending.

    The perpetuals of crypto currencies are looked at: others rest at weekends. The oldest contracts that are usually
    traded say first when nothing was; the others only have to agree.
    """
    held = _held(connection)
    runs = [run.intersect(span) for run in _silences(connection, span, held)]
    if len(held) < CONTRACTS_MANY:
        runs = [run for run in runs if _length_ms([run]) >= MINUTES_MIN * MINUTE_MS]
    return [pause for run in runs for pause in _agreed(connection, run, held)]


def _silences(connection: sqlite3.Connection, span: Span, held: Sequence[_Held]) -> list[Span]:
    """Where a contract that tells, the oldest that is there, has bars without trades; ascending, never touching."""
    found: list[Span] = []
    open_parts = [span] if len(held) >= CONTRACTS_MIN else []
    for one in held:
        for part in [part for part in open_parts if _touches(one, part)]:
            empty, covered = merge(_empty(connection, one.record.id, part)), _covered(connection, one.record.id, part)
            if 1000 * _length_ms(empty) <= max((1000 - LIVELY_PERMILLE) * _length_ms(covered), 1000 * 2 * AROUND_MS):
                found += empty
                open_parts = list(subtract(open_parts, covered))
        if not open_parts:
            break
    return merge(found)


def _length_ms(spans: Iterable[Span]) -> int:
    return sum(span.stop_ms - span.start_ms for span in spans)


def contradicted(connection: sqlite3.Connection, pause: Span) -> list[Span]:
    """The parts of what was taken for a pause in which some contract was traded after all; ascending."""
    held = [one for one in _held(connection) if _touches(one, pause)]
    return merge(span for one in held for span in _told(connection, one.record.id, pause).traded)


def stored_span(connection: sqlite3.Connection) -> Span:
    """From the oldest stored bar of at most five minutes to the end of the newest; empty where there are none."""
    spans = [span for of_contract in _spans(connection).values() for span in of_contract]
    return Span(min(span.start_ms for span in spans), max(span.stop_ms for span in spans)) if spans else Span(0, 0)


def _held(connection: sqlite3.Connection) -> list[_Held]:
    """The contracts that tell, the oldest first."""
    spans = _spans(connection)
    records = sorted(contracts.every(connection), key=lambda record: record.contract.onboard_ms)
    return [
        _Held(record, spans[record.id])
        for record in records
        if record.id in spans and record.contract.contract_type == "PERPETUAL"
    ]


def _spans(connection: sqlite3.Connection) -> Mapping[int, list[Span]]:
    """From the first to the last bar that tells, by contract."""
    spans: dict[int, list[Span]] = {}
    for contract_id, length, first_ms, last_ms in connection.execute(
        f"SELECT contract_id, interval, first_ms, last_ms FROM series WHERE interval IN ({_LENGTHS})"
    ):
        spans.setdefault(contract_id, []).append(Span(first_ms, last_ms + length * MINUTE_MS))
    return spans


def _agreed(connection: sqlite3.Connection, run: Span, held: Iterable[_Held]) -> Iterator[Span]:
    """The parts of a run of minutes, empty for one contract, that are so for all."""
    parts = [run]
    witnesses: list[tuple[int, _Told]] = []
    for one in held:
        if not _touches(one, run):
            continue
        told = _told(connection, one.record.id, run)
        parts = list(subtract(parts, told.traded))
        if not parts:
            return
        if told.covered:
            witnesses.append((one.record.id, told))
    for part in parts:
        lively = [told for contract_id, told in witnesses if _is_lively(connection, contract_id, part, parts)]
        for shared in _shared(part, [told.covered for told in lively]):
            agreeing = [told for told in lively if told.covers(shared)]
            if _length_ms([shared]) >= _length_min_ms(len(agreeing), sum(told.has_minutes for told in agreeing)):
                yield shared


def _shared(part: Span, covered: Iterable[Sequence[Span]]) -> list[Span]:
    """Where in a part at least `CONTRACTS_MIN` contracts, by which each is `covered`, have bars; ascending."""
    by_number: list[list[Span]] = [[part], *([] for _ in range(CONTRACTS_MIN))]
    for spans in covered:
        for number in range(CONTRACTS_MIN, 0, -1):
            common = [one.intersect(span) for one in by_number[number - 1] for span in spans]
            by_number[number] = merge([*by_number[number], *common])
    return by_number[CONTRACTS_MIN]


def _length_min_ms(witnesses: int, with_minutes: int) -> int:
    if witnesses >= CONTRACTS_MANY:
        return MINUTE_MS
    return MINUTES_MIN * MINUTE_MS if with_minutes >= CONTRACTS_MIN else FIVES_MIN * FIVE_MINUTES.span_ms


def _is_lively(connection: sqlite3.Connection, contract_id: int, part: Span, parts: Sequence[Span]) -> bool:
    """Whether a contract usually has trades around a part of a run of minutes, the other `parts` left aside."""
    rows = connection.execute(
        f"""SELECT interval, open_minute, trades > 0 OR volume > 0 FROM bar
            WHERE contract_id = ? AND interval IN ({_LENGTHS}) AND open_minute >= ? AND open_minute < ?""",
        (contract_id, (part.start_ms - AROUND_MS) // MINUTE_MS, (part.stop_ms + AROUND_MS) // MINUTE_MS),
    ).fetchall()
    smallest = min((length for length, _, _ in rows), default=0)
    counted = [
        is_traded
        for length, open_minute, is_traded in rows
        if length == smallest and not any(one.start_ms <= open_minute * MINUTE_MS < one.stop_ms for one in parts)
    ]
    return bool(counted) and 1000 * sum(counted) >= LIVELY_PERMILLE * len(counted)


def _told(connection: sqlite3.Connection, contract_id: int, run: Span) -> _Told:
    """Of bars wholly within the run: a larger one may have been traded before or after it.

    A five-minute bar with trades tells only where its minutes do not: else some of them may have had none, also of
    those that are not stored.
    """
    rows = connection.execute(
        f"""SELECT open_minute, interval, trades > 0 OR volume > 0 FROM bar
            WHERE contract_id = ? AND interval IN ({_LENGTHS}) AND open_minute >= ? AND open_minute + interval <= ?""",
        (contract_id, run.start_ms // MINUTE_MS, run.stop_ms // MINUTE_MS),
    ).fetchall()
    minute = bar_rows.minutes(MINUTE)
    traded = {at for at, length, is_traded in rows if is_traded and length == minute}
    spans = [
        _bar_span(at, length)
        for at, length, is_traded in rows
        if is_traded and (length == minute or traded.isdisjoint(range(at, at + length)))
    ]
    covered = merge(_bar_span(at, length) for at, length, is_traded in rows if length == minute or not is_traded)
    return _Told(merge(spans), covered, any(length == minute for _, length, _ in rows))


def _empty(connection: sqlite3.Connection, contract_id: int, span: Span) -> list[Span]:
    return [
        _bar_span(open_minute, length)
        for open_minute, length in connection.execute(
            f"""SELECT open_minute, interval FROM bar WHERE contract_id = ? AND interval IN ({_LENGTHS})
                AND open_minute >= ? AND open_minute < ? AND trades = 0 AND volume = 0""",
            (contract_id, span.start_ms // MINUTE_MS, -(-span.stop_ms // MINUTE_MS)),
        )
    ]


def _covered(connection: sqlite3.Connection, contract_id: int, span: Span) -> list[Span]:
    """Where in a span bars are stored that tell."""
    found: list[Span] = []
    for interval in EVIDENCE:
        if (summary := series.get(connection, contract_id, interval)) is not None:
            inside = span.intersect(Span(summary.first_ms, interval.next_open(summary.last_ms)))
            found += subtract([inside], holes.missing_within(connection, contract_id, interval, inside, summary))
    return merge(found)


def _bar_span(open_minute: int, length: int) -> Span:
    return Span(open_minute * MINUTE_MS, (open_minute + length) * MINUTE_MS)


def _touches(one: _Held, span: Span) -> bool:
    return any(not span.intersect(covered).is_empty for covered in one.spans)
