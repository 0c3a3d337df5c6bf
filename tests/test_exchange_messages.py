"""Reading WebSocket frames: whatever the pieces in which they come, the messages are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.messages import MessageReader, ProtocolViolation
from tests.support.stream_peer import BINARY, CONTINUATION, PING, PONG, TEXT, frame

payloads = st.one_of(st.binary(max_size=300), st.integers(60_000, 70_000).map(lambda size: b"x" * size))


@st.composite
def dialogues(draw: st.DrawFn) -> tuple[bytes, list[bytes], list[bytes]]:
    """Bytes of a server, the messages in them, and the pings."""
    sent, messages, pings = b"", [], []
    for _ in range(draw(st.integers(0, 8))):
        parts = draw(st.lists(payloads, min_size=1, max_size=3))
        messages.append(b"".join(parts))
        for index, part in enumerate(parts):
            opcode = CONTINUATION if index else draw(st.sampled_from([TEXT, BINARY]))
            sent += frame(part, opcode, final=index == len(parts) - 1)
            if draw(st.booleans()):
                pings.append(draw(st.binary(max_size=125)))
                sent += frame(pings[-1], PING) + frame(b"", PONG)
    return sent, messages, pings


@given(dialogues(), st.data())
def test_messages_do_not_depend_on_how_the_bytes_arrive(
    dialogue: tuple[bytes, list[bytes], list[bytes]], data: st.DataObject
) -> None:
    sent, messages, pings = dialogue
    reader = MessageReader()
    taken: list[bytes] = []
    while sent:
        size = data.draw(
            st.one_of(st.integers(1, 10), st.integers(1, 100_000)) if len(sent) < 2_000 else st.integers(500, 100_000)
        )
        count_max = data.draw(st.integers(1, 3))
        reader.feed(sent[:size])
        sent = sent[size:]
        while batch := reader.take(count_max):
            assert len(batch) <= count_max
            taken += batch
    assert taken == messages
    assert reader.pings == pings


@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_a_violation(garbage: bytes) -> None:
    reader = MessageReader()
    reader.feed(garbage)
    try:
        while reader.take(10):
            pass
    except ProtocolViolation as violation:
        with pytest.raises(ProtocolViolation, match=str(violation)[:20]):
            reader.take(10)


def test_a_small_bound_holds_for_whole_messages_and_for_fragments() -> None:
    for sent in (frame(b"x" * 101), frame(b"x" * 200), frame(b"x" * 60, final=False) + frame(b"x" * 60, CONTINUATION)):
        reader = MessageReader(message_bytes_max=100)
        reader.feed(sent)
        with pytest.raises(ProtocolViolation, match="at most 100 bytes"):
            reader.take(1)
