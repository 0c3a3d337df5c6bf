"""Aggregation against the exchange's own bars, as recorded.

Smaller bars added up here must be the larger bars that the exchange published, to the last digit. On a few
days the exchange contradicts itself; those are named, with both values, and nothing else may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from itertools import pairwise

import pytest

from bars import DAY, FIVE_MINUTES, INTERVALS, MINUTE_MS, Bar, Scale, aggregate, aggregate_all
from bars.aggregate import combine
from bars.interval import DAY_MS
from tests.support.recorded import NO_DECIMALS, Recorded
from wire.rows import bars_from_rows, row_from_bar

HOUR, MONTH = INTERVALS["1h"], INTERVALS["1M"]
REST_DAYS = "fapi_klines_1d_2025-06-29.tar.gz"
NEAR_SCALE = Scale(4, 0, 4)
"""NEARUSDT's precisions; with them its bars go back into the very text of 2025."""

OHLCV = ("open", "high", "low", "close", "volume")
Differences = dict[str, dict[str, tuple[str, str]]]
"""Time of opening → field → what the smaller bars give, what the larger bar says."""

JANUARY_TO_MARCH_2025 = ("2025-01", "2025-02", "2025-03")
AUGUST_TO_OCTOBER_2023 = ("2023-08", "2023-09", "2023-10")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * 1_000


def moment(open_ms: int) -> str:
    return datetime.fromtimestamp(open_ms // 1_000, timezone.utc).strftime("%Y-%m-%d %H:%M")


def ohlcv(bar: Bar) -> dict[str, Decimal]:
    prices = {name: Decimal(getattr(bar, name)).scaleb(-bar.scale.price) for name in OHLCV[:4]}
    return {**prices, "volume": Decimal(bar.volume).scaleb(-bar.scale.volume)}


def differences(ours: Iterable[Bar], theirs: Mapping[int, list[str]]) -> Differences:
    """Where two series differ in value; both must have the same open times."""
    found: Differences = {}
    opens = []
    for bar in ours:
        opens.append(bar.open_ms)
        row = dict(zip(OHLCV, theirs[bar.open_ms], strict=True))
        for name, value in ohlcv(bar).items():
            if value != Decimal(row[name]):
                other = Decimal(row[name]).normalize()
                found.setdefault(moment(bar.open_ms), {})[name] = f"{value.normalize():f}", f"{other:f}"
    assert opens == sorted(theirs)
    return found


def months(recorded: Recorded, symbol: str, interval: str, names: Iterable[str]) -> list[Bar]:
    return [bar for name in names for bar in recorded.archive_bars(symbol, interval, name)]


def larger_ohlcv(recorded: Recorded, symbol: str, interval: str, bars: list[Bar]) -> dict[int, list[str]]:
    return recorded.ohlcv(symbol, interval, bars[0].open_ms, INTERVALS[interval].next_open(bars[-1].open_ms))


@pytest.mark.parametrize(("month", "count"), [("2025-02", 8_064), ("2025-04", 8_640), ("2025-06", 8_640)])
def test_minutes_give_the_five_minute_bars_in_every_field_and_in_text(
    recorded: Recorded, month: str, count: int
) -> None:
    minutes = recorded.archive_bars("NEARUSDT", "1m", month, NEAR_SCALE)
    given = list(aggregate_all(minutes, FIVE_MINUTES))
    assert given == recorded.archive_bars("NEARUSDT", "5m", month, NEAR_SCALE)
    assert len(given) == count
    text = [[str(field) for field in row_from_bar(bar, FIVE_MINUTES)] for bar in given]
    assert text == recorded.archive_rows("NEARUSDT", "5m", month)


@pytest.mark.parametrize("interval", ["1m", "5m"])
def test_minutes_and_five_minute_bars_give_the_days_of_rest_in_all_ten_fields(
    recorded: Recorded, interval: str
) -> None:
    rows = recorded.rest_rows(REST_DAYS, "NEARUSDT")
    assert [moment(row[0]) for row in rows] == [f"2025-06-{day} 00:00" for day in range(17, 29)]
    bars = recorded.archive_bars("NEARUSDT", interval, "2025-06", NEAR_SCALE)
    inside = [bar for bar in bars if rows[0][0] <= bar.open_ms < rows[-1][0] + DAY_MS]
    assert [row_from_bar(bar, DAY) for bar in aggregate_all(inside, DAY)] == rows


def test_the_minutes_of_three_months_give_every_hour(recorded: Recorded) -> None:
    bars = months(recorded, "NEARUSDT", "1m", AUGUST_TO_OCTOBER_2023)
    hours = list(aggregate_all(bars, HOUR))
    assert len(hours) == 92 * 24
    assert differences(hours, larger_ohlcv(recorded, "NEAR_USDT", "1h", bars)) == {}


def test_the_minutes_of_three_months_give_every_day_but_the_one_that_contradicts_its_own_hours(
    recorded: Recorded,
) -> None:
    bars = months(recorded, "NEARUSDT", "1m", AUGUST_TO_OCTOBER_2023)
    days = list(aggregate_all(bars, DAY))
    assert len(days) == 92
    expected = {"2023-08-16 00:00": {"volume": ("70961864", "68713863")}}
    assert differences(days, larger_ohlcv(recorded, "NEAR_USDT", "1d", bars)) == expected
    hours = larger_ohlcv(recorded, "NEAR_USDT", "1h", bars)
    of_that_day = [Decimal(row[4]) for at_ms, row in hours.items() if DAY.floor(at_ms) == ms("2023-08-16")]
    assert sum(of_that_day) == Decimal("70961864")


def test_five_minute_bars_give_every_hour_but_the_four_that_the_archive_has_less_of(recorded: Recorded) -> None:
    bars = months(recorded, "1000PEPEUSDT", "5m", JANUARY_TO_MARCH_2025)
    hours = list(aggregate_all(bars, HOUR))
    assert len(hours) == 90 * 24
    assert differences(hours, larger_ohlcv(recorded, "1000PEPE_USDT", "1h", bars)) == {
        "2025-01-14 13:00": {"volume": ("2830746102", "3035425519")},
        "2025-01-14 15:00": {"low": ("0.017298", "0.01728"), "volume": ("1227923695", "1311656034")},
        "2025-01-29 01:00": {"volume": ("2958721509", "3722103008")},
        "2025-01-29 02:00": {"volume": ("4066778384", "4424228929")},
    }


def test_five_minute_bars_give_every_day_but_the_two_with_those_hours(recorded: Recorded) -> None:
    bars = months(recorded, "1000PEPEUSDT", "5m", JANUARY_TO_MARCH_2025)
    days = list(aggregate_all(bars, DAY))
    assert len(days) == 90
    assert differences(days, larger_ohlcv(recorded, "1000PEPE_USDT", "1d", bars)) == {
        "2025-01-14 00:00": {"volume": ("38154857578", "38443269334")},
        "2025-01-29 00:00": {"volume": ("93153026081", "94273858125")},
    }


def test_the_archive_lacks_the_same_trades_in_another_symbol(recorded: Recorded) -> None:
    bars = recorded.archive_bars("NEARUSDT", "5m", "2025-01")
    hours = differences(aggregate_all(bars, HOUR), larger_ohlcv(recorded, "NEAR_USDT", "1h", bars))
    assert hours == {
        "2025-01-14 13:00": {"volume": ("1894760", "2078645")},
        "2025-01-14 15:00": {"low": ("4.928", "4.924"), "volume": ("969044", "1025968")},
        "2025-01-29 01:00": {"volume": ("626218", "751105")},
        "2025-01-29 02:00": {"volume": ("685451", "711671")},
    }


@pytest.mark.parametrize("symbol", ["NEARUSDT", "1000PEPEUSDT", "BTCUSDT"])
def test_the_halt_of_january_2025_is_two_empty_bars(recorded: Recorded, symbol: str) -> None:
    empty = [moment(bar.open_ms) for bar in recorded.archive_bars(symbol, "5m", "2025-01") if bar.is_empty]
    assert empty == ["2025-01-29 01:25", "2025-01-29 01:30"]


def test_hours_of_a_dead_contract_give_its_flat_days(recorded: Recorded) -> None:
    hours = recorded.ohlcv("FTT_USDT", "1h", ms("2022-11-01"), ms("2023-03-01"))
    rows = [[at, *row, HOUR.close_ms(at), "0", int(row[4] != "0.0"), "0", "0", "0"] for at, row in hours.items()]
    days = list(aggregate_all(bars_from_rows(rows, HOUR, NO_DECIMALS), DAY))
    assert differences(days, recorded.ohlcv("FTT_USDT", "1d", ms("2022-11-01"), ms("2023-03-01"))) == {}
    assert sum(bar.is_empty for bar in days) > 100


class TestPrecisionChange:
    """SOLUSDT on 2025-04-09 09:30: volumes go from 0 to 2 decimals, quote volumes from 4 to 6.

    The month's own bar is in none of the recorded files, so the sums are checked against sums of the text.
    """

    CHANGE_MS = 1_744_191_000_000
    BEFORE, AFTER = Scale(4, 0, 4), Scale(4, 2, 6)

    @pytest.fixture
    def bars(self, recorded: Recorded) -> list[Bar]:
        return recorded.archive_bars("SOLUSDT", "5m", "2025-04", self.BEFORE)

    def text_sum(self, recorded: Recorded, column: int, start_ms: int, stop_ms: int) -> Decimal:
        rows = recorded.archive_rows("SOLUSDT", "5m", "2025-04")
        return sum((Decimal(row[column]) for row in rows if start_ms <= int(row[0]) < stop_ms), Decimal(0))

    def assert_sums(self, recorded: Recorded, bar: Bar, stop_ms: int) -> None:
        volume, quote = Decimal(1).scaleb(-bar.scale.volume), Decimal(1).scaleb(-bar.scale.quote)
        sums = [bar.volume * volume, bar.quote_volume * quote, Decimal(bar.trades)]
        sums += [bar.taker_buy_volume * volume, bar.taker_buy_quote_volume * quote]
        expected = [self.text_sum(recorded, column, bar.open_ms, stop_ms) for column in (5, 7, 8, 9, 10)]
        assert sums == expected

    def test_the_scale_widens_for_the_whole_month_and_no_value_changes(
        self, recorded: Recorded, bars: list[Bar]
    ) -> None:
        assert {bar.scale for bar in bars} == {Scale(4, 2, 5)}  # the sixth quote decimal is always 0: the tick is 0.01
        for bar, row in zip(bars, recorded.archive_rows("SOLUSDT", "5m", "2025-04"), strict=True):
            again = [Decimal(field) for field in row_from_bar(bar, FIVE_MINUTES)]
            assert again == [Decimal(field) for field in row]

    def test_each_part_in_the_contracts_scale_of_its_time_goes_back_into_its_text(self, recorded: Recorded) -> None:
        rows = recorded.archive_rows("SOLUSDT", "5m", "2025-04")
        changed = next(index for index, row in enumerate(rows) if int(row[0]) == self.CHANGE_MS)
        for part, scale in ((rows[:changed], self.BEFORE), (rows[changed:], self.AFTER)):
            read = bars_from_rows(part, FIVE_MINUTES, scale)
            assert read[0].scale == scale
            assert [[str(field) for field in row_from_bar(bar, FIVE_MINUTES)] for bar in read] == part

    def test_the_very_hour_day_and_month_add_up_across_the_change(self, recorded: Recorded, bars: list[Bar]) -> None:
        live: list[Bar] = []
        for row in recorded.archive_rows("SOLUSDT", "5m", "2025-04"):  # each bar in the scale known by then
            live += bars_from_rows([row], FIVE_MINUTES, live[-1].scale if live else self.BEFORE)
        assert [bar.scale for bar in live].count(self.BEFORE) == (self.CHANGE_MS - bars[0].open_ms) // (5 * MINUTE_MS)
        for interval in (HOUR, DAY, MONTH):
            open_ms = interval.floor(self.CHANGE_MS)
            inside = [bar for bar in live if interval.floor(bar.open_ms) == open_ms]
            bar = aggregate(inside, open_ms)
            assert inside[0].scale == self.BEFORE
            assert bar.scale == inside[-1].scale
            whole = next(whole for whole in aggregate_all(bars, interval) if whole.open_ms == open_ms)
            assert bar.rescaled(self.AFTER) == whole.rescaled(self.AFTER)
            self.assert_sums(recorded, bar, interval.next_open(open_ms))

    def test_all_days_and_the_month_equal_the_sums_of_the_text(self, recorded: Recorded, bars: list[Bar]) -> None:
        days = list(aggregate_all(bars, DAY))
        assert len(days) == 30
        for bar in days:
            self.assert_sums(recorded, bar, bar.open_ms + DAY_MS)
        (month,) = aggregate_all(days, MONTH)
        assert list(aggregate_all(bars, MONTH)) == [month]
        assert moment(month.open_ms) == "2025-04-01 00:00"
        self.assert_sums(recorded, month, ms("2025-05-01"))


@pytest.mark.parametrize(("symbol", "month", "empty"), [("NEARUSDT", "2023-09", 144), ("FILUSDT", "2024-10", 89)])
def test_every_empty_minute_is_flat_at_the_last_close(recorded: Recorded, symbol: str, month: str, empty: int) -> None:
    bars = recorded.archive_bars(symbol, "1m", month)
    pairs = [(before, bar) for before, bar in pairwise(bars) if bar.is_empty]
    assert len(pairs) == empty
    for before, bar in pairs:
        assert bar.open == bar.high == bar.low == bar.close == before.close
        assert combine(before, bar) == before


def test_weeks_from_minutes_equal_weeks_from_days(recorded: Recorded) -> None:
    week = INTERVALS["1w"]
    bars = months(recorded, "NEARUSDT", "1m", AUGUST_TO_OCTOBER_2023)
    weeks = list(aggregate_all(bars, week))
    assert weeks == list(aggregate_all(aggregate_all(bars, DAY), week))
    assert [moment(bar.open_ms) for bar in weeks[:2]] == ["2023-07-31 00:00", "2023-08-07 00:00"]
    assert len(weeks) == 14
