"""A subscriber to all bars that keeps account: each final once and in order, nothing of a bar after its final."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from actors.messages import BarsPublished, FillHole
from bars import MINUTE, MINUTE_MS, Bar, ContractKey, Interval, Span
from tests.simulate.shape import clock
from wire.published import BarEvent

Series = tuple[ContractKey, Interval]


class Finals:
    """What one process told its subscribers. Subscribe with `deliver`.

    Args:
        never: minutes that the exchange never has a bar for, by symbol.
        relisted: contracts whose symbols go to others.
    """

    def __init__(self, never: Mapping[str, frozenset[int]], relisted: frozenset[ContractKey]) -> None:
        self._never = never
        self._relisted = relisted
        self.wrong: list[str] = []
        self._finals: dict[Series, list[Bar]] = {}
        self._newest_ms: dict[Series, int] = {}
        self._progress_ms: dict[ContractKey, int] = {}
        self._excused: dict[ContractKey, list[Span]] = {}
        self._published_ms: dict[Series, int] = {}

    def on_message(self, message: object) -> None:
        """Learn of minutes that a stream goes on without, knowingly: no finals can come of them; and of finals."""
        match message:
            case FillHole(contract, span):
                self._excused.setdefault(contract.key, []).append(span)
            case BarsPublished(key, bars, closed=True, is_history=False):
                for interval, bar in bars:
                    series = key, interval
                    self._published_ms[series] = max(bar.open_ms, self._published_ms.get(series, -1))

    def deliver(self, event: BarEvent) -> bool:
        """Take one bar."""
        key, interval, bar, closed, *_ = event
        series, last_ms = (key, interval), self._newest_ms.get((key, interval), -1)
        if bar.open_ms <= last_ms:
            kind = "another final" if closed else "a frame"
            self.wrong.append(
                f"{key.symbol} {interval} {clock(bar.open_ms)}: {kind} after the final of {clock(last_ms)}"
            )
        if not closed and interval is MINUTE:
            self._progress_ms[key] = bar.open_ms
        if closed:
            self._newest_ms[series] = bar.open_ms
            self._finals.setdefault(series, []).append(bar)
        return True

    def left_out(self, unheard: Iterable[BarsPublished], *, is_much_lost: bool) -> Iterator[str]:
        """Bars between the first final of a series and the last that no final was told of.

        Args:
            unheard: what nobody can have heard.
            is_much_lost: whether minutes were lost that subscribers had been told of; then no larger bars of them are
                told of, however late they come.
        """
        lost = _finals_in(unheard)
        for (key, interval), bars in self._finals.items():
            if key in self._relisted or (is_much_lost and interval is not MINUTE):
                continue  # the frames of the one that came after it may reach it until somebody says so
            never = self._never.get(key.symbol, frozenset())
            told_ms = {bar.open_ms for bar in bars}
            minutes = self._finals.get((key, MINUTE), bars)
            at_ms, last_ms = interval.floor(max(bars[0].open_ms, minutes[0].open_ms)), bars[-1].open_ms
            while at_ms < last_ms:
                span = Span(at_ms, interval.next_open(at_ms))
                is_excused = any(not span.intersect(one).is_empty for one in self._excused.get(key, ()))
                is_excused |= any(minute_ms in never for minute_ms in range(*span, MINUTE_MS))
                if at_ms not in told_ms and (key, interval, at_ms) not in lost and not is_excused:
                    yield f"{key.symbol} {interval} {clock(at_ms)}: no final went out"
                at_ms = interval.next_open(at_ms)

    def held_back(self, unheard: Iterable[BarsPublished]) -> str | None:
        """A series of which finals went out, but not yet the last that was made: it waits for the one before it.

        Args:
            unheard: what nobody can have heard.
        """
        lost = _finals_in(unheard)
        for (key, interval), last_ms in self._newest_ms.items():
            open_ms = self._published_ms.get((key, interval), -1)
            if open_ms > last_ms and (key, interval, open_ms) not in lost:
                return f"{key.symbol} {interval} {clock(open_ms)}: the final waits"
        return None

    def silent(self, keys: Iterable[ContractKey], since_ms: int) -> Iterator[str]:
        """Contracts that trade of which finals went out, and no bars in progress."""
        for key in keys:
            is_live = self._newest_ms.get((key, MINUTE), 0) > since_ms
            if is_live and self._progress_ms.get(key, 0) < since_ms:
                yield f"{key.symbol}: no bar in progress went out since {clock(since_ms)}"

    def late(self, keys: Iterable[ContractKey], since_ms: int) -> str | None:
        """A contract that trades of which no final of a minute went out since then, though finals are heard of."""
        for key in keys if self._newest_ms else ():
            last_ms = self._newest_ms.get((key, MINUTE), 0)
            if last_ms < since_ms:
                return f"{key.symbol}: the last final that went out is of {clock(last_ms)}"
        return None

    @property
    def count(self) -> int:
        return sum(map(len, self._finals.values()))


def _finals_in(sent: Iterable[BarsPublished]) -> set[tuple[ContractKey, Interval, int]]:
    """Which bars, by their open times."""
    return {(one.key, interval, bar.open_ms) for one in sent for interval, bar in one.bars}
