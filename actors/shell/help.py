"""What `--help` prints."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from itertools import groupby
from operator import attrgetter
from textwrap import wrap

from actors.settings import OPTIONS
from actors.shell.commands import ASKED, CONFIG, KINDS, Kind, own_options


def help_text(kind: Kind | None) -> str:
    """What one command takes; None: what there is."""
    parser = ArgumentParser(
        prog="barkeep",
        usage=f"barkeep {kind.usage if kind else '[command]'} [options]",
        description=f"{kind.name}: {kind.summary}" if kind else _overview(),
        formatter_class=_Formatter,
        add_help=False,
    )
    options = kind.options if kind else [*OPTIONS, *own_options()]
    shown = [option for option in options if not kind or option.name in kind.uses or option in kind.own]
    for title, members in groupby([*shown, CONFIG], key=attrgetter("group")):
        group = parser.add_argument_group(title)
        for option in members:
            text = f"{option.help} [default: {option.default}; {option.variable}]".replace("%", "%%")
            if option.is_flag:
                group.add_argument(option.flag, action="store_true", help=text)
            else:
                group.add_argument(option.flag, metavar=option.metavar, help=text)
    for asked, text in ASKED.items():
        group.add_argument(f"--{asked}", action="store_true", help=text)
    return parser.format_help()


def _overview() -> str:
    commands = "\n".join(f"  {kind.name:<9}{kind.summary}" for kind in KINDS)
    return f"Keeps the bars of every Binance USD-M perpetual in one SQLite file.\n\ncommands:\n{commands}"


class _Formatter(RawDescriptionHelpFormatter):
    """Leaves addresses whole."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(text, width, break_long_words=False, break_on_hyphens=False)
