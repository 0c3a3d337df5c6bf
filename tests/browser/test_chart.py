"""The chart: exact values, intervals, older bars, live ones, and no seam between them."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from bars import INTERVALS, MINUTE, MINUTE_MS
from tests.browser.desk import Desk

pytestmark = pytest.mark.slow

FOREIGN = "币安人生USDT"
WIDTH = 200
"""Pixels: some thirty bars."""


def true_opens_ms(desk: Desk, symbol: str, width: int = WIDTH) -> list[int]:
    """Waits until the newest bars on screen are the exchange's, in every digit, one after the other: a final that was
    pushed just before the chart listened is fetched a moment later. Returns their open times."""

    def told_truly() -> list[int] | None:
        told = desk.told(width)
        opens_ms = sorted(told)
        has_no_hole = opens_ms == list(range(opens_ms[0], opens_ms[-1] + 1, MINUTE_MS))
        return opens_ms if has_no_hole and told == desk.truth(symbol, MINUTE, told) else None

    found: list[int] = desk.until(told_truly, "what is told is true")
    assert len(found) > 15
    return found


def test_what_the_crosshair_tells_is_the_exchange_s_own_text(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1m")
    true_opens_ms(desk, "BTCUSDT")


def test_live_bars_come_in_and_each_ends_as_the_exchange_says(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1m")
    first_ms, first = desk.legend()
    desk.until(lambda: desk.legend()[1] != first, "a price comes in")
    desk.until(lambda: desk.legend()[0] >= first_ms + 3 * MINUTE_MS, "new bars begin")
    assert true_opens_ms(desk, "BTCUSDT")[-1] >= first_ms + 2 * MINUTE_MS


def test_the_price_above_the_chart_is_the_newest_close_and_stands_in_the_title(desk: Desk) -> None:
    desk.open_chart("ETHUSDT", "5m")

    def is_shown() -> bool:
        return desk.driver.title.startswith(f"{desk.text('#last').replace(',', '')} ETHUSDT 5m")

    desk.until(is_shown, "title and price agree")


def test_an_interval_is_switched_by_click_and_by_key_and_stands_in_the_address(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1m")
    desk.click('#intervals [data-interval="1h"]')
    desk.until(lambda: desk.driver.current_url.endswith("/chart/BTCUSDT/1h"), "the address changes")
    desk.until(lambda: desk.bars() and desk.legend()[0] % (60 * MINUTE_MS) == 0, "hours are shown")
    desk.press("2")
    desk.until(lambda: desk.driver.current_url.endswith("/chart/BTCUSDT/5m"), "the address changes again")
    desk.wait_for_bars()
    assert desk.one('#intervals [aria-pressed="true"]').text == "5m"


def test_every_interval_has_its_chart(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1m")
    for interval in INTERVALS:
        desk.click(f'#intervals [data-interval="{interval}"]')
        desk.until_title(f" {interval} ")
        desk.wait_for_bars()
        assert desk.one("#notice").is_displayed() is False
        assert desk.text('#intervals [aria-pressed="true"]') == interval


def test_older_bars_are_loaded_while_scrolling_back_and_join_without_a_seam(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1m")
    had = desk.bars()

    def pulled() -> bool:
        desk.drag(500)
        return desk.bars() > had + 500

    desk.until(pulled, "older bars are loaded")
    told = desk.told(WIDTH)
    assert sorted(told) == list(range(min(told), max(told) + 1, MINUTE_MS))
    assert told == desk.truth("BTCUSDT", MINUTE, told)
    desk.until(lambda: desk.one("#newest").is_displayed(), "there is a way back")
    desk.press(Keys.END)
    desk.until(lambda: not desk.one("#newest").is_displayed(), "the newest bar is in sight again")


def test_after_a_restart_of_the_service_the_chart_goes_on_without_hole_or_double(desk: Desk) -> None:
    desk.expects_errors = True
    desk.open_chart("BTCUSDT", "1m")
    before_ms, _ = desk.legend()
    with desk.web_stopped():
        desk.wait_for_state("reconnecting", "offline")
        desk.wait_for_minutes(3)
    desk.wait_for_state("live")
    desk.until(lambda: desk.legend()[0] >= before_ms + 3 * MINUTE_MS, "what was missed is there")
    assert true_opens_ms(desk, "BTCUSDT", 600)[0] < before_ms


def test_a_silent_connection_is_said_to_be_stale(desk: Desk) -> None:
    mute = """
        const now = performance.now.bind(performance);
        performance.now = () => now() + (window.muted ? 20_000 : 0);
        window.WebSocket = class extends WebSocket {
          set onmessage(act) { super.onmessage = (event) => { if (!window.muted) act(event); }; }
        };
    """
    desk.open_chart("BTCUSDT", "1m", before=mute)
    desk.script("window.muted = true")
    desk.wait_for_state("stale")
    desk.script("window.muted = false")
    desk.wait_for_state("live")


def test_a_pause_of_the_exchange_is_shaded_and_told_on_hover(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "5m")

    def paused() -> list[tuple[int, int]]:
        desk.visit("/chart/BTCUSDT/5m")
        desk.wait_for_bars()
        told = [(x, sum("Exchange pause" in text for _, text in reasons)) for x, _, _, reasons in desk.sweep(900, 7)]
        return [place for place in told if place[1]]

    desk.until(lambda: "exchange pause" in desk.gap_reasons("BTCUSDT"), "the service knows of the pause")
    places = desk.until(paused, "the pause is told")
    assert {times for _, times in places} == {1}, "bars of one and of five minutes tell of it"
    shaded, plain = desk.edge_colours(places[0][0], 8)
    assert shaded != plain


# The answers lack eight minutes, and the service says that they are being filled.
HOLE = """
    const real = window.fetch;
    const cut = { from: Infinity, to: -Infinity };
    window.fetch = async (address, ...rest) => {
      const answer = await real(address, ...rest);
      const path = String(address);
      if (!path.startsWith("/api/klines") && !path.startsWith("/api/gaps")) return answer;
      const body = await answer.json();
      if (body.klines && cut.from === Infinity) {
        [cut.from, cut.to] = [body.klines.at(-80).open_time, body.klines.at(-72).open_time];
      }
      if (body.klines) body.klines = body.klines.filter(({ open_time: at }) => at < cut.from || at >= cut.to);
      if (body.gaps) {
        const filling = { reason: "being filled", state: "being filled", since: 0 };
        body.gaps = [{ symbol: "BTCUSDT", interval: "1m", ...cut, ...filling }];
      }
      return new Response(JSON.stringify(body));
    };
"""


def test_a_hole_keeps_its_place_in_the_chart_and_says_why_it_is_one(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1m", before=HOLE)

    def hole() -> set[int]:
        seen = desk.sweep(700)
        return {
            open_ms
            for _, open_ms, values, reasons in seen
            if set(values) == {"\u2013"} and any(text.startswith("Being filled") for _, text in reasons)
        }

    empty_ms = sorted(desk.until(lambda: len(found := hole()) == 8 and found, "the hole is told of"))
    assert empty_ms == list(range(empty_ms[0], empty_ms[0] + 8 * MINUTE_MS, MINUTE_MS))


def test_bars_that_were_not_compared_yet_are_told_of(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1m")
    desk.until(
        lambda: any(kind == "unverified" for *_, reasons in desk.sweep(100, 7) for kind, _ in reasons),
        "some bar is told to be new",
    )


def test_a_symbol_of_any_script_has_its_address_and_its_live_chart(desk: Desk) -> None:
    desk.open_chart("%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT", "1m")
    assert desk.text("h1").startswith(FOREIGN)
    true_opens_ms(desk, FOREIGN)
    desk.until(lambda: FOREIGN in desk.driver.title, "the title names it")


def test_an_unknown_symbol_is_told_and_its_name_is_no_markup(desk: Desk) -> None:
    desk.expects_errors = True  # the answer is 404
    desk.visit("/chart/%3Cimg%20src=x%20onerror=alert(1)%3E/1m")
    desk.until(lambda: "<IMG SRC=X ONERROR=ALERT(1)>" in desk.text("#notice"), "it is told")
    assert desk.script("return document.querySelectorAll('#chart-view img').length") == 0


def test_prices_may_be_logarithmic_and_that_is_kept(desk: Desk) -> None:
    desk.open_chart("BTCUSDT", "1d")
    desk.press("l")
    desk.until(lambda: desk.one("#log").get_dom_attribute("aria-pressed") == "true", "it is logarithmic")
    desk.driver.refresh()
    desk.wait_for_bars()
    assert desk.one("#log").get_dom_attribute("aria-pressed") == "true"
