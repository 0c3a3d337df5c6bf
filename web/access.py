"""Who may ask: decided from a request's headers alone, without I/O.

Three things are looked at. The name in `Host`: a page whose own name was bent to this machine's address ("DNS
rebinding") still says that name, so that names nobody gave are refused. The token, where one is set. And the `Origin`
of a WebSocket that is let in by a cookie: browsers send cookies along whoever asks, and no rule of theirs keeps
another page from reading a WebSocket.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SIZE_MAX = 16 * 1024
"""Of a request without its body. Browsers send a few kilobytes at most."""
OPEN_PATHS = frozenset({"/healthz"})
"""What is answered without the token: whether the service is well, for those who watch it."""
EVERY_HOST = "*"
TOKEN_PARAMETER = "token"
COOKIE_MAX_AGE_S = 30 * 86_400

_ANY_INTERFACE = frozenset({"", "0.0.0.0", "::"})
_HEADER_WITH_KEY = b"x-mbx-apikey"


class Asked(NamedTuple):
    """A request as far as it matters here. Names of headers are in lower case, values as they came."""

    path: str
    """Decoded."""
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    method: str = "GET"
    is_stream: bool = False
    """Whether it is a WebSocket's handshake."""

    @property
    def size(self) -> int:
        """About how many bytes it has without its body."""
        lines = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return lines + len(self.path) + len(self.query)

    @property
    def is_preflight(self) -> bool:
        """Whether a browser only asks what another site's page may send; it sends no token along with that."""
        return self.method == "OPTIONS" and self.first(b"access-control-request-method") is not None

    def first(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Let:
    """It may pass; `query` is the one to answer, without the token."""

    query: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """A browser that brought the token in its address: it gets a cookie in its place and is sent to `location`."""

    location: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Kept:
    """It may not pass. `code` and `message` as in an answer."""

    status: int
    code: str
    message: str


Decision = Let | Sent | Kept


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one server."""

    names: frozenset[str] | None
    """Names and addresses that `Host` may have, in lower case, beside those of loopback; None for all."""
    any_address: bool = False
    """Whether every address may stand in `Host`: rebinding needs a name."""
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, host: str, allowed_hosts: Iterable[str] = (), token: str | None = None, machine: str | None = None
    ) -> Access:
        """The rules of a server that listens on `host`.

        On every interface it may be reached by any of the machine's addresses, which it does not know, and by the
        machine's own name.
        """
        allowed = frozenset(_plain(name) for name in allowed_hosts)
        if EVERY_HOST in allowed:
            return cls(None, token=token)
        everywhere = host in _ANY_INTERFACE
        own = {_plain(machine), f"{_plain(machine)}.local"} if machine and everywhere else set()
        return cls(allowed | {_plain(host), "localhost"} | own, everywhere, token)

    def decide(self, asked: Asked) -> Decision:
        """Whether a request may pass."""
        if asked.size > SIZE_MAX:
            return Kept(431, "too_large", f"A request may have {SIZE_MAX} bytes of headers at most.")
        host = asked.first(b"host")
        if host is not None and not self.allows_host(host):
            return Kept(
                403,
                "unknown_host",
                f"Host: expected a name of this machine or one of --allowed-hosts, got {_shown(host)}.",
            )
        is_open = asked.is_preflight or (asked.path in OPEN_PATHS and not asked.is_stream)
        if self.token is None or is_open:
            return Let(asked.query)
        return self._by_token(asked, self.token)

    def allows_host(self, header: bytes) -> bool:
        """Whether the value of `Host`, with any port, is one that a request to this server may have."""
        if self.names is None:
            return True
        name = host_name(header)
        if name is None:
            return False
        address = _address(name)
        if address is not None and (self.any_address or (getattr(address, "ipv4_mapped", None) or address).is_loopback):
            return True
        return name in self.names

    def cookie_name(self) -> str:
        """Differs by token: cookies know no ports, and two servers on one machine must not lose theirs."""
        return f"barkeep_{self._derived('name')[:8]}"

    def _by_token(self, asked: Asked, token: str) -> Decision:
        query, offered = _without_token(asked.query)
        if _is_one(token, [*_in_headers(asked), *(offered if asked.is_stream or not _is_visit(asked) else ())]):
            return Let(query)
        if _is_one(token, offered):
            return Sent(_relative(asked.path, query), self._cookie(is_secure=_is_https(asked)))
        if not _is_one(self._derived("cookie"), _cookies(asked, self.cookie_name())):
            return Kept(
                401, "unauthorized", "Expected the token, as `Authorization: Bearer`, `X-MBX-APIKEY` or ?token=."
            )
        if asked.is_stream and not _is_own_page(asked):
            return Kept(403, "foreign_page", "Another site's page may not use this browser's cookie.")
        return Let(query)

    def _cookie(self, *, is_secure: bool) -> str:
        value = f"{self.cookie_name()}={self._derived('cookie')}; Path=/; Max-Age={COOKIE_MAX_AGE_S}"
        return f"{value}; HttpOnly; SameSite=Strict{'; Secure' if is_secure else ''}"

    def _derived(self, purpose: str) -> str:
        """What a browser keeps and shows to every server of this machine's name, so that it must not be the token."""
        return hmac.new((self.token or "").encode(), f"barkeep {purpose}".encode(), "sha256").hexdigest()


def host_name(header: bytes) -> str | None:
    """The name or address in a `Host` or an origin's authority, in lower case; None where there is none.

    IPv6 comes without brackets; a port, and the dot that may end a full name, are dropped.
    """
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        name, closed, rest = text[1:].partition("]")
        if not closed or not _is_port(rest) or not isinstance(_address(name), IPv6Address):
            return None
        return name
    name, colon, port = text.partition(":")
    if not name or not name.isprintable() or not _is_port(colon + port):
        return None
    return name.removesuffix(".") or None


def _is_port(text: str) -> bool:
    """Whether it is what may follow a name: nothing, or a colon and perhaps digits."""
    return not text or (text[0] == ":" and (text == ":" or (text[1:].isascii() and text[1:].isdecimal())))


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _plain(name: str) -> str:
    return name.strip().lower().removesuffix(".")


def _shown(value: bytes) -> str:
    return repr(value[:60].decode("latin-1"))


def _is_one(secret: str, offered: Iterable[bytes]) -> bool:
    """Compared in constant time, all of them, so that the time tells nothing."""
    return bool(sum([hmac.compare_digest(secret.encode(), value) for value in offered]))


def _in_headers(asked: Asked) -> list[bytes]:
    """The tokens in the headers; clients of the exchange send theirs as the key of their account."""
    offered = [value for name, value in asked.headers if name == _HEADER_WITH_KEY]
    for name, value in asked.headers:
        scheme, _, credentials = value.partition(b" ")
        if name == b"authorization" and scheme.lower() == b"bearer":
            offered.append(credentials.strip())
    return offered


def _without_token(query: bytes) -> tuple[bytes, list[bytes]]:
    """The query as it is to be answered, and the tokens that were in it."""
    if TOKEN_PARAMETER.encode() not in query:
        return query, []
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    offered = [value.encode("latin-1") for name, value in pairs if name == TOKEN_PARAMETER]
    rest = [(name, value) for name, value in pairs if name != TOKEN_PARAMETER]
    return (urlencode(rest, encoding="latin-1").encode(), offered) if offered else (query, [])


def _cookies(asked: Asked, wanted: str) -> list[bytes]:
    """The values of a cookie. Others on this machine set theirs for the same name, and not all well formed."""
    parts = (part for name, value in asked.headers if name == b"cookie" for part in value.split(b";"))
    pairs = (part.strip().partition(b"=") for part in parts)
    return [value for name, _, value in pairs if name == wanted.encode()]


def _is_visit(asked: Asked) -> bool:
    """Whether a person's browser asks for a page to show, rather than a program for data."""
    mode = asked.first(b"sec-fetch-mode")
    return mode == b"navigate" if mode is not None else b"text/html" in (asked.first(b"accept") or b"")


def _is_https(asked: Asked) -> bool:
    """Whether a proxy before this server says that the browser came over TLS."""
    return (asked.first(b"x-forwarded-proto") or b"").strip().lower() == b"https"


def _is_own_page(asked: Asked) -> bool:
    """Whether a handshake comes from a page of this very server, or from no page at all.

    The scheme is left out: behind a proxy that speaks TLS this server cannot know it.
    """
    origin, host = asked.first(b"origin"), asked.first(b"host")
    if origin is None:
        return True
    try:
        authority = urlsplit(origin.decode("latin-1")).netloc
    except ValueError:
        return False
    return bool(authority) and host is not None and authority.lower() == host.decode("latin-1").strip().lower()


def _relative(path: str, query: bytes) -> str:
    """An address on this server. One slash only: two would name another host."""
    target = "/" + quote(path.lstrip("/\\"), safe="/~!$'()*,;:@")
    return f"{target}?{query.decode('latin-1')}" if query else target
