"""The simulated archive: files, checksums, listing, defects; and recorded months served again."""

from __future__ import annotations

import hashlib
import io
import xml.etree.ElementTree as ElementTree
import zipfile
from dataclasses import replace
from urllib.parse import quote

import pytest
import requests

from bars import DAY, INTERVALS, MINUTE, MINUTE_MS, Interval, Scale
from bars.interval import DAY_MS, HOUR_MS
from exchange.simulated import (
    ArchivePlan,
    ContractPlan,
    FaultPlan,
    RecordedSeries,
    SimulatedClock,
    SimulatedExchange,
    World,
    WorldPlan,
    default_plan,
)
from exchange.simulated.archive import LISTING_PATH, Archive
from tests.support.ports import PATIENCE_S
from tests.support.recorded import Recorded
from wire.rows import FIELDS, bars_from_rows

JUNE_MS = 1_780_272_000_000  # 2026-06-01
JULY_MS = JUNE_MS + 30 * DAY_MS
NONE = FaultPlan()
PERPETUAL = ContractPlan(
    "AUSDT", "A", "USDT", onboard_ms=JUNE_MS + 10 * DAY_MS, price_decimals=2, quantity_decimals=1, price_ticks=5_000,
    quiet_permille=300,
)  # fmt: skip
NAMED = replace(PERPETUAL, symbol="币USDT", onboard_ms=JULY_MS + DAY_MS)
NOW_MS = JULY_MS + 12 * DAY_MS + 10 * HOUR_MS
MONTHLY = "/data/futures/um/monthly/klines/"
DAILY = "/data/futures/um/daily/klines/"
KEY = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def a_plan(*contracts: ContractPlan, header_from_ms: int = 0, page_keys: int = 1000) -> WorldPlan:
    archive = ArchivePlan(header_from_ms=header_from_ms, page_keys=page_keys)
    return WorldPlan(1, NOW_MS, contracts, archive=archive)


PLAN = a_plan(PERPETUAL, NAMED)
ARCHIVE = Archive(World(PLAN))


def text_of(body: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        (name,) = archive.namelist()
        assert name.endswith(".csv")
        return archive.read(name).decode()


def fetched(path: str, archive: Archive = ARCHIVE, faults: FaultPlan = NONE, now_ms: int = NOW_MS) -> bytes:
    answer = archive.answer(path, b"", now_ms, faults)
    assert answer.status == 200, path
    return answer.body


def read(text: str, interval: Interval = MINUTE) -> list[object]:
    rows = [line.split(",") for line in text.splitlines() if line[0].isdigit()]
    return [*bars_from_rows(rows, interval, Scale(2, 1, 3))]


def truth(start_ms: int, stop_ms: int, interval: Interval = MINUTE) -> list[object]:
    return [*World(PLAN).bars("AUSDT", interval, start_ms, stop_ms)]


def listed(query: str, archive: Archive = ARCHIVE, now_ms: int = NOW_MS) -> tuple[list[str], list[str], str | None]:
    """The files, the folders, and the marker of the next page."""
    root = ElementTree.fromstring(archive.answer(LISTING_PATH, query.encode(), now_ms, NONE).body)
    files = [key.text or "" for key in root.iter(f"{KEY}Key")]
    folders = [prefix.findtext(f"{KEY}Prefix") or "" for prefix in root.iter(f"{KEY}CommonPrefixes")]
    assert root.findtext(f"{KEY}IsTruncated") in ("true", "false")
    return files, folders, root.findtext(f"{KEY}NextMarker")


def test_a_monthly_file_holds_the_month_from_the_first_trade_on() -> None:
    text = text_of(fetched(f"{MONTHLY}AUSDT/1m/AUSDT-1m-2026-06.zip"))
    assert text.startswith(f"{FIELDS}\n17")
    assert text.endswith(",0\n")
    assert read(text) == truth(JUNE_MS, JULY_MS)


def test_a_daily_file_holds_the_day_and_its_checksum_fits() -> None:
    path = f"{DAILY}AUSDT/5m/AUSDT-5m-2026-07-03.zip"
    body = fetched(path)
    interval, start_ms = INTERVALS["5m"], JULY_MS + 2 * DAY_MS
    assert read(text_of(body), interval) == truth(start_ms, start_ms + DAY_MS, interval)
    assert fetched(f"{path}.CHECKSUM").decode() == f"{hashlib.sha256(body).hexdigest()}  AUSDT-5m-2026-07-03.zip\n"
    assert fetched(path) == fetched(path, Archive(World(PLAN)))


@pytest.mark.parametrize("folder", ["1w", "1mo", "1d"])
def test_weeks_and_months_are_in_the_month_in_which_they_open(folder: str) -> None:
    interval = INTERVALS[{"1mo": "1M"}.get(folder, folder)]
    text = text_of(fetched(f"{MONTHLY}AUSDT/{folder}/AUSDT-{folder}-2026-06.zip"))
    assert read(text, interval) == truth(JUNE_MS, JULY_MS, interval)


def test_older_files_have_no_header_and_print_whole_numbers_without_decimals() -> None:
    archive = Archive(World(a_plan(PERPETUAL, header_from_ms=JULY_MS)))
    old = text_of(fetched(f"{MONTHLY}AUSDT/1m/AUSDT-1m-2026-06.zip", archive))
    assert old.startswith("17")
    assert ",0.0," in old
    assert ".0000," in old
    assert ".00," not in old.replace(",0.0,", "").replace("0.0000,", "")
    assert read(old) == truth(JUNE_MS, JULY_MS)
    assert text_of(fetched(f"{DAILY}AUSDT/1m/AUSDT-1m-2026-07-01.zip", archive)).startswith("open_time,")


def test_a_file_is_there_once_it_is_published() -> None:
    def status(path: str, now_ms: int) -> int:
        return ARCHIVE.answer(path, b"", now_ms, NONE).status

    daily, monthly = f"{DAILY}AUSDT/1m/AUSDT-1m-2026-06-30.zip", f"{MONTHLY}AUSDT/1m/AUSDT-1m-2026-06.zip"
    assert [status(daily, JULY_MS + hour * HOUR_MS) for hour in (0, 8, 9)] == [404, 404, 200]
    assert [status(monthly, JULY_MS + day * DAY_MS) for day in (1, 2)] == [404, 200]


@pytest.mark.parametrize(
    "path",
    [
        f"{MONTHLY}NOSUCH/1m/NOSUCH-1m-2026-06.zip",
        f"{MONTHLY}AUSDT/1m/AUSDT-1m-2026-05.zip",
        f"{MONTHLY}AUSDT/1M/AUSDT-1M-2026-06.zip",
        f"{DAILY}AUSDT/1w/AUSDT-1w-2026-06-15.zip",
        f"{MONTHLY}AUSDT/1m/AUSDT-1m-2026-06.zip.MD5",
        "/data/spot/monthly/klines/AUSDT/1m/AUSDT-1m-2026-06.zip",
        "/data",
        "/",
    ],
)
def test_what_does_not_exist_is_404(path: str) -> None:
    assert ARCHIVE.answer(path, b"", NOW_MS, NONE).status == 404


def test_folders_are_listed_by_delimiter() -> None:
    assert listed("delimiter=/&prefix=data/futures/um/") == (
        [],
        ["data/futures/um/daily/", "data/futures/um/monthly/"],
        None,
    )
    _, symbols, _ = listed("delimiter=/&prefix=data/futures/um/daily/klines/")
    assert symbols == ["data/futures/um/daily/klines/AUSDT/", "data/futures/um/daily/klines/币USDT/"]
    _, intervals, _ = listed("delimiter=/&prefix=data/futures/um/monthly/klines/AUSDT/")
    assert {folder.split("/")[-2] for folder in intervals} == {*INTERVALS, "1mo"} - {"1M"}
    _, begun, _ = listed("delimiter=/&prefix=data/futures/um/daily/klines/A")
    assert begun == ["data/futures/um/daily/klines/AUSDT/"]
    assert listed("delimiter=/&prefix=data/spot/") == ([], [], None)


def test_files_are_listed_with_their_checksums() -> None:
    prefix = "data/futures/um/monthly/klines/AUSDT/1m/"
    name = f"{prefix}AUSDT-1m-2026-06.zip"
    assert listed(f"delimiter=/&prefix={prefix}") == ([name, f"{name}.CHECKSUM"], [], None)
    daily, _, _ = listed("delimiter=/&prefix=" + quote("data/futures/um/daily/klines/币USDT/1m/"))
    assert daily[-2] == "data/futures/um/daily/klines/币USDT/1m/币USDT-1m-2026-07-12.zip"
    assert all(ARCHIVE.answer(f"/{quote(key)}", b"", NOW_MS, NONE).status == 200 for key in daily[:2])


@pytest.mark.parametrize("delimiter", ["/", ""])
def test_a_long_listing_comes_in_pages_that_the_last_key_continues(delimiter: str) -> None:
    archive = Archive(World(a_plan(PERPETUAL, page_keys=7)))
    query = f"delimiter={delimiter}&prefix=data/futures/um/daily/klines/AUSDT/1m/"
    whole, _, _ = listed(query)
    keys: list[str] = []
    marker = ""
    for _ in range(100):
        page, _, next_marker = listed(f"{query}&marker={marker}", archive)
        assert bool(next_marker) == (bool(delimiter) and len(page) == 7 and page[-1] != whole[-1])
        keys += page
        if len(page) < 7:
            break
        marker = quote(page[-1])
    assert keys == whole == sorted(whole)
    assert len(whole) > 40


def test_symbol_folders_are_paged_too() -> None:
    plan = replace(default_plan(seed=1, count=40), archive=ArchivePlan(page_keys=25))
    archive = Archive(World(plan))
    folders: list[str] = []
    marker: str | None = ""
    while marker is not None:
        query = f"delimiter=/&prefix=data/futures/um/daily/klines/&marker={quote(marker)}"
        _, page, marker = listed(query, archive, plan.start_ms)
        folders += page
    names = {folder.split("/")[-2] for folder in folders}
    assert len(folders) == len(names) > 40
    assert names >= {"BTCUSDT", "OMGUSDT", "BTCUSDT_261225", "币安人生USDT"}


def test_a_relisted_symbol_leaves_its_old_files_under_a_settled_name() -> None:
    old = replace(PERPETUAL, delivery_ms=JUNE_MS + 20 * DAY_MS)
    new = replace(PERPETUAL, onboard_ms=JULY_MS + DAY_MS, price_ticks=90_000)
    world = World(a_plan(old, new))
    archive = Archive(world)
    settled = read(text_of(fetched(f"{DAILY}AUSDT_SETTLED/1m/AUSDT_SETTLED-1m-2026-06-15.zip", archive)))
    assert settled == [*World(a_plan(old)).bars("AUSDT", MINUTE, JUNE_MS + 14 * DAY_MS, JUNE_MS + 15 * DAY_MS)]
    fetched(f"{DAILY}AUSDT/1m/AUSDT-1m-2026-07-03.zip", archive)
    assert archive.answer(f"{DAILY}AUSDT/1m/AUSDT-1m-2026-06-15.zip", b"", NOW_MS, NONE).status == 404


def test_planned_defects_monthly_holes_missing_files_and_wrong_checksums() -> None:
    path = f"{MONTHLY}AUSDT/1m/AUSDT-1m-2026-06.zip"
    holed = read(text_of(fetched(path, faults=FaultPlan(monthly_holes=1.0))))
    found = set(truth(JUNE_MS, JULY_MS))
    assert set(holed) < found
    assert ARCHIVE.answer(path, b"", NOW_MS, FaultPlan(missing_files=1.0)).status == 404
    daily = f"{DAILY}AUSDT/1m/AUSDT-1m-2026-07-01.zip"
    wrong = fetched(f"{daily}.CHECKSUM", faults=FaultPlan(wrong_checksums=1.0)).decode()
    assert hashlib.sha256(fetched(daily)).hexdigest() not in wrong
    whole = fetched(path)
    assert fetched(path) == whole
    assert fetched(f"{path}.CHECKSUM").startswith(hashlib.sha256(whole).hexdigest().encode())


def test_the_archive_is_served_over_http() -> None:
    with SimulatedExchange(PLAN, clock=SimulatedClock(NOW_MS, monotonic=lambda: 0.0)) as exchange:
        body = requests.get(
            f"{exchange.archive_url}{DAILY}AUSDT/1h/AUSDT-1h-2026-07-03.zip", timeout=PATIENCE_S
        ).content
        assert len(read(text_of(body), INTERVALS["1h"])) == 24
        found = requests.get(exchange.listing_url, {"prefix": "data/futures/um/", "delimiter": "/"}, timeout=PATIENCE_S)
        assert "data/futures/um/monthly/" in found.text
        assert requests.get(f"{exchange.archive_url}/data/nothing.zip", timeout=PATIENCE_S).status_code == 404
        assert exchange.counters.weight_max == 0


@pytest.fixture
def near() -> RecordedSeries:
    path = Recorded.find_or_skip().folder / "um_1m" / "NEARUSDT-1m-2025-02.csv.gz"
    february_ms = 1_738_368_000_000
    contract = ContractPlan(
        "NEARUSDT", "NEAR", "USDT", onboard_ms=february_ms, price_decimals=4, quantity_decimals=0, price_ticks=1
    )
    return RecordedSeries(contract, [path])


def test_a_recorded_month_is_served_as_rest_and_as_the_very_same_file(near: RecordedSeries) -> None:
    march_ms = 1_740_787_200_000
    plan = WorldPlan(1, march_ms + 10 * DAY_MS, contracts=())
    with SimulatedExchange(plan, recorded=[near]) as exchange:
        path = f"{exchange.archive_url}{MONTHLY}NEARUSDT/1m/NEARUSDT-1m-2025-02.zip"
        text = text_of(requests.get(path, timeout=PATIENCE_S).content)
        assert text == near.texts[MINUTE, "2025-02"]
        asked = {"symbol": "NEARUSDT", "interval": "1m", "startTime": str(march_ms - 3 * MINUTE_MS)}
        rows = requests.get(f"{exchange.rest_url}/fapi/v1/klines", asked, timeout=PATIENCE_S).json()
        assert [",".join(map(str, row)) for row in rows] == text.splitlines()[-3:]
        asked = {"symbol": "NEARUSDT", "interval": "1d", "limit": "5", "endTime": str(march_ms)}
        days = requests.get(f"{exchange.rest_url}/fapi/v1/klines", asked, timeout=PATIENCE_S).json()
        assert len(days) == 4
        assert exchange.world.bars("NEARUSDT", DAY, march_ms - DAY_MS, march_ms)[0].trades == days[-1][8]
