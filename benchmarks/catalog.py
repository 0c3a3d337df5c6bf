"""Which figures there are, and which are measured together."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Group(NamedTuple):
    """Figures that one run yields: a module of this folder, its function, and their names.

    `by_default`: part of a run without names.
    """

    module: str
    function: str
    names: tuple[str, ...]
    by_default: bool = True


GROUPS = MappingProxyType(
    {
        "events": Group("events", "measure", ("events_per_cpu_second",)),
        "archive": Group("archive", "measure", ("archive_bars_per_second", "bytes_per_bar")),
        "klines": Group("klines", "measure", ("klines_per_cpu_second",)),
        "backfill": Group("backfill", "measure", ("backfill_bars_per_minute",)),
        "push": Group("push", "measure", ("push_p99_ms",)),
        "service": Group("service", "measure", ("cpu_percent", "memory_mb", "disk_gb_per_day", "restart_seconds")),
        "page": Group("page", "measure", (), by_default=False),
        "growth": Group("events", "measure_growth", (), by_default=False),
        "peers": Group("peers", "measure", (), by_default=False),
    }
)
"""In the order in which they run."""


def chosen(names: list[str]) -> list[str]:
    """The groups that yield these figures or have these names; without any, those of a default run.

    Raises:
        ValueError: naming what is unknown and what there is.
    """
    if not names:
        return [key for key, group in GROUPS.items() if group.by_default]
    known = {name: key for key, group in GROUPS.items() for name in (key, *group.names)}
    for name in names:
        if name not in known:
            raise ValueError(f"expected some of {', '.join(known)}, got {name!r}")
    wanted = {known[name] for name in names}
    return [key for key in GROUPS if key in wanted]


def figure_names(groups: list[str]) -> list[str]:
    """The figures of these groups that have goals."""
    return [name for key in groups for name in GROUPS[key].names]
