"""What can go wrong between us and the exchange.

ExchangeError
├ Unreachable       no answer: DNS, refused, TLS, proxy, time-out
├ RateLimited       429: too much weight in this minute
├ Banned            418: the IP is banned for a while; asking on prolongs it
├ Restricted        451: the exchange does not serve this location
├ Blocked           403: stopped by the firewall before the exchange
├ ServerFault       5xx, 408, or a code that speaks of a fault over there
├ InvalidAnswer     an answer that is cut, or not of the expected shape
├ Disconnected      a stream's connection ended
└ Refused           any other refusal, with the exchange's code and message
  ├ InvalidSymbol       -1121: no such symbol
  ├ SymbolEnded         -1122: the contract has ended
  └ HandshakeRefused    no WebSocket at this address
"""

from __future__ import annotations


class ExchangeError(Exception):
    """The exchange did not give what was asked for. The text is one line: what was asked, what came back.

    `retryable`: whether the same request may succeed later without anybody changing anything.
    `retry_after_s`: how long the exchange asks to wait, in its own seconds, if it says so.
    `used_weight`: what the exchange says was used of this minute's weight by all programs on this IP.
    """

    retryable = True

    def __init__(self, text: str, *, retry_after_s: float | None = None, used_weight: int | None = None) -> None:
        super().__init__(" ".join(text.split()))
        self.retry_after_s = retry_after_s
        self.used_weight = used_weight


class Unreachable(ExchangeError):
    """No answer came. The request may have arrived all the same, or may still arrive."""


class RateLimited(ExchangeError):
    """HTTP 429. Going on leads to a ban."""


class Banned(ExchangeError):
    """HTTP 418: this IP is banned, until `until_ms` of the exchange's clock where it names a time.

    `left_s`: for how much longer, at most, by the answer alone; None if that cannot be told from it.
    """

    def __init__(
        self,
        text: str,
        *,
        until_ms: int | None = None,
        left_s: float | None = None,
        retry_after_s: float | None = None,
        used_weight: int | None = None,
    ) -> None:
        super().__init__(text, retry_after_s=retry_after_s, used_weight=used_weight)
        self.until_ms = until_ms
        self.left_s = left_s


class Restricted(ExchangeError):
    """HTTP 451: the exchange does not serve the country that the request seems to come from."""

    retryable = False


class Blocked(ExchangeError):
    """HTTP 403: the content network's firewall refused; such blocks pass."""


class ServerFault(ExchangeError):
    """A fault on the exchange's side."""


class InvalidAnswer(ExchangeError):
    """An answer that cannot be used: cut, no JSON, of another shape, or contradicting the question."""


class Disconnected(ExchangeError):
    """A stream's connection ended: with the peer's close code and reason, or without a code by an error."""

    def __init__(self, text: str, *, code: int | None = None, reason: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.reason = reason


class Refused(ExchangeError):
    """The exchange understood and refused, with its `code` and `message`; asking again will not help."""

    retryable = False

    def __init__(
        self,
        text: str,
        *,
        status: int,
        code: int,
        message: str,
        retry_after_s: float | None = None,
        used_weight: int | None = None,
    ) -> None:
        super().__init__(text, retry_after_s=retry_after_s, used_weight=used_weight)
        self.status = status
        self.code = code
        self.message = message


class InvalidSymbol(Refused):
    """Code -1121: the symbol is mistyped or gone."""


class SymbolEnded(Refused):
    """Code -1122: the contract has ended. Not every ended contract answers so; others go on with flat bars."""


class HandshakeRefused(Refused):
    """The address answers HTTP but opens no WebSocket."""
