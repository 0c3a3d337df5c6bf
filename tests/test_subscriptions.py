"""The SUBSCRIBE dialogue: a client's half, a server's half, and both together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.frames import Answer, decode_frame
from wire.subscriptions import MESSAGES_PER_SECOND, NAMES_PER_MESSAGE, STREAMS_MAX, Publisher, Subscriber

ONE, TWO = "btcusdt@kline_1m", "币安人生usdt@kline_1m"
names = st.sets(st.sampled_from([f"s{n}usdt@kline_1m" for n in range(12)]), max_size=12)


def many(count: int) -> list[str]:
    return [f"s{n:04}usdt@kline_1m" for n in range(count)]


def said(text: str | None) -> dict[str, Any]:
    assert text is not None
    message: dict[str, Any] = json.loads(text)
    return message


def ask(publisher: Publisher, **request: Any) -> dict[str, Any]:
    return said(publisher.on_request(json.dumps(request)))


def talk(subscriber: Subscriber, publisher: Publisher, now_s: float) -> None:
    """Everything the client has to say from `now_s` on, each answered at once."""
    for step in range(100):
        request = subscriber.next_request(now_s + step * 0.25)
        if request is not None:
            answer = decode_frame(publisher.on_request(request))
            assert isinstance(answer, Answer)
            assert answer.error is None
            subscriber.answered(answer.id)


class TestSubscriber:
    def test_it_asks_for_what_is_wanted_once(self) -> None:
        subscriber = Subscriber([TWO, ONE])
        assert said(subscriber.next_request(0.0)) == {"method": "SUBSCRIBE", "params": [ONE, TWO], "id": 1}
        assert subscriber.next_request(10.0) is None

    def test_it_is_settled_when_all_was_asked_for_and_answered(self) -> None:
        subscriber = Subscriber([ONE])
        assert not subscriber.is_settled
        request = said(subscriber.next_request(0.0))
        assert not subscriber.is_settled
        subscriber.answered(request["id"])
        assert subscriber.is_settled

    def test_an_answer_proves_nothing_and_a_frame_does(self) -> None:
        subscriber = Subscriber([ONE, TWO])
        subscriber.answered(said(subscriber.next_request(0.0))["id"])
        assert subscriber.unproved == {ONE, TWO}
        subscriber.proved(ONE)
        assert subscriber.unproved == {TWO}

    @pytest.mark.parametrize("count", [1, 199, 200, 201, 999])
    def test_it_asks_in_messages_of_at_most_200_names(self, count: int) -> None:
        subscriber = Subscriber(many(count))
        asked: list[str] = []
        now_s = 0.0
        while not subscriber.is_settled:
            request = said(subscriber.next_request(now_s))
            subscriber.answered(request["id"])
            assert len(request["params"]) <= NAMES_PER_MESSAGE
            asked += request["params"]
            now_s += 1.0
        assert asked == many(count)

    def test_it_sends_no_more_than_four_messages_in_any_second(self) -> None:
        subscriber = Subscriber(many(3_000))
        sent_s = [step / 100 for step in range(1_000) if subscriber.next_request(step / 100) is not None]
        assert len(sent_s) == 3_000 // NAMES_PER_MESSAGE
        pairs = zip(sent_s, sent_s[MESSAGES_PER_SECOND:], strict=False)
        assert all(later_s - earlier_s >= 1.0 for earlier_s, later_s in pairs)

    def test_a_reconnection_does_not_lift_the_pace(self) -> None:
        subscriber = Subscriber(many(3_000))
        assert all(subscriber.next_request(0.0) for _ in range(MESSAGES_PER_SECOND))
        subscriber.connected()
        assert subscriber.next_request(0.5) is None
        assert said(subscriber.next_request(1.0))["params"] == many(NAMES_PER_MESSAGE)

    def test_a_new_connection_knows_nothing_of_the_old_one(self) -> None:
        subscriber = Subscriber([ONE])
        old = said(subscriber.next_request(0.0))
        subscriber.proved(ONE)
        subscriber.connected()
        assert subscriber.unproved == {ONE}
        new = said(subscriber.next_request(1.0))
        assert new["params"] == [ONE]
        subscriber.answered(old["id"])
        assert not subscriber.is_settled
        subscriber.answered(new["id"])
        assert subscriber.is_settled

    def test_what_is_no_longer_wanted_is_left_before_anything_new(self) -> None:
        subscriber = Subscriber([ONE])
        subscriber.answered(said(subscriber.next_request(0.0))["id"])
        subscriber.want([TWO])
        assert subscriber.wanted == {TWO}
        assert said(subscriber.next_request(1.0)) == {"method": "UNSUBSCRIBE", "params": [ONE], "id": 2}
        assert said(subscriber.next_request(2.0)) == {"method": "SUBSCRIBE", "params": [TWO], "id": 3}

    def test_a_late_frame_of_a_stream_that_was_left_does_not_prove_its_next_subscription(self) -> None:
        subscriber = Subscriber([ONE])
        subscriber.next_request(0.0)
        subscriber.want([])
        subscriber.proved(ONE)
        subscriber.want([ONE])
        assert subscriber.unproved == {ONE}

    @pytest.mark.parametrize("request_id", [None, "1", [], {}, [1], 1.5, 99, -1])
    def test_foreign_ids_are_ignored(self, request_id: Any) -> None:
        subscriber = Subscriber([ONE])
        subscriber.next_request(0.0)
        subscriber.answered(request_id)
        assert not subscriber.is_settled

    def test_without_wishes_it_is_silent(self) -> None:
        subscriber = Subscriber()
        assert subscriber.next_request(0.0) is None
        assert subscriber.is_settled


class TestPublisher:
    def test_it_subscribes_lists_and_unsubscribes(self) -> None:
        publisher = Publisher(combined=True)
        assert ask(publisher, method="SUBSCRIBE", params=[TWO, ONE], id=1) == {"result": None, "id": 1}
        assert ask(publisher, method="LIST_SUBSCRIPTIONS", id=2) == {"result": [TWO, ONE], "id": 2}
        assert ask(publisher, method="UNSUBSCRIBE", params=[TWO], id=3) == {"result": None, "id": 3}
        assert list(publisher.names) == [ONE]

    def test_nonsense_and_what_was_never_subscribed_is_acknowledged_too(self) -> None:
        publisher = Publisher(combined=True)
        assert ask(publisher, method="UNSUBSCRIBE", params=["never"], id=1) == {"result": None, "id": 1}
        assert ask(publisher, method="SUBSCRIBE", params=["nonsense", "nonsense"], id=2) == {"result": None, "id": 2}
        assert list(publisher.names) == ["nonsense"]

    @pytest.mark.parametrize(
        "request_id", [0, -1, 10**30, 1.5, "abc", "1", "", None, True, [1, [2]], {"a": None}, "币安人生"]
    )
    def test_the_id_comes_back_whatever_its_type(self, request_id: Any) -> None:
        answer = ask(Publisher(combined=True), method="LIST_SUBSCRIPTIONS", id=request_id)
        assert answer == {"result": [], "id": request_id}
        assert type(answer["id"]) is type(request_id)
        assert ask(Publisher(combined=True), method="NO", id=request_id)["id"] == request_id

    def test_a_request_without_an_id_is_answered_with_null(self) -> None:
        assert ask(Publisher(combined=True), method="SUBSCRIBE", params=[ONE]) == {"result": None, "id": None}

    def test_the_combined_property_is_set_and_told(self) -> None:
        publisher = Publisher(combined=False)
        assert ask(publisher, method="GET_PROPERTY", params=["combined"], id=1) == {"result": False, "id": 1}
        assert ask(publisher, method="SET_PROPERTY", params=["combined", True], id=2) == {"result": None, "id": 2}
        assert publisher.combined

    @pytest.mark.parametrize(
        ("request_", "code", "message"),
        [
            ({"method": "SET_PROPERTY", "params": ["other", True]}, 0, "Unknown property"),
            ({"method": "SET_PROPERTY"}, 0, "Unknown property"),
            ({"method": "GET_PROPERTY", "params": None}, 0, "Unknown property"),
            ({"method": "SET_PROPERTY", "params": ["combined", 1]}, 1, "Invalid value type: expected Boolean"),
            ({"method": "SET_PROPERTY", "params": ["combined"]}, 1, "Invalid value type: expected Boolean"),
            ({"method": "subscribe", "params": [ONE]}, 2, "Invalid request"),
            ({"method": "SUBSCRIBE", "params": ONE}, 2, "Invalid request"),
            ({"method": "SUBSCRIBE", "params": None}, 2, "Invalid request"),
            ({"method": "SUBSCRIBE", "params": [ONE, 5]}, 2, "Invalid request"),
            ({"method": "UNSUBSCRIBE", "params": {}}, 2, "Invalid request"),
        ],
    )
    def test_each_refusal_has_its_code_and_subscribes_nothing(
        self, request_: dict[str, Any], code: int, message: str
    ) -> None:
        publisher = Publisher(combined=True)
        answer = ask(publisher, **request_, id=9)
        assert answer["id"] == 9
        assert answer["error"]["code"] == code
        assert message in answer["error"]["msg"]
        assert not publisher.names
        assert publisher.close_reason is None

    @pytest.mark.parametrize("text", ["null", "5", "[]", '"x"', "{}", '{"id":1}', '{"method":5}', '{"method":null}'])
    def test_json_that_is_no_request_is_refused(self, text: str) -> None:
        assert said(Publisher(combined=True).on_request(text))["code"] == 2

    @pytest.mark.parametrize("text", ["", "{", "SUBSCRIBE", b"\xff", "\ud800", "[" * 100_000, '{"id":1e999}'])
    def test_what_is_no_json_is_refused(self, text: str | bytes) -> None:
        answer = said(Publisher(combined=True).on_request(text))
        assert answer["code"] == 3
        assert answer["msg"].startswith("Invalid JSON")

    @pytest.mark.parametrize("depth", [*range(800, 1_010, 3), 3_000])
    def test_an_id_nested_as_deep_as_can_be_is_echoed_or_refused(self, depth: int) -> None:
        nested = "[" * depth + "]" * depth
        answer = Publisher(combined=True).on_request(f'{{"method":"LIST_SUBSCRIPTIONS","id":{nested}}}')
        assert nested in answer or '"code":3' in answer

    def test_the_1024th_stream_is_fine_and_repeating_one_adds_none(self) -> None:
        publisher = Publisher(combined=True)
        assert ask(publisher, method="SUBSCRIBE", params=many(STREAMS_MAX), id=1) == {"result": None, "id": 1}
        assert ask(publisher, method="SUBSCRIBE", params=many(5), id=2) == {"result": None, "id": 2}
        assert publisher.close_reason is None
        assert len(publisher.names) == STREAMS_MAX

    def test_one_stream_too_many_loses_them_all(self) -> None:
        publisher = Publisher(combined=True)
        publisher.subscribe(many(STREAMS_MAX))
        answer = ask(publisher, method="SUBSCRIBE", params=[ONE], id=3)
        assert answer == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 3}
        assert publisher.close_reason == "Invalid request"
        assert not publisher.names

    def test_a_url_may_subscribe_too_and_has_the_same_limit(self) -> None:
        publisher = Publisher(combined=True)
        assert publisher.subscribe([ONE])
        assert not publisher.subscribe(many(STREAMS_MAX))
        assert publisher.close_reason is not None

    def test_two_publishers_share_nothing(self) -> None:
        one, other = Publisher(combined=True), Publisher(combined=True)
        one.subscribe([ONE])
        assert not other.names

    @given(st.binary() | st.text())
    def test_any_message_gets_an_answer_in_json(self, text: bytes | str) -> None:
        assert isinstance(json.loads(Publisher(combined=True).on_request(text)), dict)


class TestDialogue:
    @given(st.lists(st.tuples(names, st.booleans()), min_size=1, max_size=6))
    def test_after_any_wishes_and_reconnections_the_server_has_what_is_wanted(
        self, wishes: list[tuple[set[str], bool]]
    ) -> None:
        subscriber, publisher, now_s = Subscriber(), Publisher(combined=True), 0.0
        for wanted, reconnect in wishes:
            subscriber.want(wanted)
            if reconnect:
                subscriber.connected()
                publisher = Publisher(combined=True)
            talk(subscriber, publisher, now_s + 2)
            assert subscriber.is_settled
            assert set(publisher.names) == wanted
            now_s += 100

    def test_a_full_market_is_subscribed_in_seconds(self) -> None:
        subscriber, publisher = Subscriber(many(1_000)), Publisher(combined=True)
        for step in range(9):
            request = subscriber.next_request(step * 0.25)
            if request is not None:
                subscriber.answered(json.loads(publisher.on_request(request))["id"])
        assert subscriber.is_settled
        assert len(publisher.names) == 1_000
