"""Who may ask: hosts, tokens, cookies and origins, decided from headers alone."""

from __future__ import annotations

from urllib.parse import parse_qs, parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.access import Access, Asked, Kept, Let, Sent, host_name

TOKEN = "correct-horse_battery.staple~7"
OPEN = Access.of("127.0.0.1")
CLOSED = Access.of("127.0.0.1", token=TOKEN)
HOST = (b"host", b"127.0.0.1:8080")
VISIT = ((b"sec-fetch-mode", b"navigate"),)


def asked(
    *headers: tuple[bytes, bytes], path: str = "/api/klines", query: bytes = b"", is_stream: bool = False
) -> Asked:
    return Asked(path, query, (HOST, *headers), is_stream=is_stream)


def cookie_of(access: Access) -> tuple[bytes, bytes]:
    """The header that a browser sends once it came with the token."""
    sent = access.decide(asked(*VISIT, path="/", query=f"token={access.token}".encode()))
    assert isinstance(sent, Sent)
    return b"cookie", sent.cookie.partition(";")[0].encode()


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"localhost", "localhost"),
        (b"LocalHost:8080", "localhost"),
        (b"bars.example.:1", "bars.example"),
        (b"127.0.0.1:8080", "127.0.0.1"),
        (b"[::1]:8080", "::1"),
        (b"[::1]", "::1"),
        (b" a ", "a"),
        (b"a:", "a"),
        (b"", None),
        (b":8080", None),
        (b"a:b", None),
        (b"a:1:2", None),
        (b"::1", None),
        (b"[::1", None),
        (b"[::1]8", None),
        (b"[a]", None),
        (b"[127.0.0.1]", None),
        (b"a\xc2\xb2:\xb2", None),
        (b"a\nb", None),
    ],
)
def test_a_host_has_a_name_and_perhaps_a_port(header: bytes, name: str | None) -> None:
    assert host_name(header) == name


@given(st.binary(max_size=40))
def test_any_host_is_judged(header: bytes) -> None:
    for access in (OPEN, Access.of("0.0.0.0"), Access.of("::1", ["a.b"])):
        assert access.allows_host(header) in (True, False)


LOOPBACK = [b"localhost", b"localhost:8080", b"127.0.0.1:1", b"127.9.9.9", b"[::1]:8080", b"[::ffff:127.0.0.1]"]
STRANGERS = [
    b"evil.example",
    b"evil.example:8080",
    b"localhost.evil.example",
    b"127.0.0.1.evil.example",
    b"",
    b"2130706433",
]
ADDRESSES = [b"192.168.1.7:8080", b"[fd00::7]:8080", b"0.0.0.0:8080"]


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0", "192.168.1.7", "bars.example"])
def test_loopback_is_allowed_wherever_the_server_listens(host: bytes, bound: str) -> None:
    assert Access.of(bound).allows_host(host)


@pytest.mark.parametrize("host", STRANGERS)
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0", "::", "192.168.1.7"])
def test_a_name_that_nobody_gave_is_refused_wherever_the_server_listens(host: bytes, bound: str) -> None:
    assert not Access.of(bound, ["bars.example"], machine="box").allows_host(host)


@pytest.mark.parametrize("host", ADDRESSES)
def test_on_every_interface_every_address_is_allowed_and_on_loopback_none_but_its_own(host: bytes) -> None:
    assert Access.of("0.0.0.0").allows_host(host)
    assert Access.of("::").allows_host(host)
    assert not Access.of("127.0.0.1").allows_host(host)


def test_the_bound_host_and_the_allowed_ones_are_allowed_with_any_port_and_in_any_case() -> None:
    access = Access.of("192.168.1.7", ["Bars.Example", "fd00::7"])
    assert all(map(access.allows_host, [b"192.168.1.7:1", b"BARS.example:443", b"bars.example", b"[fd00::7]:9"]))
    assert not access.allows_host(b"192.168.1.8")


def test_the_machines_own_name_counts_on_every_interface_only() -> None:
    assert Access.of("0.0.0.0", machine="Box").allows_host(b"box.local:8080")
    assert not Access.of("127.0.0.1", machine="Box").allows_host(b"box")


def test_a_star_allows_every_host() -> None:
    access = Access.of("127.0.0.1", ["*"])
    assert all(map(access.allows_host, [*STRANGERS, *ADDRESSES, b"\xff"]))


def test_an_unknown_host_is_refused_with_its_name_and_without_a_host_there_is_nothing_to_refuse() -> None:
    refused = OPEN.decide(Asked("/", b"", ((b"host", b"evil\x1b.example"),)))
    assert isinstance(refused, Kept)
    assert (refused.status, refused.code) == (403, "unknown_host")
    assert r"'evil\x1b.example'" in refused.message
    assert OPEN.decide(Asked("/", b"a=b", ())) == Let(b"a=b")


def test_an_unknown_host_is_refused_even_with_the_token_and_on_open_paths() -> None:
    for path in ("/api/klines", "/healthz"):
        question = Asked(path, b"", ((b"host", b"evil.example"), (b"authorization", f"Bearer {TOKEN}".encode())))
        assert isinstance(CLOSED.decide(question), Kept)


def test_without_a_token_everybody_may_ask_and_the_query_stays_as_it_is() -> None:
    assert OPEN.decide(asked(query=b"token=x&a=%zz")) == Let(b"token=x&a=%zz")
    assert OPEN.decide(asked((b"origin", b"https://elsewhere.example"), is_stream=True)) == Let(b"")


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", f"Bearer {TOKEN}".encode()),
        (b"authorization", f"bearer  {TOKEN} ".encode()),
        (b"x-mbx-apikey", TOKEN.encode()),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_the_token_lets_in_by_header(header: tuple[bytes, bytes], is_stream: bool) -> None:
    assert CLOSED.decide(asked(header, query=b"a=b", is_stream=is_stream)) == Let(b"a=b")


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_token_lets_a_program_in_by_query_and_is_taken_out_of_it(is_stream: bool) -> None:
    query = f"streams=btcusdt@kline_1m%2Fa&token={TOKEN}&b=".encode()
    let = CLOSED.decide(asked(query=query, is_stream=is_stream))
    assert isinstance(let, Let)
    assert parse_qs(let.query.decode(), keep_blank_values=True) == {"streams": ["btcusdt@kline_1m/a"], "b": [""]}


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer wrong"),
        (b"authorization", TOKEN.encode()),
        (b"authorization", f"Basic {TOKEN}".encode()),
        (b"authorization", b"Bearer"),
        (b"x-mbx-apikey", b""),
        (b"x-mbx-apikey", b"\xff"),
        (b"cookie", b"barkeep=x; ;=;" + TOKEN.encode()),
    ],
)
@pytest.mark.parametrize("query", [b"", b"token=", b"token=wrong", b"mytoken=" + TOKEN.encode()])
def test_anything_else_is_unauthorized(header: tuple[bytes, bytes], query: bytes) -> None:
    for question in (asked(header, query=query), asked(header, *VISIT, query=query, is_stream=True)):
        refused = CLOSED.decide(question)
        assert isinstance(refused, Kept)
        assert (refused.status, refused.code) == (401, "unauthorized")
        assert TOKEN not in refused.message


def test_healthz_needs_no_token_but_a_stream_of_that_name_does() -> None:
    assert CLOSED.decide(asked(path="/healthz")) == Let(b"")
    assert isinstance(CLOSED.decide(asked(path="/healthz", is_stream=True)), Kept)
    assert isinstance(CLOSED.decide(asked(path="/healthz/")), Kept)


def test_a_preflight_needs_no_token() -> None:
    preflight = Asked("/api/klines", b"", (HOST, (b"access-control-request-method", b"GET")), "OPTIONS")
    assert CLOSED.decide(preflight) == Let(b"")
    assert isinstance(CLOSED.decide(preflight._replace(method="GET")), Kept)


@pytest.mark.parametrize("visit", [(b"sec-fetch-mode", b"navigate"), (b"accept", b"text/html,*/*")])
def test_a_browser_gets_a_cookie_for_the_token_and_is_sent_to_the_address_without_it(
    visit: tuple[bytes, bytes],
) -> None:
    query = f"a=1&token={TOKEN}".encode()
    sent = CLOSED.decide(asked(visit, path="/chart/币安人生USDT/1m", query=query))
    assert isinstance(sent, Sent)
    assert sent.location == "/chart/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT/1m?a=1"
    assert sent.cookie.endswith("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict")
    assert TOKEN not in sent.cookie


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example", "/a\r\nSet-Cookie: x", "///", "/"])
def test_nobody_is_sent_to_another_host_or_given_another_header(path: str) -> None:
    sent = CLOSED.decide(asked(*VISIT, path=path, query=f"token={TOKEN}".encode()))
    assert isinstance(sent, Sent)
    assert sent.location[0] == "/"
    assert sent.location[1:2] not in ("/", "\\")
    assert sent.location.isprintable()


def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_only() -> None:
    sent = CLOSED.decide(asked(*VISIT, (b"x-forwarded-proto", b"https"), query=f"token={TOKEN}".encode()))
    assert isinstance(sent, Sent)
    assert sent.cookie.endswith("; Secure")


def test_the_cookie_lets_in_among_others_and_after_junk() -> None:
    name, value = cookie_of(CLOSED)
    assert CLOSED.decide(asked((name, b'a="; b=[1]; =;; ' + value + b" ; c"))) == Let(b"")
    assert CLOSED.decide(asked((name, b"a=b"), (name, value))) == Let(b"")


def test_another_servers_cookie_is_another_one() -> None:
    other = Access.of("127.0.0.1", token=TOKEN[::-1])
    assert isinstance(CLOSED.decide(asked(cookie_of(other))), Kept)
    assert other.cookie_name() != CLOSED.cookie_name()


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 0),
        (b"http://127.0.0.1:8080", 0),
        (b"https://127.0.0.1:8080", 0),
        (b"http://127.0.0.1:3000", 403),
        (b"http://localhost:8080", 403),
        (b"https://elsewhere.example", 403),
        (b"http://127.0.0.1:8080.elsewhere.example", 403),
        (b"null", 403),
        (b"", 403),
        (b"http://[", 403),
    ],
)
def test_a_cookie_opens_a_stream_for_pages_of_this_very_server_only(origin: bytes | None, status: int) -> None:
    headers = (cookie_of(CLOSED), *([] if origin is None else [(b"origin", origin)]))
    decision = CLOSED.decide(asked(*headers, is_stream=True))
    assert (decision.status if isinstance(decision, Kept) else 0) == status


def test_a_page_that_knows_the_token_may_read_the_stream_from_wherever_it_is() -> None:
    origin = (b"origin", b"https://elsewhere.example")
    query = f"token={TOKEN}".encode()
    assert CLOSED.decide(asked(origin, cookie_of(CLOSED), query=query, is_stream=True)) == Let(b"")


headers = st.lists(
    st.tuples(
        st.sampled_from(
            [b"host", b"cookie", b"authorization", b"x-mbx-apikey", b"origin", b"sec-fetch-mode", b"accept"]
        ),
        st.binary(max_size=60),
    ),
    max_size=5,
)


@given(headers, st.binary(max_size=80), st.text(max_size=40), st.booleans())
def test_nothing_that_a_client_may_send_lets_it_in_without_the_token_or_breaks_the_decision(
    given_headers: list[tuple[bytes, bytes]], query: bytes, path: str, is_stream: bool
) -> None:
    question = Asked(f"/x{path}", query, tuple(given_headers), is_stream=is_stream)
    assert isinstance(CLOSED.decide(question), Kept)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4))
def test_taking_the_token_out_leaves_the_rest_of_a_query_as_it_was(pairs: list[tuple[str, str]]) -> None:
    rest = [(name, value) for name, value in pairs if name != "token"]
    let = CLOSED.decide(asked(query=urlencode([*rest, ("token", TOKEN)]).encode()))
    assert isinstance(let, Let)
    assert parse_qsl(let.query.decode(), keep_blank_values=True) == rest
