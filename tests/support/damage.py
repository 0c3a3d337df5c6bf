"""Frames that are no bars any more, or that no bar could be: what must do no harm."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from bars.interval import DAY_MS


def damaged(frame: bytes, random: Random) -> bytes:
    """What a kline frame of a combined connection may look like when something went wrong over there."""
    return random.choice(_WAYS)(frame, random)


def _cut(frame: bytes, random: Random) -> bytes:
    return frame[: random.randrange(len(frame))]


def _noise(_: bytes, random: Random) -> bytes:
    return random.randbytes(random.randrange(1, 60))


def _other_json(_: bytes, random: Random) -> bytes:
    return random.choice(
        (b"[]", b"{}", b"null", b'{"stream":"x","data":[{"e":"new","E":1}]}', b'{"id":7,"result":null}')
    )


def _other_stream(frame: bytes, _: Random) -> bytes:
    return _changed(frame, lambda whole: whole.update(stream="nobodyusdt@kline_1m"))


def _without_a_field(frame: bytes, random: Random) -> bytes:
    return _changed(frame, lambda whole: whole["data"]["k"].pop(random.choice("tTiochlvnxqVQ")))


def _with_nonsense(frame: bytes, random: Random) -> bytes:
    """A value that no bar can have."""
    name, value = random.choice(
        (
            ("t", 17),
            ("T", 0),
            ("i", "5m"),
            ("o", "1e5"),
            ("h", "0.0000001"),
            ("l", "999999999"),
            ("c", ""),
            ("v", "-1"),
            ("q", "12345678901234567890"),
            ("V", "99999999999"),
            ("n", -4),
        )
    )
    return _changed(frame, lambda whole: whole["data"]["k"].update({name: value}))


def _before_its_time(frame: bytes, _: Random) -> bytes:
    return _changed(frame, lambda whole: whole["data"].update(E=whole["data"]["k"]["t"] - 1))


def _far_ahead(frame: bytes, random: Random) -> bytes:
    """No final: what ends a bar is believed."""

    def change(whole: dict[str, Any]) -> None:
        whole["data"]["E"] += random.randrange(1, 3_000) * DAY_MS
        whole["data"]["k"]["x"] = False

    return _changed(frame, change)


_WAYS = (_cut, _noise, _other_json, _other_stream, _without_a_field, _with_nonsense, _before_its_time, _far_ahead)


def _changed(frame: bytes, change: Callable[[Any], object]) -> bytes:
    whole = msgspec.json.decode(frame)
    change(whole)
    return msgspec.json.encode(whole)
