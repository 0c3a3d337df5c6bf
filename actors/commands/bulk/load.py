"""Bulk download of history, without the live actors: a plan first, then the archive and REST side by side.

The thread that calls `run` decides, reads files and writes; the lanes' threads only wait for the network. Every file
and every page is one transaction, and what to do next follows from what is stored: after a crash at any moment the
same command ends with the same bars.
"""

from __future__ import annotations

import logging
import os
import queue
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial

from actors.commands.asking import Asking, Question
from actors.commands.bulk.estimates import plan_of
from actors.commands.bulk.intake import Intake
from actors.commands.bulk.jobs import FileJob, PageJob
from actors.commands.bulk.lanes import DOWNLOADS, ArchiveLane, Interrupted, Landed, RestLane, pausing
from actors.commands.bulk.larger import made_larger
from actors.commands.bulk.ledger import left_over
from actors.commands.bulk.report import Meter, Outcome, Progress
from actors.commands.bulk.scope import chosen, listings, wanted_series
from actors.commands.bulk.series import Missing, Series, Wanted
from actors.commands.pauses import found_pauses
from actors.settings import Settings
from bars import FIVE_MINUTES, MINUTE, Interval, Span
from exchange import ArchiveClient, ExchangeError, RestClient, proxy_for, trusting_context
from storage import BarStore, ContractsSeen, PausesSeen, Reader
from wire.exchange_info import ExchangeInfo

logger = logging.getLogger(__name__)

AHEAD = 2 * DOWNLOADS
"""Files under way or waiting to be stored; a month of minutes takes 4 to 5.5 MB of memory."""
LOOK_EVERY_S = 0.2
NO_LISTING = "the archive cannot be listed; files are tried unseen"
COMMITS_AT_ONCE = 16


class Bulk:
    """One bulk download. Use `run` once.

    Args:
        announce: takes the lines of the plan.
        report: called often with how far it is.
        is_stopped: whether the user wants an end; asked often.
    """

    def __init__(
        self,
        settings: Settings,
        wanted: Wanted,
        *,
        announce: Callable[[Sequence[str]], None],
        report: Callable[[Callable[[], Progress]], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._announce = announce
        self._report = report
        self._is_stopped = is_stopped
        self._ended = threading.Event()
        self._results: queue.SimpleQueue[Landed] = queue.SimpleQueue()
        self._meter = Meter()
        self._added: Counter[tuple[Interval, str]] = Counter()
        self._missing: list[Missing] = []
        self._warnings: list[str] = []
        self._files: deque[FileJob] = deque()
        self._unfinished: set[Series] = set()
        self._now_ms = 0
        self._store: BarStore
        self._reader: Reader
        self._intake: Intake
        self._archive: ArchiveLane
        self._rest: RestLane

    def run(self) -> Outcome:
        """Download what is wanted and missing.

        Raises:
            DatabaseInUse: a service writes to the same file, or another download.
            BadOption: a symbol that the exchange does not list.
            ExchangeError: the exchange cannot be asked what there is.
            StorageError
        """
        began_s = time.monotonic()
        settings = self._settings
        tls = trusting_context()  # reading the certificates takes a tenth of a second: once for all clients
        with ExitStack() as stack:
            self._store = stack.enter_context(closing(BarStore.open(settings.database)))
            self._reader = stack.enter_context(closing(Reader(settings.database)))
            rest_proxy = proxy_for(settings.rest_url, settings.proxy, os.environ)
            asking = stack.enter_context(
                Asking(
                    lambda: RestClient(settings.rest_url, rest_proxy, tls=tls),
                    settings.weight_share,
                    pause=pausing(self._ended, self._is_stopped),
                )
            )
            self._archive = stack.enter_context(
                closing(ArchiveLane(partial(self._open_archive, tls), self._results, self._ended))
            )
            stack.callback(self._ended.set)
            series: list[Series] = []
            try:
                series, weight = self._prepare(asking)
                self._intake = Intake(self._store, self._reader, self._meter, self._added, self._now_ms)
                self._rest = stack.enter_context(closing(RestLane(asking, self._results, self._ended)))
                stack.callback(self._ended.set)
                self._plan(series, weight)
                self._download(series)
                self._meter.stage = "making larger bars"
                for completed in made_larger(series, self._reader, self._store):
                    self._added[completed, "aggregated"] += 1
                    self._look_up()
                self._keep_ledger(series)
            except Interrupted:
                logger.info("stopping; what was fetched is stored")
            interrupted = self._is_stopped()
            for one in series:
                self._missing += one.still_missing(one.holes(self._reader))
        return Outcome(self._added, self._missing, self._warnings, time.monotonic() - began_s, interrupted)

    def _open_archive(self, tls: ssl.SSLContext) -> ArchiveClient:
        settings = self._settings
        proxies = tuple(
            proxy_for(url, settings.proxy, os.environ) for url in (settings.archive_url, settings.listing_url)
        )
        return ArchiveClient(settings.archive_url, settings.listing_url, (proxies[0], proxies[1]), tls=tls)

    # --- what there is to do

    def _prepare(self, asking: Asking) -> tuple[list[Series], int]:
        """All series that are wanted, and the weight per minute that may be spent."""
        info: ExchangeInfo = asking.answer(Question(lambda client: client.exchange_info(), weight=1))
        asking.set_limit(info.weight_per_minute)
        self._now_ms = asking.observed_ms
        contracts = chosen(info, self._settings.symbols)
        self._store.commit([ContractsSeen(contracts, info.frame)])
        series = wanted_series(self._wanted, contracts, self._settings.history, self._reader, self._now_ms)
        return series, max(1, int(self._settings.weight_share * info.weight_per_minute))

    def _plan(self, series: Sequence[Series], weight_per_minute: int) -> None:
        self._list_archive(series)
        self._announce(list(plan_of(series, self._reader, weight_per_minute)))

    def _list_archive(self, series: Sequence[Series]) -> None:
        """Learn which files there are of the series that may want any. Without a listing, files are tried."""
        self._meter.stage = "listing the archive"
        jobs = deque(job for one in series for job in listings(one, self._reader))
        left = len(jobs)
        while left:
            while jobs and self._archive.under_way < AHEAD:
                job = jobs.popleft()
                self._archive.ask(job, job.ask)
            for landed in self._landed():
                left -= 1
                if isinstance(landed.value, ExchangeError):
                    self._unlisted(landed.value)
                else:
                    landed.ticket.take(landed.value)

    def _unlisted(self, error: ExchangeError) -> None:
        if NO_LISTING not in self._warnings:
            self._warnings.append(NO_LISTING)
            logger.warning("%s: %s", NO_LISTING, error)

    # --- doing it

    def _download(self, series: Sequence[Series]) -> None:
        self._meter.stage = "downloading"
        for one in series:
            self._advance(one)
        self._files = deque(sorted(self._files, key=lambda job: -job.period.stop_ms))
        while self._unfinished:
            while self._files and self._archive.under_way < AHEAD:
                job = self._files.popleft()
                self._archive.ask(job, job.ask)
            self._take(self._landed())

    def _advance(self, series: Series) -> None:
        """Begin the next steps of a series that has none under way."""
        steps = series.next_steps(series.holes(self._reader))
        if not series.pending:
            self._unfinished.discard(series)
            return
        self._unfinished.add(series)
        self._files.extend(FileJob(series, period) for period in steps.periods)
        self._meter.files_total += len(steps.periods)
        self._meter.pages_total += len(steps.pages)
        for span in steps.pages:
            self._rest.ask(PageJob(series, span).question())

    def _landed(self) -> list[Landed]:
        """What has come, after waiting a little if nothing has.

        Raises:
            Interrupted: the user wants an end.
        """
        found: list[Landed] = []
        try:
            found.append(self._results.get(timeout=LOOK_EVERY_S))
            while len(found) < COMMITS_AT_ONCE:
                found.append(self._results.get_nowait())
        except queue.Empty:
            pass
        for landed in found:
            if not isinstance(landed.ticket, PageJob):
                self._archive.taken(landed)
            if isinstance(landed.value, Exception) and not isinstance(landed.value, ExchangeError):
                raise landed.value
        self._look_up()
        return found

    def _look_up(self) -> None:
        """Report, and see whether the user wants an end."""
        self._report(self._progress)
        if self._is_stopped():
            raise Interrupted

    def _take(self, landed: Sequence[Landed]) -> None:
        for one in landed:
            self._intake.take(one.ticket, one.value)
            series: Series = one.ticket.series
            series.pending -= 1
            if not series.pending:
                self._advance(series)

    def _keep_ledger(self, series: Sequence[Series]) -> None:
        self._meter.stage = "keeping the ledger"
        self._store.commit(list(left_over(series, self._reader, self._now_ms)))
        telling = [one.span for one in series if one.interval in (MINUTE, FIVE_MINUTES)]
        if telling:
            span = Span(min(one.start_ms for one in telling), max(one.stop_ms for one in telling))
            for looked_at, found in found_pauses(self._reader, span):
                self._store.commit([PausesSeen(looked_at, found, self._now_ms)])
                self._look_up()

    def _progress(self) -> Progress:
        return self._meter.progress(time.monotonic())
