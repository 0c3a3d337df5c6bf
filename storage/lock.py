"""One writing process per file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from storage.errors import DatabaseInUse, DatabaseUnusable


class WriterLock:
    """Held from opening to closing; the system releases it when the process dies, however it dies.

    It is a file beside the database, `<database>.lock`, which stays there; inside is the holder's process id.
    """

    def __init__(self, database: Path) -> None:
        """Take the lock.

        Raises:
            DatabaseInUse: it is held, here or in another process.
            DatabaseUnusable: no file can be made in that place.
        """
        path = Path(f"{database}.lock")
        holder = _holder(path)
        # Not by thread: a supervisor may close what its actor opened.
        self._lock = FileLock(path, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise DatabaseInUse(
                f"opening {database}: expected to be its only writer, got one at work already (process {holder})"
            ) from None
        except OSError as error:
            raise DatabaseUnusable(f"opening {database}: expected a writable place, got {error.strerror}") from error
        with suppress(OSError):  # only a hint for people
            path.write_text(f"{os.getpid()}\n")

    def release(self) -> None:
        self._lock.release()


def _holder(path: Path) -> str:
    """Read before trying: some releases of filelock empty the file when they try."""
    try:
        text = path.read_bytes().strip()
    except OSError:
        return "unknown"
    return text.decode() if text.isdigit() else "unknown"
