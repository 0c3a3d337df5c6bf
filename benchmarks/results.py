"""The file in which results are kept: a part for each command that writes one, and none touches another's."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.harness import ROOT

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
_TITLE = "# What Barkeep costs\n\nSee `docs/benchmarks.md` for what each figure means and how it is measured."


def keep(heading: str, command: str, about: Sequence[str], table: str) -> None:
    """Write what a command found, and what that depends on, in place of what it wrote the last time."""
    listed = "\n".join(f"- {line}" for line in about)
    document = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    RESULTS.write_text(with_part(document, heading, f"`{command}`\n\n{listed}\n\n{table}"), encoding="utf-8")


def with_part(document: str, heading: str, body: str) -> str:
    """The document with one part, which begins with a `## heading`, replaced, or added behind the others."""
    parts = dict(re.findall(r"^## (.+?)\n\n(.*?)\s*(?=^## |\Z)", document, re.DOTALL | re.MULTILINE))
    parts[heading] = body
    return "\n\n".join([_TITLE, *(f"## {name}\n\n{text}" for name, text in parts.items())]) + "\n"
