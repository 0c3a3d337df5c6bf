"""The archive's client, against the simulated archive and against a server that says what a test wants."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bars import DAY, MINUTE, Interval, Scale
from bars.interval import DAY_MS, HOUR_MS
from exchange import ArchiveClient, InvalidAnswer, Restricted, ServerFault, Unreachable, WrongChecksum
from exchange.archive import unzipped
from exchange.simulated import (
    ArchivePlan,
    ContractPlan,
    FaultPlan,
    SimulatedClock,
    SimulatedExchange,
    WorldPlan,
)
from wire.archive import CHECKSUM, MONTH, ArchiveFile, Period, period_of
from wire.archive_csv import read_csv

JUNE_MS = 1_780_272_000_000  # 2026-06-01
JULY_MS = JUNE_MS + 30 * DAY_MS
NOW_MS = JULY_MS + 12 * DAY_MS + 10 * HOUR_MS
PLAIN = ContractPlan(
    "AUSDT", "A", "USDT", onboard_ms=JUNE_MS + 10 * DAY_MS, price_decimals=2, quantity_decimals=1, price_ticks=5_000
)
CHINESE = replace(PLAIN, symbol="币安人生USDT")


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatedExchange]:
    plan = WorldPlan(1, NOW_MS, (PLAIN, CHINESE), archive=ArchivePlan(page_keys=5))
    with SimulatedExchange(plan, clock=SimulatedClock(NOW_MS, monotonic=lambda: 0.0)) as running:
        yield running


@pytest.fixture
def client(exchange: SimulatedExchange) -> Iterator[ArchiveClient]:
    exchange.faults = FaultPlan()
    client = ArchiveClient(exchange.archive_url, exchange.listing_url, timeout_s=20.0)
    yield client
    client.close()
    exchange.faults = FaultPlan()


def a_day(symbol: str = "AUSDT", day: int = 2, interval: Interval = MINUTE) -> ArchiveFile:
    return ArchiveFile(symbol, interval, Period(DAY, JULY_MS + day * DAY_MS))


@pytest.mark.parametrize("symbol", ["AUSDT", "币安人生USDT"])
def test_a_file_comes_with_the_checksum_that_it_fits(
    exchange: SimulatedExchange, client: ArchiveClient, symbol: str
) -> None:
    got = client.download(a_day(symbol))
    assert got is not None
    start_ms = a_day().period.start_ms
    truth = exchange.world.bars(symbol, MINUTE, start_ms, start_ms + DAY_MS)
    assert read_csv(got.text, MINUTE, Scale(2, 1, 3)).bars() == truth
    assert len(got.sha256) == 64
    assert got.size_bytes < len(got.text)


def test_a_file_that_was_loaded_before_is_not_fetched_again(exchange: SimulatedExchange, client: ArchiveClient) -> None:
    first = client.download(a_day(day=3))
    assert first is not None
    before = sum(exchange.counters.requests.values())
    again = client.download(a_day(day=3), known=first.sha256)
    assert again is not None
    assert again.text == b""
    assert sum(exchange.counters.requests.values()) == before + 1
    changed = client.download(a_day(day=3), known="0" * 64)
    assert changed is not None
    assert changed.text == first.text


@pytest.mark.parametrize("file", [a_day(day=12), a_day(day=400), a_day("NOUSDT"), a_day(day=-40)])
def test_what_is_not_published_yet_or_never_was_is_none(client: ArchiveClient, file: ArchiveFile) -> None:
    assert client.download(file) is None


def test_a_wrong_checksum_is_asked_for_again_once_and_then_an_error(
    exchange: SimulatedExchange, client: ArchiveClient
) -> None:
    exchange.faults = FaultPlan(wrong_checksums=1.0)
    path = f"/{a_day(day=4).key}"
    with pytest.raises(
        WrongChecksum, match=r"AUSDT-1m-2026-07-05\.zip: expected the SHA-256 \w{64}, got \w{64}, twice"
    ):
        client.download(a_day(day=4))
    assert exchange.counters.requests[path, 200] == 2
    assert exchange.counters.requests[f"{path}{CHECKSUM}", 200] == 2


def test_refusals_and_faults_are_errors_by_name(exchange: SimulatedExchange, client: ArchiveClient) -> None:
    for status, error in ((451, Restricted), (500, ServerFault)):
        exchange.faults = FaultPlan(only_status=status)
        with pytest.raises(error):
            client.download(a_day())
        with pytest.raises(error):
            client.files("AUSDT", MINUTE, DAY)


def test_an_archive_that_is_not_there_is_unreachable() -> None:
    client = ArchiveClient("http://127.0.0.1:9", "http://127.0.0.1:9/list", timeout_s=1.0)
    with pytest.raises(Unreachable):
        client.download(a_day())
    with pytest.raises(Unreachable):
        client.page("x")
    client.close()


@pytest.mark.parametrize("symbol", ["AUSDT", "币安人生USDT"])
def test_a_listing_is_read_to_its_last_page(client: ArchiveClient, symbol: str) -> None:
    files = client.files(symbol, MINUTE, DAY)
    days = [period for file in files if (period := period_of(file.key)) is not None]
    assert [day.text for day in days[:2]] == ["2026-06-11", "2026-06-12"]
    assert days == [Period(DAY, JUNE_MS + number * DAY_MS) for number in range(10, 42)]
    assert len(files) == 2 * len(days)
    assert all(file.size_bytes > 0 for file in files)
    months = client.files(symbol, MINUTE, MONTH)
    assert [period_of(file.key) for file in months if period_of(file.key)] == [Period(MONTH, JUNE_MS)]


def test_a_listing_may_begin_behind_a_file(client: ArchiveClient) -> None:
    files = client.files("AUSDT", MINUTE, DAY, after=a_day(day=9).key)
    assert files[0].key == a_day(day=9).key + CHECKSUM
    assert [period_of(file.key) for file in files][1] == Period(DAY, JULY_MS + 10 * DAY_MS)
    assert client.files("NOUSDT", MINUTE, DAY) == []


def test_a_listing_without_an_end_is_given_up(client: ArchiveClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange.archive.LISTED_MAX", 8)
    with pytest.raises(InvalidAnswer, match=r"listing data/futures/.*: expected an end, got 10 names and more"):
        client.files("AUSDT", MINUTE, DAY)


def a_zip(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, "text" * 100)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body",
    [b"", b"no zip", a_zip(), a_zip("other.csv"), a_zip("a.csv", "b.csv"), a_zip("a.csv")[:-30], a_zip("a.csv")[9:]],
    ids=["nothing", "text", "empty", "another-name", "two-files", "cut-at-the-end", "cut-at-the-start"],
)
def test_what_is_no_zip_with_the_one_file_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidAnswer, match=r"opening a\.zip"):
        unzipped(body, "a")


def test_a_zip_whose_text_is_damaged_is_refused() -> None:
    body = bytearray(a_zip("a.csv"))
    body[40] ^= 0xFF
    with pytest.raises(InvalidAnswer, match=r"opening a\.zip"):
        unzipped(bytes(body), "a")
    assert hashlib.sha256(unzipped(a_zip("a.csv"), "a")).hexdigest() == hashlib.sha256(b"text" * 100).hexdigest()
