"""The SUBSCRIBE dialogue, from both ends.

    > {"method":"SUBSCRIBE","params":["btcusdt@kline_1m","ethusdt@kline_1m"],"id":1}
    < {"result":null,"id":1}

An answer proves nothing: nonsense, unknown symbols and wrong-case names are acknowledged too, and so is
everything on a path of the wrong route. Only a frame proves a stream. More than 10 messages a second, or a
1025th stream, closes the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from wire.errors import UNREADABLE

NAMES_PER_MESSAGE = 200
MESSAGES_PER_SECOND = 4
STREAMS_PER_CONNECTION = 200
"""Under every documented limit (1024, elsewhere 200); quality falls before the limit does."""
STREAMS_MAX = 1024


class Subscriber:
    """A client's half: which streams to ask for, how fast, and which have proved to be alive.

    Times are local monotonic seconds, passed in.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._wanted: set[str] = set(names)
        self._asked: set[str] = set()
        self._proved: set[str] = set()
        self._unanswered: set[int] = set()
        self._sent_s: deque[float] = deque(maxlen=MESSAGES_PER_SECOND)
        self._next_id = 1
        self._has_to_say = True

    @property
    def wanted(self) -> frozenset[str]:
        return frozenset(self._wanted)

    @property
    def unproved(self) -> frozenset[str]:
        """The wanted streams of which no frame has come yet."""
        return frozenset(self._wanted - self._proved)

    @property
    def is_settled(self) -> bool:
        """Whether everything was asked for and every request answered."""
        return self._asked == self._wanted and not self._unanswered

    def want(self, names: Iterable[str]) -> None:
        """Replace the streams that are wanted."""
        self._wanted = set(names)
        self._proved &= self._wanted
        self._has_to_say = True

    def connected(self) -> None:
        """A new connection: nothing is subscribed there yet."""
        self._asked.clear()
        self._proved.clear()
        self._unanswered.clear()
        self._has_to_say = True

    def next_request(self, now_s: float) -> str | None:
        """The next message to send at `now_s`; None when nothing is to be said or it is too soon."""
        if not self._has_to_say:
            return None
        if len(self._sent_s) == MESSAGES_PER_SECOND and now_s - self._sent_s[0] < 1.0:
            return None
        for method, names in (("UNSUBSCRIBE", self._asked - self._wanted), ("SUBSCRIBE", self._wanted - self._asked)):
            if names:
                return self._request(method, sorted(names)[:NAMES_PER_MESSAGE], now_s)
        self._has_to_say = False
        return None

    def answered(self, request_id: Any) -> None:
        """A request was answered; errors are the caller's to report. Ids that are not ours are ignored."""
        if isinstance(request_id, int):
            self._unanswered.discard(request_id)

    def proved(self, name: str) -> None:
        """A frame of this stream came."""
        if name in self._wanted:
            self._proved.add(name)

    def _request(self, method: str, names: list[str], now_s: float) -> str:
        if method == "SUBSCRIBE":
            self._asked.update(names)
        else:
            self._asked.difference_update(names)
        request_id, self._next_id = self._next_id, self._next_id + 1
        self._unanswered.add(request_id)
        self._sent_s.append(now_s)
        return msgspec.json.encode({"method": method, "params": names, "id": request_id}).decode()


@dataclass(slots=True)
class Publisher:
    """A server's half: reads requests, keeps what is subscribed, and words the answers.

    After a request that the exchange punishes by closing, `close_reason` says so (close code 1008).
    """

    combined: bool
    names: dict[str, None] = field(default_factory=dict)
    close_reason: str | None = None

    def on_request(self, text: str | bytes) -> str:
        """The answer to one message, as JSON. The id comes back whatever its type."""
        try:
            return self._reply(msgspec.json.decode(text))
        except UNREADABLE as error:
            return _json({"code": 3, "msg": f"Invalid JSON: {error}"})

    def _reply(self, request: Any) -> str:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _json({"code": 2, "msg": "Invalid request: missing field `method`"})
        answer = self._answer(request["method"], request.get("params", []))
        if "code" in answer:
            return _json({"error": answer, "id": request.get("id")})
        return _json({**answer, "id": request.get("id")})

    def subscribe(self, names: Iterable[str]) -> bool:
        """Add streams, as a URL does; False, and a close is due, when they are too many."""
        self.names.update(dict.fromkeys(names))
        if len(self.names) > STREAMS_MAX:
            self.names.clear()
            self.close_reason = "Invalid request"
            return False
        return True

    def _answer(self, method: str, params: Any) -> dict[str, Any]:
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(self.names)}
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(method, params)
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return {"code": 2, "msg": f"Invalid request: unknown variant `{method[:40]}`"}
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            return {"code": 2, "msg": "Invalid request: params must be an array of strings"}
        if method == "UNSUBSCRIBE":
            for name in params:
                self.names.pop(name, None)
        elif not self.subscribe(params):
            return {"code": 4, "msg": "Too many subscriptions"}
        return {"result": None}

    def _property(self, method: str, params: Any) -> dict[str, Any]:
        if not isinstance(params, list) or not params or params[0] != "combined":
            return {"code": 0, "msg": "Unknown property"}
        if method == "GET_PROPERTY":
            return {"result": self.combined}
        if len(params) != 2 or not isinstance(params[1], bool):
            return {"code": 1, "msg": "Invalid value type: expected Boolean"}
        self.combined = params[1]
        return {"result": None}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
