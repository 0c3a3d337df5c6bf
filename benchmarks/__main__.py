"""Every figure that the design promises, beside its floor, measured in the same run.

    python -m benchmarks                       all of them, about eight minutes
    python -m benchmarks cpu_percent klines    some: figures, or the groups that are measured together
    python -m benchmarks page                  how soon a chart's first candles are seen in a browser
    python -m benchmarks growth                events from 100 to 3,000 symbols
    python -m benchmarks peers                 what a user would take instead, as far as it is installed

    python -m benchmarks --all                 all of these, about twenty minutes

Each group runs in a process of its own, and what is under test in others, on a core of their own. CPU is counted in
seconds that processes used, never in time that went by.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.catalog import GROUPS, chosen, figure_names
from benchmarks.harness import ROOT, Figure
from benchmarks.results import keep
from benchmarks.table import json_of, markdown_table, rows_of, surroundings, text_table


def main() -> int:
    """Run what was asked for; 0 when every goal is met, 1 when one is not or could not be measured."""
    options = _parser().parse_args()
    if options.list:
        for key, group in GROUPS.items():
            print(f"{key:<10} {', '.join(group.names)}".rstrip())
        return 0
    try:
        groups = list(GROUPS) if options.all else chosen(options.names)
    except ValueError as error:
        sys.exit(f"python -m benchmarks: {error}")
    about = [*surroundings(), f"load of the machine at the start: {os.getloadavg()[0]:.2f}"]
    print(*about, "", sep="\n", flush=True)
    started_s = time.monotonic()
    figures = [figure for key in groups for figure in _measured(key)]
    table = rows_of(figures)
    print(text_table(table), f"\nmeasured in {time.monotonic() - started_s:.0f} s", sep="\n")
    if options.write_results:
        command = " ".join(["python -m benchmarks", *(["--all"] if options.all else options.names)])
        keep("Figures", command, about, markdown_table(table))
    wanted = figure_names(groups)
    if options.json:
        print(json.dumps(json_of(figure for figure in figures if not wanted or figure.name in wanted)))
    missing = set(wanted) - {figure.name for figure in figures}
    return 0 if not missing and all(figure.ok for figure in figures) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures or groups; see --list")
    parser.add_argument("--all", action="store_true", help="also the groups that a run without names leaves out")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--list", action="store_true", help="name the groups and their figures, and measure nothing")
    parser.add_argument("--write-results", action="store_true", help="write benchmarks/RESULTS.md")
    return parser


def _measured(key: str) -> Iterator[Figure]:
    """The figures of one group as they come; a group that fails has fewer."""
    command = [sys.executable, "-m", "benchmarks.worker", key]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            figure = Figure(**json.loads(line))
            print(text_table(rows_of([figure])).partition("\n")[2], file=sys.stderr, flush=True)
            yield figure
    if worker.returncode:
        print(f"{key}: could not be measured to the end", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
