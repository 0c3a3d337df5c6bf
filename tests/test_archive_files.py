"""What the archive's files are called, and what its checksums and listings say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import DAY, MINUTE, STORED, WEEK
from wire.archive import (
    MONTH,
    ArchiveFile,
    InvalidArchive,
    Listed,
    Period,
    has_kind,
    parse_checksum,
    parse_listing,
    period_of,
)

JULY_3_MS = 1_783_036_800_000  # 2026-07-03
DAILY = ArchiveFile("BTCUSDT", MINUTE, Period(DAY, JULY_3_MS))
SHA = "aB" * 32
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def a_listing(inside: str, truncated: str = "false") -> bytes:
    inside = f"<IsTruncated>{truncated}</IsTruncated>{inside}"
    return f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult {NAMESPACE}>{inside}</ListBucketResult>'.encode()


def a_key(key: str, size: int = 5) -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"


def test_files_are_called_by_symbol_interval_and_period() -> None:
    folder = "data/futures/um/daily/klines/BTCUSDT/1m/"
    assert DAILY.key == f"{folder}BTCUSDT-1m-2026-07-03.zip"
    month = ArchiveFile("ETHUSDC", WEEK, Period.of(MONTH, JULY_3_MS))
    assert month.key == "data/futures/um/monthly/klines/ETHUSDC/1w/ETHUSDC-1w-2026-07.zip"


def test_weeks_are_in_monthly_files_only() -> None:
    assert [interval for interval in STORED if not has_kind(interval, DAY)] == [WEEK]
    assert all(has_kind(interval, MONTH) for interval in STORED)


@given(st.sampled_from([DAY, MONTH]), st.integers(0, 4_000_000_000_000))
def test_a_period_is_read_from_the_key_that_it_makes(kind: object, time_ms: int) -> None:
    assert kind in (DAY, MONTH)
    period = Period.of(DAY if kind is DAY else MONTH, time_ms)
    assert period_of(ArchiveFile("X-Y", MINUTE, period).key) == period
    assert period.start_ms <= time_ms < period.stop_ms


@pytest.mark.parametrize(
    "key", ["", "a.zip", "X-1m-2026-13.zip", "X-1m-2026-02-30.zip", "X-1m-2026-07.zip.CHECKSUM", "X-1m-2026-07.csv"]
)
def test_what_is_no_zip_of_bars_has_no_period(key: str) -> None:
    assert period_of(key) is None


def test_a_checksum_is_read_in_lower_case() -> None:
    assert parse_checksum(f"{SHA}  BTCUSDT-1m-2026-07-03.zip\n".encode(), DAILY) == SHA.lower()


@pytest.mark.parametrize(
    "text",
    ["", SHA, f"{SHA}  other.zip", f"{SHA[:-1]}  {DAILY.name}", f"{SHA[:-1]}g  {DAILY.name}", "<html>", "\xff " * 40],
)
def test_what_is_no_checksum_of_the_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidArchive, match="expected a SHA-256"):
        parse_checksum(text.encode(), DAILY)


def test_a_listing_names_files_and_folders() -> None:
    inside = a_key("a/b.zip", 7) + "<CommonPrefixes><Prefix>a/币/</Prefix></CommonPrefixes>"
    assert parse_listing(a_listing(inside)) == (["a/币/"], [Listed("a/b.zip", 7)], None)


@pytest.mark.parametrize(
    ("inside", "marker"),
    [
        ("<NextMarker>m</NextMarker>" + a_key("k"), "m"),
        (a_key("j") + a_key("k"), "k"),
        (a_key("j") + "<CommonPrefixes><Prefix>z/</Prefix></CommonPrefixes>", "z/"),
    ],
)
def test_a_listing_goes_on_behind_its_marker_or_its_last_key(inside: str, marker: str) -> None:
    assert parse_listing(a_listing(inside, "true")).next_marker == marker


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html></html>", b"{}", a_listing("", "true"), a_listing("", "maybe"), a_listing("")[:-9], b"\xff\x00"),
        a_listing("<Contents><Key>k</Key><Size>many</Size></Contents>"),
        a_listing("<Contents><Key>k</Key></Contents>"),
    ],
)
def test_what_is_no_listing_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArchive, match="reading a listing"):
        parse_listing(body)
