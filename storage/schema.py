"""The schema: its version, how a new file gets it, and how an older file is brought up to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from peewee import SchemaManager, SqliteDatabase

from bars import MINUTE_MS, STORED
from storage.in_progress import GROWN_SELECT, MINUTE_SELECT, WHOLE_SELECT
from storage.models import TABLES, ArchiveFileRow, GapRow, PartialMinuteRow, PartialRow

APPLICATION_ID = 0x4261726B
"""`Bark`, in the header of the file: what tells our database from anybody else's."""

Upgrade = Callable[[SqliteDatabase], None]


def _to_version_2(database: SqliteDatabase) -> None:
    """Archive files, verification and the ledger of gaps."""
    _add_archive_files(database)
    _add_gaps(database)
    _add_unverified(database)


def _add_archive_files(database: SqliteDatabase) -> None:
    SchemaManager(ArchiveFileRow, database).create_all(safe=False)


def _add_gaps(database: SqliteDatabase) -> None:
    SchemaManager(GapRow, database).create_all(safe=False)


def _add_unverified(database: SqliteDatabase) -> None:
    execute: Any = database.execute_sql
    execute("ALTER TABLE series ADD COLUMN unverified_ms INTEGER")
    execute("ALTER TABLE series ADD COLUMN unverified INTEGER NOT NULL DEFAULT 0")
    execute(
        f"""UPDATE series SET unverified_ms = (
            SELECT b.open_minute * {MINUTE_MS} FROM bar AS b
            WHERE b.contract_id = series.contract_id AND b.interval = 1 AND b.mark & 24 = 0
            ORDER BY b.open_minute LIMIT 1) WHERE interval = 1"""
    )
    execute(
        """UPDATE series SET unverified = (
            SELECT count(*) FROM bar AS b
            WHERE b.contract_id = series.contract_id AND b.interval = 1 AND b.mark & 24 = 0)
        WHERE unverified_ms IS NOT NULL"""
    )


def _to_version_3(database: SqliteDatabase) -> None:
    """Larger bars in progress without the newest minute. The service tells all of them again within a second."""
    execute: Any = database.execute_sql
    execute("DROP VIEW klines")
    execute("DROP TABLE partial")
    for table in (PartialMinuteRow, PartialRow):
        SchemaManager(table, database).create_all(safe=False)
    execute(KLINES_VIEW)


UPGRADES: tuple[Upgrade, ...] = (_to_version_2, _to_version_3)
"""From version 1 to 2, from 2 to 3, and so on. Each runs in the transaction that also notes the new version."""

_INTERVALS = " UNION ALL ".join(
    f"SELECT {interval.span_ms // MINUTE_MS} AS minutes, '{interval.name}' AS name" for interval in STORED
)

# CROSS JOIN keeps SQLite to this order, so that a symbol and an interval lead to one range of the table.
_KLINES_SELECT = f"""
    SELECT c.symbol AS symbol, i.name AS interval, b.open_minute * {MINUTE_MS} AS open_time,
        b.open / CAST('1e' || c.scale_price AS REAL) AS open,
        (b.open + b.rise) / CAST('1e' || c.scale_price AS REAL) AS high,
        (b.open - b.fall) / CAST('1e' || c.scale_price AS REAL) AS low,
        (b.open + b.move) / CAST('1e' || c.scale_price AS REAL) AS close,
        b.volume / CAST('1e' || c.scale_volume AS REAL) AS volume,
        b.quote_volume / CAST('1e' || c.scale_quote AS REAL) AS quote_volume,
        b.trades AS trades,
        b.taker_buy_volume / CAST('1e' || c.scale_volume AS REAL) AS taker_buy_volume,
        b.taker_buy_quote_volume / CAST('1e' || c.scale_quote AS REAL) AS taker_buy_quote_volume,
        {{closed}} AS closed
    FROM contract AS c CROSS JOIN ({_INTERVALS}) AS i CROSS JOIN {{table}} AS b
        ON b.contract_id = c.id AND b.interval = i.minutes"""

_IN_PROGRESS_SELECT = (
    _KLINES_SELECT
    + f"""
    WHERE NOT EXISTS (SELECT 1 FROM series AS s WHERE s.contract_id = b.contract_id AND s.interval = b.interval
        AND s.last_ms >= b.open_minute * {MINUTE_MS})"""
)

KLINES_VIEW = " UNION ALL ".join(
    [
        f"CREATE VIEW klines AS {_KLINES_SELECT.format(closed=1, table='bar')}",
        *(
            _IN_PROGRESS_SELECT.format(closed=0, table=f"({select})")
            for select in (MINUTE_SELECT, WHOLE_SELECT, GROWN_SELECT)
        ),
    ]
)
"""For people with a SQL prompt: real numbers, not exact; closed bars and those in progress."""


def version(upgrades: Sequence[Upgrade] = UPGRADES) -> int:
    """The version that this Barkeep writes (`PRAGMA user_version`)."""
    return 1 + len(upgrades)


def create(database: SqliteDatabase) -> None:
    """Make everything in an empty file, at the newest version."""
    for table in TABLES:
        SchemaManager(table, database).create_all(safe=False)
    database.execute_sql(KLINES_VIEW)  # type: ignore[no-untyped-call]  # so in peewee's stubs
    database.pragma("application_id", APPLICATION_ID)
    database.pragma("user_version", version())


def upgrade(database: SqliteDatabase, found: int, upgrades: Sequence[Upgrade] = UPGRADES) -> None:
    """Bring a file of version `found` up to the newest."""
    for number, step in enumerate(upgrades[found - 1 :], start=found + 1):
        step(database)
        database.pragma("user_version", number)
