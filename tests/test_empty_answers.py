"""REST answers without a row, of nodes that have lost something: they hide no hole, and none is asked for for ever."""

from __future__ import annotations

from pathlib import Path
from random import Random

from bars import MINUTE, MINUTE_MS, Bar, Scale, Span
from bars.history import parse_history
from bars.interval import DAY_MS, HOUR_MS
from exchange import Reply
from exchange.simulated import default_plan
from exchange.simulated.timeline import Update
from exchange.simulated.world import Series, World
from storage import Gap
from tests.support.virtual import VirtualExchange, VirtualSystem
from wire.requests import KlinesRequest

SYMBOL = "ETHUSDT"
HISTORY = "1m=3d,5m=none,30m=none,4h=none,1d=none,1w=none"


class ForgetfulExchange(VirtualExchange):
    """Has no row of one contract in the span `hidden`; while it `is_forgetful`, none at all."""

    is_forgetful = False
    hidden = Span(0, 0)
    asked = 0
    """Requests of minutes that lie in what is hidden."""

    def klines(self, request: KlinesRequest, scale: Scale) -> Reply[list[Bar]]:
        reply = super().klines(request, scale)
        if request.symbol != SYMBOL or request.interval is not MINUTE:
            return reply
        shown = [bar for bar in reply.value if not self.hidden.start_ms <= bar.open_ms < self.hidden.stop_ms]
        self.asked += len(shown) < len(reply.value)
        return Reply([] if self.is_forgetful else shown, reply.used_weight)

    def _send(self, series: Series, update: Update) -> None:
        if series.contract.symbol != SYMBOL or not self.hidden.start_ms <= update.open_ms < self.hidden.stop_ms:
            super()._send(series, update)


def a_system(folder: Path, exchange: ForgetfulExchange, name: str = "bars.db") -> VirtualSystem:
    return VirtualSystem(exchange, folder / name, 3, history=HISTORY)


def an_exchange() -> ForgetfulExchange:
    world = World(default_plan(3, 2, history_days=4, frames_per_minute=12, changes=False))
    return ForgetfulExchange(world, Random(3))


def lacking(system: VirtualSystem, since_ms: int) -> list[Span]:
    record = system.reader.find(SYMBOL)
    assert record is not None
    return system.reader.holes(record, MINUTE, Span(since_ms, MINUTE.floor(system.exchange.now_ms) - 3 * MINUTE_MS))


def gaps(system: VirtualSystem, at_ms: int) -> list[Gap]:
    found = system.reader.gaps(system.exchange.now_ms, parse_history(HISTORY))
    return [gap for gap in found if gap.key.symbol == SYMBOL and gap.span.start_ms <= at_ms < gap.span.stop_ms]


def test_history_that_a_node_has_forgotten_comes_when_others_answer(tmp_path: Path) -> None:
    exchange = an_exchange()
    exchange.is_forgetful = True
    since_ms = MINUTE.floor(exchange.now_ms - 2 * DAY_MS)
    system = a_system(tmp_path, exchange)
    system.run(50 * 60)
    assert lacking(system, since_ms)[0].start_ms == since_ms, "no hole is called absent"
    exchange.is_forgetful = False
    system.run(3 * 3_600)
    assert lacking(system, since_ms) == []
    system.stop()
    assert (system.differences(), system.gave_up) == ([], [])


def test_what_the_exchange_really_lacks_is_believed_after_hours_and_asked_for_no_more(tmp_path: Path) -> None:
    exchange = an_exchange()
    page_ms = MINUTE.floor(exchange.now_ms - 2 * DAY_MS)
    exchange.hidden = Span(page_ms, page_ms + 18 * HOUR_MS)  # so long that some pages have nothing but what is hidden
    system = a_system(tmp_path, exchange)
    system.run(30 * 60)
    middle_ms = page_ms + 9 * HOUR_MS
    assert {gap.state.value for gap in gaps(system, middle_ms)} == {"being filled"}
    system.run(4 * 3_600)
    assert {(gap.reason.value, gap.state.value) for gap in gaps(system, middle_ms)} == {("no trades", "explained")}
    assert lacking(system, page_ms) == []
    asked = exchange.asked
    assert asked <= 3 * 4 + 2, "each of the pages three times"
    system.run(12 * 3_600)
    assert exchange.asked == asked
    system.stop()
    assert system.gave_up == []


def test_minutes_are_compared_later_where_an_answer_is_empty(tmp_path: Path) -> None:
    exchange = an_exchange()
    system = a_system(tmp_path, exchange)
    system.run(10 * 60)
    exchange.is_forgetful = True
    system.run(2 * 3_600)
    exchange.is_forgetful = False
    now_ms = exchange.now_ms
    system.run(4 * 3_600)
    assert all(one.first_ms >= now_ms for one in system.reader.unverified())
    assert (system.status["verified"]["extra"], system.status["verified"]["kept"]) == (0, 0)
    system.stop()
    assert system.differences() == []
