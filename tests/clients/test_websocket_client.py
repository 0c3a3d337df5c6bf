"""websocket-client, as any WebSocket client: the README's lines about push."""

from __future__ import annotations

from contextlib import suppress

from tests.clients.readme import run, snippet
from tests.clients.served import SYMBOL, Frame, Served, has_final


class Enough(Exception):
    """Ends a snippet that would go on for ever."""


def test_a_combined_stream_tells_the_bar_in_progress_and_the_closed_one(served: Served) -> None:
    frames: list[Frame] = []

    def show(frame: Frame) -> None:
        frames.append(frame)
        if has_final(of(SYMBOL)) and len({one["s"] for one in frames}) == 2:
            raise Enough

    def of(symbol: str) -> list[Frame]:
        return [frame for frame in frames if frame["s"] == symbol]

    with suppress(Enough):
        run(snippet("websocket-client", served.port), print=show)
    served.expect_live(of(SYMBOL))
