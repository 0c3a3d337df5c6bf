"""GET /api/gaps: every span without bars, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bars import MINUTE, MINUTE_MS, Span
from bars.ledger import Reason
from storage import ClosedBars, ContractsSeen, GapNoted, Origin, Reader
from tests.support.market import MONDAY_MS, a_contract, a_reader, some_bars
from tests.support.wsgi import WsgiApp, call
from web import Sources, make_app

NOW_MS = MONDAY_MS + 100 * MINUTE_MS + 1_000
HISTORY = "1m=1h,5m=none,30m=none,4h=none,1d=none,1w=none"


def at(minute: int) -> int:
    return MONDAY_MS + minute * MINUTE_MS


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    one, other = a_contract(), a_contract("币安人生USDT")
    bars = some_bars(MINUTE, MONDAY_MS, 99)
    return a_reader(
        Path(tmp_path_factory.mktemp("gaps")) / "bars.db",
        [
            ContractsSeen([one, other]),
            ClosedBars(one.key, MINUTE, bars[:60] + bars[70:], Origin.STREAM, completes=False),
            ClosedBars(other.key, MINUTE, bars[90:], Origin.STREAM, completes=False, absent=[Span(0, at(90))]),
            GapNoted(None, MINUTE, Span(at(10), at(20)), Reason.PAUSE, at(25)),
        ],
    )


def app_of(reader: Reader, now_ms: int | None = NOW_MS, status: dict[str, Any] | None = None) -> WsgiApp:
    facts = {"backfill": {"history": HISTORY}} if status is None else status
    app: WsgiApp = make_app(Sources(reader, now_ms=lambda: now_ms, health=lambda: None, status=lambda: facts))
    return app


def gaps(app: WsgiApp, query: str = "") -> list[dict[str, Any]]:
    answered = call(app, f"/api/gaps{query}")
    assert answered.status == 200
    assert list(answered.json) == ["gaps"]
    found: list[dict[str, Any]] = answered.json["gaps"]
    return found


HOLE = {
    "symbol": "BTCUSDT",
    "interval": "1m",
    "from": at(60),
    "to": at(70),
    "reason": "being filled",
    "state": "being filled",
    "since": at(60),
}
PAUSE = HOLE | {
    "from": at(10),
    "to": at(20),
    "reason": "exchange pause",
    "state": "explained",
    "since": at(25),
}
LISTING = {
    "symbol": "币安人生USDT",
    "interval": "1m",
    "from": at(40),
    "to": at(90),
    "reason": "not listed yet",
    "state": "explained",
    "since": at(90),
}


def test_each_gap_has_its_span_reason_and_state(reader: Reader) -> None:
    assert gaps(app_of(reader)) == [HOLE, PAUSE, LISTING]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?symbol=btcusdt", [HOLE, PAUSE]),
        ("?reason=exchange%20pause", [PAUSE]),
        ("?state=explained&symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT", [LISTING]),
        ("?interval=1d", []),
    ],
)
def test_gaps_may_be_chosen(query: str, expected: list[dict[str, Any]], reader: Reader) -> None:
    assert gaps(app_of(reader), query) == expected


def test_without_a_word_of_the_service_the_bars_themselves_say_what_is_missing(reader: Reader) -> None:
    assert gaps(app_of(reader, now_ms=None, status={})) == [HOLE, PAUSE]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?symbol=NOPE", 404, "unknown_symbol"),
        ("?reason=why", 400, "invalid_parameter"),
        ("?state=", 400, "invalid_parameter"),
        ("?interval=3d", 400, "invalid_parameter"),
        ("?symbol=BTCUSDT&symbol=BTCUSDT", 400, "invalid_parameter"),
    ],
)
def test_what_cannot_be_is_refused(query: str, status: int, code: str, reader: Reader) -> None:
    answered = call(app_of(reader), f"/api/gaps{query}")
    assert (answered.status, answered.json["error"]["code"]) == (status, code)
