"""`/metrics`: read back with Prometheus' own parser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bars.ledger import Reason
from storage import ContractsSeen, Reader
from tests.support.market import MONDAY_MS, a_contract, a_reader
from tests.support.wsgi import WsgiApp, call
from web import Sources, make_app
from wire.version import VERSION

STATUS: dict[str, Any] = {
    "state": "live",
    "exchange_time": MONDAY_MS + 500,
    "started_at": MONDAY_MS - 60_000,
    "version": VERSION,
    "feeds": [
        {
            "name": "feed 1",
            "state": "live",
            "streams": 200,
            "proved": 200,
            "frames": 12_345,
            "garbage": 1,
            "reconnects": 2,
        },
        {
            "name": "feed 2",
            "state": "connecting",
            "streams": 7,
            "proved": 0,
            "frames": 0,
            "garbage": 0,
            "reconnects": 0,
        },
    ],
    "garbage": 3,
    "symbols": {"total": 207, "ended": 1, "missing": ["NOPEUSDT"], "live": 200, "starting": 6},
    "lag_ms": 250,
    "restarts": 4,
    "gaps": 2,
    "gaps_by_reason": {"exchange pause": 2},
    "verified": {"share": 0.75, "unverified": 25, "compared": 75, "equal": 74, "differed": 1, "weight": 9},
    "backfill": {"pages_done": 11, "pages_left": 5, "weight_used": 30, "weight_allowed": 1_200, "unreachable": None},
    "database": {
        "path": "bars.db",
        "size_bytes": 4_096,
        "last_commit": MONDAY_MS,
        "commits": 99,
        "bars_written": 1_000,
        "bars_removed": 0,
        "waiting": 8,
        "dropped": 6,
    },
    "mailboxes": {"waiting": 17, "longest": "writer", "length": 12},
}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return a_reader(tmp_path / "bars.db", [ContractsSeen([a_contract()])])


def an_app(reader: Reader, status: dict[str, Any], ill: str | None = None, clients: int | None = None) -> WsgiApp:
    push_clients = None if clients is None else lambda: clients
    app: WsgiApp = make_app(Sources(reader, lambda: MONDAY_MS, lambda: ill, lambda: status, push_clients=push_clients))
    return app


def scraped(app: WsgiApp) -> Samples:
    answered = call(app, "/metrics")
    assert answered.status == 200
    assert answered.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answered.body.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"barkeep_{name}", tuple(sorted(labels.items()))]


def test_all_that_the_status_says_is_there_in_base_units(reader: Reader) -> None:
    samples = scraped(an_app(reader, STATUS, clients=3))
    for name, expected in {
        "healthy": 1,
        "exchange_time_seconds": MONDAY_MS / 1000 + 0.5,
        "start_time_seconds": MONDAY_MS / 1000 - 60,
        "lag_seconds": 0.25,
        "restarts_total": 4,
        "unreadable_frames_total": 3,
        "mailbox_messages": 17,
        "mailbox_messages_max": 12,
        "writer_waiting_bars": 8,
        "database_size_bytes": 4_096,
        "last_commit_timestamp_seconds": MONDAY_MS / 1000,
        "commits_total": 99,
        "bars_written_total": 1_000,
        "bars_dropped_total": 6,
        "verified_ratio": 0.75,
        "unverified_minutes": 25,
        "request_weight_used": 30,
        "request_weight_allowed": 1_200,
        "backfill_pages_total": 11,
        "backfill_pages_left": 5,
        "exchange_reachable": 1,
        "push_clients": 3,
    }.items():
        assert value(samples, name) == expected, name
    assert value(samples, "build_info", version=VERSION) == 1
    assert [value(samples, "feed_up", feed=f"feed {number}") for number in (1, 2)] == [1, 0]
    assert value(samples, "feed_events_total", feed="feed 1") == 12_345
    assert value(samples, "feed_reconnects_total", feed="feed 1") == 2
    assert value(samples, "feed_streams", feed="feed 2") == 7
    assert value(samples, "symbols", state="live") == 200
    assert value(samples, "symbols", state="missing") == 1
    assert value(samples, "verified_minutes_total", result="differed") == 1
    assert {reason.value: value(samples, "gaps", reason=reason.value) for reason in Reason} == (
        {reason.value: 2 * (reason.value == "exchange pause") for reason in Reason}
    )
    assert ("process_resident_memory_bytes", ()) in samples


def test_what_is_not_known_has_no_sample(reader: Reader) -> None:
    samples = scraped(an_app(reader, {}, ill="no data service has written to the database yet"))
    names = {name for name, _ in samples if name.startswith("barkeep_") and not name.startswith("barkeep_http")}
    assert names == {"barkeep_healthy", "barkeep_build_info"}
    assert value(samples, "healthy") == 0


def test_nulls_in_the_status_have_no_sample_either(reader: Reader) -> None:
    empty = {key: None if key != "backfill" else {"unreachable": "refused", "weight_used": None} for key in STATUS}
    samples = scraped(an_app(reader, {**empty, "gaps_by_reason": {}}))
    assert value(samples, "exchange_reachable") == 0
    assert ("barkeep_lag_seconds", ()) not in samples


def test_requests_are_counted_by_route_and_never_by_what_clients_make_up(reader: Reader) -> None:
    app = an_app(reader, STATUS)
    for target in ("/healthz", "/api/klines", "/api/klines?symbol=NOPE&interval=1m", "/nowhere", "/other", "/udf/time"):
        call(app, target)
    call(app, "/api/klines", method="DELETE")
    samples = scraped(app)
    assert value(samples, "http_requests_total", route="/healthz", code="200") == 1
    assert value(samples, "http_requests_total", route="/api/klines", code="400") == 1
    assert value(samples, "http_requests_total", route="/api/klines", code="404") == 1
    assert value(samples, "http_requests_total", route="none", code="404") == 2
    assert value(samples, "http_requests_total", route="none", code="405") == 1
    assert value(samples, "http_request_duration_seconds_count", route="/udf/time") == 1


def test_two_applications_count_for_themselves(reader: Reader) -> None:
    one, other = an_app(reader, STATUS), an_app(reader, STATUS)
    call(one, "/healthz")
    assert not any(name.startswith("barkeep_http_requests") for name, _ in scraped(other))


def test_names_follow_the_conventions(reader: Reader) -> None:
    text = call(an_app(reader, STATUS, clients=1), "/metrics").body.decode()
    for family in text_string_to_metric_families(text):
        assert re.fullmatch(r"(barkeep|process)_[a-z_]+", family.name)
        assert family.documentation
        assert not re.search(r"_(ms|millis|kb|percent)$", family.name)
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples)


def test_the_page_for_alerts_names_only_metrics_that_exist(reader: Reader) -> None:
    documented = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text("utf-8")
    names = {name for name, _ in scraped(an_app(reader, STATUS, clients=1))}
    app = an_app(reader, STATUS, clients=1)
    call(app, "/healthz")
    names |= {name for name, _ in scraped(app)}
    told = set(re.findall(r"\bbarkeep_[a-z_]+\b", documented))
    assert told <= names
    assert {
        name for name in names if name.startswith("barkeep_") and not name.endswith(("_bucket", "_sum", "_created"))
    } <= told
