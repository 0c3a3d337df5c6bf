"""The command line: which command, and where each option's value comes from.

An option may stand before or after the command word. The command line beats the environment
(`BARKEEP_PORT`), which beats the TOML file (`port = 8080`), which beats the default.
"""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from actors.options import BadOption, Option, file_path, read, unknown_option
from actors.settings import OPTIONS, Settings
from actors.shell.commands import ASKED, CONFIG, KINDS, Kind, own_options
from actors.shell.help import help_text
from wire.version import VERSION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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
        text = f"barkeep {VERSION}\n" if asked == "version" else help_text(kind if words else None)
        return Command(asked, Settings.of(), {"text": text})
    for option in own_options():
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


def _known() -> list[Option]:
    return [*OPTIONS, *own_options(), CONFIG]


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
    for asked in ASKED:
        parser.add_argument(f"--{asked}", dest="asked", action="store_const", const=asked)
    namespace, unknown = parser.parse_known_intermixed_args(list(argv))
    if unknown:
        flags = [*(option.flag for option in _known()), *(f"--{asked}" for asked in ASKED)]
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
    names = [option.name for option in _known() if option is not CONFIG]
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
