"""The rules of the house: who may import whom, what pure code may touch, and that modules keep no state."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT = {
    "bars": {"bars"},
    "wire": {"wire", "bars"},
    "storage": {"storage", "wire", "bars"},
    "exchange": {"exchange", "wire", "bars"},
    "web": {"web", "storage", "wire", "bars"},
    "actors": {"actors", "exchange", "storage", "wire", "bars"},
    "run": {"run", "actors", "web", "exchange", "storage", "wire", "bars"},
}
"""run → actors, web → exchange, storage → wire → bars: downwards only, and the two of a pair never meet."""

LIBRARY_AT_HOME_IN = {
    "peewee": ("storage/",),
    "playhouse": ("storage/",),
    "sqlite3": ("storage/",),
    "filelock": ("storage/",),
    "websocket": ("exchange/",),
    "requests": ("exchange/",),
    "urllib3": ("exchange/",),
    "certifi": ("exchange/",),
    "socks": ("exchange/",),
    "bottle": ("web/",),
    "a2wsgi": ("web/",),
    "prometheus_client": ("web/",),
    "uvicorn": ("web/", "exchange/simulated/"),
    "pykka": ("actors/",),
    "rich": ("actors/shell/terminal.py",),
    "pyarrow": ("actors/commands/export_parquet.py",),
    "signal": ("run.py", "__main__.py"),
}

PURE = {"bars", "wire"}
PURE_MAY_IMPORT = PURE | {
    "array",
    "__future__",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "heapq",
}
PURE_MAY_IMPORT |= {"itertools", "json", "math", "msgspec", "operator", "re", "string", "types", "typing", "xml"}
"""Neither clock (`time`) nor chance (`random`), sockets, threads, files."""

PROCESS_WIDE = {"sys.exit", "os._exit", "exit", "quit", "logging.basicConfig", "logging.disable", "faulthandler.enable"}
CLOCK_READS = {"now", "utcnow", "today"}
MAY_DIVIDE = {"bars/clock.py"}
"""Everything else in pure code counts in integers: `/` gives a float."""

MUTABLE_DISPLAYS = ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp
MUTABLE_TYPES = {"list", "dict", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter", "ChainMap"}


class Module(NamedTuple):
    path: str
    """Relative to the project, with forward slashes."""
    tree: ast.Module

    @property
    def part(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")


@cache
def project() -> tuple[Module, ...]:
    files = [file for part in MAY_IMPORT for file in sorted((ROOT / part).rglob("*.py"))]
    files += [ROOT / "run.py"] if (ROOT / "run.py").exists() else []
    return tuple(module(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in files)


def module(path: str, text: str) -> Module:
    return Module(path, ast.parse(text, path))


def imports(of: Module) -> Iterator[tuple[int, str]]:
    """Line and top-level name of everything that is imported, wherever in the file it stands."""
    for node in ast.walk(of.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, (node.module or "").split(".")[0] if not node.level else of.part


def calls(of: Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every call by name."""
    for node in ast.walk(of.tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def against_the_layers(of: Module) -> Iterator[tuple[int, str]]:
    for line, name in imports(of):
        if name in (*MAY_IMPORT, "tests", "benchmarks") and name not in MAY_IMPORT[of.part]:
            yield line, f"imports {name}"


def libraries_away_from_home(of: Module) -> Iterator[tuple[int, str]]:
    for line, name in imports(of):
        homes = LIBRARY_AT_HOME_IN.get(name)
        if homes is not None and not any(of.path.startswith(home) or of.path.endswith(f"/{home}") for home in homes):
            yield line, f"imports {name}"


def impurities(of: Module) -> Iterator[tuple[int, str]]:
    if of.part not in PURE:
        return
    yield from ((line, f"imports {name}") for line, name in imports(of) if name not in PURE_MAY_IMPORT)
    for line, name in calls(of):
        if name.split(".")[-1] in CLOCK_READS or name in ("float", "open", "print", "input", "round"):
            yield line, f"calls {name}"
    for node in ast.walk(of.tree):
        if isinstance(node, ast.Div) and of.path not in MAY_DIVIDE:
            yield 0, "divides into floats"


def process_wide_acts(of: Module) -> Iterator[tuple[int, str]]:
    if of.path == "run.py" or of.path.endswith("__main__.py"):
        return
    yield from ((line, f"calls {name}") for line, name in calls(of) if name in PROCESS_WIDE)
    for node in ast.walk(of.tree):
        if isinstance(node, ast.Raise) and node.exc is not None and "SystemExit" in ast.unparse(node.exc):
            yield node.lineno, "raises SystemExit"


def module_state(of: Module) -> Iterator[tuple[int, str]]:
    for node in of.tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not is_mutable(node.value):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for name in [ast.unparse(target) for target in targets]:
            if name != "__all__":
                yield node.lineno, f"keeps a mutable {name}"
    for inner in ast.walk(of.tree):
        if isinstance(inner, ast.Global):
            yield inner.lineno, f"changes {', '.join(inner.names)}"


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).split(".")[-1] in MUTABLE_TYPES
    return isinstance(value, MUTABLE_DISPLAYS)


RULES = against_the_layers, libraries_away_from_home, impurities, process_wide_acts, module_state
Rule = Callable[[Module], Iterator[tuple[int, str]]]


@pytest.mark.parametrize("rule", RULES)
def test_the_project_keeps_the_rule(rule: Rule) -> None:
    found = [f"{module.path}:{line} {what}" for module in project() for line, what in rule(module)]
    assert found == []


def test_the_rules_look_at_the_whole_project() -> None:
    assert {module.part for module in project()} >= PURE


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (against_the_layers, "bars/x.py", "import wire.frames"),
        (against_the_layers, "wire/x.py", "from storage import database"),
        (against_the_layers, "storage/x.py", "def f():\n    from exchange.rest import Rest"),
        (against_the_layers, "exchange/simulated/x.py", "import storage"),
        (against_the_layers, "web/x.py", "if TYPE_CHECKING:\n    from actors import BarSystem"),
        (against_the_layers, "web/x.py", "from exchange import rest"),
        (against_the_layers, "actors/x.py", "import web"),
        (against_the_layers, "actors/x.py", "from tests.support import wsgi"),
        (against_the_layers, "actors/x.py", "import run"),
        (libraries_away_from_home, "actors/x.py", "import peewee"),
        (libraries_away_from_home, "run.py", "import playhouse.migrate"),
        (libraries_away_from_home, "web/x.py", "from requests import get"),
        (libraries_away_from_home, "exchange/x.py", "import uvicorn"),
        (libraries_away_from_home, "exchange/x.py", "from bottle import Bottle"),
        (libraries_away_from_home, "run.py", "import pykka"),
        (libraries_away_from_home, "actors/x.py", "import signal"),
        (impurities, "bars/x.py", "import time"),
        (impurities, "wire/x.py", "from threading import Lock"),
        (impurities, "wire/x.py", "import socket"),
        (impurities, "bars/x.py", "import random"),
        (impurities, "bars/x.py", "from datetime import datetime\nx = datetime.now()"),
        (impurities, "bars/x.py", "x = date.today()"),
        (impurities, "wire/x.py", "def price(text):\n    return float(text)"),
        (impurities, "bars/x.py", "def f(a, b):\n    return a / b"),
        (process_wide_acts, "actors/x.py", "import sys\nsys.exit(1)"),
        (process_wide_acts, "web/x.py", "import logging\nlogging.basicConfig()"),
        (process_wide_acts, "exchange/x.py", "raise SystemExit(2)"),
        (module_state, "web/x.py", "cache = {}"),
        (module_state, "web/x.py", "CACHE: dict[str, int] = dict()"),
        (module_state, "actors/x.py", "seen = set()"),
        (module_state, "actors/x.py", "from collections import deque\nqueue = deque()"),
        (module_state, "actors/x.py", "names = [name for name in 'abc']"),
        (module_state, "actors/x.py", "count = 0\ndef f():\n    global count\n    count += 1"),
    ],
)
def test_each_rule_finds_what_breaks_it(rule: Rule, path: str, text: str) -> None:
    assert list(rule(module(path, text)))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("web/x.py", "import bottle, uvicorn, a2wsgi\nfrom storage import x\nfrom wire.version import VERSION"),
        ("exchange/simulated/x.py", "import uvicorn\nfrom exchange.errors import X\nimport random, time"),
        ("exchange/x.py", "import requests, websocket, threading, time\nfrom . import errors"),
        ("run.py", "import signal, sys, logging, actors, web\nlogging.basicConfig()\nsys.exit(0)"),
        ("actors/__main__.py", "import sys, signal\nsys.exit(1)"),
        ("bars/x.py", "A = (1, 2)\nB = frozenset({1})\nC = MappingProxyType({1: 2})\n__all__ = ['A']\nD = 7 // 2"),
    ],
)
def test_what_is_allowed_breaks_no_rule(path: str, text: str) -> None:
    assert [what for rule in RULES for _, what in rule(module(path, text))] == []
