"""A service's status in words, whole and with parts missing."""

from __future__ import annotations

from typing import Any

import pytest

from actors.shell.progress import every, progress_line, status_rows

STATUS: dict[str, Any] = {
    "state": "degraded",
    "reason": "no feed delivers",
    "exchange_time": 1_791_382_992_723,
    "started_at": 1_791_300_000_000,
    "version": "0.1.0",
    "feeds": [
        {
            "name": "feed-1", "state": "open", "streams": 200, "proved": 199, "frames": 12_345, "garbage": 0,
            "reconnects": 1,
        },
        {"name": "feed-2", "state": "connecting", "streams": 3, "proved": 0},
    ],
    "symbols": {"total": 1_203, "live": 1_199, "late": 4, "ended": 2},
    "lag_ms": 250,
    "restarts": 2,
    "gaps": 7,
    "backfill": {"pages_done": 10, "pages_left": 4_000, "weight_used": 900, "weight_allowed": 1_200},
    "database": {
        "path": "barkeep.db", "size_bytes": 12_345_678, "last_commit": 1_791_382_992_000, "bars_written": 98_765,
        "failing": "disk full",
    },
}  # fmt: skip


def test_a_large_file_is_told_of_in_gigabytes() -> None:
    rows = dict(status_rows({"database": {"path": "barkeep.db", "size_bytes": 4_321_000_000}}))
    assert rows["database"] == "barkeep.db, 4.3 GB"


def test_the_line_has_the_facts_that_matter_while_it_runs() -> None:
    assert progress_line(STATUS) == (
        "degraded: 1,199/1,203 symbols live, 1/2 feeds, lag 0.2 s, 4,000 backfill pages left, 98,765 bars written"
    )


def test_the_rows_have_everything() -> None:
    assert status_rows(STATUS) == [
        ("state", "degraded, no feed delivers"),
        ("exchange time", "2026-10-07 14:23:12 UTC"),
        ("started", "2026-10-06 15:20:00 UTC"),
        ("version", "0.1.0"),
        ("feed-1", "open, 199/200 streams proved, 12,345 frames, 0 garbage, 1 reconnects"),
        ("feed-2", "connecting, 0/3 streams proved"),
        ("symbols", "1,199/1,203 symbols live, 4 late, 2 delisted"),
        ("lag", "0.2 s"),
        ("restarts", "2"),
        ("gaps", "7 being filled"),
        ("backfill", "10 pages done, 4,000 backfill pages left, weight 900/1,200"),
        ("database", "barkeep.db, 12.3 MB"),
        ("written", "98,765 bars written, failing: disk full"),
        ("last commit", "2026-10-07 14:23:12 UTC"),
    ]


def test_before_anything_is_known_the_line_says_so() -> None:
    assert progress_line({}) == "starting: nothing to report yet"
    assert status_rows({}) == []


@pytest.mark.parametrize("name", STATUS)
@pytest.mark.parametrize("value", [None, {}, []])
def test_a_part_that_is_missing_or_empty_is_left_out(name: str, value: object) -> None:
    status = {**STATUS, name: value}
    assert "None" not in progress_line(status)
    assert all("None" not in text for _, text in status_rows(status))


def test_a_report_is_made_once_in_each_period() -> None:
    times_s = [0.0, 0.0, 9.9, 10.0, 10.1, 19.9, 20.5, 30.4, 30.5]
    clock = {"s": times_s[0]}
    shown: list[Any] = []
    report = every(10.0, shown.append, lambda: clock["s"])
    for time_s in times_s:
        clock["s"] = time_s
        report(clock.copy)
    assert shown == [{"s": 10.0}, {"s": 20.5}, {"s": 30.5}]
