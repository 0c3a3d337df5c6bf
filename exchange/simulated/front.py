"""HTTP as the exchange's front answers it: weight, faults, compression."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from concurrent.futures import Executor
from email.utils import formatdate
from typing import Any

import msgspec

from exchange.simulated.archive import Archive
from exchange.simulated.clock import SimulatedClock
from exchange.simulated.counters import Counters
from exchange.simulated.faults import Dice, FaultPlan
from exchange.simulated.rest import ROOT, Answer, Rest, json_answer, refusal, weight
from exchange.simulated.weight import WeightMeter
from wire.errors import ApiError, banned_until, restricted_location, too_many_requests

GZIP_FROM_BYTES = 1_000
_HTML = ((b"content-type", b"text/html"),)
_FORBIDDEN = (
    b"<html><head><title>403 Forbidden</title></head><body><h1>403 ERROR</h1>The request could not be satisfied."
)
_SERVER_ERRORS = (
    json_answer({"code": -1000, "msg": "An unknown error occurred while processing the request."}, 500),
    json_answer({"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}, 503),
    json_answer({"code": -1008, "msg": "Request throttled by system-level protection."}, 503),
    json_answer({"code": -1007, "msg": "Timeout waiting for response from backend server."}, 408),
    Answer(503, b"Service Unavailable.", ((b"content-type", b"text/plain"),)),
    Answer(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", _HTML),
    Answer(504, b"", ()),
)
_GARBAGE = (b"<html><body>maintenance</body></html>", b"\xff\xfe\x00garbage", b"", b'{"unexpected":true}', b'[[1,"2"]]')

Receive = Callable[[], Any]
Send = Callable[[Any], Any]


class Http:
    """Answers HTTP requests, ASGI.

    Args:
        plan: the faults of this moment.
        workers: where answers are put together, so that the streams go on meanwhile.
    """

    def __init__(
        self,
        rest: Rest,
        archive: Archive,
        meter: WeightMeter,
        clock: SimulatedClock,
        plan: Callable[[], FaultPlan],
        dice: Dice,
        counters: Counters,
        workers: Executor,
    ) -> None:
        self._rest = rest
        self._archive = archive
        self._meter = meter
        self._clock = clock
        self._plan = plan
        self._dice = dice
        self._counters = counters
        self._workers = workers
        self._hanging: set[asyncio.Event] = set()

    def stop(self) -> None:
        """End the answers that would never come."""
        for event in self._hanging:
            event.set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        path, query = scope["path"], scope["query_string"]
        plan, now_ms = self._plan(), self._clock.now_ms()
        if self._dice.hits(plan.timeouts):
            await self._hang(path, receive, send)
            return
        if self._dice.hits(plan.delays):
            await asyncio.sleep(self._dice.share() * plan.delay_s)
        charged = path.startswith(ROOT)
        answer = self._refused(path, query, now_ms, charged) or self._faulty(plan, now_ms)
        if answer is None:
            answer = await asyncio.get_running_loop().run_in_executor(
                self._workers, self._answer, path, query, self._clock.now_ms(), self._view_lag_ms(plan)
            )
            answer = self._spoilt(plan, answer)
        headers = [*answer.headers, (b"date", formatdate(now_ms / 1_000, usegmt=True).encode())]
        if charged and answer.status not in (403, 451):
            headers.append((b"x-mbx-used-weight-1m", str(self._meter.used(now_ms)).encode()))
        if answer.status == 429 and self._dice.hits(0.5):  # sources disagree on whether it comes
            headers.append((b"retry-after", b"30"))
        body = answer.body
        if scope["method"] != "GET":
            answer, body = answer._replace(status=405), b""
        elif len(body) >= GZIP_FROM_BYTES and b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b""):
            body = await asyncio.get_running_loop().run_in_executor(self._workers, _gzipped, body)
            headers.append((b"content-encoding", b"gzip"))
        self._counters.requests[path, answer.status] += 1
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _refused(self, path: str, query: bytes, now_ms: int, charged: bool) -> Answer | None:
        if not charged:
            return None
        try:
            self._meter.charge(now_ms, weight(path, query))
        except ApiError as error:
            return refusal(error)
        return None

    def _faulty(self, plan: FaultPlan, now_ms: int) -> Answer | None:
        """An answer in the place of the right one; None when there is no such fault."""
        if plan.only_status is not None:
            return _of_status(plan.only_status, now_ms)
        if self._dice.hits(plan.server_errors):
            return _SERVER_ERRORS[self._dice.below(len(_SERVER_ERRORS))]
        if self._dice.hits(plan.restricted):
            return _of_status(451, now_ms)
        if self._dice.hits(plan.forbidden):
            return _of_status(403, now_ms)
        return None

    def _spoilt(self, plan: FaultPlan, answer: Answer) -> Answer:
        if answer.status != 200:
            return answer
        if self._dice.hits(plan.cut_bodies):
            return answer._replace(body=answer.body[: self._dice.below(max(1, len(answer.body)))])
        if self._dice.hits(plan.garbage_bodies):
            return answer._replace(body=_GARBAGE[self._dice.below(len(_GARBAGE))])
        return answer

    def _view_lag_ms(self, plan: FaultPlan) -> int:
        return 1 + self._dice.below(plan.settling_ms) if self._dice.hits(plan.settling_rows) else 0

    def _answer(self, path: str, query: bytes, now_ms: int, lag_ms: int) -> Answer:
        try:
            if path.startswith(ROOT):
                return self._rest.answer(path, query, now_ms, now_ms - lag_ms)
            return self._archive.answer(path, query, now_ms, self._plan())
        except ApiError as error:
            return refusal(error)

    async def _hang(self, path: str, receive: Receive, send: Send) -> None:
        """Never answer, or never finish the answer; ends when the client gives up."""
        self._counters.requests[path, 0] += 1
        started = self._dice.hits(0.5)
        if started:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"symbols":[', "more_body": True})
        stopped = asyncio.Event()
        self._hanging.add(stopped)
        waiting = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(_disconnected(receive))]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        self._hanging.discard(stopped)
        for task in waiting:
            task.cancel()
        if stopped.is_set():
            if not started:
                await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"988")]})
            await send({"type": "http.response.body", "body": b" " * 988})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=1, mtime=0)


def _of_status(status: int, now_ms: int) -> Answer:
    """The exchange's usual answer of this status."""
    if status == 451:
        return Answer(451, msgspec.json.format(msgspec.json.encode(restricted_location().body()), indent=2))
    if status == 403:
        return Answer(403, _FORBIDDEN, _HTML)
    if status == 418:
        return refusal(banned_until(now_ms + 120_000))
    if status == 429:
        return refusal(too_many_requests(2400))
    return json_answer({"code": -1000, "msg": "An unknown error occurred while processing the request."}, status)
