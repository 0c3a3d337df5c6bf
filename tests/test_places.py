"""Who may stay and who makes way, and who is cut off for not reading."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from web.places import (
    READ_BYTES_PER_S,
    READ_GRACE_S,
    RESERVED_DESCRIPTORS,
    Client,
    Handover,
    Places,
    clients_within,
)

T = TypeVar("T", str, int)


def test_while_there_is_room_nobody_leaves() -> None:
    places: Places[str] = Places(2)
    come(places, "a")
    assert places.make_room() == (True, None)


def come(places: Places[T], one: T) -> T | None:
    """Somebody comes in; who had to leave for it."""
    is_room, leaving = places.make_room()
    assert is_room
    places.enter(one)
    return leaving


def test_a_place_is_kept_for_who_was_let_in_until_it_enters_or_is_forgotten() -> None:
    places: Places[str] = Places(1)
    settling = [places.is_settling]
    assert places.make_room() == (True, None)
    settling.append(places.is_settling)
    assert places.make_room() == (False, None)
    places.enter("a")
    settling.append(places.is_settling)
    assert settling == [False, True, False]
    assert places.make_room() == (True, "a")
    places.forget_coming()
    assert places.make_room() == (True, None)


def test_strangers_beyond_their_share_make_way_before_those_who_asked_once_and_the_longest_here_first() -> None:
    places: Places[str] = Places(4)
    for name in "abcd":
        come(places, name)
    for name in "ba":
        places.busy(name)
        places.waiting(name)
    left = []
    for name in "efgh":
        left.append(come(places, name))
        places.busy(name)
    assert left == ["c", "b", "a", "d"]
    assert places.make_room() == (False, None)
    places.waiting("f")
    assert places.make_room() == (True, "f")


def test_streams_keep_their_places_and_leave_some_for_questions() -> None:
    places: Places[int] = Places(4)
    for stream in range(3):
        assert not places.streams_full
        places.enter_stream(stream)
    assert places.streams_full
    come(places, 3)
    assert places.make_room() == (True, 3)
    places.leave(0)
    assert not places.streams_full


@given(st.lists(st.tuples(st.sampled_from(["come", "busy", "waiting", "leave"]), st.integers(0, 9)), max_size=60))
def test_however_they_come_and_go_there_are_never_more_than_places_and_nobody_holds_two(
    moves: list[tuple[str, int]],
) -> None:
    places: Places[int] = Places(4)
    here: set[int] = set()
    for move, one in moves:
        if move == "come" and one not in here:
            is_room, leaving = places.make_room()
            here.discard(-1 if leaving is None else leaving)
            if is_room:
                places.enter(one)
                here.add(one)
        elif move == "leave":
            places.leave(one)
            here.discard(one)
        elif move in ("busy", "waiting"):
            getattr(places, move)(one)
        assert len(places) == len(here) <= 4


def test_clients_leave_descriptors_for_everything_else() -> None:
    assert clients_within(2048, 1_000_000) == 2048
    assert clients_within(2048, 1024) == 1024 - RESERVED_DESCRIPTORS
    assert clients_within(2048, 128) == 32
    assert clients_within(10, 1024) == 10
    assert clients_within(10, 0) == 1


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


A, B, C = ("127.0.0.1", 1), ("127.0.0.1", 2), ("127.0.0.1", 3)


def test_who_takes_too_long_to_read_is_cut_off_once() -> None:
    clock, dropped = Clock(), list[Client]()
    handover = Handover(dropped.append, clock)
    slow, quick = handover.begin(A), handover.begin(B)
    slow.add(READ_BYTES_PER_S)
    quick.add(READ_BYTES_PER_S)
    quick.end()
    clock.now_s += READ_GRACE_S + 1
    assert handover.cut_off_overdue() == 0
    clock.now_s += 0.1
    assert handover.cut_off_overdue() == 1
    assert handover.cut_off_overdue() == 0
    slow.end()
    assert dropped == [A]


def test_a_longer_answer_may_take_longer() -> None:
    clock, dropped = Clock(), list[Client]()
    handover = Handover(dropped.append, clock)
    handing = handover.begin(A)
    for _ in range(10):
        handing.add(READ_BYTES_PER_S)
    clock.now_s += READ_GRACE_S + 10
    assert handover.cut_off_overdue() == 0


def test_when_too_much_waits_to_be_read_the_longest_waiting_is_cut_off_but_never_the_only_one() -> None:
    dropped = list[Client]()
    handover = Handover(dropped.append, Clock(), unread_max=100)
    first = handover.begin(A)
    first.add(60)
    handover.begin(B).add(60)
    assert dropped == [A]
    first.add(60)
    first.end()
    assert handover.unread == 60
    handover.begin(C).add(500)
    assert dropped == [A, B]


def test_a_client_without_an_address_is_only_counted() -> None:
    clock, dropped = Clock(), list[Client]()
    handover = Handover(dropped.append, clock)
    handover.begin(None).add(1)
    clock.now_s += 1_000
    assert handover.cut_off_overdue() == 1
    assert dropped == []
