"""Whether somebody has committed: SQLite's own signal, cheap enough to be asked many times a second."""

from __future__ import annotations

import os
from pathlib import Path

from storage.database import connection_of, open_for_reading
from storage.errors import translating


class ChangeSignal:
    """Tells of commits to a database by other connections, whatever their process. Belongs to one thread.

    `PRAGMA data_version` takes some microseconds; it does not tell what has changed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open an existing database.

        Raises:
            DatabaseUnusable, DatabaseNewer
        """
        self._path = Path(path).resolve()
        self._database = open_for_reading(self._path)
        self._version: int | None = None

    def has_changed(self) -> bool:
        """Whether something was committed since this was last asked; the first answer is yes.

        Raises:
            StorageFailed: the file fails.
        """
        with translating(f"reading {self._path}"):
            version: int = connection_of(self._database).execute("PRAGMA data_version").fetchone()[0]
        changed, self._version = version != self._version, version
        return changed

    def close(self) -> None:
        self._database.close_all()
