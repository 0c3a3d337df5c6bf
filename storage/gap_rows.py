"""What is remembered of holes: who found them, why they are, how often they were asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from bars import MINUTE, Interval, Span
from bars.gaps import subtract
from bars.ledger import Facts, Noted, Reason, asked_again, decide, kept_within, noted_again, without
from storage import bar_rows, holes

EVERY_CONTRACT = 0
"""In the place of a contract: what is so for all of them."""


def asked(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, spans: Iterable[Span], at_ms: int
) -> None:
    """The exchange was asked for these spans in vain."""
    known = of_series(connection, contract_id, interval)
    for span in spans:
        known = asked_again(known, span, at_ms)
    _replace(connection, contract_id, interval, known)


def note(
    connection: sqlite3.Connection, contract_id: int, interval: Interval, span: Span, reason: Reason, at_ms: int
) -> None:
    """Somebody knows why this span is a hole."""
    known = of_series(connection, contract_id, interval)
    _replace(connection, contract_id, interval, noted_again(known, span, reason, at_ms))


def note_pauses(
    connection: sqlite3.Connection, known: Sequence[Noted], pauses: Sequence[Span], wrong: Sequence[Span], at_ms: int
) -> None:
    """Remember the pauses of the exchange that are new, and forget parts that were none.

    Args:
        known: all that is remembered as so for all contracts.
    """
    noted = [part for one in known for part in (without(one, wrong) if one.reason is Reason.PAUSE else [one])]
    held = sorted(one.span for one in noted if one.reason is Reason.PAUSE)
    for span in subtract(pauses, held):
        noted = noted_again(noted, span, Reason.PAUSE, at_ms)
    if noted != list(known):
        _replace(connection, EVERY_CONTRACT, MINUTE, noted)


def of_series(connection: sqlite3.Connection, contract_id: int, interval: Interval) -> list[Noted]:
    """All that is remembered of one series, ascending."""
    rows = connection.execute(
        """SELECT start_ms, stop_ms, reason, since_ms, asked, asked_ms FROM gap
            WHERE contract_id = ? AND interval = ? ORDER BY start_ms""",
        (contract_id, bar_rows.minutes(interval)),
    )
    return [
        Noted(Span(start_ms, stop_ms), None if reason is None else Reason(reason), *rest)
        for start_ms, stop_ms, reason, *rest in rows
    ]


def every(connection: sqlite3.Connection) -> Mapping[tuple[int, int], Sequence[Noted]]:
    """All that is remembered, by contract and length of the interval in minutes; ascending."""
    found: dict[tuple[int, int], list[Noted]] = {}
    for contract_id, length, start_ms, stop_ms, reason, *rest in connection.execute(
        """SELECT contract_id, interval, start_ms, stop_ms, reason, since_ms, asked, asked_ms FROM gap
            ORDER BY contract_id, interval, start_ms"""
    ):
        noted = Noted(Span(start_ms, stop_ms), None if reason is None else Reason(reason), *rest)
        found.setdefault((contract_id, length), []).append(noted)
    return found


def forget_before(connection: sqlite3.Connection, contract_id: int, interval: Interval, time_ms: int) -> None:
    """Forget the holes of a series that end before a time."""
    connection.execute(
        "DELETE FROM gap WHERE contract_id = ? AND interval = ? AND stop_ms <= ?",
        (contract_id, bar_rows.minutes(interval), time_ms),
    )


def resting(connection: sqlite3.Connection, contract_id: int, interval: Interval, now_ms: int) -> list[Span]:
    """The spans of a series that are not to be asked for at `now_ms`, ascending."""
    return [one.span for one in of_series(connection, contract_id, interval) if one.is_resting(now_ms)]


def in_vain(connection: sqlite3.Connection, contract_id: int, interval: Interval, now_ms: int) -> list[Span]:
    """The spans of a series of which one more answer at `now_ms` without them is believed, ascending."""
    return [one.span for one in of_series(connection, contract_id, interval) if one.is_believed(now_ms)]


def told(connection: sqlite3.Connection, contract_id: int, interval: Interval) -> list[Span]:
    """The spans of a series of which somebody knows why they are holes, ascending."""
    return [one.span for one in of_series(connection, contract_id, interval) if one.reason is not None]


def sweep(connection: sqlite3.Connection) -> None:
    """Forget what was filled, by whatever way. What is so for all contracts stays."""
    of_contracts = "SELECT DISTINCT contract_id, interval FROM gap WHERE contract_id <> ?"
    for contract_id, minutes in connection.execute(of_contracts, (EVERY_CONTRACT,)).fetchall():
        interval = bar_rows.STORED_BY_MINUTES[minutes]
        known = of_series(connection, contract_id, interval)
        whole = Span(known[0].span.start_ms, known[-1].span.stop_ms)
        left = kept_within(known, holes.find(connection, contract_id, interval, whole))
        if left != known:
            _replace(connection, contract_id, interval, left)


def _replace(connection: sqlite3.Connection, contract_id: int, interval: Interval, known: Sequence[Noted]) -> None:
    length = bar_rows.minutes(interval)
    connection.execute("DELETE FROM gap WHERE contract_id = ? AND interval = ?", (contract_id, length))
    connection.executemany(
        """INSERT INTO gap (contract_id, interval, start_ms, stop_ms, reason, state, since_ms, asked, asked_ms)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        [
            (contract_id, length, *one.span, one.reason and one.reason.value, _state(one), *_counted(one))
            for one in known
        ],
    )


def _state(noted: Noted) -> str:
    facts = Facts(noted=noted.reason, asked=noted.asked, is_pause=noted.reason is Reason.PAUSE)
    return decide(facts)[1].value


def _counted(noted: Noted) -> tuple[int, int, int]:
    return noted.since_ms, noted.asked, noted.asked_ms
