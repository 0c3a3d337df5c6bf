"""Bulk downloads against the simulated exchange: afterwards the bars are the exchange's, and the rest is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.commands.bulk.report import Outcome, progress_text, summary_lines
from actors.options import BadOption
from bars import DAY, FIVE_MINUTES, FOUR_HOURS, HALF_HOUR, MINUTE, MINUTE_MS, STORED, WEEK, Interval, Span
from bars.interval import DAY_MS, HOUR_MS
from exchange import ExchangeError
from exchange.simulated import (
    ArchivePlan,
    ContractPlan,
    FaultPlan,
    PrecisionChange,
    RecordedSeries,
    SimulatedClock,
    SimulatedExchange,
    WorldPlan,
)
from storage import BarStore, DatabaseInUse, Origin, Reader
from tests.support.backfill import Backfill
from tests.support.recorded import Recorded
from wire.archive_plan import Source

JUNE_MS = 1_780_272_000_000  # 2026-06-01
JULY_MS = JUNE_MS + 30 * DAY_MS
NOW_MS = JULY_MS + 3 * DAY_MS + 10 * HOUR_MS + 30_000
PLAIN = ContractPlan(
    "AUSDT", "A", "USDT", onboard_ms=JUNE_MS + 20 * DAY_MS + HOUR_MS, price_decimals=2, quantity_decimals=1,
    price_ticks=5_000, quiet_permille=30,
)  # fmt: skip
CHINESE = replace(
    PLAIN, symbol="币USDT", onboard_ms=JULY_MS - 3 * DAY_MS, precision=PrecisionChange(JULY_MS + DAY_MS + HOUR_MS, 3, 2)
)
ENDED = replace(PLAIN, symbol="BUSDT", onboard_ms=JULY_MS - 2 * DAY_MS, delivery_ms=JULY_MS + DAY_MS + 9 * HOUR_MS)
EVERY: dict[str, Any] = {"history": "1m=all,5m=all,30m=all,4h=all"}

Make = Callable[..., Backfill]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes backfills, each on an exchange of its own whose clock stands still unless told otherwise."""
    running: list[SimulatedExchange] = []

    def make(
        *contracts: ContractPlan,
        faults: FaultPlan | None = None,
        now_ms: int = NOW_MS,
        archive: ArchivePlan | None = None,
        recorded: tuple[RecordedSeries, ...] = (),
    ) -> Backfill:
        plan = WorldPlan(1, now_ms, contracts, archive=archive or ArchivePlan())
        clock = SimulatedClock(now_ms, monotonic=lambda: 0.0)
        exchange = SimulatedExchange(plan, faults, clock=clock, recorded=recorded)
        exchange.start()
        running.append(exchange)
        return Backfill(exchange, tmp_path / f"bars{len(running)}.db")

    yield make
    for exchange in running:
        exchange.stop()


def expect_truth(backfill: Backfill, symbol: str, interval: Interval, start_ms: int, stop_ms: int = NOW_MS) -> None:
    """That all closed bars of a span are stored, up to those of the last minute."""
    stop_ms = interval.floor(min(stop_ms, NOW_MS - MINUTE_MS))
    assert backfill.differences(symbol, interval, interval.floor(start_ms), stop_ms) == []


def lines(outcome: Outcome) -> list[str]:
    return list(summary_lines(outcome))


def test_everything_since_listing_comes_from_monthly_and_daily_files_and_rest(make: Make) -> None:
    backfill = make(PLAIN, CHINESE, ENDED)
    outcome = backfill.run(symbols=["AUSDT", "币USDT", "BUSDT"], **EVERY)
    assert outcome.is_complete
    assert outcome.missing == []
    for contract in (PLAIN, CHINESE, ENDED):
        for interval in STORED:
            stop_ms = min(contract.delivery_ms, NOW_MS)
            expect_truth(backfill, contract.symbol, interval, contract.onboard_ms, interval.ceil(stop_ms))
    origins = {one.origin for one in backfill.stored("AUSDT", MINUTE)}
    assert origins == {Origin.ARCHIVE, Origin.REST}
    assert backfill.requests("AUSDT-1m-2026-06.zip") == 2
    assert backfill.requests("daily/klines/AUSDT/1m/AUSDT-1m-2026-07-0") == 6
    assert backfill.exchange.counters.weight_max <= 1_200
    (plan,) = backfill.plans
    assert plan[-1].startswith("  in all")
    assert lines(outcome)[0].startswith("added ")


def test_what_is_stored_is_not_fetched_again(make: Make) -> None:
    backfill = make(PLAIN)
    backfill.run(**EVERY)
    before = backfill.requests("/")
    outcome = backfill.run(**EVERY)
    assert backfill.requests("/") <= before + 3  # the time and what there is
    assert sum(outcome.added.values()) == 0
    assert backfill.plans[-1] == ["nothing is missing"]


@pytest.mark.parametrize(
    "faults",
    [
        FaultPlan(missing_files=1.0),
        FaultPlan(monthly_holes=1.0),
        FaultPlan(wrong_checksums=1.0),
        FaultPlan(missing_files=0.5, monthly_holes=0.5, wrong_checksums=0.5, server_errors=0.05, cut_bodies=0.05),
    ],
    ids=["missing", "holes", "checksums", "all"],
)
def test_whatever_the_archive_lacks_comes_from_elsewhere(make: Make, faults: FaultPlan) -> None:
    backfill = make(PLAIN, faults=faults)
    outcome = backfill.run([MINUTE, FIVE_MINUTES], **EVERY)
    assert outcome.is_complete, lines(outcome)
    expect_truth(backfill, "AUSDT", MINUTE, PLAIN.onboard_ms)
    expect_truth(backfill, "AUSDT", FIVE_MINUTES, PLAIN.onboard_ms)


def test_files_of_old_without_header_and_decimals_are_read(make: Make) -> None:
    backfill = make(PLAIN, archive=ArchivePlan(header_from_ms=JULY_MS))
    assert backfill.run(
        [MINUTE], source=Source.ARCHIVE, start_ms=JULY_MS - DAY_MS, stop_ms=JULY_MS + DAY_MS
    ).is_complete
    assert backfill.differences("AUSDT", MINUTE, JULY_MS - DAY_MS, JULY_MS + DAY_MS) == []


def test_a_file_that_is_published_late_is_fetched_when_it_is_there(make: Make) -> None:
    late = ArchivePlan(daily_delay_ms=3 * DAY_MS, monthly_delay_ms=20 * DAY_MS)
    backfill = make(PLAIN, archive=late)
    outcome = backfill.run([MINUTE], start_ms=JULY_MS - DAY_MS, source=Source.ARCHIVE)
    assert outcome.is_complete
    (missing,) = outcome.missing
    assert (missing.reason, missing.span.start_ms) == ("not yet published by the archive", JULY_MS)
    asked_for = backfill.run([MINUTE], start_ms=JULY_MS - DAY_MS, stop_ms=JULY_MS + DAY_MS, source=Source.ARCHIVE)
    assert not asked_for.is_complete
    assert lines(asked_for)[-1] == "  AUSDT 1m from 2026-07-01 to 2026-07-02: not yet published by the archive"
    assert backfill.run([MINUTE], start_ms=JULY_MS - DAY_MS).is_complete
    expect_truth(backfill, "AUSDT", MINUTE, JULY_MS - DAY_MS)


def test_rest_alone_asks_the_archive_for_nothing(make: Make) -> None:
    backfill = make(PLAIN)
    assert backfill.run(start_ms=JULY_MS, source=Source.REST).is_complete
    for interval in STORED:
        expect_truth(backfill, "AUSDT", interval, interval.ceil(JULY_MS))
    assert backfill.requests("data") == 0


def test_the_archive_alone_asks_rest_for_no_bars(make: Make) -> None:
    backfill = make(PLAIN)
    outcome = backfill.run(source=Source.ARCHIVE, **EVERY)
    assert outcome.is_complete, lines(outcome)
    assert {missing.reason for missing in outcome.missing} == {
        "before the first bar that the archive has, in the month of the launch",
        "not yet published by the archive",
    }
    assert backfill.requests("/fapi/v1/klines") == 0
    for interval in (MINUTE, FIVE_MINUTES, HALF_HOUR, FOUR_HOURS, DAY):
        expect_truth(backfill, "AUSDT", interval, PLAIN.onboard_ms, JULY_MS + 3 * DAY_MS)
    weeks = [one.bar.open_ms for one in backfill.stored("AUSDT", WEEK)]
    assert weeks == [WEEK.floor(PLAIN.onboard_ms), WEEK.floor(PLAIN.onboard_ms + 7 * DAY_MS)]


def test_a_backfill_of_minutes_alone_makes_the_larger_bars(make: Make) -> None:
    backfill = make(PLAIN)
    outcome = backfill.run([MINUTE], start_ms=JUNE_MS)
    assert outcome.added[FIVE_MINUTES, "aggregated"] > 3_000
    for interval in STORED:
        expect_truth(backfill, "AUSDT", interval, PLAIN.onboard_ms)
    assert {one.origin for one in backfill.stored("AUSDT", DAY)} == {Origin.AGGREGATED}
    assert backfill.run([MINUTE], start_ms=JUNE_MS).added.total() == 0


def test_bounds_are_kept_to_the_bar(make: Make) -> None:
    backfill = make(PLAIN)
    start_ms, stop_ms = JULY_MS + 90_000, JULY_MS + DAY_MS + 30_000
    backfill.run([MINUTE, FIVE_MINUTES], start_ms=start_ms, stop_ms=stop_ms)
    minutes = [one.bar.open_ms for one in backfill.stored("AUSDT", MINUTE)]
    assert (minutes[0], minutes[-1]) == (JULY_MS + 2 * MINUTE_MS, JULY_MS + DAY_MS)
    fives = [one.bar.open_ms for one in backfill.stored("AUSDT", FIVE_MINUTES)]
    assert (fives[0], fives[-1]) == (JULY_MS + 5 * MINUTE_MS, JULY_MS + DAY_MS)
    with closing(Reader(backfill.database)) as reader:
        record = reader.find("AUSDT")
        assert record is not None
        assert list(reader.loaded_files(record, MINUTE)) == []  # a part of a file is no file


def test_the_checksums_of_loaded_files_are_remembered(make: Make) -> None:
    backfill = make(PLAIN)
    backfill.run([MINUTE], **EVERY)
    with closing(Reader(backfill.database)) as reader:
        record = reader.find("AUSDT")
        assert record is not None
        loaded = reader.loaded_files(record, MINUTE)
    assert sorted(loaded) == ["2026-06", "2026-07-01", "2026-07-02", "2026-07-03"]
    assert all(len(digest) == 64 for digest in loaded.values())


def test_bars_that_rest_refuses_are_named_as_missing(make: Make) -> None:
    gone = replace(ENDED, refuses_klines=True)
    backfill = make(gone)
    outcome = backfill.run([MINUTE], symbols=["BUSDT"], start_ms=JUNE_MS)
    assert not outcome.is_complete
    assert "Invalid symbol status" in lines(outcome)[-1]
    assert lines(outcome)[-1].startswith("  BUSDT 1m from 2026-06-29")


def test_an_unknown_symbol_is_a_bad_option(make: Make) -> None:
    with pytest.raises(BadOption, match="--symbols: expected symbols that the exchange lists, got 'NOUSDT'"):
        make(PLAIN).run(symbols=["AUSDT", "NOUSDT"])


def test_a_restricted_location_is_an_error_at_once(make: Make) -> None:
    with pytest.raises(ExchangeError, match="geo block"):
        make(PLAIN, faults=FaultPlan(only_status=451)).run()


def test_a_database_that_a_service_writes_is_refused_before_anything_is_asked(make: Make) -> None:
    backfill = make(PLAIN)
    with closing(BarStore.open(backfill.database)), pytest.raises(DatabaseInUse):
        backfill.run()
    assert backfill.requests("/") == 0


def test_without_a_listing_files_are_tried_unseen(make: Make) -> None:
    backfill = make(PLAIN)
    outcome = backfill.run([MINUTE], listing_url=f"{backfill.exchange.rest_url}/nowhere", **EVERY)
    assert outcome.is_complete
    assert outcome.warnings == ["the archive cannot be listed; files are tried unseen"]
    expect_truth(backfill, "AUSDT", MINUTE, PLAIN.onboard_ms)


@pytest.mark.parametrize("stage", ["listing the archive", "downloading", "making larger bars", "keeping the ledger"])
def test_an_interrupted_download_keeps_what_it_has_and_the_same_command_goes_on(make: Make, stage: str) -> None:
    backfill = make(PLAIN)
    from_ms = JULY_MS + DAY_MS

    def is_there() -> bool:
        return backfill.progress is not None and backfill.progress.stage == stage

    outcome = backfill.run([MINUTE], from_ms, is_stopped=is_there)
    assert outcome.interrupted
    assert not outcome.is_complete
    held = len(backfill.stored("AUSDT", MINUTE))
    assert held == outcome.added[MINUTE, "archive"] + outcome.added[MINUTE, "rest"]
    again = backfill.run([MINUTE], from_ms)
    assert again.is_complete
    assert len(backfill.stored("AUSDT", MINUTE)) == held + again.added[MINUTE, "archive"] + again.added[MINUTE, "rest"]
    expect_truth(backfill, "AUSDT", MINUTE, from_ms)
    expect_truth(backfill, "AUSDT", HALF_HOUR, from_ms)


def test_a_download_of_days_alone_tells_of_no_pauses(make: Make) -> None:
    backfill = make(PLAIN)
    assert backfill.run([DAY], history="1d=all").is_complete
    expect_truth(backfill, "AUSDT", DAY, PLAIN.onboard_ms)


def test_progress_counts_all_that_is_done(make: Make) -> None:
    backfill = make(PLAIN)
    backfill.run([MINUTE], **EVERY)
    progress = backfill.progress
    assert progress is not None
    assert progress.done.files == progress.files_total == 4
    assert progress.done.pages == progress.pages_total
    assert progress_text(progress).startswith("keeping the ledger: 4/4 files")


def test_a_recorded_month_with_false_and_true_pauses_is_stored_to_the_bar(make: Make) -> None:
    october_ms = 1_727_740_800_000
    contract = ContractPlan(
        "FILUSDT", "FIL", "USDT", onboard_ms=october_ms, price_decimals=3, quantity_decimals=1, price_ticks=1
    )
    fil = RecordedSeries(contract, [Recorded.find_or_skip().folder / "um_1m" / "FILUSDT-1m-2024-10.csv.gz"])
    backfill = make(now_ms=october_ms + 41 * DAY_MS, recorded=(fil,))
    outcome = backfill.run([MINUTE], start_ms=october_ms, stop_ms=october_ms + 31 * DAY_MS)
    assert outcome.is_complete, lines(outcome)
    held = [one.bar for one in backfill.stored("FILUSDT", MINUTE)]
    assert held == [bar.rescaled(held[0].scale) for bar in fil.bars(MINUTE, october_ms, october_ms + 31 * DAY_MS)]
    assert sum(bar.is_empty for bar in held) == 89
    days = [one.bar for one in backfill.stored("FILUSDT", DAY)]
    assert days == [bar.rescaled(held[0].scale) for bar in fil.bars(DAY, october_ms, october_ms + 31 * DAY_MS)]
    assert Span(days[0].open_ms, days[-1].open_ms + DAY_MS) == Span(october_ms, october_ms + 31 * DAY_MS)
