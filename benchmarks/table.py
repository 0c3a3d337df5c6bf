"""How figures are shown: as a table on the terminal and in RESULTS.md, and as JSON."""

from __future__ import annotations

import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Figure

LIBRARIES = ("pykka", "websocket-client", "requests", "peewee", "bottle", "uvicorn", "a2wsgi", "websockets", "msgspec")
HEADINGS = ("figure", "value", "unit", "floor", "ratio", "goal", "ok", "")


def rows_of(figures: Iterable[Figure]) -> list[tuple[str, ...]]:
    """A row for each figure, under `HEADINGS`."""
    return [
        (
            figure.name,
            _number(figure.value),
            figure.unit,
            _number(figure.floor),
            "" if not figure.floor else f"{figure.value / figure.floor:.2f}",
            "" if figure.goal is None else f"{'≤' if figure.at_most else '≥'} {_number(figure.goal)}",
            "" if figure.goal is None else "yes" if figure.ok else "NO",
            figure.note,
        )
        for figure in figures
    ]


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns padded with blanks; numbers to the right."""
    every = [HEADINGS, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(HEADINGS))]
    right = {1, 3, 4, 5}
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    )


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The same for RESULTS.md."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def json_of(figures: Iterable[Figure]) -> dict[str, dict[str, Any]]:
    """Figures that have a goal, by name."""
    return {
        figure.name: {
            "value": round(figure.value, 3),
            "unit": figure.unit,
            "floor": None if figure.floor is None else round(figure.floor, 3),
            "goal": None if figure.goal is None else round(figure.goal, 3),
            "ok": figure.ok,
        }
        for figure in figures
    }


def surroundings() -> list[str]:
    """What the figures depend on beside the code: machine, versions, commit, date."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return [
        f"{now}, commit {_commit()}",
        f"{platform.system()} {platform.release()}, {_cpu()}",
        f"{platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        ", ".join(f"{name} {_version(name)}" for name in LIBRARIES),
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.1f}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} of {names[0]}" if names else platform.machine()
