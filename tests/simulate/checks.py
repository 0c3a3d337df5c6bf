"""What must be true once the troubles are over, and what the exchange's truth has to say about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from bars import MINUTE, MINUTE_MS, STORED, Bar, ContractKey, Interval, Span, aggregate
from bars.gaps import merge, subtract
from bars.history import Depth
from bars.interval import HOUR_MS
from bars.ledger import Reason, State
from exchange.simulated.world import World
from storage import ContractRecord, Gap, Reader, StoredBar
from tests.simulate.shape import clock
from tests.support.virtual_exchange import truth_of

LATE_MS = 3 * MINUTE_MS
"""A closed bar may take so long to come."""
ALL = 1_000_000


class Truth:
    """What the exchange has, in the end."""

    def __init__(self, world: World, never: Mapping[str, frozenset[int]]) -> None:
        self._world = world
        self._never = never

    def bars(self, key: ContractKey, interval: Interval, span: Span) -> list[Bar]:
        """The closed bars of a contract that open in a half-open span."""
        contract = truth_of(self._world, key).contract
        stop_ms = min(span.stop_ms, interval.ceil(contract.delivery_ms))
        bars = self._world.bars(key.symbol, interval, span.start_ms, stop_ms, at_ms=key.onboard_ms)
        never = self._never.get(key.symbol, frozenset()) if interval is MINUTE else frozenset()
        return [bar for bar in bars if bar.open_ms not in never]

    def first_ms(self, key: ContractKey, interval: Interval) -> int:
        return interval.floor(truth_of(self._world, key).contract.first_ms)

    def delivery_ms(self, key: ContractKey) -> int:
        return truth_of(self._world, key).contract.delivery_ms

    def successor_ms(self, key: ContractKey) -> int | None:
        """When the symbol went to another contract."""
        later = [one.contract.onboard_ms for one in self._world.all_series[key.symbol]]
        return min((at_ms for at_ms in later if at_ms > key.onboard_ms), default=None)

    def is_untold(self, key: ContractKey, interval: Interval, bar: Bar) -> bool:
        """Whether a bar is one that the exchange showed of a contract of whose end it may never have told us.

        Its symbol's row in exchangeInfo went to another contract: before, it had flat minutes; since then larger bars
        that began before hold the other's trades.
        """
        successor_ms = self.successor_ms(key)
        if successor_ms is None:
            return False
        is_flat = interval is MINUTE and self.delivery_ms(key) <= bar.open_ms < successor_ms and bar.is_empty
        return is_flat or (interval is not MINUTE and bar.open_ms <= successor_ms < interval.next_open(bar.open_ms))

    def is_lost(self, key: ContractKey, now_ms: int) -> bool:
        """Whether nobody can be asked for its bars any more."""
        contract = truth_of(self._world, key).contract
        return self.successor_ms(key) is not None or (contract.refuses_klines and now_ms >= contract.delivery_ms)

    def traded(self, key: ContractKey, span: Span) -> bool:
        return any(not bar.is_empty for bar in self.bars(key, MINUTE, span))


class Checks:
    """Looks at a database from outside.

    Args:
        depths: how much history is wanted.
        now_ms: the exchange's time.
    """

    def __init__(self, reader: Reader, truth: Truth, depths: Mapping[Interval, Depth], now_ms: int) -> None:
        self._reader = reader
        self._truth = truth
        self._depths = depths
        self._now_ms = now_ms
        self._series = {(one.key, one.interval): one for one in reader.series()}

    # --- whether it is worth looking closely

    def unsettled(self, wanted: Iterable[ContractKey], compared_until_ms: int) -> str | None:
        """What is still under way; None when nothing is.

        Args:
            wanted: the contracts of which bars have to come.
            compared_until_ms: minutes that open before have to be compared with the exchange.
        """
        for key in wanted:
            minutes = self._series.get((key, MINUTE))
            stop_ms = min(MINUTE.floor(self._now_ms - LATE_MS), MINUTE.ceil(self._truth.delivery_ms(key)))
            due = self._truth.bars(key, MINUTE, Span(stop_ms - HOUR_MS, stop_ms))
            has_ended = self._truth.delivery_ms(key) <= self._now_ms
            record = self._reader.get(key)
            if record is not None and has_ended and record.contract.delivery_ms > self._truth.delivery_ms(key):
                return f"{key.symbol}'s end has not been told yet"
            if due and (not has_ended if minutes is None else minutes.last_ms < due[-1].open_ms):
                return f"{key.symbol}'s minutes end at {'no time' if minutes is None else clock(minutes.last_ms)}"
        for gap in self._reader.gaps(self._now_ms, self._depths):
            if not self._is_right(gap):
                return f"{told(gap)}: {gap.state.value}"
        for one in self._reader.unverified():
            if one.first_ms < compared_until_ms and not self._truth.is_lost(one.record.key, self._now_ms):
                return f"{one.record.contract.symbol}'s minute {clock(one.first_ms)} was not compared"
        return None

    # --- bars

    def wrong_bars(self) -> Iterator[str]:
        """Stored bars that are not the exchange's, in any of their ten fields."""
        for (key, interval), series in self._series.items():
            span = Span(series.first_ms, interval.next_open(series.last_ms))
            truth = {bar.open_ms: bar for bar in self._truth.bars(key, interval, span)}
            for stored in self._closed(key, interval):
                mine, theirs = stored.bar, truth.get(stored.bar.open_ms)
                if self._truth.is_untold(key, interval, mine):
                    continue
                if not stored.verified and self._truth.is_lost(key, self._now_ms):
                    continue  # nobody could be asked before it was too late
                if theirs is None:
                    yield f"{key.symbol} {interval} {clock(mine.open_ms, full=True)} does not exist"
                elif not _is_same(mine, theirs):
                    yield f"{key.symbol} {interval} {clock(mine.open_ms, full=True)}: {mine} is not {theirs}"

    def unexplained(self) -> Iterator[str]:
        """Spans without bars of which the ledger gives no reason or a wrong one, and gaps that are none."""
        gaps: dict[tuple[ContractKey, Interval], list[Gap]] = {}
        for gap in self._reader.gaps(self._now_ms, self._depths):
            gaps.setdefault((gap.key, gap.interval), []).append(gap)
        for record in self._reader.contracts():
            if any(key == record.key for key, _ in self._series):
                for interval in STORED:
                    yield from self._unexplained(record, interval, gaps.get((record.key, interval), []))

    def _unexplained(self, record: ContractRecord, interval: Interval, gaps: Sequence[Gap]) -> Iterator[str]:
        series, depth = self._series.get((record.key, interval)), self._depths[interval]
        stop_ms = interval.floor(self._now_ms - LATE_MS)
        starts_ms = [series.first_ms] if series else []
        if depth.length_ms != 0:
            # What opened within the depth when it was fetched may be behind it by now.
            starts_ms.append(
                interval.ceil(max(depth.start_ms(self._now_ms, interval), self._truth.first_ms(record.key, interval)))
            )
        if not starts_ms:
            return
        held = merge(Span(bar.open_ms, interval.next_open(bar.open_ms)) for bar in self._stored(record.key, interval))
        name = f"{record.contract.symbol} {interval}"
        known = merge([*held, *(gap.span for gap in gaps)])
        for hole in subtract([Span(min(starts_ms), stop_ms)], known):
            yield f"{name} {clock(hole.start_ms, full=True)} to {clock(hole.stop_ms)}: no bars, and no gap"
        for gap in gaps:
            if gap.reason is not Reason.PAUSE and any(not gap.span.intersect(one).is_empty for one in held):
                yield f"{told(gap)}, but has bars"
            if not self._is_right(gap):
                yield f"{told(gap)}: {gap.state.value}"

    def _is_right(self, gap: Gap) -> bool:
        key, interval, span = gap.key, gap.interval, gap.span
        if self._truth.successor_ms(key) is not None:
            return True  # the answers about its symbol may have been about the other contract
        if self._truth.is_lost(key, self._now_ms) and gap.state is not State.EXPLAINED:
            return True
        first_ms, delivery_ms = self._truth.first_ms(key, interval), self._truth.delivery_ms(key)
        match gap.reason:
            case Reason.NOT_LISTED | Reason.RELISTED if span.stop_ms <= first_ms:
                return True
            case Reason.DELISTED | Reason.RELISTED if span.start_ms >= interval.ceil(delivery_ms):
                return True
            case Reason.PAUSE:
                return not any(
                    self._truth.traded(record.key, span)
                    for record in self._reader.contracts()
                    if record.contract.contract_type == "PERPETUAL"
                )
        return interval is MINUTE and not self._truth.bars(key, interval, span)  # asked for until nobody hopes any more

    def wrong_partials(self) -> Iterator[str]:
        """Larger bars in progress that are not the closed minutes since their start and the minute in progress."""
        for record in self._reader.contracts():
            newest = self._in_progress(record, MINUTE)
            if newest is None or newest.open_ms + 2 * MINUTE_MS < self._now_ms:
                continue
            for interval in STORED[1:]:
                partial, start_ms = self._in_progress(record, interval), interval.floor(newest.open_ms)
                if partial is None or partial.open_ms != start_ms:
                    continue
                parts = [*self._truth.bars(record.key, MINUTE, Span(start_ms, newest.open_ms)), newest]
                expected = aggregate(parts, start_ms)
                if partial != expected.rescaled(partial.scale):
                    yield f"{record.contract.symbol} {interval} in progress: {partial} is not {expected}"

    # --- the file itself

    def broken_books(self, path: Path) -> Iterator[str]:
        """Summaries that are not what the bars add up to, and whatever SQLite finds."""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            for (text,) in connection.execute("PRAGMA integrity_check"):
                if text != "ok":
                    yield f"integrity: {text}"
            kept = set(connection.execute("SELECT contract_id, interval, first_ms, last_ms, bars FROM series"))
            counted = set(connection.execute(_COUNTED))
            yield from (f"the summary {row} is not {counted}" for row in sorted(kept - counted))
            left = set(
                connection.execute("SELECT contract_id, unverified, unverified_ms FROM series WHERE interval = 1")
            )
            open_ones = set(connection.execute(_UNVERIFIED))
            yield from (
                f"not compared: {row} is kept, {open_ones} counted" for row in sorted(left - open_ones, key=str)
            )
            for table in ("gap", "absent"):
                for row in connection.execute(_OVERLAPS.format(table=table)):
                    yield f"{table}: spans overlap: {row}"
            for row in connection.execute(_ABSENT_BUT_HELD):
                yield f"absent, but stored: {row}"

    # --- reading

    def _stored(self, key: ContractKey, interval: Interval) -> list[Bar]:
        return [one.bar for one in self._closed(key, interval)]

    def _closed(self, key: ContractKey, interval: Interval) -> list[StoredBar]:
        record = self._reader.get(key)
        assert record is not None
        return [one for one in self._reader.bars(record, interval, limit=ALL) if one.closed]

    def _in_progress(self, record: ContractRecord, interval: Interval) -> Bar | None:
        newest = self._reader.bars(record, interval, limit=1)
        return newest[-1].bar if newest and not newest[-1].closed else None


def _is_same(one: Bar, other: Bar) -> bool:
    """Whether two bars say the same; that values have more decimals from now on is seen where these are not 0."""
    scale = one.scale.widened(other.scale)
    return one.rescaled(scale) == other.rescaled(scale)


def told(gap: Gap) -> str:
    """A gap for people."""
    span = f"{clock(gap.span.start_ms, full=True)} to {clock(gap.span.stop_ms, full=True)}"
    return f"{gap.key.symbol} {gap.interval} {span} ({gap.reason.value})"


_COUNTED = """SELECT contract_id, interval, min(open_minute) * 60000, max(open_minute) * 60000, count(*)
    FROM bar GROUP BY contract_id, interval"""
_UNVERIFIED = """SELECT contract_id, coalesce(sum(mark & 24 = 0), 0),
    min(CASE WHEN mark & 24 = 0 THEN open_minute * 60000 END) FROM bar WHERE interval = 1 GROUP BY contract_id"""
_OVERLAPS = """SELECT contract_id, interval, start_ms, stop_ms, next FROM (
    SELECT *, lead(start_ms) OVER (PARTITION BY contract_id, interval ORDER BY start_ms) AS next FROM {table}
    ) WHERE next < stop_ms OR start_ms >= stop_ms"""
_ABSENT_BUT_HELD = """SELECT absent.contract_id, absent.interval, open_minute FROM absent JOIN bar
    ON bar.contract_id = absent.contract_id AND bar.interval = absent.interval
    AND open_minute * 60000 >= absent.start_ms AND open_minute * 60000 < absent.stop_ms"""
