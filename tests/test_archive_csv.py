"""Whole archive files to exact integers: as `wire.rows` reads them line by line, whatever they look like."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars import DAY, FIVE_MINUTES, MINUTE, MINUTE_MS, Bar, BarError, Interval, Scale, Span, UnitsOverflow
from tests.support.builders import MONDAY_MS, a_bar, an_empty_bar, minutes
from tests.support.recorded import Recorded
from wire import archive_csv
from wire.archive_csv import read_csv
from wire.rows import FIELDS, bars_from_rows, row_from_bar
from wire.table import BarTable

SCALE = Scale(2, 1, 3)
LINE = "1744588800000,10.00,12.00,9.00,11.00,7.0,1744588859999,7.000,7,3.5,3.500,0"


def a_file(bars: Sequence[Bar], header: bool = True, interval: Interval = MINUTE) -> bytes:
    lines = [",".join(map(str, row_from_bar(bar, interval))) for bar in bars]
    return ("\n".join([FIELDS, *lines] if header else lines) + "\n").encode()


def some(count: int = 5) -> list[Bar]:
    return [a_bar(MONDAY_MS + number * MINUTE_MS) for number in range(count)]


def changed(field: int, value: str, line: str = LINE) -> bytes:
    fields = line.split(",")
    fields[field] = value
    return ",".join(fields).encode() + b"\n"


def reads_at_once(body: bytes, interval: Interval = MINUTE, scale: Scale = SCALE) -> bool:
    try:
        archive_csv._read_at_once(archive_csv._lines(body), interval, scale)  # noqa: SLF001
    except archive_csv._Irregular:  # noqa: SLF001
        return False
    return True


@pytest.mark.parametrize("header", [True, False])
def test_a_file_is_read_with_a_header_and_without(header: bool) -> None:
    bars = some()
    body = a_file(bars, header)
    assert reads_at_once(body)
    for text in (body, body[:-1], body.replace(b"\n", b"\r\n")):
        table = read_csv(text, MINUTE, SCALE)
        assert (table.bars(), table.scale, len(table)) == (bars, SCALE, 5)


@pytest.mark.parametrize("body", [b"", f"{FIELDS}\n".encode(), FIELDS.encode()])
def test_a_file_without_bars_is_an_empty_table(body: bytes) -> None:
    assert read_csv(body, MINUTE, SCALE).bars() == []


@pytest.mark.parametrize("zeros", [("0", "0"), ("0", "0.0000"), ("0.0", "0.0000"), ("0.0", "0.00000"), ("0.0", "0")])
def test_empty_minutes_are_read_however_zero_is_written(zeros: tuple[str, str]) -> None:
    bars = [*some(3), an_empty_bar(MONDAY_MS + 3 * MINUTE_MS)]
    fields = a_file(bars).decode().splitlines()
    last = fields[-1].split(",")
    last[5], last[7] = zeros
    body = "\n".join([*fields[:-1], ",".join(last)]).encode()
    assert reads_at_once(body)
    assert read_csv(body, MINUTE, SCALE).bars() == bars


def test_whole_numbers_may_be_without_decimals() -> None:
    bars = [a_bar(MONDAY_MS), a_bar(MONDAY_MS + MINUTE_MS, volume=71)]
    body = a_file(bars).replace(b".00,", b",").replace(b"7.0,", b"7,")
    assert b",10,12,9,11,7," in body
    assert reads_at_once(body)
    assert read_csv(body, MINUTE, SCALE).bars() == bars


def test_prices_below_one_are_exact() -> None:
    bar = a_bar(MONDAY_MS, prices=(1, 100, 0, 99), volume=5)
    body = a_file([bar])
    assert b"0.01,1.00,0.00,0.99" in body
    assert reads_at_once(body)
    assert read_csv(body, MINUTE, SCALE).bars() == [bar]


def test_decimals_that_change_in_the_middle_widen_the_whole_file() -> None:
    finer = Scale(2, 3, 5)
    coarse, fine = a_bar(MONDAY_MS), a_bar(MONDAY_MS + MINUTE_MS, volume=12_345, scale=finer)
    body = a_file([coarse, fine])
    assert reads_at_once(body)
    table = read_csv(body, MINUTE, SCALE)
    assert table.scale == Scale(2, 3, 4)  # the quote volumes' fifth decimals are zeros
    assert table.rescaled(finer).bars() == [coarse.rescaled(finer), fine]


def test_zeros_at_the_end_do_not_widen_the_scale() -> None:
    body = changed(5, "7.0000") + a_file(some(2)[1:], header=False)
    assert reads_at_once(body)
    table = read_csv(body, MINUTE, SCALE)
    assert table.scale == SCALE
    assert [bar.volume for bar in table.bars()] == [70, 70]


@pytest.mark.parametrize(
    "keep", [slice(0, 5, 2), slice(1, 2), slice(None, None, -1), slice(4, 1, -2)], ids=["holes", "one", "back", "both"]
)
def test_missing_and_unordered_minutes_are_read(keep: slice) -> None:
    bars = some()[keep]
    assert read_csv(a_file(bars), MINUTE, SCALE).bars() == sorted(bars)


def test_a_row_that_comes_twice_counts_once() -> None:
    bars = some()
    again = a_file([*bars, bars[2]]) + a_file([bars[3]], header=False).replace(b"7.0,", b"7.00,")
    assert read_csv(again, MINUTE, SCALE).bars() == bars


def test_rows_that_contradict_each_other_are_both_left_out() -> None:
    bars = some()
    other = a_bar(bars[1].open_ms, volume=71)
    assert read_csv(a_file([*bars, other]), MINUTE, SCALE).bars() == [bars[0], *bars[2:]]


def test_microseconds_are_read_as_milliseconds() -> None:
    body = LINE.replace("1744588800000", "1744588800000000").replace("1744588859999", "1744588859999999")
    assert [bar.open_ms for bar in read_csv(body.encode(), MINUTE, SCALE).bars()] == [MONDAY_MS]


def test_days_are_read_and_bars_of_another_interval_refused() -> None:
    day = a_bar(MONDAY_MS)
    body = a_file([day], interval=DAY)
    assert read_csv(body, DAY, SCALE).bars() == [day]
    with pytest.raises(BarError, match="expected a bucket of 5m"):
        read_csv(body, FIVE_MINUTES, SCALE)


@pytest.mark.parametrize(
    ("field", "value"),
    [(0, value) for value in ("", "x", "-60000", "1744588800001", "1744588800000.0", "9" * 19, "9" * 30)]
    + [(6, value) for value in ("", "1744588860000", "0", "x")]
    + [(8, value) for value in ("", "-1", "7.0", "1e3", "9" * 19, "9" * 40)]
    + [(at, value) for at in (1, 2, 3, 4, 5, 7, 9, 10) for value in ("", "-1", "NaN", "1e3", "1.", ".5", "9" * 50)]
    + [(1, "12.01"), (1, "8.99"), (4, "12.01"), (4, "8.99"), (9, "7.1"), (10, "7.001"), (2, "9" * 19), (7, "9" * 25)]
    + [(1, "1_0.00"), (1, "\u0661.00"), (1, "10.0.0"), (1, " 10.00"), (1, "+10.00"), (1, "--10.00"), (5, "0" * 41)],
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_line_that_is_no_sound_bar_is_refused(field: int, value: str, alone: bool) -> None:
    body = changed(field, value)
    if not alone:
        body = a_file(some()[1:]) + body
    with pytest.raises(BarError):
        read_csv(body, MINUTE, SCALE)


@pytest.mark.parametrize(
    "body",
    [
        *(b"<html><body>maintenance</body></html>", b"\xff\xfe\x00", b"1,2,3\n", b"\n", b"\n\n"),
        *(f"{LINE}{more}".encode() for more in (",1\n", f",0\n{LINE[:-2]}\n", "\n\n", f"\n0,{LINE}\n")),
    ],
)
def test_what_is_no_file_of_bars_is_refused(body: bytes) -> None:
    with pytest.raises(BarError):
        read_csv(body, MINUTE, SCALE)


def test_leading_zeros_are_read_the_long_way() -> None:
    body = changed(1, "0010.00")
    assert not reads_at_once(body)
    assert read_csv(body, MINUTE, SCALE).bars()[0].open == 1_000


def test_values_that_do_not_fit_once_they_are_widened_are_refused() -> None:
    big = changed(7, "9223372036854775.807")
    assert read_csv(big, MINUTE, SCALE).bars()[0].quote_volume == 2**63 - 1
    with pytest.raises(UnitsOverflow):
        read_csv(big, MINUTE, Scale(2, 1, 4))
    with pytest.raises(UnitsOverflow):
        read_csv(changed(7, "9223372036854775.808"), MINUTE, SCALE)


@given(minutes(MONDAY_MS), st.sampled_from([SCALE, Scale(0, 0, 0), Scale(4, 4, 4)]), st.booleans(), st.data())
def test_at_once_and_line_by_line_are_the_same(
    bars: Sequence[Bar], scale: Scale, header: bool, data: st.DataObject
) -> None:
    lines = a_file(bars, header=False).decode().splitlines()
    ways = st.sampled_from(["plain", "short", "long"])
    written = [_written(line, data.draw(ways)) for line in lines]
    body = "\n".join([FIELDS, *written] if header else written).encode()
    assert reads_at_once(body, scale=scale)
    expected = bars_from_rows([line.split(",") for line in written], MINUTE, scale)
    table = read_csv(body, MINUTE, scale)
    assert table.bars() == expected
    assert table.scale == expected[0].scale


def _written(line: str, way: str) -> str:
    """The same values, written with fewer zeros or with more."""
    fields = line.split(",")
    for at in (1, 2, 3, 4, 5, 7, 9, 10):
        whole, point, fraction = fields[at].partition(".")
        if way == "short" and not fraction.strip("0"):
            fields[at] = whole
        elif way == "long":
            fields[at] = f"{whole}.{fraction}0" if point else f"{whole}.00"
    return ",".join(fields)


field_text = st.sampled_from(["", "0", "-1", "1e3", "00.1", "9" * 22, "1744588800000", "x,y", "1\n2", "0.0", "10"])


@given(st.integers(0, 11), field_text | st.text(max_size=6), st.integers(0, 2))
def test_any_text_in_any_field_is_exact_or_a_known_error(field: int, text: str, number: int) -> None:
    lines = a_file(some(3), header=False).decode().splitlines()
    fields = lines[number].split(",")
    fields[field] = text
    lines[number] = ",".join(fields)
    try:
        table = read_csv("\n".join(lines).encode("utf-8", "replace"), MINUTE, SCALE)
    except BarError:
        return
    if len(table) == 3 and field in (5, 7, 9, 10):
        at = {5: 5, 7: 7, 9: 9, 10: 10}[field]
        decimals = table.scale.volume if field in (5, 9) else table.scale.quote
        assert Decimal(table.values[number * 12 + at]).scaleb(-decimals) == Decimal(text)


def test_recorded_months_are_read_at_once_and_as_line_by_line(recorded: Recorded) -> None:
    for symbol, interval, month in [
        ("NEARUSDT", "1m", "2023-10"),
        ("FILUSDT", "1m", "2024-10"),
        ("SOLUSDT", "5m", "2025-04"),
    ]:
        rows = recorded.archive_rows(symbol, interval, month)
        body = "\n".join([FIELDS, *(",".join(row) for row in rows)]).encode()
        of = MINUTE if interval == "1m" else FIVE_MINUTES
        assert reads_at_once(body, of, Scale(0, 0, 0))
        assert read_csv(body, of, Scale(0, 0, 0)).bars() == recorded.archive_bars(symbol, interval, month)


def test_a_table_is_cut_to_a_span_and_rescaled() -> None:
    bars = some()
    table = BarTable.of(bars, MINUTE, SCALE)
    assert table.within(Span(bars[1].open_ms, bars[3].open_ms)).bars() == bars[1:3]
    assert table.within(Span(0, bars[0].open_ms)).bars() == []
    wider = Scale(3, 1, 5)
    assert table.rescaled(wider).bars() == [bar.rescaled(wider) for bar in bars]
    with pytest.raises(ValueError, match="expected at least 2 decimals"):
        table.rescaled(Scale(1, 1, 3))
