"""Answers that lack bars: what is fetched, once, and what is said when it cannot be."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from actors.filling.reads import BARS_MAX
from bars import HALF_HOUR, MINUTE, MINUTE_MS, ContractKey, Interval, Span
from storage import BarStore, ClosedBars, ContractsSeen, Origin, Reader
from tests.support.market import MONDAY_MS, a_contract, some_bars
from tests.support.ports import PATIENCE_S
from tests.support.wsgi import Answered, call
from web import Sources, WebServer, make_app
from web.pages import Held, held_in_bars
from web.through import FETCH_BARS_MAX, FETCH_S, ROUNDS_MAX, SETTLE_MS, WAITING_MAX, ReadThrough
from wire.requests import KlinesRequest

HOST = "127.0.0.1"
INCOMPLETE = "x-barkeep-incomplete"
CONTRACT = a_contract()
LIFE = 3_000
NOW_MS = MONDAY_MS + LIFE * MINUTE_MS + 30_000


def minutes(start: int, stop: int) -> Span:
    return Span(MONDAY_MS + start * MINUTE_MS, MONDAY_MS + stop * MINUTE_MS)


class Exchange:
    """Fetches into the database as a data service does, from an exchange that has all minutes in `exists`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bars.db"
        self.store = BarStore.open(self.path)
        self.store.commit([ContractsSeen([CONTRACT])])
        self.reader = Reader(self.path)
        self.asked: list[tuple[Interval, list[Span]]] = []
        self.timeouts_s: list[float] = []
        self.exists = minutes(0, LIFE)
        self.notes_absences = True
        self.refusal: str | None = None
        self.now_s = 0.0
        self.takes_s = 0.0

    def fetch(self, key: ContractKey, interval: Interval, spans: Sequence[Span], timeout_s: float) -> str | None:
        self.asked.append((interval, list(spans)))
        self.timeouts_s.append(timeout_s)
        self.now_s += self.takes_s
        if self.refusal is not None:
            return self.refusal
        assert key == CONTRACT.key
        for span in spans:
            self.put(interval, span)
        return None

    def put(self, interval: Interval, span: Span) -> None:
        there = span.intersect(self.exists)
        bars = [] if there.is_empty else some_bars(interval, there.start_ms, interval.count(*there))
        before = Span(span.start_ms, min(span.stop_ms, self.exists.start_ms))
        absent = [before] if self.notes_absences and not before.is_empty else []
        self.store.commit([ClosedBars(CONTRACT.key, interval, bars, Origin.REST, absent=absent, completes=False)])

    def app(self, now_ms: int | None = NOW_MS) -> Any:
        sources = Sources(
            self.reader, lambda: now_ms, lambda: None, dict, monotonic_s=lambda: self.now_s, fetch=self.fetch
        )
        return make_app(sources)

    def klines(self, query: str, interval: str = "1m", now_ms: int | None = NOW_MS) -> Answered:
        return call(self.app(now_ms), f"/fapi/v1/klines?symbol=BTCUSDT&interval={interval}&{query}")

    def close(self) -> None:
        self.reader.close()
        self.store.close()


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    with closing(Exchange(tmp_path)) as exchange:
        yield exchange


def opens(answered: Answered) -> list[int]:
    assert answered.status == 200
    return [(row[0] - MONDAY_MS) // MINUTE_MS for row in answered.json]


def test_a_span_that_is_not_held_is_fetched_and_answered_as_the_exchange_would(exchange: Exchange) -> None:
    answered = exchange.klines(f"startTime={minutes(100, 0)[0]}&limit=1000")
    assert opens(answered) == list(range(100, 1_100))
    assert INCOMPLETE not in answered.headers
    assert exchange.asked == [(MINUTE, [minutes(100, 1_100)])]
    again = exchange.klines(f"startTime={minutes(100, 0)[0]}&limit=1000")
    assert again.body == answered.body
    assert len(exchange.asked) == 1


def test_the_native_form_is_completed_too(exchange: Exchange) -> None:
    start_ms, stop_ms = minutes(100, 103)
    answered = call(exchange.app(), f"/api/klines?symbol=BTCUSDT&interval=1m&start={start_ms}&end={stop_ms - 1}")
    assert [bar["open_time"] for bar in answered.json["klines"]] == list(range(start_ms, stop_ms, MINUTE_MS))
    assert INCOMPLETE not in answered.headers


def test_continuous_klines_are_completed_too(exchange: Exchange) -> None:
    query = f"pair=BTCUSDT&contractType=PERPETUAL&interval=1m&startTime={MONDAY_MS}&limit=5"
    answered = call(exchange.app(), f"/fapi/v1/continuousKlines?{query}")
    assert opens(answered) == [0, 1, 2, 3, 4]
    assert INCOMPLETE not in answered.headers


def test_only_what_is_missing_is_fetched(exchange: Exchange) -> None:
    exchange.put(MINUTE, minutes(0, 50))
    exchange.put(MINUTE, minutes(60, 80))
    assert opens(exchange.klines(f"startTime={MONDAY_MS}&limit=100")) == list(range(100))
    assert exchange.asked == [(MINUTE, [minutes(50, 60), minutes(80, 100)])]


def test_a_derived_interval_fetches_what_it_is_made_of(exchange: Exchange) -> None:
    answered = exchange.klines(f"startTime={MONDAY_MS}&limit=10", interval="1h")
    assert opens(answered) == list(range(0, 600, 60))
    assert exchange.asked == [(HALF_HOUR, [minutes(0, 600)])]
    assert INCOMPLETE not in answered.headers


def test_no_more_is_asked_for_at_once_than_the_data_service_fetches(exchange: Exchange) -> None:
    assert FETCH_BARS_MAX == BARS_MAX
    exchange.exists = minutes(0, 1_600 * 360)
    answered = exchange.klines(f"startTime={MONDAY_MS}&limit=1500", interval="6h", now_ms=exchange.exists.stop_ms)
    assert opens(answered) == list(range(0, 1_500 * 360, 360))
    assert INCOMPLETE not in answered.headers
    assert [HALF_HOUR.count(*span) for _, (span,) in exchange.asked] == [9_996, 8_004]


def test_before_the_first_bar_the_exchange_is_asked_for_one_page_more(exchange: Exchange) -> None:
    exchange.exists = minutes(3, LIFE)
    answered = exchange.klines("startTime=0&limit=1")
    assert opens(answered) == [3]
    assert INCOMPLETE not in answered.headers
    assert exchange.asked == [(MINUTE, [minutes(0, 1)]), (MINUTE, [minutes(1, 500)])]


def test_what_the_exchange_was_asked_for_and_does_not_have_is_not_missing(exchange: Exchange) -> None:
    exchange.exists, exchange.notes_absences = minutes(10, LIFE), False
    answered = exchange.klines(f"startTime={MONDAY_MS}&endTime={minutes(0, 19)[1]}")
    assert opens(answered) == list(range(10, 20))
    assert INCOMPLETE not in answered.headers


def test_where_nothing_is_for_long_the_rounds_are_bounded(exchange: Exchange) -> None:
    exchange.exists = minutes(LIFE - 1, LIFE)
    answered = exchange.klines("startTime=0&limit=1")
    assert len(exchange.asked) == ROUNDS_MAX
    assert INCOMPLETE in answered.headers
    later = exchange.klines("startTime=0&limit=1")
    assert opens(later) == [LIFE - 1]
    assert INCOMPLETE not in later.headers


def test_the_newest_bars_are_left_to_the_live_feed(exchange: Exchange) -> None:
    answered = exchange.klines("limit=10")
    assert exchange.asked == [(MINUTE, [minutes(LIFE - 9, LIFE)])]
    assert opens(answered) == list(range(LIFE - 9, LIFE))
    assert INCOMPLETE in answered.headers  # the bar in progress is not there
    exchange.klines("limit=10")
    assert len(exchange.asked) == 1


def test_bars_that_may_still_move_are_not_fetched(exchange: Exchange) -> None:
    exchange.put(MINUTE, minutes(0, LIFE - 1))
    answered = exchange.klines("limit=3", now_ms=minutes(0, LIFE)[1] + SETTLE_MS - 1)
    assert opens(answered) == [LIFE - 4, LIFE - 3, LIFE - 2]
    assert exchange.asked == []
    assert INCOMPLETE in answered.headers


def test_without_a_start_the_newest_are_fetched_first(exchange: Exchange) -> None:
    exchange.exists = minutes(2_000, LIFE)
    answered = exchange.klines(f"endTime={minutes(0, 2_099)[1]}&limit=100")
    assert opens(answered) == list(range(2_000, 2_100))
    answered = exchange.klines(f"endTime={minutes(0, 2_099)[1]}&limit=101")
    assert exchange.asked[0] == (MINUTE, [minutes(2_000, 2_100)])
    assert exchange.asked[1] == (MINUTE, [minutes(1_999, 2_000)])


def test_why_it_could_not_be_fetched_is_said_in_one_line_of_ascii(exchange: Exchange) -> None:
    exchange.put(MINUTE, minutes(0, 5))
    exchange.refusal = "GET /fapi/v1/klines?symbol=币安人生USDT:\r\nX-Evil: 1" + "x" * 1_000
    answered = exchange.klines(f"startTime={MONDAY_MS}&limit=10")
    assert opens(answered) == [0, 1, 2, 3, 4]
    reason = answered.headers[INCOMPLETE]
    assert reason.startswith(
        "bars of 1m from 2026-01-05T00:05:00Z to 2026-01-05T00:10:00Z are not held: GET /fapi/v1/klines?symbol=\\u5e01"
    )
    assert reason.isascii()
    assert "\n" not in reason
    assert len(reason) < 500


def test_all_rounds_share_the_time_that_a_client_waits(exchange: Exchange) -> None:
    exchange.exists, exchange.takes_s = minutes(LIFE - 1, LIFE), FETCH_S / 2
    answered = exchange.klines("startTime=0&limit=1")
    assert exchange.timeouts_s == [FETCH_S, FETCH_S / 2]
    assert answered.headers[INCOMPLETE].endswith("fetching them took too long")


def test_what_another_client_had_fetched_in_the_meantime_is_seen(exchange: Exchange) -> None:
    request = KlinesRequest("BTCUSDT", MINUTE, 10, MONDAY_MS)
    record = exchange.reader.find("BTCUSDT")
    assert record is not None
    held = [None, Held(MONDAY_MS, minutes(0, 9)[1], 10)]

    def read() -> tuple[int, Held | None]:
        if len(held) == 2:
            exchange.put(MINUTE, minutes(0, 10))
        found = held.pop(0)
        return 0 if found is None else found.total, found

    through = ReadThrough(Sources(exchange.reader, lambda: NOW_MS, lambda: None, dict, fetch=exchange.fetch))
    assert through.answer(record, request, read) == (10, None)
    assert exchange.asked == []


@pytest.mark.parametrize(
    "request_",
    [
        KlinesRequest("BTCUSDT", MINUTE, 1_500, MONDAY_MS, minutes(0, 99)[1]),
        KlinesRequest("BTCUSDT", MINUTE, 1_500, None, minutes(0, 99)[1]),
        KlinesRequest("BTCUSDT", MINUTE, 10, MONDAY_MS),
    ],
    ids=["from_and_to", "all_up_to", "the_first"],
)
def test_bars_that_are_stored_while_an_answer_is_made_are_in_it(exchange: Exchange, request_: KlinesRequest) -> None:
    """History is loaded meanwhile: what was not there when the answer was read is there at the look for holes."""
    exchange.put(MINUTE, minutes(60, LIFE))
    record = exchange.reader.find("BTCUSDT")
    assert record is not None

    def read() -> tuple[list[int], Held | None]:
        bars = exchange.reader.bars(
            record, MINUTE, start_ms=request_.start_ms, end_ms=request_.end_ms, limit=request_.limit
        )
        exchange.put(MINUTE, minutes(0, 60))
        return [bar.bar.open_ms for bar in bars], held_in_bars(bars)

    through = ReadThrough(Sources(exchange.reader, lambda: NOW_MS, lambda: None, dict, fetch=exchange.fetch))
    stop = min(100, request_.limit)
    assert through.answer(record, request_, read) == (list(range(*minutes(0, stop), MINUTE_MS)), None)
    assert exchange.asked == []


@pytest.mark.parametrize(
    ("query", "is_said"),
    [
        ("limit=5", True),
        (f"startTime={minutes(0, LIFE - 3)[1]}&limit=100", True),
        (f"startTime={minutes(0, LIFE + 20)[1]}", True),
        (f"startTime={minutes(0, LIFE - 3)[1]}&limit=3", False),
        (f"endTime={minutes(0, LIFE - 1)[1]}&limit=3", False),
    ],
)
def test_a_file_that_nobody_writes_any_more_is_told_of_where_newer_bars_were_asked_for(
    exchange: Exchange, query: str, is_said: bool
) -> None:
    exchange.exists = minutes(0, LIFE + 1)
    exchange.put(MINUTE, exchange.exists)
    silent: list[str | None] = [None, "the data service's last commit is 818 s old"]
    sources = Sources(exchange.reader, lambda: NOW_MS, lambda: None, dict, silence=lambda: silent[0])
    path = f"/fapi/v1/klines?symbol=BTCUSDT&interval=1m&{query}"
    assert INCOMPLETE not in call(make_app(sources), path).headers
    del silent[0]
    said = call(make_app(sources), path).headers.get(INCOMPLETE)
    assert said == ("newer bars may be missing: the data service's last commit is 818 s old" if is_said else None)


def test_without_the_exchanges_time_nothing_is_fetched(exchange: Exchange) -> None:
    assert INCOMPLETE in exchange.klines(f"startTime={MONDAY_MS}&limit=10", now_ms=None).headers
    assert exchange.asked == []


@pytest.mark.parametrize("query", ["startTime=0&endTime=5", "startTime=99999999999999", "symbol=NOPEUSDT", "limit=0"])
def test_what_needs_no_bars_fetches_none(exchange: Exchange, query: str) -> None:
    exchange.klines(query)
    assert exchange.asked == []


class Blocked:
    """A fetch that ends when it is released."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.released = threading.Event()

    def fetch(self, _key: ContractKey, _interval: Interval, _spans: Sequence[Span], _timeout_s: float) -> str | None:
        self.waiting.release()
        assert self.released.wait(PATIENCE_S)
        return "released"


def get(port: int, target: str) -> tuple[int, str | None, Any]:
    with closing(http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.headers.get(INCOMPLETE), json.loads(answer.read())


def test_clients_that_wait_do_not_keep_others_from_their_answers(exchange: Exchange) -> None:
    blocked = Blocked()
    app = make_app(Sources(exchange.reader, lambda: NOW_MS, lambda: None, dict, fetch=blocked.fetch))
    server = WebServer(app, HOST, 0)
    server.start()
    unheld = f"/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime={MONDAY_MS}&limit=5"
    ask: Callable[[], tuple[int, str | None, Any]] = lambda: get(server.port, unheld)  # noqa: E731
    try:
        with ThreadPoolExecutor(WAITING_MAX) as clients:
            waiting = [clients.submit(ask) for _ in range(WAITING_MAX)]
            for _ in waiting:
                assert blocked.waiting.acquire(timeout=PATIENCE_S)
            assert get(server.port, "/healthz") == (200, None, {"status": "ok"})
            status, reason, rows = ask()
            assert (status, rows) == (200, [])
            assert str(reason).endswith(": too many requests are waiting for the exchange")
            assert not any(client.done() for client in waiting)
            blocked.released.set()
            for client in waiting:
                status, reason, rows = client.result(timeout=PATIENCE_S)
                assert (status, rows) == (200, [])
                assert str(reason).endswith(": released")
    finally:
        blocked.released.set()
        server.stop()
