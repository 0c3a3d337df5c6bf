"""exchangeInfo as we serve it: the exchange's frame, and its own words for each contract that is held.

Contracts come in the order of their symbols and their filters in the documented one, where the exchange mixes both.
"""

from __future__ import annotations

from typing import Any

import msgspec

from storage import EXCHANGE_INFO, ContractRecord
from web.remembered import Remembered
from web.sources import Sources
from wire.exchange_info import with_filters_in_order

_SYMBOLS = "symbols"
_SERVER_TIME = "serverTime"


class ExchangeInfoPage:
    """The body of /fapi/v1/exchangeInfo. A megabyte of text: put together anew at most once a second."""

    def __init__(self, sources: Sources) -> None:
        self._reader = sources.reader
        self._parts = Remembered(self._compose, sources.monotonic_s)

    def at(self, now_ms: int | None) -> bytes | None:
        """The body with `now_ms` as server time; the exchange's own stale one when now is not known.

        None while no exchangeInfo has been stored.
        """
        parts = self._parts()
        if parts is None:
            return None
        stale_ms, rest = parts
        return b'{"%s":%d%s' % (_SERVER_TIME.encode(), stale_ms if now_ms is None else now_ms, rest)

    def _compose(self) -> tuple[int, bytes] | None:
        """The frame's own server time, and all that follows it in the body."""
        stored = self._reader.document(EXCHANGE_INFO)
        if stored is None:
            return None
        frame: dict[str, Any] = msgspec.json.decode(stored)
        server_ms = int(frame.pop(_SERVER_TIME, 0))
        frame.pop(_SYMBOLS, None)
        contracts = newest_contracts(self._reader.contracts())
        body = msgspec.json.encode({**frame, _SYMBOLS: [msgspec.Raw(_row(record)) for record in contracts]})
        return server_ms, b"," + msgspec.json.format(body, indent=-1).removeprefix(b"{")


def _row(record: ContractRecord) -> bytes:
    return with_filters_in_order(record.contract.description)


def newest_contracts(records: list[ContractRecord]) -> list[ContractRecord]:
    """One contract per symbol, in the order of symbols: a symbol names the one that was onboarded last."""
    newest: dict[str, ContractRecord] = {}
    for record in sorted(records, key=lambda record: record.contract.key):
        newest[record.contract.symbol] = record
    return list(newest.values())
