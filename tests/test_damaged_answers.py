"""Answers of REST that are damaged: counted where damaged frames are, told of once a minute, and asked for again."""

from __future__ import annotations

import logging
from pathlib import Path
from random import Random

import pytest

from bars import MINUTE_MS, Bar, Scale
from exchange import InvalidAnswer, Reply
from exchange.simulated import default_plan
from exchange.simulated.world import World
from tests.support.virtual import VirtualExchange, VirtualSystem
from wire.exchange_info import ExchangeInfo
from wire.requests import KlinesRequest


class DamagedExchange(VirtualExchange):
    """Whose answers arrive damaged, for as long as somebody says so."""

    is_damaged = False
    damaged = 0

    def time(self) -> Reply[int]:
        self._damage()
        return super().time()

    def exchange_info(self) -> Reply[ExchangeInfo]:
        self._damage()
        return super().exchange_info()

    def klines(self, request: KlinesRequest, scale: Scale) -> Reply[list[Bar]]:
        self._damage()
        return super().klines(request, scale)

    def _damage(self) -> None:
        if self.is_damaged:
            self.damaged += 1
            raise InvalidAnswer("asking the virtual exchange: expected a whole body, got 12 bytes")


def test_damaged_answers_are_counted_with_the_frames_and_logged_once_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exchange = DamagedExchange(World(default_plan(3, 3, history_days=4, frames_per_minute=12)), Random(3))
    exchange.is_damaged = True
    system = VirtualSystem(exchange, tmp_path / "bars.db", 3)
    began_s = system.now_s
    with caplog.at_level(logging.WARNING):
        system.run(10 * 60)
        exchange.is_damaged = False
        system.run(5 * 60)
        exchange.is_damaged = True
        system.run(200 * 60)
    exchange.is_damaged = False
    minutes = (system.now_s - began_s) / 60
    system.run(4)
    assert exchange.damaged > 10
    assert system.status["garbage"] == exchange.damaged
    told = [record.message for record in caplog.records if "could not be read so far" in record.message]
    assert 1 <= len(told) <= minutes + 1
    assert "REST: asking the virtual exchange: expected a whole body" in told[0]
    about = [record.message for record in caplog.records if "a whole body" in record.message]
    assert len(about) <= 2 * (minutes + 1), "the other one says why nothing is asked for a while"
    system.run(80 * MINUTE_MS // 1_000)
    system.stop()
    assert system.differences() == []
    assert (system.crashes, system.gave_up) == (0, [])
