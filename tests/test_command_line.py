"""The command line: every option from every source, and every error to the letter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from actors.options import BadOption
from actors.settings import OPTIONS, Settings
from actors.shell.command_line import Command, parse
from actors.shell.commands import KINDS, TEMPORARY
from bars import INTERVALS
from wire.version import VERSION

VALUES: dict[str, tuple[str, str]] = {
    "database": ("one.db", "two.db"),
    "symbols": ("BTCUSDT", "ETHUSDT"),
    "history": ("1m=1d", "1m=2d"),
    "keep": ("1m=1d", "1m=2d"),
    "host": ("0.0.0.0", "localhost"),
    "port": ("1", "2"),
    "allowed_hosts": ("one.example", "*"),
    "token": ("one-one-one-one-one", "two-two-two-two-two"),
    "max_clients": ("10", "20"),
    "rest_url": ("http://one", "http://two"),
    "ws_url": ("ws://one", "ws://two"),
    "archive_url": ("http://one", "http://two"),
    "listing_url": ("http://one", "http://two"),
    "proxy": ("http://one:1", "socks5://two:2"),
    "weight_share": ("0.1", "0.2"),
    "log_level": ("debug", "error"),
    "log_format": ("json", "text"),
}
"""Two values for each setting, both other than the default but for the last one."""


class Sources:
    """Values given to `parse` by way of all sources, and a TOML file to write them to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "barkeep.toml"

    def toml(self, text: str) -> list[str]:
        """The arguments that name a file with this content."""
        self.path.write_text(text, encoding="utf-8")
        return ["--config", str(self.path)]


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def refusal(argv: Iterable[str], environ: dict[str, str] | None = None) -> str:
    with pytest.raises(BadOption) as raised:
        parse(list(argv), environ or {})
    return str(raised.value)


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def value_of(name: str, text: str) -> Any:
    return getattr(Settings.of(**{name: text}), name)


def test_without_arguments_serve_runs_with_the_defaults() -> None:
    assert parse([], {}) == Command("serve", Settings.of(), {})


@pytest.mark.parametrize("name", VALUES)
def test_an_option_is_taken_from_each_source_and_the_nearer_one_wins(name: str, sources: Sources) -> None:
    near, far = VALUES[name]

    def got(argv: list[str], environ: dict[str, str] | None = None) -> Any:
        return getattr(parse(argv, environ or {}).settings, name)

    variable = f"BARKEEP_{name.upper()}"
    file = sources.toml(f'{name.replace("_", "-")} = "{far}"')
    assert got(["serve", flag(name), near]) == got(["serve", f"{flag(name)}={near}"]) == value_of(name, near)
    assert got([flag(name), near, "serve"]) == got([flag(name), far, flag(name), near]) == value_of(name, near)
    assert got([], {variable: near}) == value_of(name, near)
    assert got(file) == got([], {"BARKEEP_CONFIG": str(sources.path)}) == value_of(name, far)
    assert got(file, {variable: near}) == value_of(name, near)
    assert got([flag(name), near], {variable: far}) == value_of(name, near)
    assert got([*file, flag(name), near], {variable: far}) == value_of(name, near)
    assert got(sources.toml(f'{name} = "{near}"')) == value_of(name, near)


def test_every_setting_is_tested_above() -> None:
    assert list(VALUES) == [field.name for field in fields(Settings)] == [option.name for option in OPTIONS]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_command_takes_every_setting(kind: Any) -> None:
    argv = [part for name, (near, _) in VALUES.items() for part in (flag(name), near)]
    expected = Settings.of(**{name: near for name, (near, _) in VALUES.items()})
    named = [kind.name, *(word.lower() for word in kind.words)]
    for arguments in ([*named, *argv], [*argv, *named], [*argv[:6], *named, *argv[6:]]):
        command = parse(arguments, {})
        assert (command.name, command.settings) == (kind.name, expected)


def test_a_toml_file_may_use_tomls_own_types(sources: Sources) -> None:
    text = 'port = 0\nweight-share = 1\nsymbols = ["btcusdt", "币安人生usdt"]\n[history]\n1m = "1d"\n"1w" = "none"\n'
    settings = parse(sources.toml(text), {}).settings
    assert settings == Settings.of(
        port=0, weight_share=1, symbols=["BTCUSDT", "币安人生USDT"], history={"1m": "1d", "1w": "none"}
    )


def test_the_demo_has_options_and_a_database_of_its_own(sources: Sources) -> None:
    plain = parse(["demo"], {})
    assert plain.own == {"speed": 1.0, "count": 12, "seed": 1}
    assert plain.settings == Settings.of(database=TEMPORARY)
    given = parse([*sources.toml("speed = 2\nseed = 7"), "--speed", "60", "demo"], {"BARKEEP_COUNT": "3"})
    assert given.own == {"speed": 60.0, "count": 3, "seed": 7}


def test_status_can_print_json(sources: Sources) -> None:
    assert parse(["status"], {}).own == {"json": False}
    for argv in (["status", "--json"], ["--json", "status"], [*sources.toml("json = true"), "status"]):
        assert parse(argv, {}).own == {"json": True}
    assert parse(["status"], {"BARKEEP_JSON": "yes"}).own == {"json": True}


def test_another_commands_option_is_welcome_in_the_file_and_the_environment_only(sources: Sources) -> None:
    assert parse([*sources.toml("speed = 2"), "serve"], {"BARKEEP_JSON": "1"}).own == {}
    assert refusal(["serve", "--speed", "2"]) == "--speed: expected the command demo, got 'serve'"
    assert refusal(["--json"]) == "--json: expected the command status or audit, got 'serve'"
    assert refusal(["--from", "0"]) == "--from: expected the command backfill or audit or export, got 'serve'"


def test_an_audit_has_bounds_in_any_form(sources: Sources) -> None:
    assert parse(["audit"], {}).own == {"intervals": None, "from": None, "to": None, "json": False, "repair": False}
    argv = ["audit", "--intervals", "1h,1m", "--from", "2025-01-31", "--to=2025-01-31T12:00Z", "--repair"]
    assert parse(argv, {"BARKEEP_JSON": "1"}).own == {
        "intervals": (INTERVALS["1m"], INTERVALS["1h"]),
        "from": 1_738_281_600_000,
        "to": 1_738_324_800_000,
        "json": True,
        "repair": True,
    }
    for everything in ("all", " ALL"):
        assert parse(["export", "--intervals", everything], {}).own["intervals"] == tuple(INTERVALS.values())
    from_file = parse([*sources.toml('from = 1738281600000\nintervals = ["1d"]'), "audit"], {}).own
    assert (from_file["from"], from_file["intervals"]) == (1_738_281_600_000, (INTERVALS["1d"],))


def test_a_backup_takes_one_path_wherever_it_stands() -> None:
    for argv in (["backup", "copy.db"], ["--log-level", "info", "backup", "--database", "a.db", "copy.db"]):
        assert parse(argv, {}).own == {"file": Path("copy.db")}


def test_variables_of_others_do_not_matter() -> None:
    assert parse([], {"PORT": "x", "barkeep_port": "x", "PATH": "/bin"}) == parse([], {})


@pytest.mark.parametrize(
    ("argv", "environ", "message"),
    [
        (["--port", "x"], {}, "--port: expected 0 to 65535, got 'x'"),
        (["--port=x", "data"], {}, "--port: expected 0 to 65535, got 'x'"),
        (["data", "--port", "-1"], {}, "--port: expected 0 to 65535, got '-1'"),
        (["--port"], {}, "--port: expected 0 to 65535, got ''"),
        (["--port", "--host", "a"], {}, "--port: expected 0 to 65535, got ''"),
        ([], {"BARKEEP_PORT": "x"}, "BARKEEP_PORT: expected 0 to 65535, got 'x'"),
        ([], {"BARKEEP_PORT": ""}, "BARKEEP_PORT: expected 0 to 65535, got ''"),
        (
            ["--history", "1h=7d"],
            {},
            "--history: expected an interval of 1m, 5m, 30m, 4h, 1d, 1w (in '1h=7d'), got '1h=7d'",
        ),
        (["--weight-share", "2"], {}, "--weight-share: expected a number above 0 and up to 1, got '2'"),
        (["--log-level", "loud"], {}, "--log-level: expected debug, info, warning or error, got 'loud'"),
        (["--rest-url", "a"], {}, "--rest-url: expected http://host or https://host, got 'a'"),
        (["--prot", "80"], {}, "--prot: expected a known option, the nearest is --port, got '--prot'"),
        (["--prot=80", "web"], {}, "--prot: expected a known option, the nearest is --port, got '--prot'"),
        (["--data", "x.db"], {}, "--data: expected a known option, the nearest is --database, got '--data'"),
        (["--hel"], {}, "--hel: expected a known option, the nearest is --help, got '--hel'"),
        (["--rest_url", "a"], {}, "--rest_url: expected a known option, the nearest is --rest-url, got '--rest_url'"),
        (["-p", "80"], {}, "-p: expected a known option, the nearest is --port, got '-p'"),
        (
            [],
            {"BARKEEP_PROT": "1"},
            "BARKEEP_PROT: expected a known option, the nearest is BARKEEP_PORT, got 'BARKEEP_PROT'",
        ),
        (
            ["sevre"],
            {},
            "command: expected serve, data, web, demo, backfill, status, audit, export or backup, got 'sevre'",
        ),
        (["backup"], {}, "backup: expected one path, as in backup FILE, got ''"),
        (["backup", "a", "b"], {}, "backup: expected one path, as in backup FILE, got 'a b'"),
        (["audit", "--intervals", "1m,3d"], {}, "--intervals: expected intervals separated by commas, "
         "of 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 1w, 1M, or all, got '1m,3d'"),
        (["export", "--to", "yesterday"], {}, "--to: expected a date (2025-01-31), "
         "a date-time in UTC (2025-01-31T12:30) or milliseconds, got 'yesterday'"),
        (["export", "--format", "xml"], {}, "--format: expected csv or parquet, got 'xml'"),
        (["data", "web"], {}, "command: expected one command, got 'data web'"),
        (
            ["status", "--json=3"],
            {},
            "command line: expected one command and its options, "
            "got \"argument --json: ignored explicit argument '3'\"",
        ),
        (["demo", "--speed", "0"], {}, "--speed: expected a number above 0 and up to 1000, got '0'"),
        (["demo", "--count", "0"], {}, "--count: expected 1 to 2000, got '0'"),
        (["demo", "--seed", "a"], {}, "--seed: expected 0 to 2147483648, got 'a'"),
        (["status"], {"BARKEEP_JSON": "on"}, "BARKEEP_JSON: expected true or false, got 'on'"),
        (
            ["--config", "none.toml"],
            {},
            "--config: expected a TOML file that can be read (No such file or directory), got 'none.toml'",
        ),
    ],
)  # fmt: skip
def test_an_error_names_option_value_and_what_would_be_right(
    argv: list[str], environ: dict[str, str], message: str
) -> None:
    assert refusal(argv, environ) == message


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("port = 'x'", "port: expected 0 to 65535, got 'x'"),
        ("port = 65536", "port: expected 0 to 65535, got 65536"),
        ("port = true", "port: expected 0 to 65535, got True"),
        ("weight-share = nan", "weight-share: expected a number above 0 and up to 1, got nan"),
        ("log_level = 'x'", "log_level: expected debug, info, warning or error, got 'x'"),
    ],
)
def test_an_error_in_a_toml_file_names_the_file(text: str, rest: str, sources: Sources) -> None:
    assert refusal(sources.toml(text)) == f"{sources.path}: {rest}"


@pytest.mark.parametrize(("key", "nearest"), [("prot", "port"), ("weight", "weight-share"), ("databse", "database")])
def test_an_unknown_toml_key_names_the_nearest_known_one(key: str, nearest: str, sources: Sources) -> None:
    message = refusal(sources.toml(f"{key} = 1"))
    assert message == f"{sources.path}: {key}: expected a known option, the nearest is {nearest}, got {key!r}"


def test_a_toml_file_cannot_name_another_one(sources: Sources) -> None:
    assert refusal(sources.toml("config = 'a.toml'")).startswith(f"{sources.path}: config: expected a known option")


@pytest.mark.parametrize("content", [b"port 8080", b"port = 1\nport = 2", b"\xff\xfe"])
def test_a_broken_toml_file_is_refused_in_one_line(content: bytes, sources: Sources) -> None:
    sources.path.write_bytes(content)
    for message in (
        refusal(["--config", str(sources.path)]).removeprefix("--config"),
        refusal([], {"BARKEEP_CONFIG": str(sources.path)}).removeprefix("BARKEEP_CONFIG"),
    ):
        assert message.startswith(": expected a TOML file that can be read (")
        assert message.endswith(f"), got {str(sources.path)!r}")
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize("argv", [["--help"], ["--help", "--port", "x"]])
def test_help_lists_the_commands_and_every_option(argv: list[str]) -> None:
    command = parse(argv, {"BARKEEP_PROT": "x"})
    text = command.own["text"]
    assert command.name == "help"
    assert all(f"\n  {kind.name} " in text and kind.summary in text for kind in KINDS)
    assert all(f"\n  {option.flag} " in text and option.variable in text for option in OPTIONS)
    assert all(option.default in text for option in OPTIONS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_help_of_a_command_lists_what_it_takes_and_nothing_else(kind: Any) -> None:
    text = parse([kind.name, "--help"], {}).own["text"]
    shown = {line.split()[0] for line in text.splitlines() if line.startswith("  --")}
    named = {option.flag for option in kind.options if option.name in kind.uses or option in kind.own}
    assert shown == named | {"--config", "--help", "--version"}
    assert kind.summary in text


def test_the_version_is_told() -> None:
    assert parse(["--version"], {}).own["text"] == f"barkeep {VERSION}\n"
