"""The ledger of gaps: what is not there of the bars that are kept, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bars import STORED, Interval
from bars.history import Depth, parse_history
from bars.ledger import Reason, State
from storage import Gap
from web.answers import Answer, Handler, Query, Refusal, invalid_parameter, json_answer, native_parameters
from web.remembered import Remembered
from web.sources import Sources
from wire.names import upper

MAX_AGE_S = 5.0
"""Of a thousand contracts the ledger takes some hundred milliseconds."""

_INTERVALS = tuple(interval.name for interval in STORED)
_REASONS = tuple(reason.value for reason in Reason)
_STATES = tuple(state.value for state in State)


def gap_page(sources: Sources) -> Handler:
    """The handler of `/api/gaps?symbol=&interval=&reason=&state=`; all parameters may be left out."""
    remembered = Remembered(lambda: _gaps(sources), sources.monotonic_s, MAX_AGE_S)

    def handle(query: Query) -> Answer:
        asked = native_parameters(query)
        symbol = upper(asked["symbol"]) if "symbol" in asked else None
        chosen = {
            "interval": _one_of(asked, "interval", _INTERVALS),
            "reason": _one_of(asked, "reason", _REASONS),
            "state": _one_of(asked, "state", _STATES),
        }
        if symbol is not None and sources.reader.find(symbol) is None:
            raise Refusal("unknown_symbol", f"There is no contract {symbol[:40]!r} here.", 404)
        chosen["symbol"] = symbol
        wanted = {name: value for name, value in chosen.items() if value is not None}
        gaps = [gap for gap in remembered() if all(gap[name] == value for name, value in wanted.items())]
        return json_answer({"gaps": gaps})

    return handle


def _gaps(sources: Sources) -> list[dict[str, Any]]:
    status = sources.status()
    now_ms = sources.now_ms() or status.get("exchange_time") or sources.reader.stored_until_ms()
    return [_gap(gap) for gap in sources.reader.gaps(now_ms, _depths(status))]


def _depths(status: Mapping[str, Any]) -> Mapping[Interval, Depth] | None:
    """How much history the data service fetches, as it says itself; None when it does not."""
    text = (status.get("backfill") or {}).get("history")
    return parse_history(text) if text else None


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "symbol": gap.key.symbol,
        "interval": gap.interval.name,
        "from": gap.span.start_ms,
        "to": gap.span.stop_ms,
        "reason": gap.reason.value,
        "state": gap.state.value,
        "since": gap.since_ms,
    }


def _one_of(asked: Mapping[str, str], name: str, values: tuple[str, ...]) -> str | None:
    value = asked.get(name)
    if value is not None and value not in values:
        raise invalid_parameter(name, f"one of {', '.join(values)}", value)
    return value
