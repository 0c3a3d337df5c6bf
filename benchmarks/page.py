"""The page: how long after its address was opened a chart's candles are seen, in a headless Chromium.

    python -m benchmarks page

A running service of 1,000 symbols at the market's pace, all of whom the page lists. Needs chromium, chromedriver and
selenium, as the tests of the page do.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from statistics import median
from typing import Any

from benchmarks.harness import Figure, free_port, http_status, python, wait_until
from benchmarks.service import START_PATIENCE_S, is_live, market

DAYS = 2
VISITS = 7
FIRST_CANDLES_MAX_S = 1.0
CHART = "/chart/BTCUSDT/1m"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
# The page says on its canvas how many bars it has given to the chart, which draws them in the next frame.
_WATCH = """
const look = () => {
  const canvas = document.getElementById("canvas");
  if (canvas && canvas.dataset.bars > 0) requestAnimationFrame(() => { window.candlesMs = performance.now(); });
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


def measure() -> Iterator[Figure]:
    """Medians of visits with everything in the browser's cache, and without."""
    paths = shutil.which("chromium"), shutil.which("chromedriver")
    if not all(paths) or find_spec("selenium") is None:
        print("page: chromium, chromedriver and selenium are needed", file=sys.stderr)
        return
    with market(DAYS) as running:
        port, log = free_port(), running.database.with_suffix(".log")
        with python(*running.options("serve"), "--port", str(port), log=log, alone=False):
            wait_until(lambda: http_status(port, "/healthz") == 200, "it serves", START_PATIENCE_S)
            wait_until(lambda: is_live(running), "all symbols are live", START_PATIENCE_S)
            with _browser(*paths) as driver:
                again, first = _visited(driver, f"http://127.0.0.1:{port}{CHART}")
    note = f"{first:.2f} s without the browser's cache"
    yield Figure("first_candles_seconds", again, "s", None, FIRST_CANDLES_MAX_S, at_most=True, note=note)


@contextmanager
def _browser(browser: str | None, driver: str | None) -> Iterator[Any]:
    from selenium import webdriver  # noqa: PLC0415 - only this figure needs it
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = browser or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        started = webdriver.Chrome(options=options, service=Service(driver))
        try:
            started.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
            yield started
        finally:
            started.quit()


def _visited(driver: Any, url: str) -> tuple[float, float]:
    """Seconds from the beginning of the navigation to the first candles: with the cache, and without."""

    def seconds(prepare: Callable[[], object]) -> float:
        taken: list[float] = []
        for _ in range(VISITS):
            driver.get("about:blank")
            prepare()
            driver.get(url)
            wait_until(lambda: driver.execute_script("return window.candlesMs"), "candles are drawn")
            taken.append(driver.execute_script("return window.candlesMs") / 1_000)
        return median(taken)

    first = seconds(lambda: driver.execute_cdp_cmd("Network.clearBrowserCache", {}))
    return seconds(lambda: None), first
