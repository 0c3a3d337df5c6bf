"""A database whose place may not be looked into any more: what has it open goes on, what has not says so once."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from actors.filling.reconciler import Reconciler
from actors.runtime.cell import Address
from storage import BarStore, ContractsSeen, DatabaseUnusable, Reader
from tests.support.market import a_contract


def test_a_size_that_may_not_be_looked_at_any_more_is_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    store = BarStore.open(folder / "bars.db")
    store.commit([ContractsSeen([a_contract()])])
    reader = Reader(folder / "bars.db")
    assert reader.size_bytes() > 0
    assert len(reader.contracts()) == 1
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("not a directory any more")
    assert reader.size_bytes() == 0
    assert len(reader.contracts()) == 1
    reader.close()
    store.close()


def test_a_reconciler_that_cannot_open_the_file_has_nothing_to_let_go_of() -> None:
    def nothing_to_open() -> Reader:
        raise DatabaseUnusable("opening bars.db: expected a readable path, got Permission denied")

    nobody = cast(Address, None)
    reconciler = Reconciler(
        nothing_to_open, {}, writer=nobody, backfill=nobody, supervisor=nobody, directory=lambda: nobody
    )
    with pytest.raises(DatabaseUnusable):
        reconciler.begin()
    reconciler.end()
