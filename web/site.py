"""The pages for people: static files, and one shell of HTML for every address that a person may open.

The shell names its files below a folder that is called after their digest, so that a browser asks for each once
and never sees a mixture of two versions. The chart library is TradingView's Lightweight Charts, out of the wheel
`litecharts`, of which only that file is used.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import bottle  # type: ignore[import-untyped]

from bars import INTERVALS
from storage import Reader, StorageError
from web.sources import Sources
from wire.names import upper

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "page"
SHELL = "index.html"
PREFIX = "/page/"
DIGEST_MARK = b"{{digest}}"
DIGEST_CHARACTERS = 16

CHART_LIBRARY = "lightweight-charts.js"
CHART_PACKAGE = "litecharts"

TYPES = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".webmanifest": "application/manifest+json",
    }
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
)
ASK_AGAIN = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"


Answered = Callable[[str, int, float], None]


class Asset(NamedTuple):
    body: bytes
    content_type: str

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:DIGEST_CHARACTERS]}"'


class Site:
    """All files, read once.

    Raises:
        ModuleNotFoundError: the package with the chart library is not installed.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        files = dict(_files(folder))
        files[CHART_LIBRARY] = Asset(chart_library().read_bytes(), TYPES[".js"])
        self.digest = _digest(files)
        shell = files.pop(SHELL)
        self.shell = shell._replace(body=shell.body.replace(DIGEST_MARK, self.digest.encode()))
        self.files: Mapping[str, Asset] = files


def chart_library() -> Path:
    """The file of the chart library, found without importing the package that it is in.

    Raises:
        ModuleNotFoundError
    """
    spec = importlib.util.find_spec(CHART_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / "js" / CHART_LIBRARY
        if path.is_file():
            return path
    raise ModuleNotFoundError(
        f"serving the pages: expected the package {CHART_PACKAGE!r} with {CHART_LIBRARY}, got none; pip installs it",
        name=CHART_PACKAGE,
    )


def add_site(app: bottle.Bottle, sources: Sources, answered: Answered) -> None:
    """Have `app` answer the pages for people.

    Args:
        answered: is told of each request: its route, the status, how long it took.
    """
    site = Site()
    shell, file = partial(_shell, site, sources.reader), partial(_file, site)
    for path in ("/", "/status", "/chart", "/chart/<symbol>", "/chart/<symbol>/<interval>"):
        app.route(path, callback=_counted(path, shell, answered, sources.monotonic_s))
    path = f"{PREFIX}<digest>/<name:path>"
    app.route(path, callback=_counted(path, file, answered, sources.monotonic_s))


def _counted(
    route: str, call: Callable[..., bottle.HTTPResponse], answered: Answered, monotonic_s: Callable[[], float]
) -> Callable[..., Any]:
    def counted(**parts: str) -> bottle.HTTPResponse:
        begun_s = monotonic_s()
        response = call(**parts)
        answered(route, response.status_code, monotonic_s() - begun_s)
        return response

    return counted


def _shell(site: Site, reader: Reader, symbol: str = "", interval: str = "") -> bottle.HTTPResponse:
    """The same page whatever is asked for: its script says what is not there, the status too."""
    exists = (not interval or interval in INTERVALS) and (not symbol or _is_known(reader, symbol))
    return _response(site.shell, ASK_AGAIN, 200 if exists else 404)


def _file(site: Site, digest: str, name: str) -> bottle.HTTPResponse:
    asset = site.files.get(name)
    if asset is None:
        raise bottle.HTTPError(404)
    return _response(asset, FOR_EVER if digest == site.digest else ASK_AGAIN)


def _response(asset: Asset, caching: str, status: int = 200) -> bottle.HTTPResponse:
    headers = {**SECURITY, "Cache-Control": caching, "ETag": asset.etag}
    if status == 200 and asset.etag in bottle.request.headers.get("If-None-Match", ""):
        return bottle.HTTPResponse(status=304, headers=headers)
    return bottle.HTTPResponse(asset.body, status, {**headers, "Content-Type": asset.content_type})


def _is_known(reader: Reader, symbol: str) -> bool:
    try:
        record = reader.find(upper(symbol))
    except StorageError as error:  # the page itself is there, and says what does not work
        logger.error("looking for a symbol: %s", error)
        return True
    return record is not None and record.contract.is_perpetual


def _files(folder: Path) -> Iterator[tuple[str, Asset]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES and path.is_file():
            yield path.relative_to(folder).as_posix(), Asset(path.read_bytes(), TYPES[path.suffix])


def _digest(files: Mapping[str, Asset]) -> str:
    total = hashlib.sha256()
    for name, asset in sorted(files.items()):
        total.update(f"{name} {len(asset.body)}\n".encode() + asset.body)
    return total.hexdigest()[:DIGEST_CHARACTERS]
