"""What people see of progress and tables, on a terminal and elsewhere."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr

import pytest

from actors.commands.bulk.report import Done, Progress
from actors.settings import Settings
from actors.shell.terminal import download_progress, progress, show, show_pairs
from tests.test_progress import STATUS

STATUS_LINE = "1,199/1,203 symbols live"
HALF = Progress("downloading", Done(5, 30, 1_000, 60_000), 10, 90, 1_500.0, 75.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as wide as a page, to be put in the place of stderr."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is told is shown, without a pause."""
    for name in ("LOG_PERIOD_S", "TERMINAL_PERIOD_S"):
        monkeypatch.setattr(f"actors.shell.terminal.{name}", 0.0)


@pytest.mark.usefixtures("at_once")
def test_on_a_terminal_the_status_is_live_and_not_in_the_log(
    terminal: Terminal, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="barkeep"), redirect_stderr(terminal), progress(Settings.of()) as report:
        report(lambda: STATUS)
        report(lambda: STATUS)
    assert STATUS_LINE in terminal.getvalue()
    assert caplog.messages == []


@pytest.mark.usefixtures("at_once")
def test_elsewhere_the_status_is_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="barkeep"), progress(Settings.of()) as report:
        report(lambda: STATUS)
        report(lambda: STATUS)
    assert STATUS_LINE in caplog.messages[-1]


@pytest.mark.usefixtures("at_once")
def test_a_log_of_json_lines_is_not_mixed_with_anything_live(
    terminal: Terminal, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.of(log_format="json")
    with caplog.at_level(logging.INFO, logger="barkeep"), redirect_stderr(terminal):
        with progress(settings) as report:
            report(lambda: STATUS)
            report(lambda: STATUS)
        with download_progress(settings) as report_download:
            report_download(lambda: HALF)
    assert terminal.getvalue() == ""
    assert STATUS_LINE in caplog.messages[0]
    assert caplog.messages[-1].startswith(
        "downloading: 5/10 files, 30/90 REST pages, 60,000 bars, 1,500 bars/s, about "
    )


def test_a_download_is_two_bars_on_a_terminal(terminal: Terminal, caplog: pytest.LogCaptureFixture) -> None:
    asked = []

    def now() -> Progress:
        asked.append(HALF)
        return HALF

    log = caplog.at_level(logging.INFO, logger="barkeep")
    with log, redirect_stderr(terminal), download_progress(Settings.of()) as report:
        for _ in range(100):
            report(now)
    seen = terminal.getvalue()
    assert "files" in seen
    assert "REST pages" in seen
    assert len(asked) < 100  # more often than anybody can read nothing is even asked for
    assert caplog.messages == []


def test_a_download_is_told_in_the_log_now_and_then_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="barkeep"), download_progress(Settings.of()) as report:
        report(lambda: HALF)
        report(lambda: HALF)
    assert len(caplog.messages) == 1


def test_numbers_stand_to_the_right_and_texts_to_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    show(["symbol", "bars"], [["A", "1,234"], ["LONGER", "5"]])
    heading, first, second = (line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert heading.split() == ["symbol", "bars"]
    assert (first.split(), second.split()) == (["A", "1,234"], ["LONGER", "5"])
    assert first.startswith("A ")
    assert len(first) == len(second) == len(heading)


def test_a_table_without_rows_still_has_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    show(["symbol", "bars"], [])
    assert capsys.readouterr().out.split() == ["symbol", "bars"]


def test_brackets_in_a_value_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_pairs([("database", "[bold]/a.db")])
    assert capsys.readouterr().out.split() == ["database", "[bold]/a.db"]
