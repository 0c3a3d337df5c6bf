"""The commands that there are, and which options each takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from actors.options import Option, file_path, number, one_of, stored_intervals, switch, whole_number
from actors.selection import intervals, moment
from actors.settings import OPTIONS
from bars.times import EXPECTED

TEMPORARY = "temporary"
"""The demo's database by default: a file that is deleted at the end. Invented bars must not mix with real ones."""

_EVERYTHING = frozenset(option.name for option in OPTIONS)
_LISTENING = frozenset({"host", "port", "allowed_hosts", "token", "max_clients"})
_LOGGING = frozenset({"log_level", "log_format"})
_OUTSIDE = frozenset({"rest_url", "ws_url", "archive_url", "listing_url", "proxy", "weight_share"})

CONFIG = Option("config", "none", "FILE", "A TOML file whose keys are options.", str, "more")
ASKED = MappingProxyType(
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


def own_options() -> list[Option]:
    """Each name once, in the order of the commands."""
    return list({option.name: option for kind in KINDS for option in kind.own}.values())
