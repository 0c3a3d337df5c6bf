"""The public archive's files and listing: each method asks for one thing and has one answer or one error."""

from __future__ import annotations

import hashlib
import io
import ssl
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from bars import Interval
from exchange.errors import ExchangeError, InvalidAnswer
from exchange.fetch import HttpAnswer, fetch, open_session
from exchange.refusals import error_from_answer
from exchange.tls import trusting_context
from wire.archive import (
    CHECKSUM,
    ArchiveFile,
    InvalidArchive,
    Listed,
    ListingPage,
    folder,
    parse_checksum,
    parse_listing,
)

ZIP_BYTES_MAX = 16 * 1024 * 1024
CSV_BYTES_MAX = 32 * 1024 * 1024
"""A month of minutes has 4 to 5.5 MB of text."""
CHECKSUM_BYTES_MAX = 64 * 1024
LISTING_BYTES_MAX = 4 * 1024 * 1024
"""A page has a thousand keys, some 400 KB."""
PAGES_MAX = 1000
LISTED_MAX = 100_000
"""Of one series. Twenty years of days, with their checksums, are 15,000."""
_BROKEN_ZIP = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError),
    *(RuntimeError, ValueError, EOFError, OSError),
)
"""What zipfile raises when it reads bytes that are no sound zip."""


class WrongChecksum(ExchangeError):
    """A zip that is not what its CHECKSUM says, twice."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Download:
    """A file that fits its checksum."""

    text: bytes
    """The CSV."""
    sha256: str
    """Of the zip, in lower-case hexadecimal."""
    size_bytes: int
    """Of the zip."""


class ArchiveClient:
    """Asks the archive over HTTP. Retries nothing but a wrong checksum; for one thread at a time.

    Every method raises an `ExchangeError`: `Unreachable` when no answer came, else by what the answer says.

    Args:
        archive_url: `https://data.binance.vision`.
        listing_url: the whole address of the listing up to the `?`.
        proxies: URLs of the proxies to the archive and to the listing, as `proxy_for` gives them.
        timeout_s: for connecting and for each wait for bytes; a whole file may take twenty times as long.
        tls: which certificates to trust; None: those of the system and of certifi.
    """

    def __init__(
        self,
        archive_url: str,
        listing_url: str,
        proxies: tuple[str | None, str | None] = (None, None),
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._archive_url = archive_url.rstrip("/")
        self._listing_url = listing_url
        self._timeout_s = timeout_s
        shared = tls or trusting_context()
        self._files, self._listings = (open_session(proxy, shared) for proxy in proxies)

    def download(self, file: ArchiveFile, known: str | None = None) -> Download | None:
        """A file's text; None where the file or its checksum is not (yet) published.

        A zip that does not fit its checksum is fetched once more, since files are replaced now and then.

        Args:
            known: a SHA-256; if the file still has it, the answer is without text and nothing more is fetched.

        Raises:
            WrongChecksum: it does not fit the second time either.
            InvalidAnswer: it fits, but is no zip with one CSV.
        """
        got, expected = "", None
        for _ in range(2):
            expected = self._checksum(file)
            if expected == known is not None:
                return Download(b"", known, 0)
            body = None if expected is None else self._get(file.key, ZIP_BYTES_MAX)
            if body is None:
                return None
            got = hashlib.sha256(body).hexdigest()
            if got == expected:
                return Download(unzipped(body, file.base_name), got, len(body))
        raise WrongChecksum(f"GET /{file.key}: expected the SHA-256 {expected}, got {got}, twice")

    def _checksum(self, file: ArchiveFile) -> str | None:
        body = self._get(f"{file.key}{CHECKSUM}", CHECKSUM_BYTES_MAX)
        try:
            return None if body is None else parse_checksum(body, file)
        except InvalidArchive as error:
            raise InvalidAnswer(str(error)) from None

    def files(self, symbol: str, interval: Interval, kind: Interval, after: str = "") -> list[Listed]:
        """All files of a series, CHECKSUM files too, ascending by key.

        Args:
            kind: `DAY` or `MONTH`: those of the days or of the months.
            after: only keys behind this one.
        """
        return [file for page in self._pages(folder(symbol, interval, kind), after) for file in page.files]

    def _pages(self, prefix: str, marker: str = "") -> Iterator[ListingPage]:
        """All pages behind the key `marker`; a listing that never ends is given up."""
        listed = 0
        for _ in range(PAGES_MAX):
            page = self.page(prefix, marker)
            yield page
            listed += len(page.files) + len(page.folders)
            if page.next_marker is None:
                return
            if page.next_marker <= marker:
                raise InvalidAnswer(
                    f"listing {prefix}: expected pages that go on, got the marker {marker!r:.120} again"
                )
            if listed > LISTED_MAX:
                break
            marker = page.next_marker
        raise InvalidAnswer(f"listing {prefix}: expected an end, got {listed} names and more")

    def page(self, prefix: str, marker: str = "") -> ListingPage:
        """One page of what is directly under `prefix`, behind the key `marker`."""
        parameters = {"delimiter": "/", "prefix": prefix} | ({"marker": marker} if marker else {})
        asked = f"GET {self._listing_url}?{urlencode(parameters, safe='/')}"
        answer = fetch(
            self._listings,
            self._listing_url,
            parameters,
            asked=asked,
            timeout_s=self._timeout_s,
            answer_timeout_s=3 * self._timeout_s,
            answer_bytes_max=LISTING_BYTES_MAX,
        )
        try:
            return parse_listing(_body(asked, answer))
        except InvalidArchive as error:
            raise InvalidAnswer(f"{asked}: {error}") from None

    def close(self) -> None:
        """Close all connections."""
        self._files.close()
        self._listings.close()

    def _get(self, key: str, answer_bytes_max: int) -> bytes | None:
        asked = f"GET /{key}"
        no_parameters: Mapping[str, str] = {}
        answer = fetch(
            self._files,
            f"{self._archive_url}/{quote(key)}",
            no_parameters,
            asked=asked,
            timeout_s=self._timeout_s,
            answer_timeout_s=20 * self._timeout_s,
            answer_bytes_max=answer_bytes_max,
        )
        return None if answer.status == 404 else _body(asked, answer)


def unzipped(body: bytes, base_name: str) -> bytes:
    """The one CSV in a zip.

    Raises:
        InvalidAnswer: no zip, more or other files in it, or too much text.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            names = archive.infolist()
            if [info.filename for info in names] != [f"{base_name}.csv"]:
                found = ", ".join(info.filename for info in names)
                raise InvalidAnswer(f"opening {base_name}.zip: expected {base_name}.csv, got {found:.120}")
            if names[0].file_size > CSV_BYTES_MAX:
                raise InvalidAnswer(
                    f"opening {base_name}.zip: expected at most {CSV_BYTES_MAX} bytes, got {names[0].file_size}"
                )
            return archive.read(names[0])
    except _BROKEN_ZIP as error:
        raise InvalidAnswer(f"opening {base_name}.zip: expected a zip, got {error!r:.120}") from None


def _body(asked: str, answer: HttpAnswer) -> bytes:
    if not 200 <= answer.status < 300:
        raise error_from_answer(asked, answer.status, answer.headers, answer.body)
    return answer.body
