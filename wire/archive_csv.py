"""A whole archive file at once: CSV text to exact integers, without looking at each value.

The text becomes one JSON array: points go away, since every column has the same number of decimals in all
lines, and one call reads all integers. What the lines look like is checked on their shapes: with every digit
replaced by the same one, the 43,200 lines of a month have some hundred shapes. Lines with fewer decimals than
others are padded first: empty minutes are written `0`, `0.0` or `0.0000` depending on the age of the file, files
of autumn 2023 print whole numbers without decimals, and a contract's precision may change in mid-file.

What does not fit into that is read line by line, by `wire.rows`: microseconds for milliseconds (spot's archive
has them since 2025), rows twice or out of order, and everything that is wrong.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import ge, gt

import msgspec

from bars import Bar, Interval, InvalidBar, Scale, UnitsOverflow
from bars.decimals import TEXT_MAX
from bars.interval import TIME_MAX_MS
from wire.rows import bars_from_rows
from wire.table import (
    CLOSE,
    CLOSE_TIME,
    FIELD_COUNT,
    HIGH,
    IGNORED,
    LOW,
    OPEN,
    OPEN_TIME,
    PRICES,
    QUOTE,
    QUOTES,
    TAKER,
    TAKER_QUOTE,
    TRADES,
    VOLUME,
    VOLUMES,
    BarTable,
)

_KINDS = PRICES, VOLUMES, QUOTES
_WHOLE = OPEN_TIME, CLOSE_TIME, TRADES, IGNORED
_WHOLE_DIGITS_MAX = 18
_BLOCK_BYTES = 100_000
_DIGITS = b"0123456789"
_SHAPE = bytes.maketrans(_DIGITS, b"1" * 10)
_COMMAS = bytes.maketrans(b"\n", b",")
_MICROSECONDS = 1_000

_decode = msgspec.json.Decoder(list[int]).decode


class _Irregular(Exception):
    """The file cannot be read at once."""


_Form = tuple[int, ...]
"""The decimals of each field, 0 for none."""


def read_csv(body: bytes, interval: Interval, scale: Scale) -> BarTable:
    """The bars of an archive file, ascending, all of one scale: `scale`, widened where the file needs it.

    A header line, a missing last line end, CRLF and holes are normal; rows that come twice count once, and rows
    that contradict each other about the same bar are left out, as a hole to be filled from elsewhere.

    Raises:
        BarError: a line that is no sound bar of `interval`.
    """
    lines = _lines(body)
    if not lines:
        return BarTable([], scale)
    try:
        return _read_at_once(lines, interval, scale)
    except _Irregular:
        return _read_line_by_line(lines, interval, scale)


def _lines(body: bytes) -> bytes:
    """The lines without header and with one LF behind each."""
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    first, _, others = body.partition(b"\n") if body[:1].isalpha() else (b"1", b"", b"")
    if first.translate(None, _DIGITS) == first:  # a header has no digits
        body = others
    return body if not body or body.endswith(b"\n") else body + b"\n"


# --- at once


def _read_at_once(lines: bytes, interval: Interval, scale: Scale) -> BarTable:
    form, lines = _even(lines)
    values = array("q")
    before_ms = -1
    for block in _blocks(lines):
        rows, columns = _integers(block, form)
        _check_times(before_ms, columns[OPEN_TIME], columns[CLOSE_TIME], interval)
        _check_values(columns)
        before_ms = columns[OPEN_TIME][-1]
        try:
            values.extend(array("q", rows))
        except OverflowError:
            raise _Irregular from None
    return _in_scale(values, form, scale)


def _blocks(lines: bytes) -> Iterator[bytes]:
    """Whole lines, so many at once that their integers stay in the processor's cache."""
    start = 0
    while start < len(lines):
        stop = lines.find(b"\n", min(start + _BLOCK_BYTES, len(lines) - 1)) + 1
        yield lines[start:stop]
        start = stop


def _even(lines: bytes) -> tuple[_Form, bytes]:
    """The form of all lines, once every value is padded to the same decimals; and those lines."""
    line_shapes = lines.translate(_SHAPE).split(b"\n")
    line_shapes.pop()
    forms = {shape: _form(shape) for shape in set(line_shapes)}
    finest = [max(column) for column in zip(*forms.values(), strict=True)]
    for places in _KINDS:
        most = max(finest[at] for at in places)
        for at in places:
            finest[at] = most
    form = tuple(finest)
    coarse = {shape: other for shape, other in forms.items() if other != form}
    if coarse:
        text = lines.split(b"\n")
        for number, shape in enumerate(line_shapes):
            if shape in coarse:
                text[number] = _padded(text[number], coarse[shape], form)
        lines = b"\n".join(text)
    return form, lines


def _form(shape: bytes) -> _Form:
    fields = shape.split(b",")
    if len(fields) != FIELD_COUNT or shape.strip(b"1.,"):
        raise _Irregular
    return tuple(_decimals(at, field) for at, field in enumerate(fields))


def _decimals(at: int, field: bytes) -> int:
    whole, point, fraction = field.partition(b".")
    if not whole or (point and not fraction) or b"." in fraction or len(field) > TEXT_MAX:
        raise _Irregular
    if at in _WHOLE and (point or len(field) > _WHOLE_DIGITS_MAX):
        raise _Irregular
    return len(fraction)


def _padded(line: bytes, has: Sequence[int], wanted: Sequence[int]) -> bytes:
    fields = line.split(b",")
    for at, (few, many) in enumerate(zip(has, wanted, strict=True)):
        if few < many:
            fields[at] += (b"" if few else b".") + b"0" * (many - few)
    return b",".join(fields)


def _integers(lines: bytes, form: _Form) -> tuple[list[int], list[list[int]]]:
    """All values of all lines, each in units of its field's last decimal; and the same by column.

    JSON knows no leading zeros: `0.0123` is written as `-1.0123` meanwhile, which no value is.
    """
    small = b",0." in lines
    text = lines.replace(b",0.", b",-1.") if small else lines
    try:
        values = _decode(b"[" + text[:-1].translate(_COMMAS, b".") + b"]")
    except (msgspec.DecodeError, ValueError):
        raise _Irregular from None
    columns = [values[at::FIELD_COUNT] for at in range(FIELD_COUNT)]
    for at in chain(*_KINDS) if small else ():
        if min(columns[at]) < 0:
            one = 10 ** form[at]
            columns[at] = [value if value >= 0 else -value - one for value in columns[at]]
            values[at::FIELD_COUNT] = columns[at]
    return values, columns


def _check_times(before_ms: int, opens_ms: list[int], closes_ms: list[int], interval: Interval) -> None:
    """That the lines ascend, and each is a bucket; else they are looked at one by one."""
    span_ms, first_ms = interval.span_ms, opens_ms[0]
    if first_ms <= before_ms or opens_ms[-1] > TIME_MAX_MS:
        raise _Irregular
    if interval.is_calendar or not interval.is_bucket(first_ms, closes_ms[0]):
        raise _Irregular
    if opens_ms != list(range(first_ms, first_ms + span_ms * len(opens_ms), span_ms)) and (
        any(map(ge, opens_ms, opens_ms[1:])) or any((open_ms - first_ms) % span_ms for open_ms in opens_ms)
    ):
        raise _Irregular
    if closes_ms != [open_ms + (span_ms - 1) for open_ms in opens_ms]:
        raise _Irregular


def _check_values(columns: Sequence[list[int]]) -> None:
    """As `bars.checked`, of all bars; which one it is that is wrong is found line by line."""
    wrong = (
        any(map(gt, columns[LOW], columns[OPEN]))
        or any(map(gt, columns[OPEN], columns[HIGH]))
        or any(map(gt, columns[LOW], columns[CLOSE]))
        or any(map(gt, columns[CLOSE], columns[HIGH]))
        or any(map(gt, columns[TAKER], columns[VOLUME]))
        or any(map(gt, columns[TAKER_QUOTE], columns[QUOTE]))
    )
    if wrong:
        raise _Irregular


def _in_scale(values: array[int], form: _Form, scale: Scale) -> BarTable:
    """The values in `scale`, or as little wider as they need: zeros at the end carry no value."""
    held: list[int] = []
    for places, wanted in zip(_KINDS, scale, strict=True):
        many = form[places[0]]
        spare = _spare_zeros(chain(*(values[at::FIELD_COUNT] for at in places)), many - wanted)
        for at in places if spare else ():
            values[at::FIELD_COUNT] = array("q", [value // 10**spare for value in values[at::FIELD_COUNT]])
        held.append(many - spare)
    try:
        return BarTable(values, Scale(*held)).rescaled(scale.widened(Scale(*held)))
    except UnitsOverflow:
        raise _Irregular from None


def _spare_zeros(values: Iterable[int], most: int) -> int:
    """How many zeros, up to `most`, all values end in."""
    if most <= 0:
        return 0
    common = math.gcd(*values)
    return next((zeros for zeros in range(most, 0, -1) if common % 10**zeros == 0), 0)


# --- line by line


def _read_line_by_line(lines: bytes, interval: Interval, scale: Scale) -> BarTable:
    rows: dict[tuple[str, ...], None] = {}
    for line in lines.decode("utf-8", "replace").splitlines():
        fields = line.split(",")
        if len(fields) != FIELD_COUNT:
            raise InvalidBar(f"reading a line: expected {FIELD_COUNT} fields, got {line!r:.200}")
        rows[tuple(_in_milliseconds(fields))] = None
    ordered = sorted(rows, key=_time)
    agreeing = _without_contradictions(ordered, lambda alone: bars_from_rows([alone], interval, scale)[0])
    bars = bars_from_rows(agreeing, interval, scale)
    return BarTable.of(bars, interval, bars[0].scale if bars else scale)


def _in_milliseconds(fields: list[str]) -> list[str]:
    for at in (OPEN_TIME, CLOSE_TIME):
        time = fields[at]
        if len(time) < 20 and time.isascii() and time.isdecimal() and int(time) > TIME_MAX_MS:
            fields[at] = str(int(time) // _MICROSECONDS)
    return fields


def _time(row: Sequence[str]) -> int:
    text = row[OPEN_TIME]
    if len(text) < 20 and text.isascii() and text.isdecimal():
        return int(text)
    raise InvalidBar(f"reading a row: expected a time as field {OPEN_TIME}, got {row!r:.200}")


def _without_contradictions(
    rows: Sequence[tuple[str, ...]], read: Callable[[tuple[str, ...]], Bar]
) -> list[tuple[str, ...]]:
    """The rows, one for each open time; where several say different things, none."""
    by_time: dict[int, list[tuple[str, ...]]] = {}
    for row in rows:
        by_time.setdefault(_time(row), []).append(row)
    return [same[0] for same in by_time.values() if len(same) == 1 or _agree(map(read, same))]


def _agree(bars: Iterable[Bar]) -> bool:
    found = list(bars)
    scale = found[0].scale
    for bar in found:
        scale = scale.widened(bar.scale)
    return len({bar.rescaled(scale) for bar in found}) == 1
