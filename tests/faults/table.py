"""All faults, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tests.faults import bad_network, half_open, kill, locked, stop


class Fault(NamedTuple):
    """One kind of harm. `run` takes options, and returns in one line what was seen.

    It raises `AssertionError` when something did not hold, `Impossible` when it cannot be tried here.
    """

    name: str
    what: str
    run: Callable[[Sequence[str]], str]


_ALL = (
    Fault("kill", "SIGKILL at 50 random moments under load", kill.run),
    Fault("stop", "SIGSTOP for two minutes", stop.run),
    Fault("half-open", "connections that swallow everything and never end", half_open.run),
    Fault("bad-network", "a network that delays, cuts, damages and lies", bad_network.run),
    Fault("locked", "the database locked by another program for a minute", locked.run),
)
FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})
