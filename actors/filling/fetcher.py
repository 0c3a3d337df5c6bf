"""A fetcher: makes one request at a time, and never decides which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.filling.jobs import Fetched, FetchFailed, InfoJob, Job, PageJob, TimeJob
from actors.messages import FetcherReady, Hello, TimeObserved
from actors.runtime.cell import Actor, Address
from exchange import ExchangeError, Reply, RestClient
from wire.requests import page_request


class Fetcher(Actor):
    """Owns one HTTP session."""

    def __init__(
        self,
        open_client: Callable[[], RestClient],
        monotonic: Callable[[], float],
        *,
        backfill: Address,
        supervisor: Address,
    ) -> None:
        self._open_client = open_client
        self._monotonic = monotonic
        self._backfill = backfill
        self._supervisor = supervisor
        self._client: RestClient | None = None

    def begin(self) -> None:
        self._client = self._open_client()
        self._backfill.tell(FetcherReady(self.me))

    def end(self) -> None:
        if self._client is not None:
            self._client.close()

    def receive(self, message: Any) -> None:
        match message:
            case InfoJob() | TimeJob() | PageJob():
                self._fetch(message)
            case Hello():
                self._backfill.tell(FetcherReady(self.me, message))
            case _:
                super().receive(message)

    def _fetch(self, job: Job) -> None:
        try:
            reply = self._request(job)
        except ExchangeError as error:
            self._backfill.tell(FetchFailed(self.me, job, error))
            return
        if isinstance(job, TimeJob):
            self._supervisor.tell(TimeObserved(reply.value, self._monotonic()))
        self._backfill.tell(Fetched(self.me, job, reply.value, reply.used_weight))

    def _request(self, job: Job) -> Reply[Any]:
        assert self._client is not None
        match job:
            case InfoJob():
                return self._client.exchange_info()
            case TimeJob():
                return self._client.time()
            case PageJob():
                return self._client.klines(page_request(job.contract.symbol, job.interval, job.asked), job.scale)
