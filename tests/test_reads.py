"""Who waits for which pages: nothing is fetched twice, and everybody is told once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actors.filling.jobs import JobQueue, PageJob, Plan, Priority
from actors.filling.reads import BARS_MAX, NOT_IN_TIME, REMEMBERED_S, Reads
from actors.messages import SpanWanted
from bars import FIVE_MINUTES, MINUTE, MINUTE_MS, Interval, Span
from tests.support.market import MONDAY_MS, a_contract

CONTRACT = a_contract(onboard_ms=0)
PATIENCE_S = 9.0


def minutes(start: int, stop: int) -> Span:
    return Span(MONDAY_MS + start * MINUTE_MS, MONDAY_MS + stop * MINUTE_MS)


class Client:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str | None] = []

    def wants(self, *spans: Span, interval: Interval = MINUTE) -> SpanWanted:
        return SpanWanted(CONTRACT.key, interval, spans, PATIENCE_S, self.told.append)


@pytest.fixture
def reads() -> Reads:
    return Reads()


def asked(
    reads: Reads, client: Client, *spans: Span, under_way: Sequence[PageJob] = (), now_s: float = 0.0
) -> list[PageJob]:
    return reads.want(client.wants(*spans), CONTRACT, under_way, now_s)


def spans_of(jobs: Sequence[PageJob]) -> list[Span]:
    return sorted(job.span for job in jobs)


def test_a_span_is_asked_for_in_pages_and_answered_when_the_last_one_is_stored(reads: Reads) -> None:
    client = Client()
    jobs = asked(reads, client, minutes(0, 1_000))
    assert spans_of(jobs) == [minutes(0, 2), minutes(2, 501), minutes(501, 1_000)]
    assert {job.priority for job in jobs} == {Priority.READ}
    for job in jobs:
        assert client.told == []
        reads.stored(job, 1.0)
    assert client.told == [None]
    assert not reads


def test_who_asks_for_the_same_span_waits_for_the_same_pages(reads: Reads) -> None:
    clients = [Client() for _ in range(20)]
    jobs = [job for client in clients for job in asked(reads, client, minutes(0, 400))]
    assert spans_of(jobs) == [minutes(0, 400)]
    reads.stored(jobs[0], 1.0)
    assert [client.told for client in clients] == [[None]] * 20


def test_of_an_overlapping_span_only_the_rest_is_asked_for(reads: Reads) -> None:
    first, second = Client(), Client()
    (before,) = asked(reads, first, minutes(100, 400))
    rest = asked(reads, second, minutes(0, 450))
    assert spans_of(rest) == [minutes(0, 100), minutes(400, 450)]
    for job in rest:
        reads.stored(job, 1.0)
    assert second.told == []
    reads.stored(before, 1.0)
    assert (first.told, second.told) == ([None], [None])


def test_what_is_under_way_for_another_reason_is_waited_for(reads: Reads) -> None:
    client, plan = Client(), Plan(CONTRACT, MINUTE, Priority.DEPTH)
    page = PageJob(CONTRACT, MINUTE, minutes(0, 499), CONTRACT.scale, Priority.DEPTH, plan=plan)
    other = PageJob(CONTRACT, FIVE_MINUTES, minutes(0, 500), CONTRACT.scale, Priority.DEPTH, plan=plan)
    assert asked(reads, client, minutes(10, 20), under_way=[page, other]) == []
    assert reads.is_waited_for(page)
    assert not reads.is_waited_for(other)
    reads.stored(page, 1.0)
    assert client.told == [None]


def test_what_was_just_fetched_is_not_asked_for_again_for_a_while(reads: Reads) -> None:
    first, second, third = Client(), Client(), Client()
    (job,) = asked(reads, first, minutes(0, 10))
    reads.stored(job, 1.0)
    assert asked(reads, second, minutes(2, 5), now_s=2.0) == []
    assert second.told == [None]
    assert spans_of(asked(reads, third, minutes(2, 5), now_s=1.0 + REMEMBERED_S)) == [minutes(2, 5)]


def test_a_page_that_is_refused_is_told_to_all_who_wait_and_not_asked_for_again_for_a_while(reads: Reads) -> None:
    clients = [Client() for _ in range(4)]
    (job,) = asked(reads, clients[0], minutes(0, 10))
    asked(reads, clients[1], minutes(5, 10))
    reads.refused(job, 1.0, "refused")
    assert asked(reads, clients[2], minutes(9, 20), now_s=2.0) == []
    assert [client.told for client in clients[:3]] == [["refused"]] * 3
    assert spans_of(asked(reads, clients[3], minutes(9, 20), now_s=1.0 + REMEMBERED_S)) == [minutes(9, 20)]


def test_a_failed_attempt_is_repeated_only_for_those_who_still_wait(reads: Reads) -> None:
    client, later = Client(), Client()
    (job,) = asked(reads, client, minutes(0, 10))
    assert reads.failed(job)
    reads.give_up(PATIENCE_S, 0.0, "", {job.page})
    assert not reads.failed(job)
    assert spans_of(asked(reads, later, minutes(0, 10), now_s=PATIENCE_S)) == [minutes(0, 10)]


def test_too_large_a_span_is_refused_at_once(reads: Reads) -> None:
    client = Client()
    assert asked(reads, client, minutes(0, BARS_MAX + 1)) == []
    assert client.told == [f"more than {BARS_MAX} bars are not fetched on request"]
    assert asked(reads, Client(), minutes(0, BARS_MAX))


def test_who_would_wait_in_vain_is_told_at_once_and_others_wait_on(reads: Reads) -> None:
    client, patient = Client(), Client()
    (sent,) = asked(reads, patient, minutes(100, 110))
    (queued,) = asked(reads, client, minutes(0, 10))
    assert reads.give_up(1.0, 5.0, "used up", {sent.page}) == set()
    assert reads.give_up(1.0, 30.0, "used up", {sent.page}) == {queued.page}
    assert (client.told, patient.told) == (["used up"], [])
    reads.stored(sent, 2.0)
    assert patient.told == [None]


def test_patience_ends_but_a_page_that_was_sent_for_is_still_worth_storing(reads: Reads) -> None:
    client, late = Client(), Client()
    (job,) = asked(reads, client, minutes(0, 10))
    assert reads.give_up(PATIENCE_S, 0.0, "", {job.page}) == set()
    assert client.told == [NOT_IN_TIME]
    assert asked(reads, late, minutes(0, 10), now_s=PATIENCE_S) == []
    reads.stored(job, PATIENCE_S + 1)
    assert late.told == [None]


def test_a_page_that_others_wait_for_is_not_dropped_with_the_first_who_gives_up(reads: Reads) -> None:
    first, second = Client(), Client()
    (job,) = asked(reads, first, minutes(0, 10))
    asked(reads, second, minutes(0, 10), now_s=5.0)
    assert reads.give_up(PATIENCE_S, 0.0, "", set()) == set()
    assert reads.give_up(PATIENCE_S + 5, 0.0, "", set()) == {job.page}
    assert (first.told, second.told) == ([NOT_IN_TIME], [NOT_IN_TIME])


def test_at_the_end_everybody_is_told(reads: Reads) -> None:
    clients = [Client(), Client()]
    for number, client in enumerate(clients):
        asked(reads, client, minutes(number, number + 1))
    reads.end("over")
    assert [client.told for client in clients] == [["over"], ["over"]]


def test_dropped_pages_leave_the_queue_and_others_stay() -> None:
    queue = JobQueue()
    dropped = PageJob(CONTRACT, MINUTE, minutes(0, 10), CONTRACT.scale, Priority.READ)
    kept = PageJob(CONTRACT, MINUTE, minutes(20, 30), CONTRACT.scale, Priority.READ)
    gap = PageJob(CONTRACT, MINUTE, minutes(0, 10), CONTRACT.scale, Priority.LIVE_GAP)
    for job in (dropped, kept, gap):
        queue.push(job)
    queue.discard_reads({dropped.page})
    assert [queue.pop(), queue.pop(), queue.pop()] == [gap, kept, None]
