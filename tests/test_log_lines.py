"""Log records as lines: text and JSON."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from actors.shell.log_lines import LineFormatter, Stderr
from tests.support.scripted_server import Scripted, ScriptedServer
from tests.support.service import ROOT


def logged(as_json: bool, message: str, *args: object, error: BaseException | None = None) -> str:
    information = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("actors.feed", logging.WARNING, __file__, 1, message, args, information)
    record.created = 1_791_382_992.723
    return LineFormatter(as_json=as_json).format(record)


def test_a_record_is_one_line_of_text_with_its_time_in_utc() -> None:
    assert logged(False, "feed %d: %s", 2, "a\r\nb") == "2026-10-07T14:23:12.723Z WARNING actors.feed feed 2: a\\r\\nb"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("A\nB", r"A\nB"),
        ("A\x1b[2JB", r"A\x1b[2JB"),
        ("A\x9b31mB\x85", r"A\x9b31mB\x85"),
        ("A\u2028B\u202eC", r"A\u2028B\u202eC"),
        ("A\x0b\x0c\x00\x7f", r"A\x0b\x0c\x00\x7f"),
        ("A\ud800", r"A\ud800"),
        ("币安人生USDT", "币安人生USDT"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_name_from_outside_neither_begins_a_line_nor_moves_the_terminal(as_json: bool, name: str, shown: str) -> None:
    line = logged(as_json, "symbol %s", name)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == f"symbol {name}" if as_json else line.endswith(f"symbol {shown}")


def test_a_record_is_one_json_object() -> None:
    line = logged(True, "%s\n", "币安人生USDT")
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-10-07T14:23:12.723Z",
        "level": "WARNING",
        "logger": "actors.feed",
        "message": "币安人生USDT\n",
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_a_traceback_stays_on_the_records_line(as_json: bool) -> None:
    try:
        raise LookupError("not there")
    except LookupError as error:
        line = logged(as_json, "crashed", error=error)
    assert "LookupError: not there" in line
    assert len(line.splitlines()) == 1


ASK_WITH_THE_LOG_SET_UP = """
import sys
import run
from actors.settings import Settings
from exchange import RestClient

run.set_up_logging(Settings.of())
print(RestClient(sys.argv[1]).time().value)
"""


def test_headers_that_cannot_be_read_are_no_traceback_in_the_log() -> None:
    with ScriptedServer.running() as server:
        server.answers(Scripted(body=b'{"serverTime":1}', headers={"d\xe1te": "today"}))
        asked = subprocess.run(
            [sys.executable, "-c", ASK_WITH_THE_LOG_SET_UP, server.url],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "1\n", "")


def test_lines_go_to_whatever_stderr_is_at_present(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler(Stderr())
    handler.emit(logging.LogRecord("a", logging.INFO, __file__, 1, "here", (), None))
    assert capsys.readouterr().err == "here\n"
