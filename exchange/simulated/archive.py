"""The public archive and its S3 listing, built from the truth when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote
from xml.sax.saxutils import escape

from bars import DAY, Span
from bars.interval import DAY_MS
from exchange.simulated.faults import Dice, FaultPlan
from exchange.simulated.files import FOLDERS, MONTH, ArchiveFile, files, symbols, zipped
from exchange.simulated.rest import Answer, parameters
from exchange.simulated.world import World

LISTING_PATH = "/data.binance.vision"
CHECKSUM = ".CHECKSUM"
_ROOT = "data/futures/um/"
_KINDS = MappingProxyType({"daily": DAY, "monthly": MONTH})
_ZIPS_KEPT = 16
_BYTES_PER_ROW = 36
_XML = (b"content-type", b"application/xml")
_NO_KEY = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>{}</Message></Error>'


class Entry(NamedTuple):
    """One line of a listing: a file, or a folder when `file` is None."""

    key: str
    file: ArchiveFile | None = None


class Archive:
    """Answers for files and listings. Files do not change once they are published."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plan = world.plan.archive
        self._zip = lru_cache(maxsize=_ZIPS_KEPT)(self._zipped)

    def answer(self, path: str, query: bytes, now_ms: int, faults: FaultPlan) -> Answer:
        """The answer to GET `path`: a zip, its CHECKSUM, or a page of the listing."""
        if path == LISTING_PATH:
            given = parameters(query)
            prefix, marker = given.get("prefix", ""), given.get("marker", "")
            return self._listing(prefix, marker, given.get("delimiter", ""), now_ms, faults)
        key = unquote(path).removeprefix("/")
        entry = self._find(key.removesuffix(CHECKSUM), now_ms, faults)
        if entry is None:
            return Answer(404, _NO_KEY.format(escape(key)).encode(), (_XML,))
        body = self._zip(entry, self._hole(entry, faults))
        if not key.endswith(CHECKSUM):
            return Answer(200, body, ((b"content-type", b"application/zip"),))
        digest = hashlib.sha256(body + (b"!" if self._is_wrong(entry, faults) else b"")).hexdigest()
        return Answer(200, f"{digest}  {entry.base_name}.zip\n".encode(), ((b"content-type", b"text/plain"),))

    def _find(self, key: str, now_ms: int, faults: FaultPlan) -> ArchiveFile | None:
        parts = key.removeprefix(_ROOT).split("/")
        if not key.startswith(_ROOT) or len(parts) != 5:
            return None
        kind, _, symbol, folder, _ = parts
        series, interval = symbols(self._world, now_ms).get(symbol), FOLDERS.get(folder)
        if kind not in _KINDS or series is None or interval is None:
            return None
        listed = files(symbol, series, interval, _KINDS[kind], self._plan, now_ms)
        return next((file for file in listed if file.key == key and not self._is_missing(file, faults)), None)

    def _zipped(self, file: ArchiveFile, hole: Span | None) -> bytes:
        return zipped(self._world, file, self._plan, hole)

    def _dice(self, file: ArchiveFile, fault: str) -> Dice:
        """A file's defects are its own, whenever one looks."""
        return Dice(self._world.plan.seed, f"{fault}/{file.key}")

    def _is_missing(self, file: ArchiveFile, faults: FaultPlan) -> bool:
        return file.period.kind is MONTH and self._dice(file, "missing").hits(faults.missing_files)

    def _is_wrong(self, file: ArchiveFile, faults: FaultPlan) -> bool:
        return file.period.kind is DAY and self._dice(file, "checksum").hits(faults.wrong_checksums)

    def _hole(self, file: ArchiveFile, faults: FaultPlan) -> Span | None:
        """Up to three days that a monthly file lacks and the daily files have, as in 2022."""
        dice = self._dice(file, "hole")
        if file.period.kind is DAY or file.interval.span_ms >= DAY_MS or not dice.hits(faults.monthly_holes):
            return None
        start_ms = file.period.start_ms + dice.below(26) * DAY_MS
        return Span(start_ms, start_ms + (1 + dice.below(3)) * DAY_MS)

    def _listing(self, prefix: str, marker: str, delimiter: str, now_ms: int, faults: FaultPlan) -> Answer:
        page: list[Entry] = []
        truncated = False
        for entry in self._entries(prefix, delimiter, now_ms, faults):
            if entry.key <= marker:
                continue
            if len(page) == self._plan.page_keys:
                truncated = True
                break
            page.append(entry)
        next_marker = f"<NextMarker>{escape(page[-1].key)}</NextMarker>" if truncated and delimiter else ""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>data.binance.vision</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><Marker>{escape(marker)}</Marker>{next_marker}"
            f"<MaxKeys>{self._plan.page_keys}</MaxKeys><Delimiter>{escape(delimiter)}</Delimiter>"
            f"<IsTruncated>{'true' if truncated else 'false'}</IsTruncated>"
            + "".join(self._contents(entry) for entry in page if entry.file is not None)
            + "".join(_folder(entry) for entry in page if entry.file is None)
            + "</ListBucketResult>"
        )
        return Answer(200, body.encode(), (_XML,))

    def _entries(self, prefix: str, delimiter: str, now_ms: int, faults: FaultPlan) -> Iterator[Entry]:
        """Everything under `prefix`, ascending; with a delimiter folders stand for what is in them.

        The order is that of UTF-8 bytes, which is that of code points.
        """
        named = symbols(self._world, now_ms)
        for kind_name, kind in sorted(_KINDS.items()):
            for symbol, series in named.items():
                if not _meet(symbol_folder := f"{_ROOT}{kind_name}/klines/{symbol}/", prefix):
                    continue
                if delimiter and (cut := symbol_folder.find(delimiter, len(prefix))) >= 0:
                    yield Entry(symbol_folder[: cut + 1])
                    if cut + 1 < len(symbol_folder):
                        break  # one folder for all of the symbols
                    continue
                for folder, interval in sorted(FOLDERS.items()):
                    if not _meet(interval_folder := f"{symbol_folder}{folder}/", prefix):
                        continue
                    listed = files(symbol, series, interval, kind, self._plan, now_ms)
                    if delimiter and len(interval_folder) > len(prefix):
                        if next(listed, None) is not None:
                            yield Entry(interval_folder)
                        continue
                    for file in listed:
                        if self._is_missing(file, faults):
                            continue
                        for key in (file.key, file.key + CHECKSUM):
                            if key.startswith(prefix):
                                yield Entry(key, file)

    def _contents(self, entry: Entry) -> str:
        """A file of the listing. Its size is an estimate: nothing is built in order to be listed."""
        file = entry.file
        assert file is not None
        rows = file.interval.count(file.period.start_ms, file.period.stop_ms)
        size = 64 + len(file.base_name) if entry.key.endswith(CHECKSUM) else 200 + rows * _BYTES_PER_ROW
        etag = hashlib.md5(entry.key.encode(), usedforsecurity=False).hexdigest()
        modified = _iso(file.period.published_ms(self._plan))
        return (
            f"<Contents><Key>{escape(entry.key)}</Key><LastModified>{modified}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )


def _meet(folder: str, prefix: str) -> bool:
    """Whether a folder has, or lies under, the prefix."""
    return folder.startswith(prefix) or prefix.startswith(folder)


def _folder(entry: Entry) -> str:
    return f"<CommonPrefixes><Prefix>{escape(entry.key)}</Prefix></CommonPrefixes>"


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
