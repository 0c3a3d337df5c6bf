"""Frames of a simulated market, made before anything is measured."""

from __future__ import annotations

from itertools import takewhile
from typing import NamedTuple

import msgspec

from bars import MINUTE
from exchange.simulated import World, WorldPlan
from exchange.simulated.timeline import updates
from wire.frames import kline_event
from wire.names import kline_stream


class MadeFrame(NamedTuple):
    """When the exchange would send it, for which stream, and the event as JSON."""

    due_ms: int
    stream: str
    event: bytes


def made_frames(plan: WorldPlan, stop_ms: int) -> list[MadeFrame]:
    """All frames of all contracts from the plan's start until `stop_ms`, in order."""
    world = World(plan)
    encode = msgspec.json.Encoder().encode
    frames = []
    for contract in plan.contracts:
        series = world.series(contract.symbol)
        assert series is not None
        stream = kline_stream(contract.symbol, MINUTE)
        for update in takewhile(lambda update: update.due_ms < stop_ms, updates(series, plan.start_ms)):
            bar = world.partial(contract.symbol, update.open_ms, update.state_ms)
            if bar is not None:
                event = kline_event(contract.symbol, MINUTE, bar, closed=update.closed, event_ms=update.due_ms)
                frames.append(MadeFrame(update.due_ms, stream, encode(event)))
    frames.sort(key=lambda frame: frame.due_ms)
    return frames
