"""The market at a glance: what a list of symbols shows of each, in one answer that is cheap to ask for often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bars import ContractKey, to_text, volume_text
from bars.interval import HOUR_MS
from storage import ContractRecord, Glance
from web.answers import Answer, Handler, Query, invalid_parameter, native_parameters
from web.remembered import Remembered
from web.sources import Sources

CLOSES_STEP_MS = HOUR_MS
CLOSES_AGE_S = 60.0
"""Closes are of whole hours, and of a thousand contracts they take twice as long as all the rest."""


def overview_page(sources: Sources) -> Handler:
    """The handler of `/api/overview?closes=`; without closes (`closes=0`) the answer is half as long."""
    overview = _Overview(sources)

    def handle(query: Query) -> Answer:
        asked = native_parameters(query)
        choice = asked.get("closes", "1")
        if choice not in ("0", "1"):
            raise invalid_parameter("closes", "0 or 1", choice)
        return Answer(overview.with_closes() if choice == "1" else overview.without_closes())

    return handle


class _Overview:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._closes = Remembered(self._read_closes, sources.monotonic_s, CLOSES_AGE_S)
        self._glances = Remembered(self._read, sources.monotonic_s)
        self.with_closes = Remembered(lambda: self._body(self._closes()), sources.monotonic_s)
        self.without_closes = Remembered(lambda: self._body(None), sources.monotonic_s)

    def _body(self, closes: Mapping[ContractKey, Sequence[int]] | None) -> bytes:
        now_ms, glances = self._glances()
        symbols = [_symbol(*one, closes) for one in _newest(glances)]
        return msgspec.json.encode({"time": now_ms, "symbols": symbols})

    def _read(self) -> tuple[int, list[tuple[ContractRecord, Glance]]]:
        now_ms = self._now_ms()
        return now_ms, self._sources.reader.overview(now_ms)

    def _read_closes(self) -> Mapping[ContractKey, Sequence[int]]:
        return self._sources.reader.closes(self._now_ms(), CLOSES_STEP_MS)

    def _now_ms(self) -> int:
        """The exchange's time; where it is not known, the end of what is stored."""
        return self._sources.now_ms() or self._sources.reader.stored_until_ms()


def _newest(glances: Sequence[tuple[ContractRecord, Glance]]) -> list[tuple[ContractRecord, Glance]]:
    """The perpetuals that have a price: of a symbol that had several contracts the newest one."""
    newest = {record.contract.symbol: (record, glance) for record, glance in glances if record.contract.is_perpetual}
    return [(record, glance) for record, glance in newest.values() if glance.last is not None]


def _symbol(
    record: ContractRecord, glance: Glance, closes: Mapping[ContractKey, Sequence[int]] | None
) -> dict[str, Any]:
    price, volume, quote = glance.scale
    body = {
        "symbol": record.contract.symbol,
        "base_asset": record.contract.base_asset,
        "quote_asset": record.contract.quote_asset,
        "contract_type": record.contract.contract_type,
        "status": record.contract.status,
        "price_decimals": price,
        "last": _price(glance.last, price),
        "open": _price(glance.open, price),
        "high": _price(glance.high, price),
        "low": _price(glance.low, price),
        "change_percent": _percent(glance.last, glance.open),
        "volume": volume_text(glance.volume, volume),
        "quote_volume": volume_text(glance.quote_volume, quote),
        "trades": glance.trades,
        "minutes": glance.minutes,
    }
    if closes is not None:
        body["closes"] = [to_text(units, price) for units in closes.get(record.key, ())]
    return body


def _price(units: int | None, decimals: int) -> str | None:
    return None if units is None else to_text(units, decimals)


def _percent(last: int | None, first: int | None) -> str | None:
    """The change in per cent with two decimals, half away from zero."""
    if last is None or not first:
        return None
    hundredths = (abs(last - first) * 20_000 + first) // (2 * first)
    return f"{'-' if last < first and hundredths else ''}{to_text(hundredths, 2)}"
