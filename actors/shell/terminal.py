"""What people see: tables, and progress that is live on a terminal and in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from actors.commands.bulk.report import Progress, progress_text, rates_text, remaining_text
from actors.settings import Settings
from actors.shell.progress import Report, every, progress_line

logger = logging.getLogger("barkeep")

LOG_PERIOD_S = 10.0
TERMINAL_PERIOD_S = 1.0
TABLE_WIDTH = 200
"""Where no terminal says how wide it is."""


def show(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of texts; numbers to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, column in zip(headings, zip(*rows, strict=True) if rows else [()] * len(headings), strict=True):
        is_number = all(text.replace(",", "").isdecimal() for text in column)
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else TABLE_WIDTH).print(table)


def show_pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Labels, and what is to be said of each."""
    table = Table.grid(padding=(0, 2))
    for label, value in rows:
        table.add_row(Text(label, style="bold"), Text(value, overflow="fold"))
    Console().print(table)


@contextmanager
def progress(settings: Settings, line: Callable[[Mapping[str, Any]], str] = progress_line) -> Iterator[Report]:
    """A function that is called often and shows the status now and then: live on a terminal, else in the log."""
    if not sys.stderr.isatty() or settings.log_format == "json":
        yield every(LOG_PERIOD_S, lambda facts: logger.info("%s", line(facts)))
        return
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield every(TERMINAL_PERIOD_S, lambda facts: live.update(Text(line(facts)), refresh=True))


@contextmanager
def download_progress(settings: Settings) -> Iterator[Callable[[Callable[[], Progress]], None]]:
    """A function that is called often and shows now and then how far a download is, on a terminal or in the log."""
    due_s = time.monotonic()
    if not sys.stderr.isatty() or settings.log_format == "json":

        def log(progress: Callable[[], Progress]) -> None:
            nonlocal due_s
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + LOG_PERIOD_S
                logger.info("%s", progress_text(progress()))

        yield log
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rest]}")
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        files, requests = (bars.add_task(name, total=None, rest="") for name in ("files", "REST pages"))

        def show(progress: Callable[[], Progress]) -> None:
            nonlocal due_s
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + 0.5
                now = progress()
                bars.update(files, completed=now.done.files, total=now.files_total, rest=rates_text(now))
                bars.update(requests, completed=now.done.pages, total=now.pages_total, rest=remaining_text(now))

        yield show
