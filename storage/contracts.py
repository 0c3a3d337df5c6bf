"""Contracts in the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

from peewee import SqliteDatabase

from bars import Contract, ContractKey, Scale
from storage.models import ContractRow
from storage.records import ContractRecord

_DESCRIBING = tuple(field.name for field in fields(Contract))
_SCALE = ("scale_price", "scale_volume", "scale_quote")
_SELECT = f"SELECT id, {', '.join(_DESCRIBING + _SCALE)} FROM contract"


def every(connection: sqlite3.Connection) -> list[ContractRecord]:
    """All contracts, by symbol, then onboard time."""
    return [_record(row) for row in connection.execute(f"{_SELECT} ORDER BY symbol, onboard_ms")]


def newest(connection: sqlite3.Connection, symbol: str) -> ContractRecord | None:
    """The contract of that symbol that came last."""
    rows = connection.execute(f"{_SELECT} WHERE symbol = ? ORDER BY onboard_ms DESC LIMIT 1", (symbol,))
    return next(map(_record, rows), None)


def get(connection: sqlite3.Connection, key: ContractKey) -> ContractRecord | None:
    rows = connection.execute(f"{_SELECT} WHERE symbol = ? AND onboard_ms = ?", key)
    return next(map(_record, rows), None)


def scale_of(connection: sqlite3.Connection, contract_id: int) -> Scale:
    """The scale that a contract's bars are stored in now."""
    return Scale(
        *connection.execute(f"SELECT {', '.join(_SCALE)} FROM contract WHERE id = ?", (contract_id,)).fetchone()
    )


def add(database: SqliteDatabase, contract: Contract) -> ContractRecord:
    columns = dict(zip(_DESCRIBING + _SCALE, astuple(contract) + contract.scale, strict=True))
    return ContractRecord(ContractRow.insert(columns).execute(database), contract, contract.scale)


def describe(database: SqliteDatabase, record: ContractRecord, contract: Contract) -> ContractRecord:
    """What the exchange says of a known contract now. The scale stays: only values widen it."""
    _update(database, record, dict(zip(_DESCRIBING, astuple(contract), strict=True)))
    return record._replace(contract=contract)


def widen(database: SqliteDatabase, record: ContractRecord, scale: Scale) -> ContractRecord:
    _update(database, record, dict(zip(_SCALE, scale, strict=True)))
    return record._replace(scale=scale)


def _update(database: SqliteDatabase, record: ContractRecord, columns: dict[str, Any]) -> None:
    ContractRow.update(columns).where(ContractRow.id == record.id).execute(database)


def _record(row: Sequence[Any]) -> ContractRecord:
    number, *columns = row
    return ContractRecord(number, Contract(*columns[:-3]), Scale(*columns[-3:]))
