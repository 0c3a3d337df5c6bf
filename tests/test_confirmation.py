"""Stored minutes beside the exchange's rows: equal, different, missing on either side, or not to be believed."""

from __future__ import annotations

from bars import COMPARED_AFTER_MS, FIVE_MINUTES, MINUTE_MS, Scale, compare
from bars.confirmation import ROW_LACKING_MS, split_early
from tests.support.builders import MONDAY_MS, SCALE, a_bar, an_empty_bar

NOW_MS = MONDAY_MS + 1_000 * MINUTE_MS


def at(minute: int) -> int:
    return MONDAY_MS + minute * MINUTE_MS


def test_each_minute_is_told_apart() -> None:
    held = [a_bar(at(0)), a_bar(at(1)), an_empty_bar(at(3)), a_bar(at(4)), an_empty_bar(at(5)), a_bar(at(6))]
    rows = [
        a_bar(at(0)),
        a_bar(at(1), volume=71),
        a_bar(at(2)),
        a_bar(at(3)),
        an_empty_bar(at(4)),
        an_empty_bar(at(5)),
        a_bar(at(7)),
    ]
    found = compare(held, rows, NOW_MS)
    assert found.equal == [rows[0], rows[5]]
    assert found.differing == [rows[1], rows[3]]
    assert found.missing == [rows[2], rows[6]]
    assert found.extra == [at(6)]
    assert found.kept == [at(4)]
    assert found.rows == [rows[0], rows[1], rows[2], rows[3], rows[5], rows[6]]
    assert found.disputed == [at(4), at(6)]


def test_a_row_without_trades_never_takes_the_place_of_a_minute_with_trades() -> None:
    found = compare([a_bar(at(0))], [an_empty_bar(at(0))], NOW_MS)
    assert (found.rows, found.kept) == ([], [at(0)])


def test_another_scale_is_no_difference() -> None:
    bar = a_bar(at(0))
    wider = bar.rescaled(Scale(SCALE.price + 1, SCALE.volume + 2, SCALE.quote + 3))
    assert compare([bar], [wider], NOW_MS).equal == [wider]
    assert compare([wider], [bar], NOW_MS).equal == [bar]


def test_rows_that_are_only_late_are_waited_for() -> None:
    held = [a_bar(at(0)), a_bar(at(1))]
    assert compare(held, [held[0]], NOW_MS).extra == []
    assert compare(held, [], NOW_MS).extra == []
    assert compare(held, [held[0]], at(2) + ROW_LACKING_MS).extra == [at(1)]
    assert compare(held, [held[0]], at(1) + ROW_LACKING_MS).extra == []
    assert compare([a_bar(0)], [], 0).extra == []


def test_rows_of_bars_that_ended_less_than_two_minutes_ago_are_not_the_last_word() -> None:
    rows = [a_bar(MONDAY_MS + number * FIVE_MINUTES.span_ms) for number in range(4)]
    end_ms = MONDAY_MS + 3 * FIVE_MINUTES.span_ms
    assert split_early(rows, FIVE_MINUTES, end_ms + COMPARED_AFTER_MS) == (rows[:3], rows[3:])
    assert split_early(rows, FIVE_MINUTES, end_ms + COMPARED_AFTER_MS - 1) == (rows[:2], rows[2:])
    assert split_early([], FIVE_MINUTES, end_ms) == ([], [])
