"""unicorn-binance-websocket-api."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.readme import run, snippet
from tests.clients.served import OTHER, PATIENCE_S, Frame, Served, until_final


@pytest.fixture
def messages(served: Served) -> Iterator[queue.SimpleQueue[str]]:
    """What the README's stream tells."""
    messages: queue.SimpleQueue[str] = queue.SimpleQueue()
    names = run(snippet("unicorn-binance-websocket-api", served.port), print=messages.put)
    yield messages
    names["manager"].stop_manager()


def test_a_stream_tells_the_bar_in_progress_and_the_closed_one(
    served: Served, messages: queue.SimpleQueue[str]
) -> None:
    def receive() -> Frame | None:
        event: dict[str, Any] = json.loads(messages.get(timeout=PATIENCE_S))
        return event["data"]["k"] if event.get("stream") == f"{OTHER.lower()}@kline_1m" else None

    served.expect_live(until_final(receive), OTHER)
