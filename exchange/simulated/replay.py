"""Recorded frames, sent again as they came: the same text, to whoever subscribed its stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.simulated.connections import Audience
from wire.framing import text_frame

BATCH = 100
"""Without a speed: how many frames go out between two looks at the sockets."""


class RecordedFrame(NamedTuple):
    """A frame of a combined connection as it was received, at a local time in seconds."""

    received_s: float
    text: str


class _Line(msgspec.Struct):
    recv: str
    raw: str


class _Named(msgspec.Struct):
    stream: str


def read_recording(path: Path) -> list[RecordedFrame]:
    """The frames of a JSON-lines recording: `{"recv": "<seconds>", "raw": "<frame>"}`, in its order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    read = (msgspec.json.decode(line, type=_Line) for line in lines if line)
    return [RecordedFrame(float(line.recv), line.raw) for line in read]


async def replay(audience: Audience, frames: Iterable[RecordedFrame], speed: float | None) -> int:
    """Send frames in order; returns how many somebody got.

    Args:
        speed: how many times faster than they were received; None: as fast as clients take them.
    """
    loop = asyncio.get_running_loop()
    begun_s, first_s, sent = loop.time(), None, 0
    for number, frame in enumerate(frames):
        first_s = frame.received_s if first_s is None else first_s
        if speed is not None:
            due_s = begun_s + (frame.received_s - first_s) / speed
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
        elif number % BATCH == BATCH - 1:
            await asyncio.sleep(0)
        listeners = audience.listeners(msgspec.json.decode(frame.text, type=_Named).stream)
        for connection in listeners:
            if not connection.frozen:
                connection.socket.write(text_frame(frame.text))
        sent += bool(listeners)
    return sent
