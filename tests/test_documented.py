"""README.md tells of every option, with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actors.options import Option
from actors.settings import OPTIONS
from actors.shell.commands import KINDS

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
OWN = [option for kind in KINDS for option in kind.own]


def defaults() -> dict[str, str]:
    """By the name of an option, the default that the table of options names; a row may tell of several."""
    told: dict[str, str] = {}
    for row in re.findall(r"^\| (`--.*) \| (.*?) \| .*? \|$", README, re.MULTILINE):
        flags, values = (re.findall(r"`(.*?)`", cell) for cell in row)
        names = [flag.removeprefix("--").split(" ")[0].replace("-", "_") for flag in flags]
        told |= dict(zip(names, values or ["none"], strict=True))
    return told


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_setting_stands_in_the_table_with_its_default(option: Option) -> None:
    assert defaults()[option.name] == option.default


@pytest.mark.parametrize("option", OWN, ids=lambda option: option.name)
def test_every_option_of_a_command_is_told_of(option: Option) -> None:
    assert re.search(rf"`{option.flag}\b", README)
