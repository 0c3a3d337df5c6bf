"""What a page looks like: nothing cut or out of place, text that can be read, words where there is nothing to show."""

from __future__ import annotations

import json

import pytest

from tests.browser.desk import Desk

pytestmark = pytest.mark.slow

REASON = "the exchange cannot be reached: GET /fapi/v1/time: no answer: " + "NameResolutionError " * 9

# A service that knows no symbol, until `window.known` is set.
EMPTY = """
    const real = window.fetch;
    window.known = false;
    window.fetch = async (address, ...rest) => {
      const answer = await real(address, ...rest);
      const path = String(address);
      if (window.known || !(path.startsWith("/api/overview") || path === "/api/status")) return answer;
      const body = await answer.json();
      if (path === "/api/status") body.reason = REASON;
      else body.symbols = [];
      return new Response(JSON.stringify(body));
    };
""".replace("REASON", json.dumps(REASON))

SHIFTS = """
    window.shifted = 0;
    new PerformanceObserver((list) => {
      for (const shift of list.getEntries()) window.shifted += shift.value;
    }).observe({ type: "layout-shift", buffered: true });
"""

# The texts in sight whose colour has less than 4.5 times the light, or the dark, of what is behind it.
PALE = """
const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  paint.clearRect(0, 0, 1, 1);
  paint.fillStyle = colour;
  paint.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = paint.getImageData(0, 0, 1, 1).data;
  return { parts: [red, green, blue], alpha: alpha / 255 };
};
const behind = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((under, { parts, alpha }) =>
    under.map((part, index) => part * (1 - alpha) + parts[index] * alpha), [255, 255, 255]);
};
const light = (parts) => parts
  .map((part) => part / 255)
  .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const pale = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !element.offsetParent || element.closest(".star, .skip, #canvas")) continue;
  for (const animation of element.getAnimations()) animation.finish();
  const [one, other] = [light(rgba(getComputedStyle(element).color).parts), light(behind(element))];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (contrast < 4.5) pale.push(`${element.className || element.tagName}: ${element.textContent} ${contrast}`);
}
return pale;
"""
CUT = """
const cut = (cell) => cell.scrollWidth > cell.clientWidth;
return [...document.querySelectorAll("#rows .symbol")].filter(cut).map((cell) => cell.textContent);
"""
WIDTHS = "return [document.documentElement.scrollWidth, innerWidth]"


def visit_rows(desk: Desk, *, size: tuple[int, int], languages: str = "en-US") -> None:
    desk.visit("/", size=size, languages=languages)
    desk.until(lambda: len(desk.symbols()) >= 8, "the list is there")


@pytest.mark.parametrize("languages", ["en-US", "zh-CN"])
@pytest.mark.parametrize("width", [320, 360, 390, 768, 1280])
def test_no_name_in_the_list_is_cut_and_nothing_stands_out_of_the_page(desk: Desk, width: int, languages: str) -> None:
    visit_rows(desk, size=(width, 800), languages=languages)
    assert "1000PEPEUSDT" in desk.symbols()
    assert desk.script(CUT) == []
    assert desk.script(WIDTHS) == [width, width]


@pytest.mark.parametrize("path", ["/", "/status"])
def test_a_page_on_a_phone_does_not_jump_while_it_loads(desk: Desk, path: str) -> None:
    desk.visit(path, size=(390, 844), before=SHIFTS)
    desk.wait_for_state("live")
    seen = "#rows .row" if path == "/" else ".gaps"
    desk.until(lambda: desk.one(seen).is_displayed(), "all is there")
    assert desk.script("return window.shifted") < 0.02


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("path", ["/", "/chart/BTCUSDT/1m", "/status"])
def test_every_text_stands_out_from_what_is_behind_it(desk: Desk, path: str, scheme: str) -> None:
    desk.visit(path, scheme=scheme)
    desk.wait_for_state("live")
    if path == "/status":
        desk.until(lambda: desk.one(".gaps").is_displayed(), "all is there")
    else:
        desk.until(lambda: len(desk.symbols()) >= 8, "the list is there")
    assert desk.script(PALE) == []


def test_a_list_without_symbols_says_why_and_fills_by_itself(desk: Desk) -> None:
    desk.visit("/", before=EMPTY)
    desk.until(lambda: "The exchange cannot be reached" in desk.text("#nothing"), "the reason is told")
    desk.script("window.known = true")
    desk.until(lambda: len(desk.symbols()) >= 8, "the list is there")


def test_a_chart_of_no_symbol_says_why_and_becomes_the_busiest_one_s(desk: Desk) -> None:
    desk.visit("/chart", before=EMPTY)
    desk.until(lambda: "The exchange cannot be reached" in desk.text("#notice"), "the reason is told")
    desk.script("window.known = true")
    desk.until(lambda: desk.driver.current_url.endswith("USDT/1h"), "a chart opens")
    desk.wait_for_bars()


def test_a_symbol_that_is_not_known_yet_is_shown_once_it_is(desk: Desk) -> None:
    desk.expects_errors = True  # the first answer is 404
    unknown = EMPTY.replace("const answer =", """
      if (!window.known && String(address).startsWith("/api/klines")) address = "/api/klines?symbol=NO&interval=1m";
      const answer =""")  # fmt: skip
    desk.visit("/chart/ETHUSDT/5m", before=unknown)
    desk.until(lambda: "The exchange cannot be reached" in desk.text("#notice"), "the reason is told")
    desk.script("window.known = true")
    desk.wait_for_bars()


def test_a_long_reason_does_not_widen_the_status_page(desk: Desk) -> None:
    longer = EMPTY.replace("body.reason =", "body.backfill.unreachable = body.reason =")
    desk.visit("/status", size=(390, 844), before=longer)
    desk.until(lambda: desk.one('[data-card="backfill"] .bad').is_displayed(), "the reason is told")
    wide, shown = desk.script(
        "const view = document.getElementById('status-view'); return [view.scrollWidth, view.clientWidth]"
    )
    assert wide == shown
