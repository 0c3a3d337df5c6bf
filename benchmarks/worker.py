"""One group of figures, in a process of its own: `python -m benchmarks.worker <group>`. A line of JSON for each."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module

from benchmarks.catalog import GROUPS


def main() -> None:
    group = GROUPS[sys.argv[1]]
    measure = getattr(import_module(f"benchmarks.{group.module}"), group.function)
    for figure in measure():
        print(json.dumps(asdict(figure)), flush=True)


if __name__ == "__main__":
    main()
