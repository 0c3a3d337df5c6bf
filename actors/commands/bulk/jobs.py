"""What is asked of the lanes: a file of the archive, or a page of REST."""

from __future__ import annotations

from typing import NamedTuple

from actors.commands.asking import Question
from actors.commands.bulk.series import Series
from bars import Bar, Span
from exchange import ArchiveClient, Download, Reply, RestClient
from wire.archive import ArchiveFile, Period
from wire.archive_plan import Source
from wire.requests import klines_weight, page_request, with_next


class FileJob(NamedTuple):
    """A file of a series."""

    series: Series
    period: Period

    @property
    def span(self) -> Span:
        return Span(self.period.start_ms, self.period.stop_ms)

    def ask(self, client: ArchiveClient) -> Download | None:
        """The file; without a text where it is as it was when it was loaded, None where there is none."""
        series, period = self
        file = ArchiveFile(series.contract.symbol, series.interval, period)
        return client.download(file, series.known.get(period.text) if series.source is Source.ARCHIVE else None)


class PageJob(NamedTuple):
    """A page of a series."""

    series: Series
    span: Span

    def question(self) -> Question:
        """To be asked; the answer carries this job."""
        series = self.series
        asked = with_next(series.interval, self.span)  # a bar after them tells that the last do not exist
        request = page_request(series.contract.symbol, series.interval, asked)

        def ask(client: RestClient) -> Reply[list[Bar]]:
            return client.klines(request, series.contract.scale)

        return Question(ask, klines_weight(request.limit), self)
