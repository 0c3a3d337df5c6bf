"""The snippets of README.md and docs/clients.md, run as they stand there but for the port."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.service import ROOT

HERE = "127.0.0.1:8080"
"""What the documents call the service."""
DOCUMENTS = ("README.md", "docs/clients.md")


def snippet(label: str, port: int) -> str:
    """The Python block whose first line ends in `# <label>`, for a service on `port`.

    Raises:
        LookupError: there is not exactly one.
    """
    found = [block for block in blocks("python") if block.partition("\n")[0].endswith(f"# {label}")]
    if len(found) != 1:
        raise LookupError(f"looking up {label!r} in the documents: expected one block, got {len(found)}")
    if HERE not in found[0]:
        raise LookupError(f"looking up {label!r} in the documents: expected a block that names {HERE}, got {found[0]}")
    return found[0].replace(HERE, f"127.0.0.1:{port}")


def settings(port: int) -> dict[str, Any]:
    """The one block of JSON, which is freqtrade's, for a service on `port`."""
    (block,) = blocks("json")
    parsed: dict[str, Any] = json.loads(block.replace(HERE, f"127.0.0.1:{port}"))
    return parsed


def blocks(language: str) -> Iterator[str]:
    text = "\n".join((ROOT / name).read_text("utf-8") for name in DOCUMENTS)
    return (match[1] for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


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
