"""Frames as a server sends them, read by an independent implementation of the protocol."""

from __future__ import annotations

import pytest
from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

from wire.framing import binary_frame, ping_frame, raw_text_frame, text_frame


def read(data: bytes) -> list[tuple[Opcode, bytes, bool]]:
    """Kind, payload and whether it is whole, of each frame that a client reads."""
    client = Protocol(CLIENT)
    client.receive_data(data)
    return [(frame.opcode, bytes(frame.data), frame.fin) for frame in client.events_received()]  # type: ignore[union-attr]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_frame_of_any_length_is_one_whole_message(length: int) -> None:
    text = "币" * (length // 3) + "a" * (length % 3)
    assert read(text_frame(text)) == [(Opcode.TEXT, text.encode(), True)]
    assert read(binary_frame(bytes(length))) == [(Opcode.BINARY, bytes(length), True)]


def test_pings_and_texts_that_are_none_go_out_as_they_are() -> None:
    assert read(ping_frame(b"1767571200000") + raw_text_frame(b"\xff")) == [
        (Opcode.PING, b"1767571200000", True),
        (Opcode.TEXT, b"\xff", True),
    ]
