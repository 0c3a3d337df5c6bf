"""The public archive: what its files are called, and what its checksums and listings say.

    data/futures/um/monthly/klines/<SYMBOL>/1m/<SYMBOL>-1m-2026-06.zip
    data/futures/um/daily/klines/<SYMBOL>/1m/<SYMBOL>-1m-2026-07-03.zip

Each zip holds one CSV of the same base name and has a `.CHECKSUM` beside it. Weeks are in monthly files only.
Source: github.com/binance/binance-public-data, its README and scripts.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from xml.etree import ElementTree

from bars import DAY, INTERVALS, Interval

MONTH = INTERVALS["1M"]
CHECKSUM = ".CHECKSUM"
ROOT = "data/futures/um"

_KINDS = ((MONTH, "monthly"), (DAY, "daily"))
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PERIOD = re.compile(r"-(\d{4})-(\d{2})(?:-(\d{2}))?\.zip")
_XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_HEX = frozenset(string.hexdigits)


class InvalidArchive(ValueError):
    """What the archive sent is not what the archive sends."""


class Period(NamedTuple):
    """The day or the month that a file covers: `kind` is the interval `DAY` or `MONTH`."""

    kind: Interval
    start_ms: int

    @classmethod
    def of(cls, kind: Interval, time_ms: int) -> Period:
        """The day or month that holds `time_ms`."""
        return cls(kind, kind.floor(time_ms))

    @property
    def stop_ms(self) -> int:
        return self.kind.next_open(self.start_ms)

    @property
    def text(self) -> str:
        """`2026-06`, or `2026-06-05`."""
        start = _EPOCH + timedelta(milliseconds=self.start_ms)
        return start.strftime("%Y-%m" if self.kind is MONTH else "%Y-%m-%d")


class ArchiveFile(NamedTuple):
    """One zip: the bars of one interval of one symbol that open in one period."""

    symbol: str
    interval: Interval
    period: Period

    @property
    def base_name(self) -> str:
        return f"{self.symbol}-{self.interval.name}-{self.period.text}"

    @property
    def name(self) -> str:
        return f"{self.base_name}.zip"

    @property
    def key(self) -> str:
        """Its key in the listing, which is also its path at the archive: there to be percent-encoded, since
        symbols may be Chinese."""
        return f"{folder(self.symbol, self.interval, self.period.kind)}{self.name}"


class Listed(NamedTuple):
    """A file of a listing."""

    key: str
    size_bytes: int


class ListingPage(NamedTuple):
    """One page of a listing; `next_marker` is where the next one goes on, None when this is the last."""

    folders: list[str]
    files: list[Listed]
    next_marker: str | None


def folder(symbol: str, interval: Interval, kind: Interval) -> str:
    """The key under which the files of a series are."""
    return f"{ROOT}/{dict(_KINDS)[kind]}/klines/{symbol}/{interval.name}/"


def has_kind(interval: Interval, kind: Interval) -> bool:
    """Whether bars of this interval come in files of this kind."""
    return kind is MONTH or interval.span_ms <= DAY.span_ms


def period_of(key: str) -> Period | None:
    """The period of a zip by its key; None for what is no zip of bars, a CHECKSUM for instance."""
    match = _PERIOD.search(key)
    if match is None or match.end() != len(key):
        return None
    year, month, day = match.groups()
    try:
        start = datetime(int(year), int(month), int(day or 1), tzinfo=timezone.utc)
    except ValueError:
        return None
    return Period(DAY if day else MONTH, (start - _EPOCH) // timedelta(milliseconds=1))


def parse_checksum(body: bytes, file: ArchiveFile) -> str:
    """The SHA-256, in lower-case hexadecimal, that a CHECKSUM file gives: `<hex>  <name of the zip>`.

    Raises:
        InvalidArchive: another form, or another file's name.
    """
    parts = body.decode("utf-8", "replace").split()
    if len(parts) != 2 or len(parts[0]) != 64 or not _HEX.issuperset(parts[0]) or parts[1] != file.name:
        raise InvalidArchive(f"reading {file.name}{CHECKSUM}: expected a SHA-256 and the name, got {body!r:.160}")
    return parts[0].lower()


def parse_listing(body: bytes) -> ListingPage:
    """Read a page of the S3 listing.

    S3 names the next marker only where a delimiter was given; otherwise the last key is it.

    Raises:
        InvalidArchive: no such listing.
    """
    try:
        root = ElementTree.fromstring(body)
        files = [_listed(entry) for entry in root.iter(f"{_XML}Contents")]
    except (ElementTree.ParseError, ValueError) as error:
        raise InvalidArchive(f"reading a listing: expected S3's XML, got {body!r:.120} ({error})") from None
    truncated = root.findtext(f"{_XML}IsTruncated")
    if root.tag != f"{_XML}ListBucketResult" or truncated not in ("true", "false"):
        raise InvalidArchive(f"reading a listing: expected S3's XML, got {body!r:.120}")
    folders = [entry.findtext(f"{_XML}Prefix") or "" for entry in root.iter(f"{_XML}CommonPrefixes")]
    if truncated == "false":
        return ListingPage(folders, files, None)
    return ListingPage(folders, files, _next_marker(root, folders, files))


def _next_marker(root: ElementTree.Element, folders: Sequence[str], files: Sequence[Listed]) -> str:
    marker = root.findtext(f"{_XML}NextMarker") or max([*folders, *(file.key for file in files)], default="")
    if not marker:
        raise InvalidArchive("reading a listing: expected a page that goes on to name something, got nothing")
    return marker


def _listed(entry: ElementTree.Element) -> Listed:
    return Listed(entry.findtext(f"{_XML}Key") or "", int(entry.findtext(f"{_XML}Size") or ""))
