"""Rows of klines: REST answers and archive lines."""

from __future__ import annotations

import contextlib
import json
import tarfile
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import INTERVALS, MINUTE, MINUTE_MS, Bar, BarError, Interval, InvalidBar, Scale
from tests.support.builders import MONDAY_MS, a_bar, an_empty_bar, bars
from tests.support.recorded import Recorded
from wire.rows import FIELDS, bar_from_row, bars_from_rows, decode_rows, row_from_bar, scale_of_row

DAY = INTERVALS["1d"]
SCALE = Scale(2, 3, 5)
REAL: list[Any] = [1791382920000, "83137.90", "83155.70", "83082.90", "83084.90", "102.437", 1791382979999]
REAL += ["8514292.61220", 4409, "49.832", "4141805.93340", "0"]
EMPTY: list[Any] = [1750118400000, "0.829", "0.829", "0.829", "0.829", "0", 1750204799999, "0", 0, "0", "0", "0"]


def changed(index: int, value: Any) -> list[Any]:
    return [*REAL[:index], value, *REAL[index + 1 :]]


def test_a_real_row_is_read_exactly_and_written_back() -> None:
    (row,) = decode_rows(json.dumps([REAL]).encode())
    bar = bar_from_row(row, MINUTE, SCALE)
    sums = (102437, 851429261220, 4409, 49832, 414180593340)
    assert bar == Bar(1791382920000, 8313790, 8315570, 8308290, 8308490, *sums, SCALE)
    assert row_from_bar(bar, MINUTE) == REAL


def test_an_archive_line_is_read_like_the_row() -> None:
    line = ",".join(str(field) for field in REAL).split(",")
    assert bar_from_row(line, MINUTE, SCALE) == bar_from_row(REAL, MINUTE, SCALE)
    assert len(FIELDS.split(",")) == len(REAL)


def test_an_empty_bars_row_has_plain_zeros() -> None:
    bar = bar_from_row(EMPTY, DAY, Scale(3, 1, 4))
    assert bar == an_empty_bar(1750118400000, 829, Scale(3, 1, 4))
    assert row_from_bar(bar, DAY) == EMPTY


@pytest.mark.parametrize(("volume", "quote"), [("0", "0"), ("0", "0.0000"), ("0.0", "0.0000"), ("0.0", "0.00000")])
def test_the_archives_zeros_of_all_ages_are_the_same_zero(volume: str, quote: str) -> None:
    row = [str(field) for field in EMPTY]
    row[5], row[9], row[7], row[10] = volume, volume, quote, quote
    assert bars_from_rows([row], DAY, Scale(3, 0, 3)) == [an_empty_bar(1750118400000, 829, Scale(3, 0, 3))]


def test_every_rest_row_of_the_market_is_written_back_in_the_exchanges_text(recorded: Recorded) -> None:
    count = 0
    with tarfile.open(recorded.folder / "rest" / "fapi_klines_1d_2025-06-29.tar.gz") as answers:
        for member in answers:
            body = answers.extractfile(member)
            assert body is not None
            rows = [list(row) for row in decode_rows(body.read())]
            places = [
                max(len(row[index].partition(".")[2]) for row in rows for index in indices)
                for indices in ((1, 2, 3, 4), (5, 9), (7, 10))
            ]
            read = bars_from_rows(rows, DAY, Scale(*places))
            assert [row_from_bar(bar, DAY) for bar in read] == rows
            count += len(rows)
    assert count == 6_681


@given(bars(MONDAY_MS))
def test_what_is_written_is_read_back(bar: Bar) -> None:
    rows = decode_rows(msgspec.json.encode([row_from_bar(bar, MINUTE)]))
    assert bars_from_rows(rows, MINUTE, bar.scale) == [bar]


@pytest.mark.parametrize("interval", list(INTERVALS.values()))
def test_rows_of_every_interval(interval: Interval) -> None:
    bar = a_bar(interval.floor(MONDAY_MS))
    assert bar_from_row(row_from_bar(bar, interval), interval, bar.scale) == bar


def test_rows_that_get_finer_on_the_way_are_all_of_the_finest_scale() -> None:
    rows = [row_from_bar(a_bar(n * MINUTE_MS, scale=Scale(2, n, 2 + n)), MINUTE) for n in range(3)]
    read = bars_from_rows(rows, MINUTE, Scale(2, 0, 2))
    assert {bar.scale for bar in read} == {Scale(2, 2, 2)}  # the quote volumes' last decimals are zeros
    assert [bar.volume for bar in read] == [7_000, 700, 70]
    assert bars_from_rows(rows, MINUTE, Scale(5, 5, 5))[0].scale == Scale(5, 5, 5)


def test_the_scale_of_a_row_holds_every_value_and_is_no_wider() -> None:
    assert scale_of_row(REAL, Scale(0, 0, 0)) == Scale(1, 3, 4)
    assert scale_of_row(REAL, Scale(2, 0, 9)) == Scale(2, 3, 9)


@pytest.mark.parametrize("index", [5, 9])
def test_the_finest_of_several_fields_counts(index: int) -> None:
    row = changed(index, "1.2345")
    assert scale_of_row(row, SCALE).volume == 4


def test_no_rows_make_no_bars() -> None:
    assert list(decode_rows(b"[]")) == []
    assert bars_from_rows([], MINUTE, SCALE) == []


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (0, 2, 1)])
def test_rows_that_do_not_ascend_are_refused(order: tuple[int, ...]) -> None:
    rows = [row_from_bar(a_bar(n * MINUTE_MS), MINUTE) for n in order]
    with pytest.raises(InvalidBar, match="expected ascending open times"):
        bars_from_rows(rows, MINUTE, Scale(2, 1, 3))


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"[[]]", b'{"code":-1121,"msg":"Invalid symbol."}', b"<html>", b"[1]", b"\xff", b"[" * 90_000]
    + [json.dumps([row]).encode() for row in (REAL[:11], [*REAL, "0"], changed(0, True), changed(8, False))]
    + [json.dumps([changed(8, 1.5)]).encode(), json.dumps([changed(1, 83137.9)]).encode()]
    + [json.dumps([changed(0, "1791382920000")]).encode(), json.dumps([changed(5, None)]).encode()]
    + [json.dumps([REAL])[:-1].encode(), b"[[" + b"1" * 5_000 + b"]]"],
)
def test_a_body_that_is_no_array_of_rows_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBar, match="reading klines"):
        decode_rows(body)


@pytest.mark.parametrize(
    ("index", "value"),
    [(0, value) for value in (REAL[0] + 1, -60_000, True, 1.0, None, "", "x", "1_791_382_920_000", " 1791382920000")]
    + [(0, "\u0661" * 13), (0, "9" * 5_000), (0, 10**17), (0, 1791382920000000), (6, REAL[6] + 1), (6, 0), (6, "")]
    + [(8, value) for value in (-1, "-1", "4409.0", "1e3", True, 2**63, 4409.0, "\u00b2")]
    + [(index, value) for index in (1, 2, 3, 4, 5, 7, 9, 10) for value in ("", "-1", "NaN", "1e3", "9" * 50, "\u0661")]
    + [(2, "83137.89"), (3, "83084.91"), (5, "49.831"), (7, "4141805.93339"), (9, "102.438"), (5, "9" * 19)],
)
def test_a_row_that_is_no_sound_bar_is_refused(index: int, value: Any) -> None:
    with pytest.raises(BarError):
        bar_from_row(changed(index, value), MINUTE, SCALE)


@pytest.mark.parametrize("short", [[], REAL[:1], REAL[:10]])
def test_a_short_row_is_refused_also_behind_one_that_widens_the_scale(short: list[Any]) -> None:
    with pytest.raises(InvalidBar, match="expected 12 fields"):
        bars_from_rows([short], MINUTE, SCALE)
    with pytest.raises(InvalidBar, match="expected 12 fields"):
        bars_from_rows([REAL, short], MINUTE, Scale(0, 0, 0))


@pytest.mark.parametrize("interval", list(INTERVALS.values()))
@pytest.mark.parametrize("open_ms", [10**17, 10**30, -(10**17)])
def test_a_row_of_an_absurd_time_is_refused(interval: Interval, open_ms: int) -> None:
    row = [interval.floor(open_ms), *REAL[1:]]
    row[6] = interval.close_ms(row[0])
    with pytest.raises(InvalidBar, match="expected a bucket"):
        bar_from_row(row, interval, SCALE)


def test_a_row_of_another_interval_is_refused() -> None:
    with pytest.raises(InvalidBar, match="expected a bucket of 5m"):
        bar_from_row(REAL, INTERVALS["5m"], SCALE)


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(REAL)


@given(st.integers(0, 11), values, st.booleans())
def test_any_value_in_any_field_is_a_bar_or_a_known_error(index: int, value: Any, is_archive: bool) -> None:
    row = changed(index, str(value) if is_archive else value)
    try:
        (read,) = decode_rows(msgspec.json.encode([row])) if not is_archive else [row]
        bar = bars_from_rows([read], MINUTE, SCALE)[0]
    except BarError:
        return
    assert Decimal(bar.volume).scaleb(-bar.scale.volume) == Decimal(row[5])


@given(st.binary())
def test_any_body_is_rows_or_a_known_error(body: bytes) -> None:
    with contextlib.suppress(InvalidBar):
        assert isinstance(decode_rows(body), list)
