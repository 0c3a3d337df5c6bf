"""The tables. Models serve to make them and for the ordinary queries; they never leave this folder.

They are not bound to a database, since that would be state of the module: each query is executed on one.
"""

from __future__ import annotations

from peewee import SQL, AutoField, CompositeKey, IntegerField, Model, TextField


class ContractRow(Model):
    """A contract; its rows are stored in `scale_…`, which only widen and are the exchange's decimals at first."""

    id = AutoField()
    symbol = TextField()
    onboard_ms = IntegerField()
    delivery_ms = IntegerField()
    contract_type = TextField()
    status = TextField()
    pair = TextField()
    base_asset = TextField()
    quote_asset = TextField()
    price_decimals = IntegerField()
    quantity_decimals = IntegerField()
    description = TextField()
    scale_price = IntegerField()
    scale_volume = IntegerField()
    scale_quote = IntegerField()

    class Meta:
        table_name = "contract"
        indexes = ((("symbol", "onboard_ms"), True),)


class _Values(Model):
    """One bar. Differences to the open are smaller numbers than prices, and SQLite stores small ones in fewer bytes."""

    contract_id = IntegerField()
    interval = IntegerField()
    """The length in minutes."""
    open_minute = IntegerField()
    """The open time in minutes since the epoch."""
    open = IntegerField()
    rise = IntegerField()
    """high - open"""
    fall = IntegerField()
    """open - low"""
    move = IntegerField()
    """close - open, of either sign"""
    volume = IntegerField()
    quote_volume = IntegerField()
    trades = IntegerField()
    taker_buy_volume = IntegerField()
    taker_buy_quote_volume = IntegerField()


class BarRow(_Values):
    """A closed bar. Clustered by its key: a page of bars is one run of the file."""

    mark = IntegerField()
    """The origin, plus 8 where verified, plus 16 where the exchange was asked and does not confirm it."""

    class Meta:
        table_name = "bar"
        primary_key = CompositeKey("contract_id", "interval", "open_minute")
        without_rowid = True


class PartialMinuteRow(_Values):
    """The newest minute in progress of a contract. These rows are written every second, so they lie close together."""

    contract_id = IntegerField(primary_key=True)

    class Meta:
        table_name = "partial_minute"


class PartialRow(_Values):
    """A larger bar in progress. In a table of its own, since among the closed bars each would dirty a page."""

    until_minute = IntegerField(null=True)
    """Where the newest minute is not part of it but to be added by whoever reads: that minute's open time."""

    class Meta:
        table_name = "partial"
        primary_key = CompositeKey("contract_id", "interval")
        without_rowid = True


class SeriesRow(Model):
    """A summary of the closed bars, kept with every insert so that nobody needs to count millions of rows."""

    contract_id = IntegerField()
    interval = IntegerField()
    first_ms = IntegerField()
    last_ms = IntegerField()
    bars = IntegerField()
    unverified_ms = IntegerField(null=True)
    """Of minutes: the open time of the first one that was neither verified nor disputed; null when all were."""
    unverified = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])
    """Of minutes: how many those are."""

    class Meta:
        table_name = "series"
        primary_key = CompositeKey("contract_id", "interval")
        without_rowid = True


class AbsentRow(Model):
    """A span in which the exchange has no bar of this interval that opens. Spans never touch, nor hold a stored bar."""

    contract_id = IntegerField()
    interval = IntegerField()
    start_ms = IntegerField()
    stop_ms = IntegerField()

    class Meta:
        table_name = "absent"
        primary_key = CompositeKey("contract_id", "interval", "start_ms")
        without_rowid = True


class ArchiveFileRow(Model):
    """An archive file whose bars were stored. The archive replaces files: `sha256` tells which one it was."""

    contract_id = IntegerField()
    interval = IntegerField()
    period = TextField()
    """`2026-06` or `2026-06-05`."""
    sha256 = TextField()

    class Meta:
        table_name = "archive_file"
        primary_key = CompositeKey("contract_id", "interval", "period")
        without_rowid = True


class GapRow(Model):
    """What is remembered of a hole. Spans of one series never overlap. Contract 0 stands for all contracts."""

    contract_id = IntegerField()
    interval = IntegerField()
    start_ms = IntegerField()
    stop_ms = IntegerField()
    reason = TextField(null=True)
    """Null: nothing is known but that it was asked for."""
    state = TextField()
    since_ms = IntegerField()
    asked = IntegerField()
    """How often in vain."""
    asked_ms = IntegerField()
    """When last."""

    class Meta:
        table_name = "gap"
        primary_key = CompositeKey("contract_id", "interval", "start_ms")
        without_rowid = True


class ServiceRow(Model):
    """The data service's last word about itself: one row, with id 1."""

    id = IntegerField(primary_key=True)
    state = TextField()
    exchange_ms = IntegerField()
    committed_at_ms = IntegerField()

    class Meta:
        table_name = "service"


class DocumentRow(Model):
    name = TextField(primary_key=True)
    text = TextField()

    class Meta:
        table_name = "document"
        without_rowid = True


TABLES: tuple[type[Model], ...] = (
    ContractRow,
    BarRow,
    PartialMinuteRow,
    PartialRow,
    SeriesRow,
    AbsentRow,
    ArchiveFileRow,
    GapRow,
    ServiceRow,
    DocumentRow,
)
