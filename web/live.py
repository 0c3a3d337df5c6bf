"""What may be told of one series, and in which order; derived bars grow from stored ones. Pure.

The rules: after a bar's final nothing more of that bar or an older one; finals in order; nothing in a minute in
which nobody trades; nothing that was told before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bars import Bar, ContractKey, Interval, Span, aggregate, stored_source
from wire.published import BarEvent


class Lack(NamedTuple):
    """Closed parts of the bucket that opens at `bucket_ms` are needed up to `stop_ms`, half-open."""

    bucket_ms: int
    stop_ms: int


class LiveSeries:
    """One symbol's bars of one interval as subscribers see them.

    It is fed with the events of `source`, the stored interval that its bars are made of, or are.
    """

    def __init__(self, symbol: str, interval: Interval) -> None:
        self.symbol = symbol
        self.interval = interval
        self.source = stored_source(interval)
        self.key: ContractKey | None = None
        self._growth = Growth(interval, self.source)
        self._final_ms = -1
        self._told: Bar | None = None

    @property
    def is_derived(self) -> bool:
        return self.source is not self.interval

    def take(self, event: BarEvent) -> list[BarEvent]:
        """The events to tell because of one of the source interval; none of an older contract of the same symbol."""
        if self.key != event.key:
            if self.key is not None and event.key.onboard_ms < self.key.onboard_ms:
                return []
            self.key, self._growth = event.key, Growth(self.interval, self.source)
        return self._tellable(self._growth.take(event) if self.is_derived else [event])

    def lacks(self) -> list[Lack]:
        """Which closed parts are to be looked up, so that bars can be derived."""
        return self._growth.lacks()

    def look_again(self) -> list[Lack]:
        """The parts of the bars in progress, all of them: minutes are revised at times."""
        return self._growth.look_again()

    def fill(self, key: ContractKey, lack: Lack, parts: Iterable[Bar], absent: Sequence[Span]) -> list[BarEvent]:
        """Take in what was looked up, and where there are no parts; returns the events to tell now."""
        return self._tellable(self._growth.fill(lack, parts, absent)) if key == self.key else []

    def _tellable(self, events: Iterable[BarEvent]) -> list[BarEvent]:
        return [event for event in events if self._may_tell(event)]

    def _may_tell(self, event: BarEvent) -> bool:
        bar = event.bar
        if bar.open_ms <= self._final_ms:
            return False
        if event.closed:
            self._final_ms = bar.open_ms
            self._told = None
            return True
        if bar.is_empty or bar == self._told:
            return False
        self._told = bar
        return True


class Growth:
    """The bars of an interval that is not stored, in progress and closed, from the events of its source."""

    def __init__(self, interval: Interval, source: Interval) -> None:
        self._interval = interval
        self._source = source
        self._buckets: dict[int, _Bucket] = {}
        self._done_ms = -1
        self._closed_to_ms = 0

    def take(self, part: BarEvent) -> list[BarEvent]:
        """The bar that a part completes, or the one in progress that it changes."""
        bucket = self._bucket(self._interval.floor(part.bar.open_ms))
        if bucket is None:
            return []
        if part.closed:
            bucket.close(part)
            self._closed_to_ms = max(self._closed_to_ms, self._source.next_open(part.bar.open_ms))
            return self._completed(bucket, part)
        bucket.progress(part)
        return bucket.in_progress(self._interval)

    def lacks(self) -> list[Lack]:
        return [lack for bucket in self._buckets.values() if (lack := bucket.lack(self._closed_to_ms)) is not None]

    def look_again(self) -> list[Lack]:
        return [lack for bucket in self._buckets.values() if (lack := bucket.everything()) is not None]

    def fill(self, lack: Lack, parts: Iterable[Bar], absent: Sequence[Span]) -> list[BarEvent]:
        bucket = self._buckets.get(lack.bucket_ms)
        if bucket is None:
            return []
        was_lacking = bucket.lack(self._closed_to_ms) is not None
        bucket.fill(parts, absent)
        completed = self._completed(bucket, bucket.newest)
        return completed or (bucket.in_progress(self._interval) if was_lacking else [])

    def _bucket(self, open_ms: int) -> _Bucket | None:
        if open_ms <= self._done_ms:
            return None
        bucket = self._buckets.get(open_ms)
        if bucket is None:
            span = Span(open_ms, self._interval.next_open(open_ms))
            bucket = self._buckets[open_ms] = _Bucket(span, self._source)
        return bucket

    def _completed(self, bucket: _Bucket, cause: BarEvent | None) -> list[BarEvent]:
        bar = bucket.whole()
        if bar is None or cause is None:
            return []
        self._done_ms = bar.open_ms
        self._buckets = {open_ms: one for open_ms, one in self._buckets.items() if open_ms > bar.open_ms}
        return [cause._replace(interval=self._interval, bar=bar, closed=True)]


class _Bucket:
    """The parts of one bar: closed ones in a row from its start, and those in progress behind them."""

    def __init__(self, span: Span, source: Interval) -> None:
        self.newest: BarEvent | None = None
        self._span = span
        self._source = source
        self._closed: dict[int, Bar] = {}
        self._open: dict[int, Bar] = {}
        self._absent: Sequence[Span] = ()
        self._covered_ms = span.start_ms
        self._total: Bar | None = None

    def close(self, part: BarEvent) -> None:
        open_ms = part.bar.open_ms
        self._open.pop(open_ms, None)
        self._closed[open_ms] = part.bar
        if self.newest is None or self.newest.bar.open_ms <= open_ms:
            self.newest = part
        self._cover()

    def progress(self, part: BarEvent) -> None:
        if part.bar.open_ms not in self._closed:
            self._open[part.bar.open_ms] = part.bar
            self.newest = part

    def fill(self, parts: Iterable[Bar], absent: Sequence[Span]) -> None:
        for part in parts:
            self._open.pop(part.open_ms, None)
            self._closed[part.open_ms] = part
        self._absent = absent
        self._cover()

    def whole(self) -> Bar | None:
        """The closed bar; None while parts are missing, and where there are none."""
        return self._total if self._covered_ms >= self._span.stop_ms else None

    def in_progress(self, interval: Interval) -> list[BarEvent]:
        """The bar up to the newest part; nothing while a part before it is missing."""
        newest = self.newest
        if newest is None or newest.bar.open_ms not in self._open:
            return []
        parts = [] if self._total is None else [self._total]
        at_ms = self._covered_ms
        while at_ms in self._open:
            parts.append(self._open[at_ms])
            at_ms = self._source.next_open(at_ms)
        if at_ms <= newest.bar.open_ms:
            return []
        bar = aggregate(parts, self._span.start_ms)
        return [newest._replace(interval=interval, bar=bar, closed=False)]

    def lack(self, closed_to_ms: int) -> Lack | None:
        """What is missing before the newest part; all, once a later bar's first part is closed."""
        needed_ms = min(max([closed_to_ms, *self._open]), self._span.stop_ms)
        reached_ms = self._covered_ms
        while reached_ms in self._open:
            reached_ms = self._source.next_open(reached_ms)
        return Lack(self._span.start_ms, needed_ms) if reached_ms < needed_ms else None

    def everything(self) -> Lack | None:
        """All parts that must be closed."""
        return Lack(self._span.start_ms, self._covered_ms) if self._covered_ms > self._span.start_ms else None

    def _cover(self) -> None:
        at_ms, parts = self._span.start_ms, []
        while at_ms < self._span.stop_ms:
            if (part := self._closed.get(at_ms)) is not None:
                parts.append(part)
                at_ms = self._source.next_open(at_ms)
            elif (
                gone := next((span for span in self._absent if span.start_ms <= at_ms < span.stop_ms), None)
            ) is not None:
                at_ms = self._source.ceil(gone.stop_ms)
            else:
                break
        self._covered_ms = at_ms
        self._total = aggregate(parts, self._span.start_ms) if parts else None
