"""Rows of REST that still move right after their bar's end: what is stored of them does not stay."""

from __future__ import annotations

from pathlib import Path
from random import Random

from bars import FOUR_HOURS, Bar, Scale
from bars.interval import MINUTE_MS, SECOND_MS
from exchange import Reply
from exchange.simulated import default_plan
from exchange.simulated.world import World
from tests.support.virtual import VirtualExchange, VirtualSystem
from tests.support.virtual_exchange import wrong
from wire.requests import KlinesRequest

MOVES_MS = 40 * SECOND_MS


class MovingExchange(VirtualExchange):
    """Shows bars of every interval as others for a while after their end."""

    def klines(self, request: KlinesRequest, scale: Scale) -> Reply[list[Bar]]:
        reply = super().klines(request, scale)
        return Reply([self._moving(bar, request) for bar in reply.value], reply.used_weight)

    def _moving(self, bar: Bar, request: KlinesRequest) -> Bar:
        end_ms = request.interval.next_open(bar.open_ms)
        return wrong(bar) if end_ms <= self.now_ms < end_ms + MOVES_MS and not bar.is_empty else bar


def test_no_bar_of_any_interval_stays_as_it_was_shown_right_after_its_end(tmp_path: Path) -> None:
    exchange = MovingExchange(World(default_plan(3, 2, history_days=4, frames_per_minute=12, changes=False)), Random(3))
    exchange.advance(FOUR_HOURS.ceil(exchange.now_ms) + 12 * SECOND_MS)
    system = VirtualSystem(exchange, tmp_path / "bars.db", 3, speed=4.0)
    system.run(60)
    assert any("BTCUSDT 4h" in one for one in system.differences()), "a row was stored while it moved"
    system.speed = 60.0
    system.run(150 * MINUTE_MS / 1_000)
    system.stop()
    assert (system.differences(), system.gave_up) == ([], [])
    system.dispose()
