"""The edge where threads from outside wait for actors: requests for spans that are not stored."""

from __future__ import annotations

import queue
from collections.abc import Sequence

from actors.messages import SpanWanted
from actors.runtime.cell import Address
from bars import ContractKey, Interval, Span

ANSWER_S = 0.5
"""How long before its client's patience ends a request is given up, so that the reason still arrives."""
STOPPING = "the data service is stopping"


class SpanRequests:
    """Lets any number of threads wait until spans are stored."""

    def __init__(self, backfill: Address) -> None:
        self._backfill = backfill
        self._waiting: dict[object, queue.SimpleQueue[str | None]] = {}
        self._is_closed = False

    def fetch(self, key: ContractKey, interval: Interval, spans: Sequence[Span], timeout_s: float) -> str | None:
        """Wait until the closed bars of a stored interval within `spans` are stored, at most `timeout_s`.

        Returns None when they are, as far as the exchange has any; else why not, in one line.
        """
        token, answer = object(), queue.SimpleQueue[str | None]()
        self._waiting[token] = answer
        try:
            if self._is_closed:
                return STOPPING
            patience_s = max(0.0, timeout_s - ANSWER_S)
            self._backfill.tell(SpanWanted(key, interval, tuple(spans), patience_s, answer.put))
            return answer.get(timeout=timeout_s)
        except queue.Empty:
            return f"the data service did not answer within {timeout_s:.1f} s"
        finally:
            del self._waiting[token]

    def close(self) -> None:
        """Let everybody go who waits, and let nobody wait any more."""
        self._is_closed = True
        for answer in list(self._waiting.values()):
            answer.put(STOPPING)
