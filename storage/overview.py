"""The market at a glance: every contract's last price, its last 24 hours, and how its price went.

The 24 hours are summed from the largest bars that tile them: minutes up to the next five, fives up to the next
half hour, halves up to the next four hours, then four-hour bars, the one in progress too. That is some twenty rows
for each contract instead of 1,440.
"""

from __future__ import annotations

import sqlite3

from bars import FIVE_MINUTES, FOUR_HOURS, HALF_HOUR, MINUTE, MINUTE_MS, Scale
from bars.interval import DAY_MS
from storage import bar_rows, in_progress
from storage.records import Glance

LADDER = (MINUTE, FIVE_MINUTES, HALF_HOUR, FOUR_HOURS)
_FOREVER = 1 << 62
_NOTHING = (0, None, None, 0, 0, 0)

# A bar in progress, unless it has been closed meanwhile.
_IN_PROGRESS = f"""({{select}}) AS p ON p.contract_id = c.id AND p.interval = {{minutes}}
    AND NOT EXISTS (SELECT 1 FROM series AS s WHERE s.contract_id = c.id AND s.interval = {{minutes}}
        AND s.last_ms >= p.open_minute * {MINUTE_MS})"""
_MINUTE = _IN_PROGRESS.format(select=in_progress.MINUTE_SELECT, minutes=bar_rows.minutes(MINUTE))
_LARGEST = _IN_PROGRESS.format(select=in_progress.LARGER_SELECT, minutes=bar_rows.minutes(FOUR_HOURS))

# Sums of a day fit where the contract's own bars of a day do; SQLite raises an error rather than wrap.
_SUMS = """
    SELECT c.id, sum(b.interval), max(b.open + b.rise), min(b.open - b.fall), sum(b.volume), sum(b.quote_volume),
        sum(b.trades)
    FROM contract AS c CROSS JOIN ladder AS l CROSS JOIN bar AS b
        ON b.contract_id = c.id AND b.interval = l.minutes AND b.open_minute >= l.start AND b.open_minute < l.stop
    GROUP BY c.id"""

_IN_PROGRESS_SUMS = f"""
    SELECT c.id, (:now - p.open_minute), p.open + p.rise, p.open - p.fall, p.volume, p.quote_volume, p.trades
    FROM contract AS c JOIN {_LARGEST}
    WHERE p.open_minute >= :start"""

_LAST = f"""
    SELECT c.id, coalesce(p.open + p.move, (SELECT b.open + b.move FROM series AS s JOIN bar AS b
            ON b.contract_id = c.id AND b.interval = 1 AND b.open_minute = s.last_ms / {MINUTE_MS}
            WHERE s.contract_id = c.id AND s.interval = 1)),
        c.scale_price, c.scale_volume, c.scale_quote
    FROM contract AS c LEFT JOIN {_MINUTE}"""

_CLOSES = f"""
    SELECT id, group_concat(price) FROM (
        SELECT c.id AS id, b.open + b.move AS price FROM contract AS c CROSS JOIN bar AS b
            ON b.contract_id = c.id AND b.interval = {bar_rows.minutes(HALF_HOUR)} AND b.open_minute >= :start
        WHERE (b.open_minute + {bar_rows.minutes(HALF_HOUR)}) % :step = 0
        ORDER BY c.id, b.open_minute)
    GROUP BY id"""


def every(connection: sqlite3.Connection, now_ms: int) -> dict[int, Glance]:
    """All contracts by number, at the exchange's time `now_ms`."""
    rungs = _rungs(now_ms)
    ladder = ", ".join(f"({minutes}, {start}, {stop})" for minutes, start, stop in rungs)
    start = rungs[0][1]
    of_day = f"WITH ladder (minutes, start, stop) AS (VALUES {ladder}) "
    sums = {contract_id: of_bars for contract_id, *of_bars in connection.execute(of_day + _SUMS)}
    for contract_id, *more in connection.execute(_IN_PROGRESS_SUMS, {"now": now_ms // MINUTE_MS + 1, "start": start}):
        sums[contract_id] = _joined(sums.get(contract_id), more)
    firsts = dict(connection.execute(_firsts(rungs)))
    glances = {}
    for contract_id, last, *scale in connection.execute(_LAST):
        minutes, high, low, volume, quote, trades = sums.get(contract_id, _NOTHING)
        first = firsts.get(contract_id) if minutes else None
        glances[contract_id] = Glance(Scale(*scale), last, first, high, low, volume, quote, trades, minutes)
    return glances


def closes(connection: sqlite3.Connection, now_ms: int, step_ms: int) -> dict[int, list[int]]:
    """The prices at every multiple of `step_ms`, itself one of half an hour, in the last 24 hours; ascending."""
    start, step = HALF_HOUR.ceil(now_ms - DAY_MS) // MINUTE_MS, step_ms // MINUTE_MS
    rows = connection.execute(_CLOSES, {"start": start, "step": step})
    return {contract_id: list(map(int, text.split(","))) for contract_id, text in rows}


def _rungs(now_ms: int) -> list[tuple[int, int, int]]:
    """Length, first and end (half-open) in minutes of the bars that tile the last 24 hours."""
    rungs, at_ms = [], MINUTE.floor(now_ms) - DAY_MS
    for interval, larger in zip(LADDER, (*LADDER[1:], None), strict=True):
        stop_ms = larger.ceil(at_ms) if larger else _FOREVER * MINUTE_MS
        rungs.append((bar_rows.minutes(interval), at_ms // MINUTE_MS, stop_ms // MINUTE_MS))
        at_ms = stop_ms
    return rungs


def _firsts(rungs: list[tuple[int, int, int]]) -> str:
    """The query for the open of the first bar of each contract: of a larger one where the smaller ones have none."""
    looks = ", ".join(
        f"(SELECT open FROM bar WHERE contract_id = c.id AND interval = {minutes}"
        f" AND open_minute >= {start} AND open_minute < {stop} ORDER BY open_minute LIMIT 1)"
        for minutes, start, stop in rungs
        if start < stop
    )
    return f"SELECT c.id, coalesce({looks}, p.open) FROM contract AS c LEFT JOIN {_LARGEST}"


def _joined(sums: list[int] | None, more: list[int]) -> list[int]:
    if sums is None:
        return more
    minutes, high, low, *totals = sums
    return [
        minutes + more[0],
        max(high, more[1]),
        min(low, more[2]),
        *(one + other for one, other in zip(totals, more[3:], strict=True)),
    ]
