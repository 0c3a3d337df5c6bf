"""One series of a bulk download: what of it is wanted, what was tried, what went wrong. No I/O but reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bars import Contract, Interval, Span
from bars.gaps import merge, subtract
from bars.history import Depth
from storage import Reader
from wire.archive import MONTH, Period, period_of
from wire.archive_plan import Published, Source, Steps, plan


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bulk download is asked for. Times are compared with open times."""

    intervals: tuple[Interval, ...]
    start_ms: int | None = None
    """Inclusive; None: as deep as the history's depth says."""
    stop_ms: int | None = None
    """Exclusive; None: up to now."""
    source: Source = Source.AUTO

    def span_of(self, contract: Contract, interval: Interval, depth: Depth, settled_ms: int) -> Span:
        """The open times wanted of one series: whole buckets, within the contract's life, closed and settled.

        The first bucket may open before the launch, since it holds it.
        """
        start_ms = depth.start_ms(settled_ms, interval) if self.start_ms is None else interval.ceil(self.start_ms)
        stop_ms = min(interval.floor(settled_ms), interval.ceil(contract.delivery_ms))
        if self.stop_ms is not None:
            stop_ms = min(stop_ms, interval.ceil(self.stop_ms))
        return Span(max(start_ms, interval.floor(contract.onboard_ms)), stop_ms)


class Missing(NamedTuple):
    """A span that is still missing when all was tried, and why; `is_explained` when nothing is wrong with that."""

    symbol: str
    interval: Interval
    span: Span
    reason: str
    is_explained: bool

    @property
    def bars(self) -> int:
        return self.interval.count(*self.span)


@dataclass(slots=True, eq=False)
class Series:
    """The state of one series' download."""

    contract: Contract
    interval: Interval
    span: Span
    source: Source
    published: Published
    is_open_ended: bool
    """Whether it goes as far as there is, not to a time that was asked for."""
    known: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 by period of the files that were loaded in former runs."""
    tried: set[Period] = field(default_factory=set)
    read: set[Period] = field(default_factory=set)
    """The files that were loaded, now or in former runs."""
    asked: list[Span] = field(default_factory=list)
    problems: list[tuple[Span, str]] = field(default_factory=list)
    first_loaded_ms: int | None = None
    """The oldest bar that a file brought."""
    pending: int = 0
    """Files and pages under way or waiting."""

    def holes(self, reader: Reader) -> list[Span]:
        """What is missing now."""
        record = reader.get(self.contract.key)
        return [self.span] if record is None else reader.holes(record, self.interval, self.span)

    def remember(self, reader: Reader) -> None:
        """Learn which files were loaded in former runs. Only where nothing but files will do are they looked at again,
        for the archive replaces files now and then."""
        record = reader.get(self.contract.key)
        self.known = {} if record is None else reader.loaded_files(record, self.interval)
        self.read = {period for text in self.known if (period := period_of(f"-{text}.zip")) is not None}
        if self.source is not Source.ARCHIVE:
            self.tried = set(self.read)

    def next_steps(self, holes: Sequence[Span]) -> Steps:
        """What to do next, and note it as tried."""
        steps = plan(holes, self.interval, self.published, self.source, self.tried, self.asked)
        self.tried.update(steps.periods)
        self.asked = merge([*self.asked, *steps.pages])
        self.pending = len(steps.periods) + len(steps.pages)
        return steps

    def covers(self, period: Period) -> bool:
        """Whether all bars of a file that belong to the contract are wanted."""
        life = Span(self.interval.floor(self.contract.onboard_ms), self.contract.delivery_ms)
        whole = Span(self.interval.ceil(period.start_ms), period.stop_ms).intersect(life)
        return whole.intersect(self.span) == whole or whole.is_empty

    def still_missing(self, holes: Sequence[Span]) -> list[Missing]:
        """The holes that are left, each with its reason."""
        return [self._missing(hole) for hole in holes]

    def _missing(self, hole: Span) -> Missing:
        reason, is_explained = self._reason(hole)
        return Missing(self.contract.symbol, self.interval, hole, reason, is_explained)

    def _reason(self, hole: Span) -> tuple[str, bool]:
        problems = [text for span, text in self.problems if not span.intersect(hole).is_empty]
        if problems:
            return "; ".join(dict.fromkeys(problems)), False
        if self.source is not Source.ARCHIVE:
            return "the exchange has not returned them", False
        if self._is_before_first(hole):
            return "before the first bar that the archive has, in the month of the launch", True
        if self._is_tail(hole):
            return "not yet published by the archive", self.is_open_ended
        return "not in the archive's files", False

    def is_archive_hole(self, hole: Span) -> bool:
        """Whether the archive alone was asked for what is missing, and has it neither now nor soon."""
        return self.source is Source.ARCHIVE and not self._is_before_first(hole) and not self._is_tail(hole)

    def archive_lacks(self, hole: Span) -> bool:
        """Whether files that should have it were read, and have it not."""
        return not list(subtract([hole], merge(Span(one.start_ms, one.stop_ms) for one in self.read)))

    def _is_before_first(self, hole: Span) -> bool:
        """Whether nothing of the first month is before it."""
        if self.first_loaded_ms is None or hole.stop_ms > self.first_loaded_ms:
            return False
        first = Period.of(MONTH, self.contract.onboard_ms)
        return hole.start_ms >= self.interval.floor(first.start_ms) and self.first_loaded_ms < first.stop_ms

    def _is_tail(self, hole: Span) -> bool:
        return hole.stop_ms == self.span.stop_ms
