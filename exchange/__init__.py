"""The outside world: the exchange's REST and WebSocket interfaces, and what may be asked of them when.

`RestClient` asks once and answers or raises; `StreamConnection` is one WebSocket; `WeightBudget`, `Backoff`
and `ConnectionPacer` are pure and say when. Whether to try again after a failure is for the caller to decide.
"""

from exchange.archive import ArchiveClient, Download, WrongChecksum
from exchange.budget import Charge, WeightBudget
from exchange.errors import (
    Banned,
    Blocked,
    Disconnected,
    ExchangeError,
    HandshakeRefused,
    InvalidAnswer,
    InvalidSymbol,
    RateLimited,
    Refused,
    Restricted,
    ServerFault,
    SymbolEnded,
    Unreachable,
)
from exchange.pacing import Backoff, ConnectionPacer, wait_s
from exchange.proxy import proxy_for
from exchange.rest import Reply, RestClient
from exchange.stream import StreamConnection, market_stream_url
from exchange.tls import trusting_context

__all__ = [
    "ArchiveClient",
    "Backoff",
    "Banned",
    "Blocked",
    "Charge",
    "ConnectionPacer",
    "Disconnected",
    "Download",
    "ExchangeError",
    "HandshakeRefused",
    "InvalidAnswer",
    "InvalidSymbol",
    "RateLimited",
    "Refused",
    "Reply",
    "RestClient",
    "Restricted",
    "ServerFault",
    "StreamConnection",
    "SymbolEnded",
    "Unreachable",
    "WeightBudget",
    "WrongChecksum",
    "market_stream_url",
    "proxy_for",
    "trusting_context",
    "wait_s",
]
