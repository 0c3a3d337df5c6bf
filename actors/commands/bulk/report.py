"""What a bulk download says of itself: the plan, how far it is, what came of it. No I/O."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.commands.bulk.series import Missing
from bars import STORED, Interval
from bars.times import time_text
from wire.archive_plan import Estimate

WINDOW_S = 30.0
"""Rates are those of the last half minute."""
BYTES_PER_BAR = 50
"""Measured: 47 on disk."""
SPANS_SHOWN = 40
"""More missing spans than this are named by their series only."""


class Done(NamedTuple):
    """What has been done so far."""

    files: int = 0
    pages: int = 0
    bytes: int = 0
    bars: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is. What the archive lacks may still add steps."""

    stage: str
    done: Done
    files_total: int
    pages_total: int
    bars_per_s: float
    remaining_s: float | None
    """Until all steps that are known are done, at the rates of the last half minute; None while nothing moves."""


@dataclass(slots=True)
class Meter:
    """Measures rates. Times are local monotonic seconds."""

    files_total: int = 0
    pages_total: int = 0
    done: Done = field(default_factory=Done)
    stage: str = "asking the exchange what there is"
    _seen: deque[tuple[float, Done]] = field(default_factory=deque)

    def add(self, *, files: int = 0, pages: int = 0, size_bytes: int = 0, bars: int = 0) -> None:
        was = self.done
        self.done = Done(was.files + files, was.pages + pages, was.bytes + size_bytes, was.bars + bars)

    def progress(self, now_s: float) -> Progress:
        """How far it is at `now_s`."""
        self._seen.append((now_s, self.done))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()
        then_s, then = self._seen[0]
        passed_s = max(1e-9, now_s - then_s)
        waits = [
            _wait_s(self.files_total - self.done.files, (self.done.files - then.files) / passed_s),
            _wait_s(self.pages_total - self.done.pages, (self.done.pages - then.pages) / passed_s),
        ]
        remaining_s = None if None in waits else max(wait for wait in waits if wait is not None)
        bars_per_s = (self.done.bars - then.bars) / passed_s if now_s > then_s else 0.0
        return Progress(self.stage, self.done, self.files_total, self.pages_total, bars_per_s, remaining_s)


def _wait_s(left: int, per_s: float) -> float | None:
    if left <= 0:
        return 0.0
    return left / per_s if per_s > 0 else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a download."""

    added: Counter[tuple[Interval, str]]
    """Bars by interval and by where they come from: archive, rest or aggregated."""
    missing: Sequence[Missing]
    warnings: Sequence[str]
    elapsed_s: float
    interrupted: bool

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing without an explanation."""
        return not self.interrupted and all(missing.is_explained for missing in self.missing)


def plan_lines(estimates: Sequence[tuple[Interval, int, Estimate]], duration_s: int) -> Iterator[str]:
    """The plan: a line for each interval with the number of series that lack something, and a sum."""
    total = Estimate()
    for interval, series, part in estimates:
        total = total.plus(part)
        if part.bars:
            yield f"  {interval.name:<4}{series:>5} series  {_amounts(part)}"
    if not total.bars:
        yield "nothing is missing"
        return
    size = size_text(total.bars * BYTES_PER_BAR)
    yield f"  in all        {_amounts(total)}; about {duration_text(duration_s)}, {size} on disk"


def progress_text(progress: Progress) -> str:
    """One line."""
    done = progress.done
    facts = [
        f"{done.files:,}/{progress.files_total:,} files",
        f"{done.pages:,}/{progress.pages_total:,} REST pages",
        f"{done.bars:,} bars",
    ]
    return f"{progress.stage}: {', '.join(filter(None, [*facts, rates_text(progress), remaining_text(progress)]))}"


def rates_text(progress: Progress) -> str:
    return f"{progress.bars_per_s:,.0f} bars/s" if progress.bars_per_s >= 1 else ""


def remaining_text(progress: Progress) -> str:
    return f"about {duration_text(round(progress.remaining_s))} left" if progress.remaining_s else ""


def summary_lines(outcome: Outcome) -> Iterator[str]:
    """What was added and what is missing; the unexplained comes last."""
    yield from outcome.warnings
    total = sum(outcome.added.values())
    yield f"added {total:,} bars in {duration_text(round(outcome.elapsed_s))}"
    for interval in STORED:
        parts = [f"{outcome.added[interval, way]:,} {way}" for way in _WAYS if outcome.added[interval, way]]
        if parts:
            yield f"  {interval.name:<4}{', '.join(parts)}"
    explained = [one for one in outcome.missing if one.is_explained]
    if explained:
        yield f"missing with a reason: {sum(one.bars for one in explained):,} bars"
        yield from _missing_lines(explained)
    if outcome.interrupted:
        yield "interrupted: what was fetched is stored, and the same command goes on from there"
    unexplained = [one for one in outcome.missing if not one.is_explained]
    if unexplained:
        yield f"missing: {sum(one.bars for one in unexplained):,} bars in {len(unexplained):,} spans"
        yield from _missing_lines(unexplained)


_WAYS = ("archive", "rest", "aggregated")


def _missing_lines(missing: Sequence[Missing]) -> Iterator[str]:
    if len(missing) <= SPANS_SHOWN:
        for symbol, interval, span, reason, _ in missing:
            yield f"  {symbol} {interval} from {time_text(span.start_ms)} to {time_text(span.stop_ms)}: {reason}"
        return
    by_series: dict[tuple[str, Interval], list[Missing]] = {}
    for one in missing:
        by_series.setdefault((one.symbol, one.interval), []).append(one)
    for (symbol, interval), spans in by_series.items():
        between = f"from {time_text(spans[0].span.start_ms)} to {time_text(spans[-1].span.stop_ms)}"
        count = f"{sum(one.bars for one in spans):,} bars in {len(spans)} spans"
        yield f"  {symbol} {interval} {count} {between}: {spans[-1].reason}"


def _amounts(part: Estimate) -> str:
    return f"{part.bars:>12,} bars: {part.files:,} files ({size_text(part.bytes)}), {part.pages:,} REST pages"


def duration_text(seconds: int) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def size_text(size_bytes: int) -> str:
    """`12.3 MB`, `4.0 GB`."""
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.1f} MB"
