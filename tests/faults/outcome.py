"""What a fault's script says in the end: it returns one line, or raises one of these or AssertionError."""

from __future__ import annotations


class Impossible(Exception):
    """This machine, or this user, cannot try it; the text says what is needed."""
