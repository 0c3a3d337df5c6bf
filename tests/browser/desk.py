"""A browser before a running service: what the tests look at, and how they wait for it."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    JavascriptException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from actors import BarSystem
from bars import MINUTE, Interval, to_text, volume_text
from exchange.simulated import SimulatedExchange
from storage import Reader
from web import PushServer, Sources, WebServer, make_app

PATIENCE_S = 40.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-US",
)
NOT_YET = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    JavascriptException,
    NoSuchElementException,
    StaleElementReferenceException,
)
"""What looking at a page says that is just being drawn."""

_LEGEND = """
const legend = document.getElementById("legend");
const value = (field) => legend.querySelector(`[data-field="${field}"]`).textContent;
return [Number(legend.dataset.open), "ohlcvqn".split("").map(value)];
"""
# Moves over the plot from right to left, waits until it was drawn, and reads what the legend says there.
_SWEEP = """
const [width, step, done] = arguments;
const plot = [...document.querySelectorAll("#canvas canvas")].sort((one, other) => other.width - one.width)[0];
const { right, top, height } = plot.getBoundingClientRect();
const target = document.elementFromPoint(right - 60, top + height / 2);
const drawn = () => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
const legend = document.getElementById("legend");
const value = (field) => legend.querySelector(`[data-field="${field}"]`).textContent;
(async () => {
  const seen = [];
  for (let x = 4; x < width; x += step) {
    const where = { clientX: right - x, clientY: top + height / 2, bubbles: true, view: window };
    if (x === 4) target.dispatchEvent(new MouseEvent("mouseenter", where));
    target.dispatchEvent(new MouseEvent("mousemove", where));
    await drawn();
    const reasons = [...legend.querySelectorAll(".reason")].map((reason) => [reason.dataset.kind, reason.textContent]);
    if (!legend.hidden) seen.push([x, Number(legend.dataset.open), "ohlcvqn".split("").map(value), reasons]);
  }
  target.dispatchEvent(new MouseEvent("mouseleave", { bubbles: true, view: window }));
  await drawn();
  done(seen);
})();
"""

Told = dict[int, list[str]]
"""Open, high, low, close, volume, quote volume and trades by open time, as text."""


def browser_paths() -> tuple[str, str] | None:
    """The browser and its driver, as Debian's `chromium` and `chromium-driver` bring them; None where one is not."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which(DRIVER)
    return (browser, driver) if browser and driver else None


def start_browser(browser: str, driver: str, profile: Path) -> webdriver.Chrome:
    options = Options()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.set_script_timeout(PATIENCE_S)
    return started


class Desk:
    """One browser, one simulated exchange that runs fast, one service; its web side may be restarted."""

    def __init__(
        self, driver: webdriver.Chrome, exchange: SimulatedExchange, system: BarSystem, reader: Reader
    ) -> None:
        self.driver = driver
        self.exchange = exchange
        self.system = system
        self.reader = reader
        self.expects_errors = False
        self._sources = Sources(
            reader, system.now_ms, system.health, system.status, fetch=system.fetch, watch=system.watch
        )
        self._agent = driver.execute_script("return navigator.userAgent")
        self._scripts: list[str] = []
        self._web = WebServer(make_app(self._sources), "127.0.0.1", 0, PushServer(self._sources))
        self._web.start()
        self._port = self._web.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def stop_web(self) -> None:
        self._web.stop()

    @contextmanager
    def web_stopped(self) -> Iterator[None]:
        """Without the web side for as long as the block runs; it comes back on the same port, held meanwhile."""
        with socket.socket() as held:
            self._web.stop()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", self._port))
            try:
                yield
            finally:
                self._web = WebServer(make_app(self._sources), "127.0.0.1", self._port, PushServer(self._sources))
                self._web.start()

    # --- a person's doings

    def visit(
        self,
        path: str,
        *,
        size: tuple[int, int] = (1280, 800),
        languages: str = "en-US",
        scheme: str = "dark",
        before: str = "",
    ) -> None:
        """Open an address as somebody who was never here.

        Args:
            languages: the browser's, as `navigator.language` tells them.
            before: a script that runs before the page's own.
        """
        self.run("Storage.clearDataForOrigin", origin=self.url, storageTypes="local_storage")
        for script in self._scripts:
            self.run("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        self._scripts = (
            [self.run("Page.addScriptToEvaluateOnNewDocument", source=before)["identifier"]] if before else []
        )
        width, height = size
        self.run(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.run("Emulation.setUserAgentOverride", userAgent=self._agent, acceptLanguage=languages)
        self.run("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.driver.get("about:blank")
        self.driver.get(self.url + path)

    def open_chart(self, symbol: str, interval: str, **how: Any) -> None:
        """Open a chart's address and wait until it is drawn and live."""
        self.visit(f"/chart/{symbol}/{interval}", **how)
        self.wait_for_bars()
        self.wait_for_state("live")

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def click(self, selector: str) -> None:
        def act() -> bool:
            self.one(selector).click()
            return True

        self.until(act, f"{selector} could be clicked")

    def drag(self, right: int) -> None:
        """Pull the chart to the right, towards older bars."""
        actions = ActionChains(self.driver, duration=20)
        actions.move_to_element_with_offset(self.one("#canvas"), -right // 2, 40).click_and_hold()
        for _ in range(5):
            actions.move_by_offset(right // 5, 0)
        actions.release().perform()

    # --- what is seen

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def symbols(self) -> list[str]:
        """The rows in sight, from the top."""
        rows: list[str] = self.script(
            """return [...document.querySelectorAll("#rows .row:not([hidden])")]
                .sort((one, other) => one.getAttribute("aria-rowindex") - other.getAttribute("aria-rowindex"))
                .map((row) => row.dataset.symbol)"""
        )
        return rows

    def bars(self) -> int:
        return int(self.script("return document.getElementById('canvas').dataset.bars ?? 0"))

    def legend(self) -> tuple[int, list[str]]:
        """The open time and the values that the legend shows."""
        open_ms, values = self.script(_LEGEND)
        return open_ms, values

    def edge_colours(self, *from_right: int) -> list[list[int]]:
        """The colours of the plot's lowest line, so many pixels from its right end."""
        colours: list[list[int]] = self.script(
            """
            const plot = [...document.querySelectorAll("#canvas canvas")].sort((one, other) => other.width - one.width)
              .find((canvas) => canvas.height > 100);
            const copy = new OffscreenCanvas(plot.width, plot.height).getContext("2d", { willReadFrequently: true });
            copy.drawImage(plot, 0, 0);
            return arguments[0].map((x) => [...copy.getImageData(plot.width - x, plot.height - 1, 1, 1).data]);
            """,
            from_right,
        )
        return colours

    def sweep(self, width: int, step: int = 6) -> list[tuple[int, int, list[str], list[list[str]]]]:
        """What the legend says under the crosshair over the newest `width` pixels.

        Each is a place (pixels from the right), an open time, values, and reasons for what is shaded there.
        """
        return [tuple(seen) for seen in self.driver.execute_async_script(_SWEEP, width, step)]

    def told(self, width: int) -> Told:
        """The same by open time. The bar in progress is left out: it moves on."""
        told = {open_ms: values for _, open_ms, values, _ in self.sweep(width)}
        return {open_ms: told[open_ms] for open_ms in sorted(told)[:-1]}

    def truth(self, symbol: str, interval: Interval, told: Told) -> Told:
        """What the legend should have said of those times."""
        first, *_, last = sorted(told)
        return {
            bar.open_ms: [
                *(to_text(price, bar.scale.price) for price in (bar.open, bar.high, bar.low, bar.close)),
                volume_text(bar.volume, bar.scale.volume),
                volume_text(bar.quote_volume, bar.scale.quote),
                str(bar.trades),
            ]
            for bar in self.exchange.world.bars(symbol, interval, first, interval.next_open(last))
        }

    def gap_reasons(self, symbol: str) -> set[str]:
        """Why the service says that spans of a symbol have no bars."""
        answer = requests.get(f"{self.url}/api/gaps", params={"symbol": symbol}, timeout=PATIENCE_S)
        return {gap["reason"] for gap in answer.json()["gaps"]}

    # --- waiting

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """What the condition gives once that is true; looks often, for `PATIENCE_S` at most."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            with suppress(*NOT_YET):
                if found := condition():
                    return found
            assert time.monotonic() < deadline_s, f"waited {PATIENCE_S} s in vain until {what}"
            time.sleep(0.03)

    def until_title(self, part: str) -> None:
        self.until(lambda: part in self.driver.title, f"the title says {part!r}")

    def wait_for_bars(self) -> None:
        self.until(self.bars, "bars are drawn")

    def wait_for_state(self, *states: str) -> None:
        self.until(lambda: self.one("#connection").get_dom_attribute("data-state") in states, f"it is {states}")

    def wait_for_minutes(self, count: int) -> None:
        """Let so many minutes of the exchange end and be stored."""
        stop_ms = MINUTE.next_open(self.system.now_ms() or 0) + (count - 1) * MINUTE.span_ms
        record = self.reader.find("BTCUSDT")
        assert record is not None
        self.until(lambda: (self.reader.last_open_ms(record, MINUTE) or 0) >= stop_ms - MINUTE.span_ms, "minutes pass")

    # --- the browser's own view

    def script(self, text: str, *arguments: Any) -> Any:
        return self.driver.execute_script(text, *arguments)

    def module(self, name: str, text: str) -> Any:
        """The result of an asynchronous function's body that has a module of the page as `it`."""
        done = """
            const done = arguments[arguments.length - 1];
            const folder = document.querySelector("script[type=module]").src.replace(/[^/]*$/, "");
            import(folder + "%s").then(async (it) => { %s }).then(done, (error) => done("failed: " + error.stack));
        """
        return self.driver.execute_async_script(done % (name, text))

    def run(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def errors(self) -> list[str]:
        """What the browser's console complained of since last asked."""
        return [entry["message"] for entry in self._log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def foreign_requests(self) -> list[str]:
        """Addresses of other hosts that were asked for since last asked."""
        told = (json.loads(entry["message"])["message"] for entry in self._log("performance"))
        asked = [event["params"]["request"]["url"] for event in told if event["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if urlsplit(url).scheme != "data" and urlsplit(url).port != self._port]

    def _log(self, name: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return entries
