"""The vocabulary of Barkeep: bars, intervals, contracts and what can be worked out about them.

Pure: no input or output, no clock, no threads. Times are UTC milliseconds; spans are half-open; values
are exact integers in units of a `Scale`.
"""

from bars.aggregate import aggregate, aggregate_all, combine
from bars.bar import Bar, Scale, checked
from bars.cascade import Cascade, IntervalBar
from bars.clock import ExchangeClock
from bars.confirmation import COMPARED_AFTER_MS, Comparison, compare
from bars.contract import Contract, ContractKey
from bars.decimals import to_text, to_units, volume_text
from bars.errors import BarError, InvalidBar, InvalidDecimal, MoreDecimals, UnitsOverflow
from bars.gaps import Span
from bars.interval import (
    DAY,
    FIVE_MINUTES,
    FOUR_HOURS,
    HALF_HOUR,
    INTERVALS,
    LARGER,
    MINUTE,
    MINUTE_MS,
    STORED,
    WEEK,
    Interval,
    stored_source,
)
from bars.sequence import MinuteSequence, Patience

__all__ = [
    "COMPARED_AFTER_MS",
    "DAY",
    "FIVE_MINUTES",
    "FOUR_HOURS",
    "HALF_HOUR",
    "INTERVALS",
    "LARGER",
    "MINUTE",
    "MINUTE_MS",
    "STORED",
    "WEEK",
    "Bar",
    "BarError",
    "Cascade",
    "Comparison",
    "Contract",
    "ContractKey",
    "ExchangeClock",
    "Interval",
    "IntervalBar",
    "InvalidBar",
    "InvalidDecimal",
    "MinuteSequence",
    "MoreDecimals",
    "Patience",
    "Scale",
    "Span",
    "UnitsOverflow",
    "aggregate",
    "aggregate_all",
    "checked",
    "combine",
    "compare",
    "stored_source",
    "to_text",
    "to_units",
    "volume_text",
]
