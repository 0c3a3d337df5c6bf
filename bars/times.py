"""Times as people write them: `2025-01-31`, `2025-01-31T12:30Z`, `1738326600000`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from bars.interval import DAY_MS, SECOND_MS, TIME_MAX_MS

EXPECTED = "a date (2025-01-31), a date-time in UTC (2025-01-31T12:30) or milliseconds"

_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_DATE_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.(?P<fraction>[0-9]{1,3}))?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_time(text: str) -> int:
    """UTC milliseconds of an ISO date (00:00), an ISO date-time (UTC unless it names another offset), or milliseconds.

    Raises:
        ValueError: none of these, before 1970 or after 5138; worded to stand after "expected".
    """
    text = text.strip()
    if _MILLISECONDS.fullmatch(text):
        time_ms = int(text)
    else:
        match = _DATE_TIME.fullmatch(text)
        if match is None:
            raise ValueError(EXPECTED)
        time_ms = _date_time_ms(match)
    if not 0 <= time_ms <= TIME_MAX_MS:
        raise ValueError(EXPECTED)
    return time_ms


def time_text(time_ms: int) -> str:
    """The shortest text that `parse_time` reads as this time: a date at 00:00, else a date-time."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    if time_ms % DAY_MS == 0:
        return moment.strftime("%Y-%m-%d")
    if time_ms % SECOND_MS:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % SECOND_MS:03}"
    return moment.strftime("%Y-%m-%dT%H:%M:%S" if moment.second else "%Y-%m-%dT%H:%M")


def _date_time_ms(match: re.Match[str]) -> int:
    clock = match["clock"] or "00:00"
    zone = (match["zone"] or "Z").replace("Z", "+00:00")
    if zone[-2:] > "59":
        raise ValueError(EXPECTED)
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{clock}{zone}")
    except ValueError:
        raise ValueError(EXPECTED) from None
    return (moment - _EPOCH) // timedelta(milliseconds=1) + int((match["fraction"] or "0").ljust(3, "0"))
