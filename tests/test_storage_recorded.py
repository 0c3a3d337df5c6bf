"""Real months through the database and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bars import DAY, FIVE_MINUTES, MINUTE
from storage import BarStore, ClosedBars, ContractsSeen, Origin, Reader
from tests.support.market import a_contract
from tests.support.recorded import Recorded
from tests.support.stored import ALL, a_store
from wire.rows import bar_from_row, bars_from_rows


def rows_without_zero_forms(rows: list[list[str]]) -> list[list[object]]:
    """Archive rows as REST writes them: integers where it has them, and one form of zero."""
    written = []
    for row in rows:
        zeros = ["0" if not float(text) else text for text in row]
        written.append([int(row[0]), *row[1:5], zeros[5], int(row[6]), zeros[7], int(row[8]), *zeros[9:11], "0"])
    return written


def test_a_month_of_minutes_comes_back_to_the_exact_text_and_yields_the_exchanges_own_five_minutes(
    recorded: Recorded,
) -> None:
    rows = recorded.archive_rows("NEARUSDT", "1m", "2025-04")
    contract = replace(a_contract("NEARUSDT"), price_decimals=len(rows[0][1].partition(".")[2]), quantity_decimals=0)
    minutes = bars_from_rows(rows, MINUTE, contract.scale)
    with a_store(contract) as db:
        for start in range(0, len(minutes), 499):
            db.put(minutes[start : start + 499], origin=Origin.ARCHIVE)
        assert json.loads(db.reader.rows_json(db.record, MINUTE, limit=ALL)) == rows_without_zero_forms(rows)
        fives = recorded.archive_bars("NEARUSDT", "5m", "2025-04", contract.scale)
        assert db.held(FIVE_MINUTES) == fives
        assert len(db.held(DAY)) == 30


def test_a_month_in_which_the_decimals_change_is_rescaled_once_and_keeps_every_value(recorded: Recorded) -> None:
    rows = recorded.archive_rows("SOLUSDT", "5m", "2025-04")
    before = next(index for index, row in enumerate(rows) if "." in row[5])
    contract = replace(a_contract("SOLUSDT"), price_decimals=4, quantity_decimals=0)
    with a_store(contract) as db:
        db.put(bars_from_rows(rows[:before], FIVE_MINUTES, contract.scale), FIVE_MINUTES)
        assert db.record.scale == contract.scale
        for start in range(before, len(rows), 499):
            db.put(bars_from_rows(rows[start : start + 499], FIVE_MINUTES, db.record.scale), FIVE_MINUTES)
        scale = db.record.scale
        assert scale.volume == 2
        assert db.held(FIVE_MINUTES) == [bar_from_row(row, FIVE_MINUTES, scale) for row in rows]


def test_a_bar_takes_at_most_sixty_bytes_on_disk(recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "bars.db"
    months = {
        "NEARUSDT": recorded.archive_bars("NEARUSDT", "1m", "2025-06"),
        "BTCUSDT": recorded.archive_bars("BTCUSDT", "5m", "2025-03"),
    }
    store = BarStore.open(path)
    store.commit([ContractsSeen([a_contract(symbol) for symbol in months])])
    for symbol, bars in months.items():
        interval = FIVE_MINUTES if symbol == "BTCUSDT" else MINUTE
        for start in range(0, len(bars), 499):
            page = ClosedBars(a_contract(symbol).key, interval, bars[start : start + 499], Origin.REST)
            store.commit([page])
    store.close()
    reader = Reader(path)
    bars_held = sum(summary.bars for summary in reader.series())
    reader.close()
    assert path.stat().st_size / bars_held <= 60
