"""What happened, one line for each message: when, who was told what, and where something went wrong."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from actors.messages import ChildSpec
from actors.runtime.cell import Address, Cell
from bars import Bar, Contract, ContractKey, Interval, Span
from tests.simulate.shape import clock
from wire.frames import KlineEvent

TEXT_MAX = 70
LATEST_MS = 100_000_000_000_000
_FOLDER = re.compile(r"/\S*/simulate-[^/\s]+/")


class Trace:
    """Writes lines and sums them up in a hash: the same run gives the same one.

    Args:
        write: takes each line; None to take none.
    """

    def __init__(self, write: Callable[[str], object] | None) -> None:
        self._write = write
        self._hash = hashlib.blake2b(digest_size=8)
        self.now: Callable[[], str] = lambda: ""

    def message(self, name: str, message: object) -> None:
        """An actor is about to handle a message."""
        self._line(f"{self.now()}  {name:26.26} {brief(message)}")

    def fault(self, text: str) -> None:
        """Something goes wrong."""
        self._line(f"{self.now()}  ** {text}")

    def event(self, text: str) -> None:
        """Something that is neither."""
        self._line(f"{self.now()}  == {text}")

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def _line(self, line: str) -> None:
        self._hash.update(line.encode())
        self._hash.update(b"\n")
        if self._write is not None:
            self._write(line)


class LogLines(logging.Handler):
    """What the actors log, among the lines of a trace; errors without their tracebacks."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.INFO)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        args = tuple(map(_Told, record.args)) if isinstance(record.args, tuple) else record.args
        text = _FOLDER.sub("", str(record.msg) % args if args else str(record.msg))
        cause = "" if not record.exc_info or record.exc_info[1] is None else f" ({brief(record.exc_info[1])})"
        self._trace.event(f"{record.levelname.lower()}: {text}{cause}")


class _Told:
    """What a log line tells, so that it is the same in every process: neither sets in their order nor addresses."""

    def __new__(cls, value: object) -> Any:
        return value if isinstance(value, str | int | float) else super().__new__(cls)

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        return brief(self._value)

    def __str__(self) -> str:
        return str(self._value)


def brief(value: object) -> str:
    """A value in a few words, the same in every run."""
    match value:
        case Bar():
            return f"bar {clock(value.open_ms)} ({value.trades} trades)"
        case Span(start_ms, stop_ms):
            return f"{_time(start_ms)}-{_time(stop_ms)}"
        case ContractKey(symbol, _):
            return symbol
        case Contract():
            return f"{value.symbol} {value.status}"
        case KlineEvent():
            return f"{'final' if value.k.x else 'frame'} of {clock(value.k.t)} at {_time(value.E)} ({value.k.n} trades)"
        case ChildSpec() | Cell():
            return value.name
        case Interval() | Address():
            return str(value)
        case bool() | None | float():
            return str(value)
        case int():
            return _time(value)
        case str() | bytes():
            return f"{value!r:.{TEXT_MAX}}"
        case BaseException():
            return f"{type(value).__name__}: {value}"[:TEXT_MAX]
        case _:
            return _compound(value)


def _compound(value: object) -> str:
    name = type(value).__name__
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return f"{name}({', '.join(map(brief, value))})"
    if is_dataclass(value):
        told = {field.name: getattr(value, field.name) for field in fields(value)}
        return f"{name}({', '.join(_field(name, one) for name, one in told.items() if _is_worth_telling(one))})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{brief(key)}: {brief(one)}"[:TEXT_MAX] for key, one in list(value.items())[:3]) + "}"
    if isinstance(value, Sequence):
        if len(value) < 3:
            return f"[{', '.join(map(brief, value))}]"
        return f"[{brief(value[0])} … {brief(value[-1])}: {len(value)}]"
    if isinstance(value, frozenset | set):
        return f"{len(value)} of {min(map(brief, value), default='none')}"
    return name


def _field(name: str, value: Any) -> str:
    return (
        brief(value) if isinstance(value, Bar | Span | Contract | ContractKey | Interval) else f"{name}={brief(value)}"
    )


def _is_worth_telling(value: object) -> bool:
    return value is not None and not callable(value)


def _time(value: int) -> str:
    return clock(value) if 1_000_000_000_000 < value < LATEST_MS else str(value)
