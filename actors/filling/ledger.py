"""What the ledger of gaps is told from time to time, and what it holds. No actor in here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from bars import COMPARED_AFTER_MS, MINUTE, MINUTE_MS, Interval, Span
from bars.gaps import merge, subtract
from bars.history import Depth
from bars.interval import DAY_MS, HOUR_MS
from bars.ledger import Reason, State
from storage import Change, GapNoted, GapsSwept, PausesSeen, Reader

DOWNTIME_MS = 2 * MINUTE_MS
"""A shorter silence between two lives is no downtime: live gaps of that length are filled at once."""
PAUSES_AT_ONCE_MS = 30 * DAY_MS


class LedgerKeeper:
    """Finds what is to be noted, on the exchange's clock, as far as it has been observed."""

    def __init__(self, reader: Reader, depths: Mapping[Interval, Depth]) -> None:
        self._reader = reader
        self._depths = depths
        state = reader.service_state()
        self._last_life_ms = None if state is None else state.exchange_ms
        self._looked: list[Span] = []
        self._has_looked_back = False
        """Whether all was looked at, back to the oldest bar."""
        self._swept_ms: int | None = None

    def downtime(self, observed_ms: int) -> list[Change]:
        """The time between the last life and this one, once."""
        last_ms, self._last_life_ms = self._last_life_ms, None
        if last_ms is None or observed_ms - last_ms <= DOWNTIME_MS:
            return []
        span = Span(MINUTE.floor(last_ms), MINUTE.ceil(observed_ms))
        return [GapNoted(None, MINUTE, span, Reason.DOWNTIME, observed_ms)]

    def pauses(self, observed_ms: int) -> list[Change]:
        """Look at times that were not looked at yet, the newest first: those that came, and older ones filled in."""
        stored = self._reader.pauses_span()
        settled_ms = MINUTE.floor(observed_ms - COMPARED_AFTER_MS)
        settled = Span(stored.start_ms, min(stored.stop_ms, settled_ms))
        seen: list[Change] = []
        left_ms = PAUSES_AT_ONCE_MS
        for unseen in reversed(list(subtract([settled], self._looked))):
            span = Span(max(unseen.start_ms, unseen.stop_ms - left_ms), unseen.stop_ms)
            if span.is_empty:
                break
            left_ms -= span.stop_ms - span.start_ms
            around = Span(span.start_ms - HOUR_MS, span.stop_ms)  # one may have begun in what was looked at before
            self._looked = merge([*self._looked, span])
            seen.append(PausesSeen(around, self._reader.pauses(around), observed_ms))
        self._has_looked_back = not any(subtract([settled], self._looked))
        return seen

    def sweep(self, observed_ms: int) -> list[Change]:
        """Now and then: forget what was filled, and look again for pauses where history has come in since."""
        if self._swept_ms is None:
            self._swept_ms = observed_ms
        if observed_ms - self._swept_ms < HOUR_MS:
            return []
        self._swept_ms = observed_ms
        if self._has_looked_back:
            self._looked = []
        return [GapsSwept()]

    def counted(self, observed_ms: int) -> dict[str, Any]:
        """How many gaps there are, and why. Of a thousand contracts this takes some hundred milliseconds."""
        gaps = self._reader.gaps(observed_ms, self._depths)
        return {
            "gaps": sum(gap.state is State.FILLING for gap in gaps),
            "gaps_by_reason": dict(Counter(gap.reason.value for gap in gaps)),
        }
