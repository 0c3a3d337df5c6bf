"""Which proxy leads to an address, and what its URL says."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

_PORTS = MappingProxyType({"http": 80, "socks5": 1080, "socks5h": 1080})
_SECURE = frozenset({"https", "wss"})


class InvalidProxy(ValueError):
    """A proxy URL of a form that is not supported. The text leaves out user and password."""

    def __init__(self, source: str, url: str) -> None:
        got = url if "@" not in url else "…@" + url.rpartition("@")[2]
        super().__init__(
            f"{source}: expected http://, socks5:// or socks5h:// and [user:password@]host[:port], got {got!r:.120}"
        )


class Proxy(NamedTuple):
    """A proxy, taken apart. Over `socks5h` the proxy resolves host names, over `socks5` this machine does."""

    kind: str
    host: str
    port: int
    user: str | None
    password: str | None


def proxy_for(url: str, explicit: str | None, environ: Mapping[str, str]) -> str | None:
    """The URL of the proxy to use for `url`; None for none.

    `explicit` wins and holds for every address. Else HTTPS_PROXY (for https and wss) or HTTP_PROXY (for
    http and ws), then ALL_PROXY, each in lower case first, as most programs read them; not for loopback
    addresses, nor for those that NO_PROXY names.

    Raises:
        InvalidProxy: a URL of another form than Barkeep can use.
    """
    if explicit:
        parse_proxy(explicit, "--proxy")
        return explicit
    target = urlsplit(url)
    own = "https_proxy" if target.scheme in _SECURE else "http_proxy"
    for name in (own, own.upper(), "all_proxy", "ALL_PROXY"):
        proxy = environ.get(name, "").strip()
        if proxy:
            if _is_loopback(target.hostname or "") or _is_excepted(target, environ):
                return None
            parse_proxy(proxy, name)
            return proxy
    return None


def parse_proxy(url: str, source: str = "proxy") -> Proxy:
    """Take a proxy's URL apart; user and password are percent-decoded.

    Raises:
        InvalidProxy: another scheme, no host, or a port that is none; the text names `source`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidProxy(source, url) from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query or port == 0:
        raise InvalidProxy(source, url)
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Proxy(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], user, password)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excepted(target: SplitResult, environ: Mapping[str, str]) -> bool:
    """Whether NO_PROXY names the target: `*`, a host, a domain with all below it, an address or a network."""
    host = target.hostname or ""
    listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_names(entry, host, target) for entry in listed.lower().replace(",", " ").split())


def _names(entry: str, host: str, target: SplitResult) -> bool:
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal():
        actual_port = target.port or (443 if target.scheme in _SECURE else 80)
        if int(port) != actual_port:
            return False
        entry = name
    domain = entry.lstrip("*").lstrip(".")
    return bool(domain) and (host == domain or host.endswith("." + domain))
