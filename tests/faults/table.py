"""All faults, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tests.faults import (
    bad_network,
    clock,
    enormous,
    full_disk,
    half_open,
    kill,
    locked,
    many_connections,
    read_only,
    stop,
)


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
    Fault("full-disk", "a full disk, until there is room again", full_disk.run),
    Fault("file-limit", "a limit for the size of files, until it is lifted", full_disk.run_limited),
    Fault("read-only", "a disk made read-only by the kernel", read_only.run),
    Fault("permission", "the right to look into the database's directory lost", read_only.run_without_permission),
    Fault("clock", "this machine's clock wrong by hours, and jumping", clock.run),
    Fault("enormous", "answers of hundreds of megabytes, gzip bombs, endless headers", enormous.run),
    Fault("many-connections", "20,000 connections to the web port", many_connections.run),
)
FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})
