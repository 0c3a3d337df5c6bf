"""The pages for people, as far as they are files: types, caching, headers, and that nothing in them goes elsewhere."""

from __future__ import annotations

import configparser
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from storage import ContractsSeen, Reader
from tests.support.market import a_contract, a_reader
from tests.support.wsgi import WsgiApp, call
from web import Sources, make_app
from web.site import FOLDER, Site, chart_library

ROOT = Path(__file__).parent.parent
FOREIGN = "币安人生USDT"
CHART_LIBRARY_SHA256 = "756b0ba9f58930226d6b8b9d47ad310448ab85d799ea1f7c2c02304777c10b52"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    contracts = [a_contract(), a_contract(FOREIGN), a_contract("BTCUSDT_260327", contract_type="NEXT_QUARTER")]
    reader = a_reader(Path(tmp_path_factory.mktemp("site")) / "bars.db", [ContractsSeen(contracts)])
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def app(reader: Reader) -> WsgiApp:
    app: WsgiApp = make_app(Sources(reader, lambda: None, lambda: None, dict))
    return app


def with_etag(app: WsgiApp, etag: str) -> WsgiApp:
    """The application as a browser asks it that has something already."""
    return lambda environ, start: app({**environ, "HTTP_IF_NONE_MATCH": etag}, start)


@pytest.mark.parametrize(
    "path", ["/", "/status", "/chart", "/chart/BTCUSDT", "/chart/btcusdt/1m", f"/chart/{FOREIGN}/1M"]
)
def test_every_address_of_a_person_has_the_same_page(app: WsgiApp, path: str) -> None:
    answered = call(app, path.encode().decode("latin1"))
    assert answered.status == 200
    assert answered.headers["content-type"] == "text/html; charset=utf-8"
    assert answered.headers["content-security-policy"] == POLICY
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert answered.headers["referrer-policy"] == "no-referrer"
    assert answered.headers["cache-control"] == "no-cache"
    assert b"{{" not in answered.body


@pytest.mark.parametrize("path", ["/chart/NOPE/1m", "/chart/BTCUSDT/3d", "/chart/BTCUSDT_260327/1m", "/chart/<b>/1h"])
def test_what_is_not_there_is_404_and_the_page_says_so_itself(app: WsgiApp, path: str) -> None:
    answered = call(app, path)
    assert (answered.status, answered.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert answered.body == call(app, "/").body


def test_a_page_that_did_not_change_is_not_sent_again(app: WsgiApp) -> None:
    etag = call(app, "/").headers["etag"]
    answered = call(with_etag(app, etag), "/")
    assert (answered.status, answered.body) == (304, b"")
    assert call(with_etag(app, '"something else"'), "/").status == 200


def test_all_that_the_page_names_is_there_with_its_type_and_kept_for_ever(app: WsgiApp) -> None:
    named = re.findall(r'(?:src|href)="(/page/[^"]+)"', call(app, "/").body.decode())
    assert len(named) > 20
    types = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
    types[".txt"] = "text/plain; charset=utf-8"
    for path in named:
        answered = call(app, path)
        assert answered.status == 200, path
        assert answered.headers["content-type"] == types[Path(path).suffix]
        assert answered.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answered.headers["content-security-policy"] == POLICY


def test_files_of_another_version_are_asked_for_again(app: WsgiApp) -> None:
    answered = call(app, "/page/0123456789abcdef/main.js")
    assert (answered.status, answered.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "name", ["../site.py", "..%2fsite.py", "%2e%2e/site.py", "nothing.js", "index.html", "strings", ""]
)
def test_nothing_but_the_files_is_served(app: WsgiApp, name: str) -> None:
    assert call(app, f"/page/{Site().digest}/{name}").status == 404


def test_every_module_is_preloaded_and_every_import_leads_to_a_file() -> None:
    preloaded = set(
        re.findall(r'modulepreload" href="/page/\{\{digest\}\}/([^"]+)"', (FOLDER / "index.html").read_text())
    )
    modules = {path.relative_to(FOLDER).as_posix() for path in SCRIPTS} - {"main.js", "early.js"}
    assert preloaded == modules
    for path in SCRIPTS:
        for name in re.findall(r'from "([^"]+)"', path.read_text("utf-8")):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"


def test_the_page_has_neither_inline_code_nor_addresses_of_other_hosts() -> None:
    html = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", html)
    for path in FILES:
        for url in re.findall(r"https?://[^\s\"'<>)]+", path.read_text("utf-8")):
            is_known = url.startswith(
                ("https://www.tradingview.com/", "http://www.apache.org/", "http://www.w3.org/2000/svg")
            )
            assert is_known, f"{path.name}: {url}"


def test_scripts_make_no_markup_from_text() -> None:
    for path in SCRIPTS:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", path.read_text()
        )


def test_the_chart_library_is_the_very_file_that_was_looked_at(app: WsgiApp) -> None:
    body = call(app, f"/page/{Site().digest}/lightweight-charts.js").body
    assert hashlib.sha256(body).hexdigest() == CHART_LIBRARY_SHA256
    assert b"litecharts" in str(chart_library()).encode()


def test_the_library_s_notice_and_licence_are_served(app: WsgiApp) -> None:
    text = call(app, f"/page/{Site().digest}/licence.txt").body.decode()
    assert "Copyright (c) 2025 TradingView, Inc. https://www.tradingview.com/" in text
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text


def test_an_installed_package_has_every_file() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = config["options.package_data"]["web"].split()
    packed = {path for pattern in patterns for path in (ROOT / "web").glob(pattern) if path.is_file()}
    assert packed == set(FILES)


def test_no_name_of_a_symbol_breaks_out_of_its_address(app: WsgiApp) -> None:
    answered = call(app, f"/chart/{quote('<script>alert(1)</script>', safe='')}/1m".replace("%2F", "_"))
    assert answered.status == 404
    assert b"alert" not in answered.body
