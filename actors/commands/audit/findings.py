"""What an audit can find, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bars import Bar, ContractKey, Interval, Span, to_text
from bars.comparison import Contradiction, Difference, Verdict, differing
from bars.times import time_text

FIELDS_MAX = 3


class Kind(Enum):
    """What can be found, in words."""

    CONTRADICTION = "the exchange contradicts itself"
    FALSELY_EMPTY = "falsely empty at the exchange"
    DIFFERENT = "different"
    MISSING_HERE = "missing here"
    MISSING_THERE = "missing at the exchange"
    INCONSISTENT = "not the sum of smaller bars"
    NOT_COMPARED = "not compared"
    PAUSE = "empty in a pause of the exchange"

    @property
    def is_fault(self) -> bool:
        """Whether it says anything against what is stored."""
        return self not in (Kind.CONTRADICTION, Kind.FALSELY_EMPTY, Kind.PAUSE)


@dataclass(slots=True)
class Finding:
    """Neighbouring bars of one kind."""

    contract: ContractKey
    interval: Interval
    kind: Kind
    span: Span
    bars: int
    detail: str
    """About the first of them."""
    is_fault: bool
    mended: bool = False

    def line(self) -> str:
        bars = f"{self.bars:,} bar{'s' if self.bars != 1 else ''}"
        what = f"mended, was {self.kind.value}" if self.mended else self.kind.value
        span = f"{time_text(self.span.start_ms)} to {time_text(self.span.stop_ms)}"
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.contract.symbol} {self.interval} {span}: {bars} {what}{detail}"

    def as_json(self) -> dict[str, Any]:
        return {
            "symbol": self.contract.symbol,
            "onboard_time": self.contract.onboard_ms,
            "interval": self.interval.name,
            "kind": self.kind.name.lower(),
            "from": self.span.start_ms,
            "to": self.span.stop_ms,
            "bars": self.bars,
            "detail": self.detail,
            "mended": self.mended,
        }


def evidence(verdict: Verdict) -> Iterator[tuple[Kind, int, str]]:
    """What a verdict holds against bars: of each its kind, the bar's open time, and what about it, in words."""
    yield from ((Kind.CONTRADICTION, one.bar.open_ms, _sum_text(one)) for one in verdict.contradictions)
    yield from ((Kind.DIFFERENT, one.ours.open_ms, _difference_text(one)) for one in verdict.different)
    yield from ((Kind.MISSING_HERE, bar.open_ms, "") for bar in verdict.missing_here)
    yield from ((Kind.MISSING_THERE, bar.open_ms, "") for bar in verdict.missing_there)
    yield from ((Kind.INCONSISTENT, one.bar.open_ms, _sum_text(one)) for one in verdict.inconsistent)


def _difference_text(difference: Difference) -> str:
    ours, theirs = difference.ours, difference.theirs
    return _few_fields(
        f"{name} {_text(ours, name)} here, {_text(theirs, name)} there" for name in differing(ours, theirs)
    )


def _sum_text(found: Contradiction) -> str:
    names = differing(found.bar, found.total)
    return _few_fields(
        f"{name} {_text(found.bar, name)}, the {found.parts} bars give {_text(found.total, name)}" for name in names
    )


def _few_fields(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = len(listed) - FIELDS_MAX
    return "; ".join(listed[:FIELDS_MAX]) + (f"; {more} more fields" if more > 0 else "")


def _text(bar: Bar, name: str) -> str:
    units: int = getattr(bar, name)
    if name == "trades":
        return str(units)
    scale = bar.scale
    decimals = scale.quote if "quote" in name else scale.volume if "volume" in name else scale.price
    return to_text(units, decimals)
