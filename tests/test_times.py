"""Times as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bars.interval import DAY_MS, MINUTE_MS, SECOND_MS, TIME_MAX_MS
from bars.times import parse_time, time_text


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("0", 0),
        ("1738281600000", 1_738_281_600_000),
        ("1970-01-01", 0),
        ("2025-01-31", 1_738_281_600_000),
        (" 2025-01-31 ", 1_738_281_600_000),
        ("2024-02-29", 1_709_164_800_000),
        ("2025-01-31T12:30", 1_738_326_600_000),
        ("2025-01-31 12:30", 1_738_326_600_000),
        ("2025-01-31T12:30:15", 1_738_326_615_000),
        ("2025-01-31T12:30:15Z", 1_738_326_615_000),
        ("2025-01-31T12:30:15.25", 1_738_326_615_250),
        ("2025-01-31T12:30:15.007Z", 1_738_326_615_007),
        ("2025-01-31T14:30+02:00", 1_738_326_600_000),
        ("2025-01-31T07:00:00-05:30", 1_738_326_600_000),
        ("2025-01-31T12:30+00:59", 1_738_323_060_000),
        ("100000000000000", TIME_MAX_MS),
    ],
)
def test_dates_date_times_and_milliseconds_are_read(text: str, time_ms: int) -> None:
    assert str(parse_time(text)) == str(time_ms)  # a float would be equal


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+5", "1e3", "yesterday", "2025-01-31T", "2025-1-31", "2025-02-30", "31.01.2025"),
        *("2025-01-31T25:00", "2025-01-31T12", "2025-01-31T12:60", "2025-01-31T12:30:15.1234", "2025-01-31Z"),
        *(
            "2025-01-31T12:30+0200",
            "2025-01-31T12:30+02:75",
            "1969-12-31T23:59:59",
            "9999-01-01",
            "\u0662\u0660\u0662\u0665-01-31",
        ),
        *("100000000000001", "1738281600000000", "2025-W05-1", "2025-01-31T12:30+24:00"),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a date \(2025-01-31\), a date-time in UTC .* or milliseconds$"):
        parse_time(text)


@given(st.integers(0, TIME_MAX_MS), st.sampled_from([1, SECOND_MS, MINUTE_MS, DAY_MS]))
def test_a_time_goes_into_text_and_back(time_ms: int, step_ms: int) -> None:
    time_ms -= time_ms % step_ms
    assert parse_time(time_text(time_ms)) == parse_time(str(time_ms)) == time_ms


def test_the_text_of_a_time_is_as_short_as_can_be() -> None:
    texts = [time_text(1_738_281_600_000 + ms) for ms in (0, 5 * MINUTE_MS, SECOND_MS, 1)]
    assert texts == ["2025-01-31", "2025-01-31T00:05", "2025-01-31T00:00:01", "2025-01-31T00:00:00.001"]
