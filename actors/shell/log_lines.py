"""Log records as lines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone


class Stderr:
    """Whatever stderr is at present: the live line of a terminal takes its place while it is shown."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class LineFormatter(logging.Formatter):
    """One record as one line: text, or a JSON object. Times are UTC."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        facts = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(facts)
        return printable(" ".join(facts.values()))


def printable(text: str) -> str:
    """The text with whatever could move a terminal's cursor, colour it, turn its letters or begin a line escaped.

    Names of symbols and paths of requests come from outside.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
