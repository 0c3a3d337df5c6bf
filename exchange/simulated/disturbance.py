"""The faults of the streams: which frames are lost, doubled, late, overtaken, or never were any."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from exchange.simulated.connections import Channel
from exchange.simulated.faults import Dice, FaultPlan
from wire.framing import binary_frame, raw_text_frame, text_frame

Frames = tuple[bytes, bytes]
"""One event as a frame of a raw connection, and of a combined one."""

GARBAGE: tuple[bytes, ...] = (
    text_frame("not json"),
    text_frame("[]"),
    text_frame("{}"),
    text_frame('{"stream":"!unknown@arr","data":[{"e":"somethingNew","E":1,"st":1}]}'),
    text_frame('{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":"yesterday"}}}'),
    text_frame('{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":179138'),
    binary_frame(b"\x00\x01\x02\xff"),
    raw_text_frame(b'{"stream":"btcusdt@kline_1m","data":"\xff\xfe"}'),
)


class Fate(NamedTuple):
    """What becomes of a final."""

    late_ms: int = 0
    missing: bool = False


class Disturbance:
    """Decides frame by frame.

    Args:
        plan: the faults of this moment.
    """

    def __init__(self, plan: Callable[[], FaultPlan], dice: Dice) -> None:
        self._plan = plan
        self._dice = dice
        self._held: dict[Channel, Frames] = {}
        self._held_before: dict[Channel, Frames] = {}

    @property
    def frozen(self) -> bool:
        return self._plan().frozen

    def final(self) -> Fate:
        plan = self._plan()
        if self._dice.hits(plan.missing_finals):
            return Fate(missing=True)
        if self._dice.hits(plan.late_finals):
            return Fate(late_ms=1 + self._dice.below(plan.late_final_ms))
        return Fate()

    def copies(self, channel: Channel, frames: Frames, *, final: bool) -> list[Frames]:
        """What is sent now in the place of one event; order within a stream always stays."""
        plan = self._plan()
        sent = [held] if (held := self._held.pop(channel, None) or self._held_before.pop(channel, None)) else []
        if not final and self._dice.hits(plan.lost_frames):
            return sent
        if self._dice.hits(plan.swapped_frames):
            self._held[channel] = frames
            return sent
        sent.append(frames)
        if self._dice.hits(plan.doubled_frames):
            sent.append(frames)
        if self._dice.hits(plan.garbage_frames):
            garbage = GARBAGE[self._dice.below(len(GARBAGE))]
            sent.append((garbage, garbage))
        return sent

    def overtaken(self) -> list[tuple[Channel, Frames]]:
        """Frames held back in the round before last: by now others have overtaken them."""
        ripe, self._held_before, self._held = list(self._held_before.items()), self._held, {}
        return ripe
