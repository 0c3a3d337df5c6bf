"""The settings of a whole system: one table, from which every way to set an option is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from actors.options import (
    BadOption,
    Option,
    file_path,
    host,
    hosts,
    number,
    one_of,
    proxy,
    read,
    symbols,
    token,
    unknown_option,
    url,
    whole_number,
)
from bars import Interval
from bars.history import DEFAULT_HISTORY_TEXT, Depth, parse_history, parse_keep

__all__ = ["OPTIONS", "BadOption", "Settings"]

_DATA, _WEB, _EXCHANGE, _LOG = "what to keep", "web", "the exchange", "log"

OPTIONS = (
    Option("database", "barkeep.db", "PATH", "The SQLite file.", file_path, _DATA),
    Option(
        "symbols",
        "all",
        "NAMES",
        "Symbols separated by commas, or all: every trading perpetual.",
        symbols,
        _DATA,
    ),
    Option(
        "history",
        DEFAULT_HISTORY_TEXT,
        "DEPTHS",
        "How far back to fetch history, <interval>=<depth> separated by commas; a depth is <n>m|h|d|w|y, all or none. "
        "Intervals that are not named keep their default.",
        parse_history,
        _DATA,
    ),
    Option(
        "keep",
        "all",
        "DEPTHS",
        "How long bars stay, such as 1m=90d; written like --history, and all for intervals that are not named.",
        parse_keep,
        _DATA,
    ),
    Option("host", "127.0.0.1", "HOST", "The address to listen on.", host, _WEB),
    Option(
        "port",
        "8080",
        "PORT",
        "The port for HTTP and WebSocket; 0 picks a free one and logs it.",
        whole_number(0, 65535),
        _WEB,
    ),
    Option(
        "allowed_hosts",
        "none",
        "HOSTS",
        "Names by which clients may reach the server, separated by commas, beside loopback and --host; * for any.",
        hosts,
        _WEB,
    ),
    Option(
        "token",
        "none",
        "SECRET",
        "What clients have to bring for everything but /healthz. Other users of this machine see command lines: "
        "better set it in the environment or the TOML file.",
        token,
        _WEB,
        is_secret=True,
    ),
    Option(
        "max_clients",
        "2048",
        "N",
        "How many connections there may be at a time, HTTP and WebSocket together.",
        whole_number(1, 100_000),
        _WEB,
    ),
    Option(
        "rest_url",
        "https://fapi.binance.com",
        "URL",
        "Base of the exchange's REST addresses.",
        url("http", "https"),
        _EXCHANGE,
    ),
    Option(
        "ws_url",
        "wss://fstream.binance.com",
        "URL",
        "Base of the exchange's WebSocket addresses.",
        url("ws", "wss"),
        _EXCHANGE,
    ),
    Option(
        "archive_url",
        "https://data.binance.vision",
        "URL",
        "Base of the public archive's files.",
        url("http", "https"),
        _EXCHANGE,
    ),
    Option(
        "listing_url",
        "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision",
        "URL",
        "Address of the public archive's listing, up to the question mark.",
        url("http", "https"),
        _EXCHANGE,
    ),
    Option(
        "proxy",
        "none",
        "URL",
        "HTTP or SOCKS5 proxy for REST, archive and WebSocket; where none is given, HTTPS_PROXY and ALL_PROXY count.",
        proxy,
        _EXCHANGE,
    ),
    Option(
        "weight_share",
        "0.5",
        "SHARE",
        "The most of the exchange's request weight to use, from above 0 to 1.",
        number(1),
        _EXCHANGE,
    ),
    Option(
        "log_level",
        "info",
        "LEVEL",
        "The least important records to log: debug, info, warning or error.",
        one_of("debug", "info", "warning", "error"),
        _LOG,
    ),
    Option("log_format", "text", "FORMAT", "Log lines as text or as json.", one_of("text", "json"), _LOG),
)
"""Every field of `Settings`, in its order."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a system is to do and with whom. Made by `of`, which checks everything."""

    database: Path
    symbols: tuple[str, ...] | None
    """In upper case; None for every trading perpetual."""
    history: Mapping[Interval, Depth]
    """One depth for each stored interval."""
    keep: Mapping[Interval, Depth]
    """One depth for each stored interval; bars that are older are removed."""
    host: str
    port: int
    """0 for any free one."""
    allowed_hosts: tuple[str, ...]
    """In lower case; `*` alone for any."""
    token: str | None = field(repr=False)
    max_clients: int
    rest_url: str
    ws_url: str
    archive_url: str
    listing_url: str
    proxy: str | None
    weight_share: float
    """More than 0, at most 1."""
    log_level: str
    log_format: str

    @classmethod
    def of(cls, **values: object) -> Settings:
        """Settings from keywords, each in Python's form or as the text of the command line.

            Settings.of(database="bars.db", symbols=["BTCUSDT"], history="1m=1d", port=0)

        What is not given, or None, has its default.

        Raises:
            BadOption: a value that cannot be, or a keyword that does not exist.
        """
        known = [option.name for option in OPTIONS]
        for name in values:
            if name not in known:
                raise unknown_option(name, known)
        return cls(**{option.name: read(option, values.get(option.name)) for option in OPTIONS})
