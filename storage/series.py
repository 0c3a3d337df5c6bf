"""The summaries of series, and what can be told from them at once."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from bars import Interval
from storage import bar_rows


class Series(NamedTuple):
    """Open times of the first and the last closed bar, and how many there are."""

    first_ms: int
    last_ms: int
    bars: int

    def lacking(self, interval: Interval) -> int:
        """How many buckets between the first and the last have no bar."""
        return interval.count(self.first_ms, self.last_ms) + 1 - self.bars


def add(connection: sqlite3.Connection, contract_id: int, interval: Interval, added: Series) -> None:
    """Take in that bars were inserted: from when, until when, how many."""
    connection.execute(
        """INSERT INTO series (contract_id, interval, first_ms, last_ms, bars) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (contract_id, interval) DO UPDATE SET
                first_ms = min(first_ms, excluded.first_ms),
                last_ms = max(last_ms, excluded.last_ms),
                bars = bars + excluded.bars""",
        (contract_id, bar_rows.minutes(interval), *added),
    )


def get(connection: sqlite3.Connection, contract_id: int, interval: Interval) -> Series | None:
    row = connection.execute(
        "SELECT first_ms, last_ms, bars FROM series WHERE contract_id = ? AND interval = ?",
        (contract_id, bar_rows.minutes(interval)),
    ).fetchone()
    return Series(*row) if row else None
