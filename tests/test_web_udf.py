"""TradingView's UDF protocol: each page, and a chart's own sequence of calls from search to live bars."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bars import INTERVALS, MINUTE, MINUTE_MS, Bar, IntervalBar, Scale, Span, to_text, volume_text
from storage import BarStore, ClosedBars, ContractsSeen, Origin, PartialBars, Reader
from tests.support.market import MONDAY_MS, a_bar, a_contract, a_reader, some_bars
from tests.support.recorded import Recorded
from tests.support.udf import Candle, UdfChart
from tests.support.wsgi import Answered, WsgiApp, call
from web import Sources, make_app
from web.udf import HISTORY_BARS_MAX, RESOLUTIONS

HELD = 700
MONDAY_S = MONDAY_MS // 1000
NOW_MS = MONDAY_MS + HELD * MINUTE_MS + 30_500
NOW_S = NOW_MS // 1000
INCOMPLETE = "x-barkeep-incomplete"
FOREIGN = "币安人生USDT"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """700 minutes from Monday on, of which 100 to 109 do not exist, and one in progress; other contracts without."""
    contract, bars = a_contract(), some_bars(MINUTE, MONDAY_MS, HELD + 1)
    never = [Span(0, MONDAY_MS), Span(bars[100].open_ms, bars[110].open_ms)]
    return a_reader(
        Path(tmp_path_factory.mktemp("udf")) / "bars.db",
        [
            ContractsSeen(
                [
                    contract,
                    replace(a_contract(FOREIGN), price_decimals=7, quantity_decimals=0),
                    a_contract("ETHBTC"),
                    a_contract("1000BTTUSDT"),
                    a_contract("XAUUSDT", contract_type="TRADIFI_PERPETUAL"),
                    a_contract("BTCUSDT_260327", contract_type="NEXT_QUARTER"),
                ]
            ),
            ClosedBars(contract.key, MINUTE, bars[:100], Origin.REST, absent=never),
            ClosedBars(contract.key, MINUTE, bars[110:HELD], Origin.REST),
            PartialBars(contract.key, [IntervalBar(MINUTE, bars[HELD])]),
        ],
    )


@pytest.fixture
def app(reader: Reader) -> WsgiApp:
    app: WsgiApp = make_app(Sources(reader, lambda: NOW_MS, lambda: None, dict, monotonic_s=lambda: 0.0))
    return app


def history(app: WsgiApp, query: str, resolution: str = "1", symbol: str = "BTCUSDT") -> Answered:
    return call(app, f"/udf/history?symbol={quote(symbol)}&resolution={resolution}&{query}")


def minutes_of(answered: Answered) -> list[int]:
    assert (answered.status, answered.json["s"]) == (200, "ok")
    return [(time_s - MONDAY_S) // 60 for time_s in answered.json["t"]]


def at(minute: int) -> int:
    return MONDAY_S + 60 * minute


def test_the_configuration_names_all_fourteen_resolutions(app: WsgiApp) -> None:
    config = call(app, "/udf/config").json
    assert config["supported_resolutions"] == (
        ["1", "3", "5", "15", "30", "60", "120", "240", "360", "480", "720", "1D", "1W", "1M"]
    )
    assert (config["supports_search"], config["supports_group_request"], config["supports_time"]) == (True, False, True)
    assert list(RESOLUTIONS.values()) == list(INTERVALS.values())


def test_the_time_is_the_exchanges_in_whole_seconds_as_plain_text(app: WsgiApp, reader: Reader) -> None:
    answered = call(app, "/udf/time")
    assert answered.body == str(NOW_S).encode()
    assert answered.headers["content-type"].startswith("text/plain")
    unknowing: WsgiApp = make_app(Sources(reader, lambda: None, lambda: None, dict))
    answered = call(unknowing, "/udf/time")
    assert (answered.status, answered.json["s"]) == (503, "error")


@pytest.mark.parametrize("name", ["BTCUSDT", "btcusdt", "BINANCE:BTCUSDT", "binance:btcusdt"])
def test_a_symbol_is_described_by_its_own_decimals(app: WsgiApp, name: str) -> None:
    facts = call(app, f"/udf/symbols?symbol={name}").json
    assert (facts["name"], facts["ticker"], facts["type"]) == ("BTCUSDT", "BTCUSDT", "crypto")
    assert (facts["pricescale"], facts["minmov"], facts["volume_precision"]) == (100, 1, 3)
    assert (facts["session"], facts["timezone"]) == ("24x7", "Etc/UTC")
    assert facts["supported_resolutions"] == list(RESOLUTIONS)
    assert facts["intraday_multipliers"] == list(RESOLUTIONS)[:-3]


def test_a_symbol_of_any_letters_is_described(app: WsgiApp) -> None:
    facts = call(app, f"/udf/symbols?symbol={quote('BINANCE:' + FOREIGN)}").json
    assert (facts["name"], facts["pricescale"], facts["volume_precision"]) == (FOREIGN, 10**7, 0)


def test_the_symbols_of_the_group_come_in_columns(app: WsgiApp) -> None:
    columns = call(app, "/udf/symbol_info?group=BINANCE").json
    assert columns["symbol"] == ["1000BTTUSDT", "BTCUSDT", "ETHBTC", "XAUUSDT", FOREIGN]
    assert columns["pricescale"] == [100, 100, 100, 100, 10**7]
    assert call(app, "/udf/symbol_info?group=NYSE").json["symbol"] == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("query=btc", ["BTCUSDT", "ETHBTC"]),
        ("query=BINANCE:BTCUSDT", ["BTCUSDT"]),
        ("query=btc/usdt", ["BTCUSDT"]),
        ("query=xau&type=futures&exchange=BINANCE", ["XAUUSDT"]),
        ("query=xau&type=crypto", []),
        ("query=btc&exchange=NYSE", []),
        (f"query={quote('人生')}", [FOREIGN]),
        ("query=usdt&limit=2", ["1000BTTUSDT", "BTCUSDT"]),
        ("query=nope", []),
        ("query=&limit=0", []),
        ("", ["1000BTTUSDT", "BTCUSDT", "ETHBTC", "XAUUSDT", FOREIGN]),
    ],
)
def test_search_finds_by_parts_best_first(app: WsgiApp, query: str, found: list[str]) -> None:
    assert [row["symbol"] for row in call(app, f"/udf/search?{query}").json] == found


def test_numbers_are_written_with_the_exact_digits(app: WsgiApp) -> None:
    bar = a_bar(MONDAY_MS)
    prices = [to_text(value, 2) for value in (bar.open, bar.high, bar.low, bar.close)]
    o, h, l, c = prices  # noqa: E741
    assert history(app, f"from={MONDAY_S}&to={MONDAY_S + 60}").body.decode() == (
        f'{{"s":"ok","t":[{MONDAY_S}],"o":[{o}],"h":[{h}],"l":[{l}],"c":[{c}],"v":[{to_text(bar.volume, 3)}]}}'
    )


def test_from_is_inclusive_and_to_exclusive(app: WsgiApp) -> None:
    assert minutes_of(history(app, f"from={at(5)}&to={at(8)}")) == [5, 6, 7]
    assert minutes_of(history(app, f"from={at(5) + 1}&to={at(8) + 1}")) == [6, 7, 8]


def test_countback_wins_over_from(app: WsgiApp) -> None:
    assert minutes_of(history(app, f"from={at(5)}&to={at(8)}&countback=5")) == [3, 4, 5, 6, 7]
    assert minutes_of(history(app, f"from={at(0)}&to={at(8)}&countback=2")) == [6, 7]
    assert minutes_of(history(app, f"to={at(8)}&countback=100")) == list(range(8))
    assert minutes_of(history(app, f"from={at(108)}&to={at(112)}&countback=4")) == [98, 99, 110, 111]


def test_the_newest_bar_is_the_one_in_progress(app: WsgiApp) -> None:
    assert minutes_of(history(app, f"from={NOW_S - 120}&to={NOW_S}")) == [HELD - 1, HELD]
    assert minutes_of(history(app, f"from={NOW_S - 120}&to=99999999999&countback=2")) == [HELD - 1, HELD]
    assert minutes_of(history(app, "from=-5&to=999999999999999&countback=3")) == [HELD - 2, HELD - 1, HELD]


def test_without_bars_the_next_older_one_is_named(app: WsgiApp) -> None:
    answered = history(app, f"from={at(101)}&to={at(109)}")
    assert answered.json == {"s": "no_data", "nextTime": at(99)}
    assert INCOMPLETE not in answered.headers
    assert history(app, f"from={NOW_S + 600}&to={NOW_S + 900}").json == {"s": "no_data", "nextTime": at(HELD)}


@pytest.mark.parametrize(
    "query", ["from=0&to=60", f"from=0&to={MONDAY_S}", f"to={MONDAY_S}&countback=7", "from=-9&to=-3"]
)
def test_before_the_first_bar_there_is_nothing_to_go_on_with(app: WsgiApp, query: str) -> None:
    answered = history(app, query)
    assert answered.json == {"s": "no_data"}
    assert INCOMPLETE not in answered.headers


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_every_resolution_has_the_bars_of_its_interval(app: WsgiApp, reader: Reader, resolution: str) -> None:
    record = reader.find("BTCUSDT")
    assert record is not None
    answered = history(app, f"to={NOW_S}&countback=1000", resolution)
    truth = reader.bars(record, RESOLUTIONS[resolution], limit=1_000)
    if not truth:  # a week and a month in progress have no row here
        assert answered.json == {"s": "no_data"}
        return
    assert answered.json["t"] == [stored.bar.open_ms // 1000 for stored in truth]


@pytest.mark.parametrize(("name", "interval"), [("D", "1D"), ("W", "1W"), ("M", "1M")])
def test_the_older_names_of_resolutions_are_known_too(app: WsgiApp, name: str, interval: str) -> None:
    query = f"to={NOW_S}&countback=9"
    assert history(app, query, name).body == history(app, query, interval).body


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("symbols", 400),
        ("symbols?symbol=", 400),
        ("symbols?symbol=NOPE", 404),
        ("symbols?symbol=NYSE:BTCUSDT", 404),
        ("symbols?symbol=BTCUSDT_260327", 404),
        ("symbols?symbol=A&symbol=B", 400),
        ("search?limit=-1", 400),
        ("search?limit=x", 400),
        ("history?resolution=1&from=0&to=9", 400),
        ("history?symbol=NOPE&resolution=1&from=0&to=9", 404),
        ("history?symbol=BTCUSDT&resolution=3D&from=0&to=9", 400),
        ("history?symbol=BTCUSDT&resolution=2&from=0&to=9", 400),
        ("history?symbol=BTCUSDT&from=0&to=9", 400),
        ("history?symbol=BTCUSDT&resolution=1&from=0", 400),
        ("history?symbol=BTCUSDT&resolution=1&to=9", 400),
        ("history?symbol=BTCUSDT&resolution=1&from=9&to=8", 400),
        ("history?symbol=BTCUSDT&resolution=1&from=0&to=1.5", 400),
        ("history?symbol=BTCUSDT&resolution=1&to=9&countback=0", 400),
        ("history?symbol=BTCUSDT&resolution=1&to=9999999999999999&countback=1", 400),
        ("marks?symbol=BTCUSDT", 404),
        ("", 404),
    ],
)
def test_what_cannot_be_answered_is_refused_in_the_protocols_form(app: WsgiApp, target: str, status: int) -> None:
    answered = call(app, f"/udf/{target}")
    assert answered.status == status
    assert answered.json["s"] == "error"
    assert answered.json["errmsg"]
    assert answered.headers["access-control-allow-origin"] == "*"


def test_other_methods_are_refused_in_the_protocols_form(app: WsgiApp) -> None:
    answered = call(app, "/udf/config", method="POST")
    assert (answered.status, answered.json["s"]) == (405, "error")


def test_what_is_missing_is_said_in_the_header(tmp_path: Path) -> None:
    contract, bars = a_contract(), some_bars(MINUTE, MONDAY_MS, 20)
    held = [ClosedBars(contract.key, MINUTE, part, Origin.REST) for part in (bars[:5], bars[8:])]
    reader = a_reader(tmp_path / "bars.db", [ContractsSeen([contract]), *held])
    app: WsgiApp = make_app(Sources(reader, lambda: at(20) * 1000, lambda: None, dict))
    answered = history(app, f"from={at(3)}&to={at(10)}")
    assert minutes_of(answered) == [3, 4, 8, 9]
    assert answered.headers[INCOMPLETE] == "bars of 1m from 2026-01-05T00:05:00Z to 2026-01-05T00:08:00Z are not held"
    answered = history(app, f"from={at(5)}&to={at(8)}")
    assert answered.json == {"s": "no_data", "nextTime": at(4)}
    assert INCOMPLETE in answered.headers


def test_a_chart_is_never_told_that_there_is_nothing_where_bars_could_not_be_fetched_now(tmp_path: Path) -> None:
    reader = a_reader(tmp_path / "bars.db", [ContractsSeen([a_contract()])])
    sources = Sources(reader, lambda: NOW_MS, lambda: None, dict, fetch=lambda *_: "the weight is used up")
    app: WsgiApp = make_app(sources)
    for query in (f"from={at(5)}&to={at(8)}", f"to={at(8)}&countback=3"):
        answered = history(app, query)
        assert answered.status == 200
        assert answered.json["s"] == "error"
        assert answered.json["errmsg"].endswith("are not held: the weight is used up")


def test_one_answer_has_so_many_bars_that_the_next_older_ones_follow(tmp_path: Path) -> None:
    contract, count = a_contract(), HISTORY_BARS_MAX + 10
    held = ClosedBars(
        contract.key, MINUTE, some_bars(MINUTE, MONDAY_MS, count), Origin.REST, absent=[Span(0, MONDAY_MS)]
    )
    reader = a_reader(tmp_path / "bars.db", [ContractsSeen([contract]), held])
    app: WsgiApp = make_app(Sources(reader, lambda: at(count) * 1000, lambda: None, dict))
    for query in (f"from=0&to={at(count)}", f"to={at(count)}&countback=999999", f"from=0&to={'9' * 15}"):
        assert minutes_of(history(app, query)) == list(range(10, count))
    assert minutes_of(history(app, f"from=0&to={at(10)}")) == list(range(10))


def candle(bar: Bar) -> Candle:
    price, volume, _ = bar.scale
    texts = [to_text(value, price) for value in (bar.open, bar.high, bar.low, bar.close)]
    o, h, l, c = map(Decimal, texts)  # noqa: E741
    return o, h, l, c, Decimal(volume_text(bar.volume, volume))


@pytest.mark.parametrize("resolution", ["1", "3", "5", "15", "60", "1D"])
def test_a_chart_shows_all_history_and_the_live_seam_without_a_hole_or_a_double(
    tmp_path: Path, recorded: Recorded, resolution: str
) -> None:
    interval = RESOLUTIONS[resolution]
    minutes = recorded.archive_bars("NEARUSDT", "1m", "2025-06", Scale(4, 0, 4))[:6_000]
    first_ms, past, live = minutes[0].open_ms, 5_960, minutes[5_960:]
    contract = replace(a_contract(FOREIGN, onboard_ms=first_ms), price_decimals=4, quantity_decimals=0)
    store = BarStore.open(tmp_path / "bars.db")
    store.commit([ContractsSeen([contract])])
    store.commit([ClosedBars(contract.key, MINUTE, minutes[:past], Origin.REST, absent=[Span(0, first_ms)])])
    reader = Reader(tmp_path / "bars.db")
    now_ms = minutes[past].open_ms
    app: WsgiApp = make_app(Sources(reader, lambda: now_ms, lambda: None, dict))
    chart = UdfChart(lambda target: call(app, target).body, resolution, interval.span_ms // 1000)
    facts = chart.open("人生")
    assert (facts["name"], facts["pricescale"] // facts["minmov"]) == (FOREIGN, 10_000)
    chart.scroll_back(329)
    while not chart.has_all:
        chart.scroll_back(700)
        chart.poll()
    for bar in live:
        begun = bar._replace(high=bar.open, low=bar.open, close=bar.open, volume=0, quote_volume=0, trades=0)
        begun = begun._replace(taker_buy_volume=0, taker_buy_quote_volume=0)
        for at_ms, state in ((20_000, begun), (50_000, bar)):
            now_ms = bar.open_ms + at_ms
            store.commit([PartialBars(contract.key, [IntervalBar(MINUTE, state)])])
            chart.poll()
        now_ms = bar.open_ms + MINUTE_MS
        store.commit([ClosedBars(contract.key, MINUTE, [bar], Origin.STREAM)])
        chart.poll()
    record = reader.find(FOREIGN)
    assert record is not None
    truth = {stored.bar.open_ms // 1000: candle(stored.bar) for stored in reader.bars(record, interval, limit=10_000)}
    assert chart.candles == truth
    store.close()
    reader.close()


NAMES = st.sampled_from(
    ["symbol", "resolution", "from", "to", "countback", "query", "limit", "type", "exchange", "group"]
)
VALUES = st.one_of(
    st.sampled_from(
        ["BTCUSDT", "BINANCE:BTCUSDT", "1", "1D", "1M", "0", "-1", str(NOW_S), "9" * 15, "%00", "%FF", "x"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12).map(quote),
)
PAGES = st.sampled_from(["config", "symbols", "symbol_info", "search", "history", "time"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(PAGES, st.dictionaries(NAMES, VALUES, max_size=6))
def test_no_query_whatever_is_a_fault_of_ours(app: WsgiApp, page: str, query: dict[str, str]) -> None:
    answered = call(app, f"/udf/{page}?{'&'.join(f'{name}={value}' for name, value in query.items())}")
    assert answered.status in (200, 400, 404)
    assert json.loads(answered.body) is not None
