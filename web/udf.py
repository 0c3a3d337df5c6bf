"""TradingView's UDF protocol: charts of the Charting Library, of OpenBB and of others read bars below `/udf/`.

Prices and volumes are JSON numbers with exactly the digits of the decimals. Refusals are
`{"s": "error", "errmsg": "…"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from bars import INTERVALS, Interval
from bars.interval import MINUTE_MS, SECOND_MS
from storage import ContractRecord
from web.answers import Answer, Handler, Query, UdfRefusal, json_answer, parameters, saying_what_is_missing
from web.exchange_info import newest_contracts
from web.pages import Held, held_in_rows, within_time
from web.remembered import Remembered
from web.sources import Sources
from web.through import ReadThrough
from web.udf_symbols import EXCHANGE, TYPES, found_by, symbol_columns, symbol_facts, without_exchange
from wire.names import upper
from wire.requests import KlinesRequest
from wire.rows import decode_rows

HISTORY_BARS_MAX = 5_000
"""The most bars in one answer: the newest ones, so that whoever pages backwards misses none."""
SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX = 30, 1_000
SECONDS_DIGITS_MAX = 15

_LARGE = MappingProxyType({"1d": "1D", "1w": "1W", "1M": "1M"})


def resolution_of(interval: Interval) -> str:
    """The name of an interval in this protocol: minutes, or `1D`, `1W`, `1M`."""
    return _LARGE.get(interval.name) or str(interval.span_ms // MINUTE_MS)


RESOLUTIONS = MappingProxyType({resolution_of(interval): interval for interval in INTERVALS.values()})
_ALSO = MappingProxyType({"D": "1D", "W": "1W", "M": "1M", "1440": "1D"})


def udf_routes(sources: Sources, through: ReadThrough) -> list[tuple[str, Handler]]:
    """The paths of the protocol that are answered here."""
    pages = _UdfPages(sources, through)
    return [
        ("/udf/config", pages.config),
        ("/udf/symbols", pages.symbols),
        ("/udf/symbol_info", pages.symbol_info),
        ("/udf/search", pages.search),
        ("/udf/history", pages.history),
        ("/udf/time", pages.time),
    ]


class _Asked(NamedTuple):
    """What a request for history asks for: bars that open in `from_ms` to before `to_ms`, or the newest `countback`."""

    from_ms: int
    to_ms: int
    countback: int | None


class _UdfPages:
    def __init__(self, sources: Sources, through: ReadThrough) -> None:
        self._sources = sources
        self._through = through
        self._records = Remembered(self._perpetuals, sources.monotonic_s)

    def config(self, _query: Query) -> Answer:
        return json_answer(
            {
                "supported_resolutions": list(RESOLUTIONS),
                "supports_group_request": False,
                "supports_search": True,
                "supports_time": True,
                "supports_marks": False,
                "supports_timescale_marks": False,
                "exchanges": [
                    {"value": "", "name": "All Exchanges", "desc": ""},
                    {"value": EXCHANGE, "name": "Binance", "desc": "Binance USDⓈ-M perpetual futures"},
                ],
                "symbols_types": [
                    {"value": "", "name": "All types"},
                    {"value": TYPES["PERPETUAL"], "name": "Perpetual"},
                    {"value": TYPES["TRADIFI_PERPETUAL"], "name": "TradFi perpetual"},
                ],
            }
        )

    def time(self, _query: Query) -> Answer:
        now_ms = self._sources.now_ms()
        if now_ms is None:
            raise UdfRefusal("unavailable", "the time at the exchange is not known yet", 503)
        return Answer(str(now_ms // SECOND_MS).encode(), headers={"Content-Type": "text/plain; charset=utf-8"})

    def symbols(self, query: Query) -> Answer:
        return json_answer(symbol_facts(self._record(_asked(query)), list(RESOLUTIONS)))

    def symbol_info(self, query: Query) -> Answer:
        group = _asked(query).get("group", "")
        records = self._records() if upper(group) in ("", EXCHANGE) else []
        return json_answer(symbol_columns(records, list(RESOLUTIONS)))

    def search(self, query: Query) -> Answer:
        asked = _asked(query)
        limit = _whole_number(asked, "limit")
        if limit is not None and limit < 0:
            raise _invalid("limit", "a number from 0", asked["limit"])
        found = found_by(
            self._records(), asked.get("query", ""), kind=asked.get("type", ""), exchange=asked.get("exchange", "")
        )
        return json_answer(found[: SEARCH_LIMIT_DEFAULT if limit is None else min(limit, SEARCH_LIMIT_MAX)])

    def history(self, query: Query) -> Answer:
        parameters_asked = _asked(query)
        record, interval = self._record(parameters_asked), _interval(parameters_asked)
        asked = self._span(parameters_asked)
        if asked.countback is not None:
            limit, start_ms = min(asked.countback, HISTORY_BARS_MAX), None
        else:
            limit = min(interval.count(asked.from_ms, asked.to_ms), HISTORY_BARS_MAX)
            start_ms = asked.from_ms if limit < HISTORY_BARS_MAX else None
        rows, reason = self._rows(record, interval, limit, start_ms, asked.to_ms)
        columns = _columns(rows, 0 if asked.countback is not None else asked.from_ms)
        if columns is not None:
            return saying_what_is_missing(Answer(columns), reason)
        return self._no_data(record, interval, asked, reason)

    def _no_data(self, record: ContractRecord, interval: Interval, asked: _Asked, reason: str | None) -> Answer:
        """That there is no bar, and when the newest one before was; not where one may be that could not be had now."""
        body: dict[str, Any] = {"s": "no_data"}
        if asked.countback is None:
            rows, before = self._rows(record, interval, 1, None, asked.from_ms)
            held = held_in_rows(rows)
            if held is not None:
                body["nextTime"] = held.last_ms // SECOND_MS
            reason = reason or before
        may_be_there = reason is not None and asked.from_ms < record.contract.delivery_ms
        if may_be_there and self._sources.fetch is not None:
            # A chart that is told that there is nothing never asks again.
            return saying_what_is_missing(json_answer(UdfRefusal("incomplete", reason or "").body()), reason)
        return saying_what_is_missing(json_answer(body), reason)

    def _rows(
        self, record: ContractRecord, interval: Interval, limit: int, start_ms: int | None, stop_ms: int
    ) -> tuple[str, str | None]:
        """Bars that open before `stop_ms` as the exchange's rows, and what is missing of them: the first `limit` where
        there is a start, else the newest."""
        if not limit or stop_ms <= (start_ms or 0):
            return "[]", None
        request = within_time(KlinesRequest(record.contract.symbol, interval, limit, start_ms, stop_ms - 1))

        def read() -> tuple[str, Held | None]:
            rows = self._sources.reader.rows_json(
                record, interval, start_ms=request.start_ms, end_ms=request.end_ms, limit=limit
            )
            return rows, held_in_rows(rows)

        return self._through.answer(record, request, read)

    def _record(self, asked: Mapping[str, str]) -> ContractRecord:
        name = asked.get("symbol", "")
        if not name:
            raise UdfRefusal("missing_parameter", "symbol: expected a value, got none")
        record = self._sources.reader.find(upper(without_exchange(name)))
        if record is None or not record.contract.is_perpetual:
            raise UdfRefusal("unknown_symbol", f"unknown_symbol {name[:40]}", 404)
        return record

    def _span(self, asked: Mapping[str, str]) -> _Asked:
        countback = _whole_number(asked, "countback")
        if countback is not None and countback < 1:
            raise _invalid("countback", "a number from 1", asked["countback"])
        from_s, to_s = _whole_number(asked, "from"), _whole_number(asked, "to")
        if to_s is None:
            raise UdfRefusal("missing_parameter", "to: expected seconds, got none")
        if from_s is None and countback is None:
            raise UdfRefusal("missing_parameter", "from or countback: expected one of them, got none")
        if countback is None and from_s is not None and from_s > to_s:
            raise _invalid("from", f"at most to, which is {to_s}", asked["from"])
        return _Asked(max(0, (from_s or 0) * SECOND_MS), max(0, to_s * SECOND_MS), countback)

    def _perpetuals(self) -> list[ContractRecord]:
        newest = newest_contracts(self._sources.reader.contracts())
        return [record for record in newest if record.contract.is_perpetual]


def _columns(rows: str, from_ms: int) -> bytes | None:
    """The answer with the bars that open at `from_ms` or later, of the exchange's rows; None where there is none."""
    taken = [row for row in decode_rows(rows.encode()) if row[0] >= from_ms]
    if not taken:
        return None
    opens_ms, opens, highs, lows, closes, volumes, *_ = zip(*taken, strict=True)
    columns = {
        "t": [str(open_ms // SECOND_MS) for open_ms in opens_ms],
        "o": opens,
        "h": highs,
        "l": lows,
        "c": closes,
        "v": volumes,
    }
    fields = (f'"{name}":[{",".join(texts)}]' for name, texts in columns.items())
    return f'{{"s":"ok",{",".join(fields)}}}'.encode()


def _interval(asked: Mapping[str, str]) -> Interval:
    name = asked.get("resolution", "")
    interval = RESOLUTIONS.get(_ALSO.get(name, name))
    if interval is None:
        raise _invalid("resolution", f"one of {' '.join(RESOLUTIONS)}", name)
    return interval


def _asked(query: Query) -> dict[str, str]:
    return parameters(query, lambda name: _invalid(name, "once", "several times"))


def _whole_number(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > SECONDS_DIGITS_MAX:
        raise _invalid(name, f"a whole number of at most {SECONDS_DIGITS_MAX} digits", text)
    return int(text)


def _invalid(name: str, expected: str, got: str) -> UdfRefusal:
    return UdfRefusal("invalid_parameter", f"{name}: expected {expected}, got {got[:40]!r}")
