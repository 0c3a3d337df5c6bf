"""The URLs of streams: which route, whether frames come wrapped, and what is subscribed from the start.

    /market/stream?streams=<stream>/<stream>   combined      /market/ws/<stream>/<stream>   raw
    /market/ws/<number>                        raw; the number only tells a client's connections apart

The same without a route, and below /public and /private.
"""

from __future__ import annotations

from typing import NamedTuple

MARKET = "market"
_ROUTES = (MARKET, "public", "private")


class Address(NamedTuple):
    """What the URL of a connection asks for."""

    route: str
    """`market`, `public`, `private`, or empty where the URL names none."""
    combined: bool
    names: list[str]


def parse_address(path: str, streams: str = "") -> Address | None:
    """Read a URL's decoded path and the decoded value of its parameter `streams`.

    None for a path that is no stream's.
    """
    first, *rest = path.removeprefix("/").split("/")
    route = first if first in _ROUTES else ""
    kind, *names = rest if route and rest else [first, *rest]
    if kind == "ws":
        return Address(route, False, _streams(names))
    if kind == "stream" and not any(names):
        return Address(route, True, _streams(streams.split("/")))
    return None


def _streams(names: list[str]) -> list[str]:
    return [name for name in names if name and not (name.isascii() and name.isdecimal())]
