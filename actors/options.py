"""Options: what each is called, what it means, and how its text becomes a value.

Every value comes as text or is put into text first, so that the command line, the environment, a TOML
file and keywords in Python are all read by the same function and refused with the same words.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bars import STORED, Interval

_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_SYMBOL_ASCII = frozenset(string.ascii_uppercase + string.digits + "_-")


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `parse` raises ValueError with what it expected, worded to stand after "expected"."""

    name: str
    """As Python and the environment write it; on the command line `_` is `-`."""
    default: str
    metavar: str
    help: str
    parse: Callable[[str], Any]
    group: str
    """The heading under which help shows it."""
    is_flag: bool = False
    """Whether it stands alone on the command line."""
    is_secret: bool = False
    """Whether its value is never shown."""

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return f"BARKEEP_{self.name.upper()}"


class BadOption(ValueError):
    """An option with a value that cannot be, or one that does not exist."""

    def __init__(self, option: str, expected: str, got: object) -> None:
        name = option if option.isprintable() else repr(option)
        super().__init__(f"{name}: expected {expected}, got {got!r}")
        self.option = option
        self.expected = expected
        self.got = got


def unknown_option(name: str, known: Iterable[str], label: str | None = None) -> BadOption:
    """The error for a name that does not exist; it names the nearest one of `known` (at least one).

    `label` is what to call it where the name alone does not tell.
    """
    nearest = get_close_matches(name, list(known), n=1, cutoff=0.0)[0]
    return BadOption(label or name, f"a known option, the nearest is {nearest}", name)


def read(option: Option, value: object, label: str | None = None) -> Any:
    """The option's value from text or from what Python and TOML have in its place; None is the default.

    Raises:
        BadOption: naming `label`, or the option where there is none.
    """
    text = option.default if value is None else as_text(value)
    try:
        return option.parse(text)
    except ValueError as error:
        shown = _Hidden() if option.is_secret else _without_password(value)
        raise BadOption(label or option.name, str(error), shown) from None


class _Hidden:
    """Stands where a secret would."""

    def __repr__(self) -> str:
        return "'…'"


def _without_password(value: object) -> object:
    """An address as it may be logged."""
    return re.sub("//[^/]*@", "//…@", value) if isinstance(value, str) else value


def as_text(value: object) -> str:
    """A value as the command line would have it: lists of texts by commas, mappings as `key=value` by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ",".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, Iterable):
        parts = list(value)
        if all(isinstance(part, str) for part in parts):
            return ",".join(parts)
    return str(value)


def file_path(text: str) -> Path:
    """A path; `~` is the home directory. SQLite's `:memory:` cannot be shared with a reader."""
    if not text or "\0" in text or text == ":memory:":
        raise ValueError("the path of a file")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("the path of a file") from None


def symbols(text: str) -> tuple[str, ...] | None:
    """Symbols in upper case (ASCII letters only are changed), each once, in the order given; None for `all`."""
    if text.strip().lower() == "all":
        return None
    names = tuple(dict.fromkeys(part.strip().translate(_UPPER) for part in text.split(",")))
    if not all(map(_is_symbol, names)):
        raise ValueError("symbols separated by commas, such as BTCUSDT,ETHUSDT, or all")
    return names


def _is_symbol(name: str) -> bool:
    ascii_only = {letter for letter in name if letter.isascii()}
    visible = name.isprintable() and not any(map(str.isspace, name))
    return bool(name) and name != "ALL" and visible and ascii_only <= _SYMBOL_ASCII


def stored_intervals(text: str) -> tuple[Interval, ...]:
    """Stored intervals, ascending; all of them for `all`."""
    names = {part.strip() for part in text.split(",")}
    if names == {"all"}:
        return STORED
    if not names <= {interval.name for interval in STORED}:
        raise ValueError(f"intervals separated by commas, of {', '.join(map(str, STORED))}, or all")
    return tuple(interval for interval in STORED if interval.name in names)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Parses whole numbers from `low` to `high`, both inclusive."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"{low} to {high}")
        return int(text)

    return parse


def number(high: float) -> Callable[[str], float]:
    """Parses numbers above 0 and up to `high`, which is included."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value <= high:
            raise ValueError(f"a number above 0 and up to {high:g}")
        return value

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """Parses one of a few lower-case words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(" or ".join((", ".join(choices[:-1]), choices[-1])))
        return text.lower()

    return parse


def switch(text: str) -> bool:
    """A yes or a no."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError("true or false")
    return words[text.lower()]


def host(text: str) -> str:
    """A host name or an address, IPv6 without brackets."""
    if not re.fullmatch(r"[\w.:%-]+", text):
        raise ValueError("a host name or an address")
    return text


def hosts(text: str) -> tuple[str, ...]:
    """Host names and addresses, in lower case, IPv6 without brackets; none for `none` or nothing, `*` for all."""
    if text.strip().lower() in ("", "none"):
        return ()
    names = tuple(dict.fromkeys(part.strip().lower().removesuffix(".") for part in text.split(",")))
    if not all(name == "*" or re.fullmatch(r"[a-z0-9_.:-]+", name) for name in names) or ("*" in names and names[1:]):
        raise ValueError("host names or addresses separated by commas, without ports, * or none")
    return names


def token(text: str) -> str | None:
    """A secret that may stand in a header and in an address as it is, and cannot be guessed; None for `none`."""
    if text.lower() == "none":
        return None
    if not re.fullmatch(r"[A-Za-z0-9._~-]{16,256}", text):
        raise ValueError("none, or 16 to 256 letters, digits, or -._~")
    return text


def url(*schemes: str) -> Callable[[str], str]:
    """Parses the base of addresses: scheme, host and perhaps a path; a slash at the end is dropped."""
    expected = " or ".join(f"{scheme}://host" for scheme in schemes)

    def parse(text: str) -> str:
        if not _is_url(text, schemes) or "?" in text or "#" in text:
            raise ValueError(expected)
        return text.rstrip("/")

    return parse


def proxy(text: str) -> str | None:
    """A proxy's address; None for `none`."""
    if text.lower() == "none":
        return None
    if not _is_url(text, ("http", "socks5", "socks5h")):
        raise ValueError("http://host:port, socks5://host:port or none")
    return text.rstrip("/")


def _is_url(text: str, schemes: Iterable[str]) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    is_visible = text.isprintable() and not any(map(str.isspace, text))
    return is_visible and parts.scheme in schemes and bool(parts.hostname) and port != 0
