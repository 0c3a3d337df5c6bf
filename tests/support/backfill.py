"""`run.py backfill` in this process or as one of its own, against a simulated exchange."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from actors.commands.bulk.load import Bulk
from actors.commands.bulk.report import Outcome, Progress
from actors.commands.bulk.series import Wanted
from actors.settings import Settings
from bars import STORED, Bar, Interval
from exchange.simulated import SimulatedExchange
from storage import Reader, StoredBar
from tests.support.service import ROOT
from wire.archive_plan import Source

ALL = 10_000_000


def urls(exchange: SimulatedExchange) -> dict[str, str]:
    return {
        "rest_url": exchange.rest_url,
        "archive_url": exchange.archive_url,
        "listing_url": exchange.listing_url,
        "ws_url": exchange.ws_url,
    }


@dataclass
class Backfill:
    """Runs bulk downloads into one database."""

    exchange: SimulatedExchange
    database: Path
    plans: list[Sequence[str]] = field(default_factory=list)
    progress: Progress | None = None

    def run(
        self,
        intervals: Sequence[Interval] = STORED,
        start_ms: int | None = None,
        stop_ms: int | None = None,
        source: Source = Source.AUTO,
        is_stopped: Callable[[], bool] = lambda: False,
        **options: object,
    ) -> Outcome:
        settings = Settings.of(database=self.database, **{**urls(self.exchange), **options})

        def report(progress: object) -> None:
            assert callable(progress)
            self.progress = progress()

        wanted = Wanted(tuple(intervals), start_ms, stop_ms, source)
        return Bulk(settings, wanted, announce=self.plans.append, report=report, is_stopped=is_stopped).run()

    def stored(self, symbol: str, interval: Interval) -> list[StoredBar]:
        with closing(Reader(self.database)) as reader:
            record = reader.find(symbol)
            return [] if record is None else reader.bars(record, interval, limit=ALL)

    def differences(self, symbol: str, interval: Interval, start_ms: int, stop_ms: int) -> list[str]:
        """What differs between what is stored and what the exchange has in a span."""
        truth = self.exchange.world.bars(symbol, interval, start_ms, stop_ms)
        held = {one.bar.open_ms: one.bar for one in self.stored(symbol, interval)}
        wrong = [f"{open_ms} is too many" for open_ms in held.keys() - {bar.open_ms for bar in truth}]
        return wrong + [text for bar in truth if (text := _difference(held.get(bar.open_ms), bar))]

    def requests(self, part: str) -> int:
        """How many requests whose path has this part were made."""
        return sum(count for (path, _), count in self.exchange.counters.requests.items() if part in path)


def _difference(mine: Bar | None, truth: Bar) -> str:
    if mine is None:
        return f"{truth.open_ms} is missing"
    scale = mine.scale.widened(truth.scale)
    return "" if mine.rescaled(scale) == truth.rescaled(scale) else f"{mine} is not {truth}"


def start_backfill(exchange: SimulatedExchange, database: Path, *options: str) -> subprocess.Popen[str]:
    """`python run.py backfill` as a process."""
    addresses = [part for name, url in urls(exchange).items() for part in (f"--{name.replace('_', '-')}", url)]
    arguments = [sys.executable, "run.py", "backfill", "--database", str(database), *addresses, *options]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
