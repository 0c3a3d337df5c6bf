"""The WebSocket side's heart: one timetable for all contracts, each frame rendered once."""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

import msgspec

from bars import MINUTE, MINUTE_MS, Bar, Interval
from exchange.simulated.clock import SimulatedClock
from exchange.simulated.connections import Audience, Channel, Connection
from exchange.simulated.counters import Counters
from exchange.simulated.disturbance import Disturbance
from exchange.simulated.timeline import Update, updates
from exchange.simulated.world import Series, World
from wire.frames import kline_event
from wire.framing import text_frame

TICK_S = 0.01
"""Frames leave in batches: at most one write per connection and tick."""
IDLE_S = 0.25
BEHIND_S = 1.0
"""When so far behind, states that newer ones have overtaken are not told any more."""
TRADE_IDS_PER_MINUTE = 100_000


class _Due(NamedTuple):
    due_ms: int
    order: int
    update: Update
    series: Series
    later: Iterator[Update] | None
    channel: Channel | None
    """Of a late final: the one stream that it is for."""


class Push:
    """Tells every update to those who listen, when it is due.

    Args:
        each_tick: called with the exchange's time whenever the timetable was served.
    """

    def __init__(
        self,
        world: World,
        clock: SimulatedClock,
        audience: Audience,
        disturbance: Disturbance,
        counters: Counters,
        each_tick: Callable[[int], None],
    ) -> None:
        self._world = world
        self._clock = clock
        self._audience = audience
        self._disturbance = disturbance
        self._counters = counters
        self._each_tick = each_tick
        self._empty_finals = world.plan.empty_minute_finals
        self._order = 0
        self._heap: list[_Due] = []
        self._touched: dict[Connection, None] = {}
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None

    def start(self, loop: AbstractEventLoop, *, tells: bool = True) -> None:
        """Begin with what is due from now on; nothing at all is told unless it `tells`."""
        self._loop = loop
        now_ms = self._clock.now_ms()
        for of_symbol in self._world.all_series.values() if tells else ():
            for series in of_symbol:
                if series.end_minute * MINUTE_MS > now_ms:
                    self._follow(series, updates(series, now_ms))
        self._tick()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None

    def _tick(self) -> None:
        if self._loop is None:
            return
        now_ms = self._clock.now_ms()
        self.run_until(now_ms)
        self._each_tick(now_ms)
        wait_s = self._clock.wait_s(self._heap[0].due_ms) if self._heap else IDLE_S
        self._timer = self._loop.call_later(min(IDLE_S, max(TICK_S, wait_s)), self._tick)

    def run_until(self, now_ms: int) -> None:
        """Tell everything that is due."""
        behind_ms = now_ms - int(BEHIND_S * 1_000 * self._clock.speed)
        while self._heap and self._heap[0].due_ms <= now_ms:
            due = heappop(self._heap)
            if due.later is not None:
                self._follow(due.series, due.later)
            if due.update.closed or due.due_ms >= behind_ms:
                self._tell(due)
        for channel, frame in self._disturbance.overtaken():
            self._send(channel, frame)
        for connection in self._touched:
            connection.flush()
        self._touched.clear()

    def _follow(self, series: Series, later: Iterator[Update]) -> None:
        update = next(later, None)
        if update is not None:
            self._put(update, series, later, None)

    def _put(self, update: Update, series: Series, later: Iterator[Update] | None, channel: Channel | None) -> None:
        self._order += 1
        heappush(self._heap, _Due(update.due_ms, self._order, update, series, later, channel))

    def _tell(self, due: _Due) -> None:
        contract = due.series.contract
        channels = self._audience.by_symbol.get(contract.symbol)
        if not channels or self._disturbance.frozen:
            return
        for channel in [due.channel] if due.channel else list(channels.values()):
            if channel.contract_type not in (None, contract.contract_type):
                continue
            told = self._bar(due, channel.interval)
            if told is None or (told.is_empty and not self._empty_finals):
                continue
            if due.update.closed and due.channel is None:
                fate = self._disturbance.final()
                if fate.late_ms:
                    late = due.update._replace(due_ms=due.due_ms + fate.late_ms)
                    self._put(late, due.series, None, channel)
                if fate.late_ms or fate.missing:
                    continue
            self._render(due, channel, told)

    def _bar(self, due: _Due, interval: Interval) -> Bar | None:
        """The bar to tell of this interval; None when this update concerns none."""
        update, symbol = due.update, due.series.contract.symbol
        if interval is MINUTE:
            return self._world.partial(symbol, update.open_ms, update.state_ms)
        if not update.closed:
            return self._world.progress(symbol, interval, update.state_ms)
        if interval.next_open(update.open_ms) != update.state_ms:
            return None
        bars = self._world.bars(symbol, interval, interval.floor(update.open_ms), update.state_ms, update.open_ms)
        return bars[0] if bars else None

    def _render(self, due: _Due, channel: Channel, bar: Bar) -> None:
        newest = due.update.open_ms // MINUTE_MS
        first_id = bar.open_ms // MINUTE_MS * TRADE_IDS_PER_MINUTE
        last_id = newest * TRADE_IDS_PER_MINUTE + bar.trades % TRADE_IDS_PER_MINUTE - 1
        event = kline_event(
            channel.symbol,
            channel.interval,
            bar,
            closed=due.update.closed,
            event_ms=due.due_ms,
            trade_ids=(first_id, max(first_id, last_id)) if bar.trades else (-1, -1),
            contract_type=channel.contract_type,
        )
        data = msgspec.json.encode(event).decode()
        frames = (text_frame(data), text_frame(f'{{"stream":"{channel.name}","data":{data}}}'))
        final = due.update.closed
        for copy in self._disturbance.copies(channel, frames, final=final):
            self._send(channel, copy)

    def _send(self, channel: Channel, frames: tuple[bytes, bytes]) -> None:
        raw, combined = frames
        for connection in channel.listeners:
            if not connection.frozen:
                connection.outbox.append(combined if connection.publisher.combined else raw)
                self._touched[connection] = None
                self._counters.frames_sent += 1
