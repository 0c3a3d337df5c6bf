"""The command line: which command, and where each option's value comes from.

An option may stand before or after the command word. The command line beats the environment
(`BARKEEP_PORT`), which beats the TOML file (`port = 8080`), which beats the default.
"""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from textwrap import wrap
from types import MappingProxyType
from typing import Any, NoReturn

from actors.options import (
    BadOption,
    Option,
    file_path,
    number,
    one_of,
    read,
    stored_intervals,
    switch,
    unknown_option,
    whole_number,
)
from actors.selection import intervals, moment
from actors.settings import OPTIONS, Settings
from bars.times import EXPECTED
from wire.version import VERSION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEMPORARY = "temporary"
"""The demo's database by default: a file that is deleted at the end. Invented bars must not mix with real ones."""

_EVERYTHING = frozenset(option.name for option in OPTIONS)
_LISTENING = frozenset({"host", "port", "allowed_hosts", "token", "max_clients"})
_LOGGING = frozenset({"log_level", "log_format"})
_OUTSIDE = frozenset({"rest_url", "ws_url", "archive_url", "listing_url", "proxy", "weight_share"})

_CONFIG = Option("config", "none", "FILE", "A TOML file whose keys are options.", str, "more")
_ASKED = MappingProxyType(
    {"help": "Show this; beside a command, what that command takes.", "version": "Show the version."}
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A command that there is."""

    name: str
    summary: str
    uses: frozenset[str]
    """The names of the settings that matter to it; the others are accepted and change nothing."""
    own: tuple[Option, ...] = ()
    """Options that not every command has; several commands may have one of the same name."""
    words: tuple[str, ...] = ()
    """What else is to stand on the command line, each the path of a file."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Where it differs from the settings' own defaults."""

    @property
    def usage(self) -> str:
        """The command and its words."""
        return " ".join((self.name, *self.words))

    @property
    def options(self) -> list[Option]:
        """All that can be set: the settings, with this command's defaults, and its own options."""
        settings = (replace(option, default=self.defaults.get(option.name, option.default)) for option in OPTIONS)
        return [*settings, *self.own]


_JSON = Option("json", "false", "", "Print JSON.", switch, "what to show", is_flag=True)
_INTERVALS = Option(
    "intervals",
    "default",
    "NAMES",
    "Intervals separated by commas, or all 14; by default the stored ones, and for audit 1h beside them.",
    intervals,
    "which bars",
)
_FROM = Option(
    "from",
    "none",
    "TIME",
    "The first open time: a date, a date-time in UTC or milliseconds; none: where the stored bars begin.",
    moment,
    "which bars",
)
_TO = Option("to", "none", "TIME", "Where to stop, exclusive; none: where the stored bars end.", moment, "which bars")

KINDS = (
    Kind("serve", "data service and web in one process (the default)", _EVERYTHING),
    Kind("data", "data service alone", _EVERYTHING - _LISTENING),
    Kind("web", "web and push alone, on the same file, read-only", _LOGGING | _LISTENING | {"database"}),
    Kind(
        "demo",
        "the simulated exchange on this machine and serve on it: offline, at once",
        _EVERYTHING - _OUTSIDE,
        own=(
            Option("speed", "1", "TIMES", "How fast the exchange's time runs.", number(1000), "demo"),
            Option("count", "12", "N", "How many contracts the exchange has.", whole_number(1, 2000), "demo"),
            Option("seed", "1", "N", "What the prices are drawn from.", whole_number(0, 2**31), "demo"),
        ),
        defaults={"database": TEMPORARY},
    ),
    Kind(
        "backfill",
        "fetch history from the archive and REST, and exit",
        _EVERYTHING - _LISTENING - {"ws_url"},
        own=(
            Option(
                "intervals",
                "all",
                "NAMES",
                "Stored intervals separated by commas, or all six.",
                stored_intervals,
                "backfill",
            ),
            Option(
                "from",
                "none",
                "TIME",
                f"The first open time, inclusive: {EXPECTED}; none: as the history's depth says.",
                moment,
                "backfill",
            ),
            Option("to", "none", "TIME", "The last open time, exclusive; none: up to now.", moment, "backfill"),
            Option(
                "source",
                "auto",
                "SOURCE",
                "Where from: auto, rest or archive.",
                one_of("auto", "rest", "archive"),
                "backfill",
            ),
        ),
    ),
    Kind(
        "status",
        "the running service at a glance",
        frozenset({"database"}),
        own=(_JSON,),
    ),
    Kind(
        "audit",
        "compare stored bars with the exchange's, and with sums of smaller ones",
        _LOGGING | {"database", "symbols", "rest_url", "proxy", "weight_share"},
        own=(
            _INTERVALS,
            _FROM,
            _TO,
            _JSON,
            Option("repair", "false", "", "Put the exchange's bars in place.", switch, "what to do", is_flag=True),
        ),
    ),
    Kind(
        "export",
        "write stored bars to CSV or Parquet files",
        _LOGGING | {"database", "symbols"},
        own=(
            _INTERVALS,
            _FROM,
            _TO,
            Option("format", "csv", "FORMAT", "csv, as in the archive, or parquet.", one_of("csv", "parquet"), "files"),
            Option("output", ".", "DIR", "The directory for the files.", file_path, "files"),
        ),
    ),
    Kind("backup", "a consistent copy of the database while others write it", frozenset({"database"}), words=("FILE",)),
)


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked for."""

    name: str
    """One of `KINDS`, or `help` or `version`, whose text is in `own`."""
    settings: Settings
    own: Mapping[str, Any]
    """The values of the command's own options by name."""


Given = dict[str, tuple[str, object]]
"""For each option that is set: what to call it in an error, and its value as it came."""


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Command:
    """The command that these arguments and variables ask for; a TOML file that they name is read.

    Raises:
        BadOption: a value that cannot be, or a name that does not exist, wherever it was found.
    """
    given, words, asked = _arguments(argv)
    kind = _kind(words)
    if not asked:
        _expect_words(kind, words[1:])
    else:
        text = f"barkeep {VERSION}\n" if asked == "version" else _help(kind if words else None)
        return Command(asked, Settings.of(), {"text": text})
    for option in _own_options():
        if option.name in given and option.name not in _names(kind):
            owners = " or ".join(other.name for other in KINDS if option.name in _names(other))
            raise BadOption(option.flag, f"the command {owners}", kind.name)
    given = _variables(environ) | given
    given = _file(given) | given
    values = {option.name: _value(option, given) for option in kind.options}
    own = {option.name: values.pop(option.name) for option in kind.own}
    own |= {name.lower(): file_path(word) for name, word in zip(kind.words, words[1:], strict=True)}
    return Command(kind.name, Settings(**values), own)


def _names(kind: Kind) -> set[str]:
    return {option.name for option in kind.own}


def _own_options() -> list[Option]:
    """Each name once, in the order of the commands."""
    return list({option.name: option for kind in KINDS for option in kind.own}.values())


def _known() -> list[Option]:
    return [*OPTIONS, *_own_options(), _CONFIG]


def _value(option: Option, given: Given) -> Any:
    label, value = given.get(option.name, (option.flag, None))
    return read(option, value, label)


def _arguments(argv: Sequence[str]) -> tuple[Given, list[str], str]:
    """The options given, the words that are none, and whether `help` or `version` was asked for."""
    parser = _Parser(allow_abbrev=False, add_help=False, argument_default=SUPPRESS)
    parser.add_argument("words", nargs="*", default=[])
    for option in _known():
        if option.is_flag:
            parser.add_argument(option.flag, action="store_const", const="true")
        else:
            # An option at the end, without its value, is then refused in the option's own words.
            parser.add_argument(option.flag, nargs="?", const="")
    for asked in _ASKED:
        parser.add_argument(f"--{asked}", dest="asked", action="store_const", const=asked)
    namespace, unknown = parser.parse_known_intermixed_args(list(argv))
    if unknown:
        flags = [*(option.flag for option in _known()), *(f"--{asked}" for asked in _ASKED)]
        raise unknown_option(unknown[0].partition("=")[0], flags)
    values: dict[str, Any] = vars(namespace)
    words, asked = values.pop("words"), values.pop("asked", "")
    return (
        {option.name: (option.flag, values[option.name]) for option in _known() if option.name in values},
        words,
        asked,
    )


def _kind(words: Sequence[str]) -> Kind:
    names = [kind.name for kind in KINDS]
    name = words[0] if words else names[0]
    if name not in names:
        raise BadOption("command", f"{', '.join(names[:-1])} or {names[-1]}", name)
    return KINDS[names.index(name)]


def _expect_words(kind: Kind, words: Sequence[str]) -> None:
    if len(words) == len(kind.words):
        return
    if kind.words:
        raise BadOption(kind.name, f"one path, as in {kind.usage}", " ".join(words))
    raise BadOption("command", "one command", " ".join((kind.name, *words)))


def _variables(environ: Mapping[str, str]) -> Given:
    by_variable = {option.variable: option for option in _known()}
    given: Given = {}
    for variable, text in environ.items():
        if variable in by_variable:
            given[by_variable[variable].name] = (variable, text)
        elif variable.startswith("BARKEEP_"):
            raise unknown_option(variable, by_variable)
    return given


def _file(given: Given) -> Given:
    label, path = given.get("config", ("", None))
    if path is None:
        return {}
    try:
        content = tomllib.loads(Path(str(path)).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadOption(label, f"a TOML file that can be read ({_reason(error)})", path) from None
    names = [option.name for option in _known() if option is not _CONFIG]
    values: Given = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in names:
            raise unknown_option(key, [name.replace("_", "-") for name in names], f"{path}: {key}")
        values[name] = (f"{path}: {key}", value)
    return values


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadOption("command line", "one command and its options", message)


class _Formatter(RawDescriptionHelpFormatter):
    """Leaves addresses whole."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _help(kind: Kind | None) -> str:
    """What one command takes; None: what there is."""
    parser = _Parser(
        prog="barkeep",
        usage=f"barkeep {kind.usage if kind else '[command]'} [options]",
        description=f"{kind.name}: {kind.summary}" if kind else _overview(),
        formatter_class=_Formatter,
        add_help=False,
    )
    options = kind.options if kind else [*OPTIONS, *_own_options()]
    shown = [option for option in options if not kind or option.name in kind.uses or option in kind.own]
    for title, members in groupby([*shown, _CONFIG], key=attrgetter("group")):
        group = parser.add_argument_group(title)
        for option in members:
            text = f"{option.help} [default: {option.default}; {option.variable}]".replace("%", "%%")
            if option.is_flag:
                group.add_argument(option.flag, action="store_true", help=text)
            else:
                group.add_argument(option.flag, metavar=option.metavar, help=text)
    for asked, text in _ASKED.items():
        group.add_argument(f"--{asked}", action="store_true", help=text)
    return parser.format_help()


def _overview() -> str:
    commands = "\n".join(f"  {kind.name:<9}{kind.summary}" for kind in KINDS)
    return f"Keeps the bars of every Binance USD-M perpetual in one SQLite file.\n\ncommands:\n{commands}"
