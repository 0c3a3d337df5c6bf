"""A chart that reads TradingView's UDF protocol as the public adapters do: what it asks for, and what it then shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

Get = Callable[[str], bytes]
POLLED_SPAN_BARS = 10

Candle = tuple[Decimal, Decimal, Decimal, Decimal, Decimal]
"""Open, high, low, close, volume."""


@dataclass
class UdfChart:
    """One chart of one symbol.

    Args:
        get: the body of the answer to a target below the server's root.
        seconds: the length of a bar of the resolution.
        polled: how many bars are asked for when looking for the newest ones.
    """

    get: Get
    resolution: str
    seconds: int
    polled: int = 2
    ticker: str = ""
    candles: dict[int, Candle] = field(default_factory=dict)
    """By open time in seconds."""
    oldest_s: int | None = None
    has_all: bool = False

    def ask(self, page: str, **parameters: object) -> Any:
        body = self.get(f"/udf/{page}?{urlencode(parameters)}")
        return json.loads(body, parse_float=Decimal, parse_int=int)

    def open(self, typed: str) -> dict[str, Any]:
        """What happens from the page's load until a symbol that was typed is chosen; returns what is known of it."""
        config = self.ask("config")
        assert config["supports_search"]
        assert self.resolution in config["supported_resolutions"]
        found = self.ask("search", query=typed, type="", exchange="", limit=30)
        facts: dict[str, Any] = self.ask("symbols", symbol=found[0]["full_name"])
        assert self.resolution in facts["supported_resolutions"]
        self.ticker = facts["ticker"]
        return facts

    def scroll_back(self, countback: int) -> None:
        """Load the next older bars; in the beginning the newest ones."""
        to_s = self.now_s() if self.oldest_s is None else self.oldest_s
        answer = self.ask(
            "history",
            symbol=self.ticker,
            resolution=self.resolution,
            **{"from": to_s - countback * self.seconds, "to": to_s, "countback": countback},
        )
        if answer["s"] == "no_data":
            assert "nextTime" not in answer
            self.has_all = True
            return
        candles = self._candles(answer)
        assert max(candles) < to_s
        assert len(candles) <= countback
        assert not candles.keys() & self.candles.keys()
        self.candles.update(candles)
        self.oldest_s = min(candles)

    def poll(self) -> None:
        """Look for the newest bars, as a chart does every few seconds."""
        now_s = self.now_s()
        answer = self.ask(
            "history",
            symbol=self.ticker,
            resolution=self.resolution,
            **{"from": now_s - POLLED_SPAN_BARS * self.seconds, "to": now_s, "countback": self.polled},
        )
        if answer["s"] == "ok":
            self.candles.update(self._candles(answer))

    def now_s(self) -> int:
        return int(self.get("/udf/time"))

    def _candles(self, answer: dict[str, Any]) -> dict[int, Candle]:
        assert answer["s"] == "ok"
        times = answer["t"]
        assert times == sorted(set(times))
        columns = [[Decimal(value) for value in answer[name]] for name in "ohlcv"]
        return dict(zip(times, zip(*columns, strict=True), strict=True))
