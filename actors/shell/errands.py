"""The commands that do one thing and end: what they print, and their exit status."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from actors.commands.audit.compare import run_audit
from actors.commands.audit.report import audit_line
from actors.commands.audit.scope import AuditOptions
from actors.commands.bulk.load import Bulk
from actors.commands.bulk.report import size_text, summary_lines
from actors.commands.bulk.series import Wanted
from actors.commands.export import ExportOptions, run_export
from actors.data_service import DataService
from actors.selection import expect_order
from actors.settings import Settings
from actors.shell.progress import status_rows
from actors.shell.terminal import download_progress, progress, show, show_pairs
from bars import INTERVALS, STORED, Interval
from exchange import ExchangeError
from storage import Reader, StorageError
from storage import backup as copy_database
from wire.archive_plan import Source

AUDITED = tuple(interval for interval in INTERVALS.values() if interval in STORED or interval.name == "1h")
"""By default: hours tell of trades that the exchange's own minutes, and all that is made of them, lack."""


def backfill(settings: Settings, asked: Mapping[str, Any], is_stopped: Callable[[], bool]) -> int:
    """Fetch history and exit; 3 when something is missing without an explanation."""
    expect_order(asked["from"], asked["to"])
    wanted = Wanted(asked["intervals"], asked["from"], asked["to"], Source(asked["source"]))
    try:
        with download_progress(settings) as report:
            bulk = Bulk(settings, wanted, announce=announce, report=report, is_stopped=is_stopped)
            outcome = bulk.run()
    except ExchangeError as error:
        return failed(f"backfill: {error}; what is missing stays missing", status=3)
    except StorageError as error:
        return failed(error, status=4)
    for line in summary_lines(outcome):
        print(line, flush=True)
    return 0 if outcome.is_complete else 3


def announce(lines: Sequence[str]) -> None:
    """Show a plan."""
    print("plan:", *lines, sep="\n", flush=True)


def status(settings: Settings, *, as_json: bool) -> int:
    """What the service that writes the file last said of itself; 1 when it does not run."""
    with closing(Reader(settings.database)) as reader:
        service = DataService(reader)
        facts, ill = service.status(), service.health()
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
    elif facts:
        show_pairs(status_rows(facts))
    return failed(ill, status=1) if ill else 0


def audit(settings: Settings, own: Mapping[str, Any]) -> int:
    """Compare with the exchange, and mend if asked to; 3 when something is missing or different."""
    wanted: tuple[Interval, ...] = own["intervals"] or AUDITED
    options = AuditOptions(wanted, own["from"], own["to"], own["repair"])
    with progress(settings, audit_line) as tell:
        report = run_audit(settings, options, tell)
    if own["json"]:
        print(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        show(*report.table())
        print(*report.lines(), sep="\n")
    return 0 if report.is_clean else 3


def export(settings: Settings, own: Mapping[str, Any]) -> int:
    """Stored bars to files, one line for each."""
    options = ExportOptions(own["intervals"] or STORED, own["from"], own["to"], own["format"], own["output"])
    for file in run_export(settings, options):
        missing = f", {file.missing:,} missing" if file.missing else ""
        print(f"{file.path}: {file.bars:,} bars{missing}, {size_text(file.size_bytes)}")
    return 0


def backup(settings: Settings, target: Path) -> int:
    """A consistent copy of the database, one line about it."""
    started_s = time.monotonic()
    size_bytes = copy_database(settings.database, target)
    print(f"{target}: {size_text(size_bytes)}, integrity checked, in {time.monotonic() - started_s:.1f} s")
    return 0


def failed(error: object, *, status: int) -> int:
    """Say in one line what went wrong."""
    print(f"barkeep: {' '.join(str(error).split())}", file=sys.stderr)
    return status
