"""The status of the whole service, put together from what the actors report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from actors.messages import Tick
from wire.version import VERSION

SILENCE_S = 30.0
"""Health is lost when for this long no feed delivers, no commit succeeds, or the exchange is unreachable."""


class Status:
    """Collects reports by section. Ages are taken on the local monotonic clock.

    Args:
        path: of the database, shown to people.
        started_at_ms: local wall-clock time.
    """

    def __init__(self, path: str, started_at_ms: int) -> None:
        self._path = path
        self._started_at_ms = started_at_ms
        self._sections: dict[str, Mapping[str, Any]] = {}

    def report(self, section: str, facts: Mapping[str, Any]) -> None:
        """Replace what is known of a section."""
        self._sections[section] = facts

    def made(self, tick: Tick, *, restarts: int, mailboxes: Mapping[str, int]) -> dict[str, Any]:
        """The status now, as `/api/status` shows it."""
        feeds, backfill, database, symbols, reconciler = (
            dict(self._sections.get(name, {})) for name in ("feeds", "backfill", "database", "symbols", "reconciler")
        )
        reason = self._ill(tick, feeds, backfill, database)
        longest = max(mailboxes, key=lambda name: mailboxes[name], default="")
        lag_ms = None if tick.now_ms is None or tick.observed_ms is None else tick.now_ms - tick.observed_ms
        return {
            "state": "live" if reason is None else "starting" if feeds.get("last_frame_s") is None else "degraded",
            "reason": reason,
            "exchange_time": tick.now_ms,
            "started_at": self._started_at_ms,
            "version": VERSION,
            "feeds": feeds.get("feeds", []),
            "garbage": feeds.get("garbage", 0),
            "symbols": symbols,
            "lag_ms": lag_ms,
            "restarts": restarts,
            "gaps": max(backfill.get("gaps", 0), reconciler.get("gaps", 0)),
            "gaps_by_reason": reconciler.get("gaps_by_reason", {}),
            "verified": _chosen(reconciler, _VERIFIED),
            "backfill": _chosen(backfill, _BACKFILL),
            "database": {
                "path": self._path,
                "size_bytes": backfill.get("size_bytes"),
                "growth_bytes_per_day": reconciler.get("growth_bytes_per_day"),
                **_chosen(database, _DATABASE),
            },
            "mailboxes": {
                "waiting": sum(mailboxes.values()),
                "longest": longest,
                "length": mailboxes.get(longest, 0),
            },
        }

    def encoded(self, status: Mapping[str, Any]) -> str:
        """The status as compact JSON."""
        return json.dumps(status, separators=(",", ":"), ensure_ascii=False)

    def _ill(
        self, tick: Tick, feeds: Mapping[str, Any], backfill: Mapping[str, Any], database: Mapping[str, Any]
    ) -> str | None:
        now_s = tick.monotonic_s
        last_frame_s, last_commit_s = feeds.get("last_frame_s"), database.get("last_commit_s")
        unreachable_s = backfill.get("unreachable_since_s")
        if database.get("failing"):
            return f"the database cannot be written: {database['failing']}"
        if unreachable_s is not None and (last_frame_s is None or now_s - unreachable_s > SILENCE_S):
            return f"the exchange cannot be reached: {backfill.get('unreachable')}"
        if last_commit_s is None or now_s - last_commit_s > SILENCE_S:
            return "nothing has been committed yet" if last_commit_s is None else "no commit for more than 30 s"
        if last_frame_s is None or now_s - last_frame_s > SILENCE_S:
            return f"no feed delivers{'' if last_frame_s is None else ' for more than 30 s'}"
        return None


_BACKFILL = (
    "pages_done",
    "pages_left",
    "history",
    "weight_used",
    "weight_allowed",
    "paused_until_ms",
    "unreachable",
    "seeds_wanted",
)
_DATABASE = ("last_commit", "commits", "bars_written", "bars_removed", "waiting", "dropped", "failing")
_VERIFIED = ("share", "unverified", "compared", "equal", "differed", "missing", "extra", "kept", "aggregated", "weight")


def _chosen(facts: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: facts[name] for name in names if name in facts}
