"""What the ledger is told from time to time: pauses of the exchange, however long ago."""

from __future__ import annotations

from actors.filling.ledger import PAUSES_AT_ONCE_MS, LedgerKeeper
from bars import COMPARED_AFTER_MS, MINUTE, MINUTE_MS, Bar, Span
from bars.history import parse_history
from bars.interval import DAY_MS
from storage import PausesSeen
from tests.support.market import MONDAY_MS, a_contract, some_bars
from tests.support.stored import a_store

PAUSE = Span(MONDAY_MS + 40 * MINUTE_MS, MONDAY_MS + 50 * MINUTE_MS)


def untraded(bar: Bar) -> Bar:
    return bar._replace(volume=0, quote_volume=0, trades=0, taker_buy_volume=0, taker_buy_quote_volume=0)


def found(days: int, hours: int) -> tuple[set[Span], int]:
    """The pauses that are found in some hours, one of them so many days ago; and the most looked at in one minute."""
    with a_store(a_contract(onboard_ms=1)) as first:
        second, now_ms = first.another(), MONDAY_MS + days * DAY_MS
        for one in (first, second):
            old = some_bars(MINUTE, MONDAY_MS, 300)
            one.put([untraded(bar) if PAUSE.start_ms <= bar.open_ms < PAUSE.stop_ms else bar for bar in old])
            one.put(some_bars(MINUTE, now_ms, hours * 60 + 10))
        keeper = LedgerKeeper(first.reader, parse_history("1m=all"))
        pauses: set[Span] = set()
        most_ms = 0
        for minute in range(hours * 60):  # of which each brings a bar
            observed_ms = now_ms + COMPARED_AFTER_MS + minute * MINUTE_MS
            seen = [change for change in keeper.pauses(observed_ms) if isinstance(change, PausesSeen)]
            pauses.update(pause for change in seen for pause in change.pauses)
            most_ms = max(most_ms, sum(change.span.stop_ms - change.span.start_ms for change in seen))
            keeper.sweep(observed_ms)
        return pauses, most_ms


def test_pauses_of_long_ago_are_found_while_new_minutes_come_all_the_time() -> None:
    pauses, most_ms = found(days=100, hours=1)
    assert pauses == {PAUSE}
    assert most_ms < PAUSES_AT_ONCE_MS + DAY_MS


def test_pauses_from_the_exchanges_first_years_are_found_though_looking_back_takes_more_than_an_hour() -> None:
    assert found(days=7 * 365, hours=2)[0] == {PAUSE}
