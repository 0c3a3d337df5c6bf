"""The status page's facts, and when the service counts as healthy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.messages import Tick
from actors.runtime.status import SILENCE_S, Status
from wire.version import VERSION

NOW_S = 1_000.0


def a_live_status(**changes: dict[str, Any]) -> Status:
    """Everything works; `changes` add to what a section reported."""
    status = Status("bars.db", 123)
    sections: dict[str, dict[str, Any]] = {
        "feeds": {"feeds": [{"name": "feed 1"}], "garbage": 2, "last_frame_s": NOW_S},
        "backfill": {"pages_done": 5, "pages_left": 3, "gaps": 1, "size_bytes": 4_096, "unreachable_since_s": None},
        "database": {
            "last_commit_s": NOW_S,
            "last_commit": 456,
            "bars_written": 7,
            "waiting": 0,
            "dropped": 0,
            "failing": None,
        },
        "symbols": {"total": 4, "live": 3, "late": 1},
    }
    for name, facts in sections.items():
        status.report(name, {**facts, **changes.get(name, {})})
    return status


def made(status: Status, now_s: float = NOW_S) -> dict[str, Any]:
    return status.made(Tick(5_000_300, 5_000_000, now_s), restarts=2, mailboxes={"writer": 5, "hub": 1})


def test_a_live_service_shows_all_its_facts() -> None:
    status = a_live_status()
    facts = made(status)
    assert facts == {
        "state": "live",
        "reason": None,
        "exchange_time": 5_000_300,
        "started_at": 123,
        "version": VERSION,
        "feeds": [{"name": "feed 1"}],
        "garbage": 2,
        "symbols": {"total": 4, "live": 3, "late": 1},
        "lag_ms": 300,
        "restarts": 2,
        "gaps": 1,
        "gaps_by_reason": {},
        "verified": {},
        "backfill": {"pages_done": 5, "pages_left": 3},
        "database": {
            "path": "bars.db",
            "size_bytes": 4_096,
            "growth_bytes_per_day": None,
            "last_commit": 456,
            "bars_written": 7,
            "waiting": 0,
            "dropped": 0,
            "failing": None,
        },
        "mailboxes": {"waiting": 6, "longest": "writer", "length": 5},
    }
    assert json.loads(status.encoded(facts)) == facts


def test_before_anything_was_reported_it_is_starting() -> None:
    facts = Status("bars.db", 0).made(Tick(None, None, NOW_S), restarts=0, mailboxes={})
    assert (facts["state"], facts["reason"]) == ("starting", "nothing has been committed yet")
    assert facts["lag_ms"] is None
    assert facts["mailboxes"] == {"waiting": 0, "longest": "", "length": 0}


@pytest.mark.parametrize(
    ("section", "facts", "reason"),
    [
        ("database", {"failing": "the disk is full"}, "the database cannot be written: the disk is full"),
        ("database", {"last_commit_s": NOW_S - SILENCE_S - 1}, "no commit for more than 30 s"),
        ("feeds", {"last_frame_s": NOW_S - SILENCE_S - 1}, "no feed delivers for more than 30 s"),
        (
            "backfill",
            {"unreachable_since_s": NOW_S - SILENCE_S - 1, "unreachable": "no route"},
            "the exchange cannot be reached: no route",
        ),
    ],
)
def test_what_ails_is_named(section: str, facts: dict[str, Any], reason: str) -> None:
    shown = made(a_live_status(**{section: facts}))
    assert (shown["state"], shown["reason"]) == ("degraded", reason)


def test_a_short_silence_is_no_illness() -> None:
    ago_s = NOW_S - SILENCE_S
    status = a_live_status(
        feeds={"last_frame_s": ago_s}, database={"last_commit_s": ago_s}, backfill={"unreachable_since_s": ago_s}
    )
    assert made(status)["state"] == "live"


def test_without_any_frame_yet_it_is_still_starting() -> None:
    shown = made(a_live_status(feeds={"last_frame_s": None}))
    assert (shown["state"], shown["reason"]) == ("starting", "no feed delivers")
