"""A service's status in words: one line while it runs, a few rows for `status`.

Both read the object of `/api/status` and are lenient: what is missing there is left out here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from actors.commands.bulk.report import size_text

Report = Callable[[Callable[[], Mapping[str, Any]]], None]
"""To be called often with a way to learn the status."""


def progress_line(status: Mapping[str, Any]) -> str:
    """One line of facts, such as `running: 834/835 symbols live, 5/5 feeds, lag 0.3 s, 12 bars written`."""
    facts = [
        _live(_part(status, "symbols")),
        _feeds(status.get("feeds")),
        _lag(status.get("lag_ms")),
        _backfill(_part(status, "backfill")),
        _commits(_part(status, "database")),
    ]
    return f"{status.get('state') or 'starting'}: {', '.join(filter(None, facts)) or 'nothing to report yet'}"


def every(
    period_s: float, show: Callable[[Mapping[str, Any]], None], monotonic_s: Callable[[], float] = time.monotonic
) -> Report:
    """A function that asks for the status, and passes it to `show`, once in each period of real time."""
    due_s = monotonic_s() + period_s

    def report(status: Callable[[], Mapping[str, Any]]) -> None:
        nonlocal due_s
        if monotonic_s() >= due_s:
            due_s = monotonic_s() + period_s
            show(status())

    return report


def status_rows(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Labels and values for a table, those that are known."""
    symbols, backfill, database, verified = (
        _part(status, name) for name in ("symbols", "backfill", "database", "verified")
    )
    rows = [
        ("state", _joined(_text(status.get("state")), _text(status.get("reason")))),
        ("exchange time", _moment(status.get("exchange_time"))),
        ("started", _moment(status.get("started_at"))),
        ("version", _text(status.get("version"))),
        *_feed_rows(status.get("feeds")),
        ("symbols", _joined(_live(symbols), *(_counted(symbols, *names) for names in _SYMBOLS))),
        ("lag", _lag(status.get("lag_ms")).removeprefix("lag ")),
        ("restarts", _text(status.get("restarts"))),
        ("gaps", _gaps(status.get("gaps"), _part(status, "gaps_by_reason"))),
        ("verified", _joined(_share(verified.get("share")), *(_counted(verified, name) for name in _COMPARED))),
        ("backfill", _joined(_counted(backfill, "pages_done", "pages done"), _backfill(backfill), _weight(backfill))),
        ("database", _joined(_text(database.get("path")), _size(database.get("size_bytes")), _growth(database))),
        ("written", _joined(_commits(database), _failing(database))),
        ("last commit", _moment(database.get("last_commit"))),
    ]
    return [(label, value) for label, value in rows if value]


def _part(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = status.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _counted(part: Mapping[str, Any], name: str, noun: str = "") -> str:
    count = part.get(name)
    return "" if count is None else f"{_text(count)} {noun or name}"


def _live(symbols: Mapping[str, Any]) -> str:
    if "live" not in symbols:
        return ""
    return f"{_text(symbols['live'])}/{_text(symbols.get('total', '?'))} symbols live"


def _feeds(feeds: object) -> str:
    feeds = _feed_list(feeds)
    if not feeds:
        return ""
    delivering = sum(bool(feed.get("proved")) for feed in feeds)
    return f"{delivering}/{len(feeds)} feeds"


def _feed_list(feeds: object) -> list[Mapping[str, Any]]:
    if not isinstance(feeds, Sequence):
        return []
    return [feed for feed in feeds if isinstance(feed, Mapping)]


def _feed_rows(feeds: object) -> list[tuple[str, str]]:
    rows = []
    for feed in _feed_list(feeds):
        proved = f"{_text(feed.get('proved', 0))}/{_text(feed.get('streams', 0))} streams proved"
        counts = (_counted(feed, name) for name in ("frames", "garbage", "reconnects"))
        rows.append((_text(feed.get("name", "feed")), _joined(_text(feed.get("state")), proved, *counts)))
    return rows


def _lag(lag_ms: object) -> str:
    return f"lag {lag_ms / 1000:.1f} s" if isinstance(lag_ms, int | float) else ""


def _backfill(backfill: Mapping[str, Any]) -> str:
    return _counted(backfill, "pages_left", "backfill pages left")


def _weight(backfill: Mapping[str, Any]) -> str:
    if "weight_used" not in backfill:
        return ""
    return f"weight {_text(backfill['weight_used'])}/{_text(backfill.get('weight_allowed', '?'))}"


def _commits(database: Mapping[str, Any]) -> str:
    return _counted(database, "bars_written", "bars written")


def _failing(database: Mapping[str, Any]) -> str:
    failing = database.get("failing")
    return f"failing: {failing}" if failing else ""


def _size(size_bytes: object) -> str:
    return size_text(size_bytes) if isinstance(size_bytes, int) else ""


def _growth(database: Mapping[str, Any]) -> str:
    growth = _size(database.get("growth_bytes_per_day"))
    return f"{growth} a day" if growth else ""


def _gaps(count: object, by_reason: Mapping[str, Any]) -> str:
    """The number of gaps that are being filled, then all that are known, by reason."""
    reasons = _joined(*(f"{_text(number)} {reason}" for reason, number in by_reason.items()))
    filling = "" if count is None else f"{_text(count)} being filled"
    return f"{filling} ({reasons})" if reasons else filling


def _share(share: object) -> str:
    return f"{100 * share:.2f} % of the minutes" if isinstance(share, int | float) else ""


_SYMBOLS = (("late",), ("starting",), ("ended", "delisted"))
_COMPARED = ("differed", "missing", "extra", "kept", "aggregated")


def _moment(time_ms: object) -> str:
    """Times may also come as text already."""
    if not isinstance(time_ms, int):
        return _text(time_ms)
    return f"{datetime.fromtimestamp(time_ms / 1000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
