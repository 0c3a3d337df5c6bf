"""The README's snippets, run as they stand there but for the port."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from typing import Any

from tests.support.service import ROOT

HERE = "127.0.0.1:8080"
"""What the README calls the service."""


def snippet(label: str, port: int) -> str:
    """The README's Python block whose first line ends in `# <label>`, for a service on `port`.

    Raises:
        LookupError: there is not exactly one.
    """
    found = [block for block in blocks() if block.partition("\n")[0].endswith(f"# {label}")]
    if len(found) != 1:
        raise LookupError(f"looking up {label!r} in README.md: expected one block, got {len(found)}")
    if HERE not in found[0]:
        raise LookupError(f"looking up {label!r} in README.md: expected a block that names {HERE}, got {found[0]}")
    return found[0].replace(HERE, f"127.0.0.1:{port}")


def blocks() -> Iterator[str]:
    text = (ROOT / "README.md").read_text("utf-8")
    return (match[1] for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def run(source: str, **names: Any) -> dict[str, Any]:
    """Run a snippet that awaits nothing; returns its names, `names` among them."""
    exec(source, names)
    return names


async def run_async(source: str, **names: Any) -> dict[str, Any]:
    """Run a snippet that may await at its top level, as at the prompt of `python -m asyncio`."""
    code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, names)
    if inspect.isawaitable(running):
        await running
    await asyncio.sleep(0)
    return names
