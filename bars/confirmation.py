"""Stored minutes beside the exchange's rows of the same minutes: which are equal, and who is right otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bars.bar import Bar, are_equal
from bars.interval import DAY_MS, MINUTE_MS, Interval

COMPARED_AFTER_MS = 2 * MINUTE_MS
"""How long after its end a minute is compared: whether the exchange revises bars after the close is not established,
and nodes were seen to show a closed minute moving for some seconds."""
ROW_LACKING_MS = DAY_MS
"""A minute this old that the exchange has no row for, nor any later one, is not merely late."""


def split_early(rows: Sequence[Bar], interval: Interval, now_ms: int) -> tuple[list[Bar], list[Bar]]:
    """Rows of closed bars that are the exchange's last word at `now_ms`, and those of bars that ended just before."""
    late_ms = now_ms - COMPARED_AFTER_MS
    settled = [row for row in rows if interval.next_open(row.open_ms) <= late_ms]
    return settled, [row for row in rows if interval.next_open(row.open_ms) > late_ms]


class Comparison(NamedTuple):
    """Stored minutes by what the exchange's rows say of them; each list ascends.

    `equal`, `differing` and `missing` hold the exchange's rows, `missing` those of minutes that are not stored.
    `extra` and `kept` hold open times of stored bars: those that the exchange has no row for, and those with
    trades whose row is empty. Both stay as they are: a row without its trades is no better than the bar.
    """

    equal: list[Bar]
    differing: list[Bar]
    missing: list[Bar]
    extra: list[int]
    kept: list[int]

    @property
    def rows(self) -> list[Bar]:
        """What is to be stored, as compared."""
        return sorted([*self.equal, *self.differing, *self.missing], key=lambda bar: bar.open_ms)

    @property
    def disputed(self) -> list[int]:
        """The open times at which the exchange does not confirm what is stored."""
        return sorted([*self.extra, *self.kept])


def compare(held: Iterable[Bar], rows: Iterable[Bar], now_ms: int) -> Comparison:
    """Compare the stored minutes of a span with all closed rows that the exchange has of it.

    Stored minutes after the last row count only once they are old: the exchange may be late with theirs.
    Bars may have different scales.

    Args:
        now_ms: the exchange's time, or an earlier one.
    """
    stored = {bar.open_ms: bar for bar in held}
    found = Comparison([], [], [], [], [])
    last_ms = 0
    for row in rows:
        last_ms = row.open_ms
        mine = stored.pop(row.open_ms, None)
        if mine is None:
            found.missing.append(row)
        elif are_equal(mine, row):
            found.equal.append(row)
        elif row.is_empty and not mine.is_empty:
            found.kept.append(row.open_ms)
        else:
            found.differing.append(row)
    certain_ms = max(last_ms, now_ms - ROW_LACKING_MS)
    found.extra.extend(sorted(open_ms for open_ms in stored if open_ms < certain_ms))
    return found
