"""What may arrive in the place of what is expected: nearly right, half, doubled, or nothing like it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from([-1, 0, 1, 2**31, 2**53, 2**63 - 1, 2**63, 10**30]),
    st.floats(allow_nan=False, allow_infinity=False),
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "0", "-1", "1e5", "NaN", "Infinity", "0." + "0" * 400 + "1", "9" * 400, "٣", "1_0", " 1", "+1"]
    ),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
PIECES = (
    b"",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b'"',
    b"[",
    b"{",
    b"]" * 50,
    b"[" * 5_000,
    b",",
    b"\n",
    b"\r\n",
    b"%",
    b"-",
)


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds` with a few of its stretches removed, doubled, moved or replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start, stop = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        stop = min(stop, start + draw(st.integers(0, 40)))
        other = data[draw(st.integers(0, len(data))) :][:40]
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=8) | st.just(data[start:stop] * 2) | st.just(other))
        data = data[:start] + piece + data[stop:]
    return data


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with a few of its parts replaced, removed or joined by others."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    if isinstance(value, dict):
        kept = {key: draw(altered(part)) for key, part in value.items() if draw(st.integers(0, 15))}
        return kept | draw(st.dictionaries(st.text(max_size=4), JSON, max_size=1))
    if isinstance(value, list):
        return [draw(altered(part)) for part in value if draw(st.integers(0, 15))]
    return value
