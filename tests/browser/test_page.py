"""Lists, languages, themes, phones, the status page, and the pure parts of the scripts."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.desk import Desk

pytestmark = pytest.mark.slow

FOREIGN = "币安人生USDT"
PHONE = (390, 844)


def visit_markets(desk: Desk, count: int = 8, path: str = "/") -> None:
    desk.visit(path)
    desk.until(lambda: len(desk.symbols()) >= count, "the list is there")


def test_a_symbol_is_found_by_a_part_of_its_name_in_any_script(desk: Desk) -> None:
    visit_markets(desk)
    desk.press("/")
    desk.press("人生")
    desk.until(lambda: desk.symbols() == [FOREIGN], "one is found")
    desk.press(Keys.ENTER)
    desk.until(lambda: "/chart/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT/" in desk.driver.current_url, "it opens")
    desk.wait_for_bars()


def test_search_does_not_mind_case_and_width_and_says_when_there_is_nothing(desk: Desk) -> None:
    visit_markets(desk)
    desk.press("/")
    desk.press("\uff50epe")  # the first letter is a wide one
    desk.until(lambda: desk.symbols() == ["1000PEPEUSDT"], "one is found")
    desk.press("<b>")
    desk.until(lambda: desk.symbols() == [] and desk.one("#nothing").is_displayed(), "nothing is found")
    desk.press(Keys.ESCAPE)
    desk.until(lambda: len(desk.symbols()) == 8, "all are there again")


def test_a_column_sorts_both_ways(desk: Desk) -> None:
    visit_markets(desk)
    desk.click('[data-column="symbol"]')
    desk.until(lambda: desk.symbols() == sorted(desk.symbols()), "it ascends")
    desk.click('[data-column="symbol"]')
    desk.until(lambda: desk.symbols() == sorted(desk.symbols(), reverse=True), "it descends")
    assert desk.one("#columns .symbol").get_dom_attribute("aria-sort") == "descending"


def test_favourites_are_kept_and_filtered(desk: Desk) -> None:
    visit_markets(desk)
    desk.click('.row[data-symbol="XAUUSDT"] .star')
    desk.click('[data-filter="favourites"]')
    desk.until(lambda: desk.symbols() == ["XAUUSDT"], "the favourite is alone")
    desk.driver.refresh()
    desk.until(lambda: desk.symbols() == ["XAUUSDT"], "it is kept")


def test_prices_in_the_list_move_as_they_come(desk: Desk) -> None:
    visit_markets(desk)
    desk.wait_for_state("live")
    cell = '.row[data-symbol="BTCUSDT"] .last'
    first = desk.text(cell)
    desk.until(lambda: desk.text(cell) != first, "the price moves")
    line = "return document.querySelector('.row[data-symbol=BTCUSDT] .spark path').getAttribute('d')"
    desk.until(lambda: desk.script(line), "its last hours are drawn")


def test_arrows_walk_through_the_list_beside_a_chart(desk: Desk) -> None:
    visit_markets(desk, path="/chart/BTCUSDT/5m")
    below = desk.symbols()[desk.symbols().index("BTCUSDT") + 1]
    desk.press(Keys.ARROW_DOWN)
    desk.until(lambda: desk.driver.current_url.endswith(f"/chart/{below}/5m"), "the next symbol opens")
    desk.wait_for_bars()


def test_going_back_shows_what_was_there_before(desk: Desk) -> None:
    visit_markets(desk)
    desk.click('.row[data-symbol="ETHUSDT"] a')
    desk.wait_for_bars()
    desk.driver.back()
    desk.until(lambda: desk.script("return document.documentElement.dataset.view") == "markets", "the list is back")


def test_a_thousand_symbols_take_no_more_rows_than_fit(desk: Desk) -> None:
    multiply = """
        const real = window.fetch;
        window.fetch = async (address, ...rest) => {
          const answer = await real(address, ...rest);
          if (!String(address).startsWith("/api/overview")) return answer;
          const body = await answer.json();
          const copies = Array.from({ length: 125 }, (_, copy) => body.symbols.map((row) => (
            { ...row, symbol: `${row.symbol}${copy}` })));
          return new Response(JSON.stringify({ ...body, symbols: copies.flat() }));
        };
    """
    desk.visit("/", before=multiply)
    desk.until(lambda: desk.one("#list").get_dom_attribute("aria-rowcount") == "1001", "a thousand are there")
    first = desk.symbols()
    desk.script("document.getElementById('rows').scrollTop = 1e6")
    desk.until(lambda: desk.symbols() and not set(desk.symbols()) & set(first), "the end is in sight")
    assert desk.script("return document.querySelectorAll('#rows .row').length") < 60


def test_the_language_is_the_browser_s_until_another_is_chosen(desk: Desk) -> None:
    desk.visit("/", languages="zh-CN,zh")
    desk.until(lambda: desk.text('nav [data-for="markets"]') == "行情", "it is Chinese")
    assert desk.script("return document.documentElement.lang") == "zh-CN"
    assert desk.one("#search").get_dom_attribute("placeholder") == "搜索交易对"
    desk.click("#language")
    desk.until(lambda: desk.text('nav [data-for="markets"]') == "Markets", "it is English")
    desk.driver.refresh()
    desk.until(lambda: desk.text('nav [data-for="markets"]') == "Markets", "the choice is kept")


def test_every_text_is_there_in_both_languages_with_the_same_places_to_fill(desk: Desk) -> None:
    visit_markets(desk)
    assert desk.module("strings/en.js", "return Object.keys(it.en).length") > 100
    different = desk.module(
        "strings/en.js",
        """
        const { zhCN } = await import(folder + "strings/zh-CN.js");
        const places = (text) => JSON.stringify((text ?? "missing").match(/\\{\\w+\\}/g)?.sort() ?? []);
        const keys = new Set([...Object.keys(it.en), ...Object.keys(zhCN)]);
        return [...keys].filter((key) => !it.en[key] || !zhCN[key] || places(it.en[key]) !== places(zhCN[key]));
        """,
    )
    assert different == []


def test_the_theme_is_the_system_s_until_another_is_chosen(desk: Desk) -> None:
    desk.visit("/", scheme="light")
    assert desk.script("return document.documentElement.dataset.theme") == "light"
    desk.click("#theme")
    desk.until(lambda: desk.script("return document.documentElement.dataset.theme") == "dark", "it is dark")
    desk.driver.refresh()
    assert desk.script("return document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("path", ["/", "/chart/BTCUSDT/1h", "/status"])
def test_a_phone_shows_each_page_without_scrolling_sideways(desk: Desk, path: str) -> None:
    desk.visit(path, size=PHONE)
    desk.wait_for_state("live")
    if "chart" in path:
        desk.wait_for_bars()
    wide, shown = desk.script("return [document.documentElement.scrollWidth, innerWidth]")
    assert (wide, shown) == (PHONE[0], PHONE[0])
    desk.click('nav [data-for="chart"]')
    desk.wait_for_bars()
    assert desk.one("#canvas").size["height"] > 300
    desk.click("h1 button")
    desk.until(lambda: desk.script("return document.activeElement.id") == "search", "another symbol may be typed")


def test_the_status_page_tells_of_feeds_gaps_backfill_and_what_was_verified(desk: Desk) -> None:
    desk.visit("/status")
    names = ["service", "market", "backfill", "verified", "gapsByReason", "database", "feeds"]
    desk.until(lambda: all(desk.one(f'[data-card="{name}"]').is_displayed() for name in names), "all cards are there")
    desk.until(lambda: "Live" in desk.text('[data-card="service"]'), "the service is said to be live")
    desk.until(lambda: "feed 1" in desk.text('[data-card="feeds"]'), "its connection is shown")
    assert desk.one('#status-view a[href="/openapi.json"]').is_displayed()


def test_the_help_opens_and_closes_by_key(desk: Desk) -> None:
    visit_markets(desk)
    desk.press("?")
    desk.until(lambda: desk.one("#settings").is_displayed(), "the help is there")
    desk.press(Keys.ESCAPE)
    desk.until(lambda: not desk.one("#settings").is_displayed(), "it is gone")


def test_the_chart_library_is_credited_and_its_licence_served(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1h")
    credit = desk.one(".credit")
    assert "TradingView" in credit.text
    assert credit.find_element("css selector", 'a[href="https://www.tradingview.com/"]').is_displayed()
    licence = desk.script("return document.querySelector('.credit a + a').href")
    assert "Apache License" in desk.driver.execute_async_script(
        "fetch(arguments[0]).then((answer) => answer.text()).then(arguments[1])", licence
    )


MERGE = """
    let seed = 7;
    const dice = (sides) => (seed = (seed * 48271) % 2147483647) % sides;
    const bar = (open, n, closed, more = {}) => (
      { open, close: open + 59, o: "1", h: "2", l: "1", c: `${n}`, v: "1", q: "1", n, V: "1", Q: "1",
        closed, origin: "stream", verified: false, ...more });
    for (let round = 0; round < 300; round += 1) {
      const told = [];
      for (let minute = 0; minute < 8; minute += 1) {
        for (let n = 1; n < 4; n += 1) told.push(bar(minute * 60, n, false, { pushed: true }));
        told.push(bar(minute * 60, 5, true, { pushed: true }));
        told.push(bar(minute * 60, 5, true, { origin: "rest", verified: true }));
      }
      const pieces = [];
      while (told.length) pieces.push(told.splice(dice(told.length), 1));
      pieces.push(Array.from({ length: 8 }, (_, minute) => bar(minute * 60, 2, false)));
      const bars = new it.Bars();
      for (const piece of [...pieces, ...pieces]) {
        const before = bars.list.map((one) => JSON.stringify(one));
        const changed = bars.merge(piece);
        const after = bars.list.map((one) => JSON.stringify(one));
        const first = after.findIndex((one, index) => one !== before[index]);
        const missed = changed >= 0 ? first >= 0 && first < changed : first >= 0;
        if (missed) return `round ${round}: said ${changed}, is ${first}`;
      }
      const shown = bars.list.map((one) => [one.open, one.n, one.closed, one.verified]).join(" ");
      const wanted = Array.from({ length: 8 }, (_, minute) => [minute * 60, 5, true, true]).join(" ");
      if (shown !== wanted) return `round ${round}: ${shown}`;
    }
    return "as it should be";
"""


def test_bars_merge_to_the_same_whatever_the_order_they_come_in(desk: Desk) -> None:
    visit_markets(desk)
    assert desk.module("bars.js", MERGE) == "as it should be"


def test_bars_that_were_made_here_are_not_called_new_for_ever(desk: Desk) -> None:
    visit_markets(desk)
    spans = desk.module(
        "spans.js",
        """
        const bar = (open, origin, rest) => ({ open, close: open + 9, origin, closed: true, verified: false, ...rest });
        const bars = [bar(0, "aggregated"), bar(10, "stream"), bar(20, "rest"), bar(30, "rest", { verified: true }),
          bar(40, "aggregated"), bar(50, "stream", { closed: false })];
        return it.unverifiedSpans(bars).map(({ from, to }) => [from, to]);
        """,
    )
    assert spans == [[10, 30]]


def test_numbers_are_regrouped_and_never_recomputed(desk: Desk) -> None:
    visit_markets(desk)
    texts = ["0.10", "1234.5000", "98765432101234567890.12345678901", "7", "100", "1000"]
    grouped = desk.module("numbers.js", f"return {texts!r}.map(it.grouped)")
    assert grouped == ["0.10", "1,234.5000", "98,765,432,101,234,567,890.12345678901", "7", "100", "1,000"]


def test_months_and_weeks_follow_the_calendar(desk: Desk) -> None:
    visit_markets(desk)
    january_ms, february_ms = 1_767_225_600_000, 1_769_904_000_000
    assert desk.module("intervals.js", f"return it.nextOpen('1M', {january_ms})") == february_ms
    sources = desk.module("intervals.js", "return it.INTERVALS.map(it.storedSource)")
    assert sources == ["1m", "1m", "5m", "5m", "30m", "30m", "30m", "4h", "30m", "4h", "4h", "1d", "1w", "1d"]
