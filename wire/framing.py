"""WebSocket frames as a server sends them: unmasked, uncompressed, whole (RFC 6455, section 5.2).

Made once, a frame goes to any number of connections as the same bytes.
"""

from __future__ import annotations

TEXT = 0x1
BINARY = 0x2
PING = 0x9
_FINAL = 0x80


def text_frame(text: str) -> bytes:
    return frame(TEXT, text.encode())


def raw_text_frame(payload: bytes) -> bytes:
    """A text frame whatever the bytes: they may be no UTF-8."""
    return frame(TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    return frame(BINARY, payload)


def ping_frame(payload: bytes) -> bytes:
    return frame(PING, payload)


def frame(opcode: int, payload: bytes) -> bytes:
    """One frame that is a whole message."""
    length = len(payload)
    if length < 126:
        return bytes((_FINAL | opcode, length)) + payload
    if length < 1 << 16:
        return bytes((_FINAL | opcode, 126)) + length.to_bytes(2, "big") + payload
    return bytes((_FINAL | opcode, 127)) + length.to_bytes(8, "big") + payload
