"""What live subscribers are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bars import Bar, ContractKey, Interval
from wire.frames import KlineEvent


class BarEvent(NamedTuple):
    """A bar of a contract as it is now; a `closed` one is final."""

    key: ContractKey
    interval: Interval
    bar: Bar
    closed: bool
    said: KlineEvent | None = None
    """What the exchange said, if a frame of the bar's newest minute was the cause; of a minute bar, its own words."""
    by_rest: bool = False
    """Of a closed minute: whether REST told of it, not the stream."""


Deliver = Callable[[BarEvent], bool]
"""Takes an event at once, from any thread. Whoever returns False is behind and is cut off."""
Watch = Callable[[str, Interval, Deliver], Callable[[], object]]
"""Has each event of one symbol and stored interval delivered; returns what ends that."""
