"""Settings: every option in each form it may come in, and every refusal to the letter."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.options import as_text, one_of, switch
from actors.settings import OPTIONS, BadOption, Settings
from bars import DAY, MINUTE
from bars.history import ALL, Depth, parse_history, parse_keep

DAY_MS = 86_400_000
TOKEN = "correct-horse_battery.staple~7"
HOSTS = "host names or addresses separated by commas, without ports, * or none"
SYMBOLS = "symbols separated by commas, such as BTCUSDT,ETHUSDT, or all"
PROXIES = "http://host:port, socks5://host:port or none"
PAIRS = "<interval>=<depth> pairs separated by commas (in "

NO_SYMBOLS = [
    "",
    [],
    "BTC/USDT",
    "BTCUSDT,",
    "A B",
    "btcusdt@kline_1m",
    "a\tb",
    "all,BTCUSDT",
    "BTC\N{NO-BREAK SPACE}U",
]
NO_PORTS = ["x", "", "-1", "65536", "80.0", 8080.0, "8_0", "٣", True, [1, 2]]
NO_HOSTS = ["", "a b", "http://a", "[::1]", "a/b"]
NO_HOST_LISTS = ["a,,b", "http://a", "a/b", "*,a", "a b", "[::1]", "bücher.example"]
NO_URLS = ["", "fapi.binance.com", "ws://a", "https://", "http://a:x", "http://a:0", "http://[", "http://a b"]
NO_PROXIES = ["", "127.0.0.1:3128", "ftp://a:1", "socks5://:1080", "http://a:99999"]
NO_SHARES = ["", "x", 0, -0.5, 1.01, "nan", "inf", "50%"]


def refusal(**values: object) -> str:
    with pytest.raises(BadOption) as raised:
        Settings.of(**values)
    return str(raised.value)


def test_the_table_has_an_option_for_every_field_in_order() -> None:
    assert [option.name for option in OPTIONS] == [field.name for field in fields(Settings)]


def test_without_keywords_everything_has_its_default() -> None:
    assert Settings.of() == Settings(
        database=Path("barkeep.db"),
        symbols=None,
        history=parse_history("1m=7d,5m=30d,30m=180d,4h=2y,1d=all,1w=all"),
        keep=parse_keep("all"),
        host="127.0.0.1",
        port=8080,
        allowed_hosts=(),
        token=None,
        max_clients=2048,
        rest_url="https://fapi.binance.com",
        ws_url="wss://fstream.binance.com",
        archive_url="https://data.binance.vision",
        listing_url="https://s3-ap-northeast-1.amazonaws.com/data.binance.vision",
        proxy=None,
        weight_share=0.5,
        log_level="info",
        log_format="text",
    )


@pytest.mark.parametrize("given", [["BTCUSDT", 5], [["BTCUSDT"]], [5], [True]])
def test_what_is_no_text_in_a_list_is_a_bad_value(given: object) -> None:
    with pytest.raises(BadOption, match=r"^symbols: expected symbols separated by commas") as caught:
        Settings.of(symbols=given)
    assert caught.value.got == given


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_none_is_the_default(option: Any) -> None:
    assert Settings.of(**{option.name: None}) == Settings.of()


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("database", "bars.db", Path("bars.db")),
        ("database", Path("data", "bars.db"), Path("data", "bars.db")),
        ("database", "~/bars.db", Path.home() / "bars.db"),
        ("symbols", "btcusdt, ETHUSDT,BTCUSDT", ("BTCUSDT", "ETHUSDT")),
        ("symbols", ["ETHUSDT", "BTCUSDT"], ("ETHUSDT", "BTCUSDT")),
        ("symbols", ("币安人生usdt",), ("币安人生USDT",)),
        ("symbols", "straßeusdt", ("STRAßEUSDT",)),
        ("symbols", "BTCUSDT_261225,1000PEPEUSDT", ("BTCUSDT_261225", "1000PEPEUSDT")),
        ("symbols", "ALL", None),
        ("symbols", ["all"], None),
        ("port", 0, 0),
        ("port", "65535", 65535),
        ("host", "::1", "::1"),
        ("host", "0.0.0.0", "0.0.0.0"),
        ("host", "my-host.local", "my-host.local"),
        ("allowed_hosts", "Bars.Example., 10.0.0.1,fd00::1", ("bars.example", "10.0.0.1", "fd00::1")),
        ("allowed_hosts", "*", ("*",)),
        ("allowed_hosts", "", ()),
        ("allowed_hosts", "None", ()),
        ("token", TOKEN, TOKEN),
        ("token", "none", None),
        ("max_clients", "10", 10),
        ("rest_url", "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("ws_url", "ws://[::1]:9/base//", "ws://[::1]:9/base"),
        ("archive_url", "https://mirror.example/a", "https://mirror.example/a"),
        ("listing_url", "http://127.0.0.1/bucket", "http://127.0.0.1/bucket"),
        ("proxy", "socks5://user:secret@127.0.0.1:1080", "socks5://user:secret@127.0.0.1:1080"),
        ("proxy", "http://proxy:3128/", "http://proxy:3128"),
        ("proxy", "none", None),
        ("weight_share", 1, 1.0),
        ("weight_share", 0.25, 0.25),
        ("weight_share", "1e-3", 0.001),
        ("log_level", "DEBUG", "debug"),
        ("log_format", "Json", "json"),
    ],
)
def test_a_value_is_taken_in_pythons_form_and_as_text(name: str, given: object, value: object) -> None:
    settings = Settings.of(**{name: given})
    assert getattr(settings, name) == value
    assert Settings.of(**{field.name: getattr(settings, field.name) for field in fields(settings)}) == settings


@pytest.mark.parametrize("given", ["1m=1d", {"1m": "1d"}, {MINUTE: Depth(DAY_MS)}])
def test_history_is_text_or_a_mapping(given: object) -> None:
    history = Settings.of(history=given).history
    assert (history[MINUTE], history[DAY]) == (Depth(DAY_MS), ALL)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        *(("database", given, "the path of a file") for given in ["", ":memory:", "a\0b", "~nobody-of-that-name/x"]),
        *(("symbols", given, SYMBOLS) for given in NO_SYMBOLS),
        ("history", "", f"{PAIRS}'')"),
        ("history", {"3m": "1d"}, "an interval of 1m, 5m, 30m, 4h, 1d, 1w (in '3m=1d')"),
        ("history", "1m=1q", "a depth of <n>m|h|d|w|y, all or none (in '1m=1q')"),
        *(("port", given, "0 to 65535") for given in NO_PORTS),
        *(("host", given, "a host name or an address") for given in NO_HOSTS),
        *(("allowed_hosts", given, HOSTS) for given in NO_HOST_LISTS),
        ("max_clients", 0, "1 to 100000"),
        *(("rest_url", given, "http://host or https://host") for given in NO_URLS),
        ("archive_url", "ftp://a", "http://host or https://host"),
        ("listing_url", "https://a/b?prefix=c", "http://host or https://host"),
        ("ws_url", "https://fstream.binance.com", "ws://host or wss://host"),
        *(("proxy", given, PROXIES) for given in NO_PROXIES),
        *(("weight_share", given, "a number above 0 and up to 1") for given in NO_SHARES),
        ("log_level", "loud", "debug, info, warning or error"),
        ("log_format", "xml", "text or json"),
    ],
)
def test_a_bad_value_is_refused_with_what_would_be_right(name: str, given: object, expected: str) -> None:
    assert refusal(**{name: given}) == f"{name}: expected {expected}, got {given!r}"


def test_a_refused_address_does_not_show_its_password() -> None:
    assert refusal(proxy="ftp://me:secret@proxy:1") == f"proxy: expected {PROXIES}, got 'ftp://…@proxy:1'"


@pytest.mark.parametrize("given", ["too-short", "with spaces in its middle", "sixteen letters+", "a" * 257, ""])
def test_a_refused_token_is_not_shown(given: str) -> None:
    assert refusal(token=given) == "token: expected none, or 16 to 256 letters, digits, or -._~, got '…'"


def test_a_token_is_not_shown_with_the_settings() -> None:
    assert TOKEN not in repr(Settings.of(token=TOKEN))


def test_a_refusal_carries_its_parts() -> None:
    error = BadOption("--port", "0 to 65535", "x")
    assert (error.option, error.expected, error.got) == ("--port", "0 to 65535", "x")
    assert str(error) == "--port: expected 0 to 65535, got 'x'"


def test_a_name_that_cannot_be_printed_stays_on_one_line() -> None:
    assert str(BadOption("a\nb", "c", "d")) == r"'a\nb': expected c, got 'd'"


@pytest.mark.parametrize(
    ("name", "nearest"), [("databse", "database"), ("symbol", "symbols"), ("weight", "weight_share"), ("url", "ws_url")]
)
def test_an_unknown_keyword_names_the_nearest_known_one(name: str, nearest: str) -> None:
    assert refusal(**{name: 1}) == f"{name}: expected a known option, the nearest is {nearest}, got {name!r}"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings.of().port = 1  # type: ignore[misc]


@given(st.sampled_from(OPTIONS), st.text())
def test_any_text_is_taken_or_refused_in_one_line(option: Any, text: str) -> None:
    message = f"{option.name}: expected nothing else"
    try:
        Settings.of(**{option.name: text})
    except BadOption as error:
        message = str(error)
    assert message.startswith(f"{option.name}: expected ")
    assert message.splitlines() == [message]


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("YES", True), ("1", True), ("no", False), ("False", False)]
)
def test_a_switch_is_read(text: str, value: bool) -> None:
    assert switch(text) is value


def test_a_switch_refuses_anything_else() -> None:
    with pytest.raises(ValueError, match="true or false"):
        switch("on")


def test_choices_are_listed_as_a_sentence_would() -> None:
    with pytest.raises(ValueError, match=r"^one, two or three$"):
        one_of("one", "two", "three")("four")


def test_values_become_the_text_of_the_command_line() -> None:
    assert [as_text(value) for value in ("a", 1, 0.5, ["a", "b"], {"a": 1, "b": 2})] == [
        "a",
        "1",
        "0.5",
        "a,b",
        "a=1,b=2",
    ]
