"""`klines?limit=1500` over HTTP, for each CPU second of the web server, beside the SQLite query alone."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from statistics import median

from bars import MINUTE, MINUTE_MS
from benchmarks.harness import Figure, cpu_s, free_port, http_status, python, separated, wait_until
from benchmarks.market import MONTH_DAYS, START_MS, plan
from benchmarks.month import make_month
from storage import ContractRecord, Reader
from storage.bar_reads import page_json

SYMBOLS, AGE_DAYS, DAYS, LIMIT = 20, MONTH_DAYS, 14, 1_500
ROUNDS, REQUESTS = 5, 200
RATIO = 0.6


def measure() -> Iterator[Figure]:
    """Pages from anywhere in the month, the web server and the query in turns."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "month.db")
        make_month(database, plan(SYMBOLS, SYMBOLS, AGE_DAYS), DAYS)
        with closing(Reader(database)) as reader:
            records = reader.contracts()
        pages = _pages(records)
        port = free_port()
        served, queried = [], []
        with python("run.py", "web", "--database", str(database), "--port", str(port)) as server:
            connection = HTTPConnection("127.0.0.1", port)
            wait_until(lambda: http_status(port, "/fapi/v1/ping") == 200, "the web server answers")
            _bytes_over_http(connection, pages[:20])
            for _ in range(ROUNDS):
                before_s = cpu_s(server)
                over_http = _bytes_over_http(connection, pages)
                served.append(len(pages) / (cpu_s(server) - before_s))
                rate, queried_bytes = _query_rate(database, pages)
                queried.append(rate)
                if over_http != queried_bytes + 2 * len(pages):
                    raise AssertionError(f"klines: expected the same rows from both, got {over_http} bytes over HTTP")
            connection.close()
    value, floor = median(served), median(queried)
    yield Figure("klines_per_cpu_second", value, "requests/s", floor, RATIO * floor)


def _pages(records: list[ContractRecord]) -> list[tuple[ContractRecord, int]]:
    random = Random(1)
    newest_ms = MINUTE.floor(START_MS) - LIMIT * MINUTE_MS
    return [
        (random.choice(records), newest_ms - random.randrange(0, DAYS * 1_440 - LIMIT) * MINUTE_MS)
        for _ in range(REQUESTS)
    ]


def _bytes_over_http(connection: HTTPConnection, pages: list[tuple[ContractRecord, int]]) -> int:
    received = 0
    for record, start_ms in pages:
        symbol = record.contract.symbol
        path = f"/fapi/v1/klines?symbol={symbol}&interval=1m&limit={LIMIT}&startTime={start_ms}"
        connection.request("GET", path)
        received += len(connection.getresponse().read())
    return received


def _query_rate(database: Path, pages: list[tuple[ContractRecord, int]]) -> tuple[float, int]:
    """Pages for each CPU second, and their bytes without the brackets around them."""
    received = 0
    with separated(), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.execute("PRAGMA cache_size = -4000")  # as the server's
        started_s = time.process_time()
        for record, start_ms in pages:
            first = start_ms // MINUTE_MS
            span = first, first + LIMIT
            _, text = page_json(connection, record.id, MINUTE, record.scale, span, newest=False, limit=LIMIT)
            received += len(text)
        return len(pages) / (time.process_time() - started_s), received
