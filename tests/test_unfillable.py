"""Minutes that the exchange does not show: asked for only so often, remembered, and taken when they come."""

from __future__ import annotations

from pathlib import Path
from random import Random

from bars import MINUTE, MINUTE_MS, Bar, Scale, Span
from bars.history import parse_history
from exchange import Refused, Reply
from exchange.simulated import default_plan
from exchange.simulated.timeline import Update
from exchange.simulated.world import Series, World
from storage import Gap
from tests.support.virtual import VirtualExchange, VirtualSystem
from wire.requests import KlinesRequest

SYMBOL = "ETHUSDT"
ONLY_MINUTES = parse_history("1m=2h,5m=none,30m=none,4h=none,1d=none,1w=none")


class SecretiveExchange(VirtualExchange):
    """Shows nothing of one contract in the span `hidden`: over the streams no final, over REST no row."""

    hidden = Span(0, 0)
    refuses = False
    asked = 0
    """Requests for what is hidden."""

    def klines(self, request: KlinesRequest, scale: Scale) -> Reply[list[Bar]]:
        reply = super().klines(request, scale)
        shown = [bar for bar in reply.value if request.symbol != SYMBOL or not self._hides(bar.open_ms)]
        if len(shown) < len(reply.value):
            self.asked += 1
            if self.refuses:
                raise Refused("asking: got HTTP 400", status=400, code=-1122, message="Invalid symbol status.")
        return Reply(shown, reply.used_weight)

    def _send(self, series: Series, update: Update) -> None:
        if series.contract.symbol != SYMBOL or not self._hides(update.open_ms):
            super()._send(series, update)

    def _hides(self, open_ms: int) -> bool:
        return self.hidden.start_ms <= open_ms < self.hidden.stop_ms


def a_system(folder: Path) -> tuple[SecretiveExchange, VirtualSystem]:
    world = World(default_plan(3, 2, history_days=4, frames_per_minute=12, changes=False))
    exchange = SecretiveExchange(world, Random(3))
    system = VirtualSystem(exchange, folder / "bars.db", 3)
    system.run(5 * 60)
    return exchange, system


def gaps(system: VirtualSystem) -> list[Gap]:
    found = system.reader.gaps(system.exchange.now_ms, ONLY_MINUTES)
    apart = {"not listed yet", "exchange pause"}  # this world's own
    return [gap for gap in found if gap.key.symbol == SYMBOL and gap.reason.value not in apart]


def test_a_contract_that_falls_silent_is_asked_for_less_and_less_and_is_whole_when_it_speaks_again(
    tmp_path: Path,
) -> None:
    exchange, system = a_system(tmp_path)
    start_ms = MINUTE.floor(exchange.now_ms)
    exchange.hidden = Span(start_ms, start_ms + 60 * MINUTE_MS)
    system.run(40 * 60)
    assert 8 <= exchange.asked <= 8 + 40 / 4 + 4
    first = gaps(system)[0]
    assert (first.span.start_ms, first.reason.value, first.state.value) == (start_ms, "unfillable", "unfillable")
    exchange.hidden = Span(0, 0)
    system.run(10 * 60)
    assert gaps(system) == []
    system.stop()
    assert system.differences() == []
    assert system.gave_up == []


def test_a_hole_before_finals_that_come_is_passed_over_remembered_and_filled_when_rest_has_it(tmp_path: Path) -> None:
    exchange, system = a_system(tmp_path)
    start_ms = MINUTE.floor(exchange.now_ms)
    hole = Span(start_ms, start_ms + 2 * MINUTE_MS)
    exchange.hidden = hole
    system.run(30 * 60)
    assert exchange.asked <= 20
    assert [gap.span for gap in gaps(system)] in ([], [hole])
    assert system.behind_ms() < 3 * MINUTE_MS
    exchange.hidden = Span(0, 0)
    system.run(75 * 60)
    system.stop()
    assert system.differences() == []


def test_a_contract_for_which_requests_are_refused_is_not_asked_for_all_the_time(tmp_path: Path) -> None:
    exchange, system = a_system(tmp_path)
    start_ms = MINUTE.floor(exchange.now_ms)
    exchange.hidden, exchange.refuses = Span(start_ms, start_ms + 600 * MINUTE_MS), True
    system.run(30 * 60)
    assert 8 <= exchange.asked <= 30
    assert gaps(system)[0].state.value == "unfillable"
    system.stop()
