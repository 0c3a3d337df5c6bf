"""Which stored contracts, intervals and times a command is about."""

from __future__ import annotations

from collections.abc import Sequence

from actors.options import BadOption
from bars import INTERVALS, Interval
from bars.times import parse_time, time_text
from storage import ContractRecord, Reader


def records(reader: Reader, symbols: Sequence[str] | None) -> list[ContractRecord]:
    """The stored contracts of these symbols, or all; by symbol, the oldest of a symbol first.

    Raises:
        BadOption: a symbol of which nothing is stored.
    """
    stored = reader.contracts()
    if symbols is None:
        return stored
    known = {record.contract.symbol for record in stored}
    for symbol in symbols:
        if symbol not in known:
            raise BadOption("--symbols", "symbols that the database has", symbol)
    return [record for record in stored if record.contract.symbol in symbols]


def expect_order(start_ms: int | None, stop_ms: int | None) -> None:
    """Check that a span is none the wrong way round.

    Raises:
        BadOption
    """
    if start_ms is not None and stop_ms is not None and start_ms >= stop_ms:
        raise BadOption("--to", f"a time after --from ({time_text(start_ms)})", time_text(stop_ms))


def intervals(text: str) -> tuple[Interval, ...] | None:
    """Parses intervals separated by commas, or `all` 14; each once, ascending. None for `default`."""
    if text == "default":
        return None
    if text.strip().lower() == "all":
        return tuple(INTERVALS.values())
    names = {part.strip() for part in text.split(",")}
    if not names <= set(INTERVALS):
        raise ValueError(f"intervals separated by commas, of {', '.join(INTERVALS)}, or all")
    return tuple(interval for interval in INTERVALS.values() if interval.name in names)


def moment(text: str) -> int | None:
    """Parses a time; None for `none`: where the stored bars begin or end."""
    return None if text.lower() == "none" else parse_time(text)
