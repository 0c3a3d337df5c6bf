"""The stream of one contract: from frames and REST rows to contiguous minute bars.

A stream passes each tick on to its aggregator, after what it had to say itself.
"""

from __future__ import annotations

from typing import Any

from actors.messages import (
    ContractChanged,
    FillHole,
    GarbageSeen,
    MinuteClosed,
    MinuteProgressed,
    MinuteRevised,
    MinutesFetched,
    MinutesFrom,
    MinutesRepaired,
    MinutesWanted,
    PairFinished,
    PairMemberStarted,
    Resume,
    ResumeWanted,
    SymbolState,
    Tick,
    Watched,
)
from actors.runtime.cell import Actor, Address
from bars import MINUTE_MS, Bar, BarError, Contract, MinuteSequence, MoreDecimals, Patience
from bars.sequence import Closed, Event, Partial, Revised
from wire.frames import KlineEvent, bar_from_event, scale_of_kline

LATE_MS = 3 * MINUTE_MS
"""A contract whose last closed minute is older than this is shown as late."""
ASK_RESUME_AGAIN_S = 5.0


class SymbolStream(Actor):
    """Owns the order of one contract's minutes, and the scale that its frames are read in."""

    def __init__(
        self,
        contract: Contract,
        patience: Patience,
        *,
        aggregator: Address,
        backfill: Address,
        directory: Address,
        complaints: Address,
    ) -> None:
        self._contract = contract
        self._patience = patience
        self._aggregator = aggregator
        self._backfill = backfill
        self._directory = directory
        self._complaints = complaints
        self._scale = contract.scale
        self._sequence: MinuteSequence | None = None
        self._early: list[KlineEvent] = []
        self._newest: KlineEvent | None = None
        self._is_watched = False
        self._asked_resume_s: float | None = None
        self._state = ""
        self._life = object()
        """Tells answers to what this life has asked from those that a former one did not come to."""

    def begin(self) -> None:
        """First ask the hub which finals went out, then where what is stored ends.

        By way of the aggregator: minutes that wait there, from a former life, are told of before.
        """
        self._aggregator.tell(PairMemberStarted(self._contract.key, self.me, self._life))

    def receive(self, message: Any) -> None:
        match message:
            case KlineEvent():
                self._on_event(message)
            case Tick(now_ms, _, monotonic_s):
                self._let_go_newest()
                if now_ms is not None:
                    self._on_tick(now_ms, monotonic_s)
                self._aggregator.tell(message)
            case MinutesFetched(bars, asked):
                # Without a start this life has not asked: it is the answer to a former one, perhaps of long ago.
                if self._sequence is not None and self._sequence.next_ms is not None:
                    self._pass_on(self._sequence.on_rows(bars, asked))
            case MinutesRepaired(_, bars):
                for bar in bars:
                    self._aggregator.tell(MinuteRevised(bar, by_rest=True))
            case Resume(next_ms, life):
                if self._sequence is None and life is self._life:
                    self._resume(next_ms)
            case Watched(intervals, final_ms, life):
                self._is_watched = bool(intervals)
                if self._sequence is None and life is self._life:
                    self._backfill.tell(ResumeWanted(self._contract.key, self.me, final_ms, life))
            case ContractChanged(contract):
                self._contract = contract
                self._scale = self._scale.widened(contract.scale)
                if self._sequence is not None:
                    self._sequence.end_ms = contract.delivery_ms
                self._aggregator.tell(message)
            case _:
                super().receive(message)

    def _resume(self, next_ms: int | None) -> None:
        self._sequence = MinuteSequence(next_ms, self._contract.delivery_ms, self._patience)
        self._announce_start()
        early, self._early = self._early, []
        for event in early:
            self._on_frame(event)

    def _on_event(self, event: KlineEvent) -> None:
        """Only the newest state of a minute in progress counts, and only once a second unless somebody watches."""
        newest = self._newest
        if newest is not None and newest.k.t != event.k.t:
            self._let_go_newest()
            newest = None
        if event.k.x or self._is_watched or self._sequence is None:
            self._newest = None
            self._on_frame(event)
        elif newest is None or newest.E <= event.E:
            self._newest = event

    def _let_go_newest(self) -> None:
        newest, self._newest = self._newest, None
        if newest is not None:
            self._on_frame(newest)

    def _on_frame(self, event: KlineEvent) -> None:
        if self._sequence is None:
            self._keep_early(event)
            return
        try:
            bar = self._bar(event)
        except BarError as error:
            self._complaints.tell(GarbageSeen(self._contract.symbol, str(error)))
            return
        knew_start = self._sequence.next_ms is not None
        events = self._sequence.on_frame(bar, event.k.x, event.E)
        if not knew_start:
            self._announce_start(first_ms=bar.open_ms)
        self._pass_on(events, event)

    def _bar(self, event: KlineEvent) -> Bar:
        try:
            return bar_from_event(event, self._scale)
        except MoreDecimals:
            scale = scale_of_kline(event.k, self._scale)
            bar = bar_from_event(event, scale)
            self._scale = scale  # only now: junk is not to widen what all later bars are read in
            return bar

    def _keep_early(self, event: KlineEvent) -> None:
        """Of the frames that come before the start is known, all finals and the newest other one count."""
        if self._early and not self._early[-1].k.x:
            self._early.pop()
        self._early.append(event)

    def _on_tick(self, now_ms: int, monotonic_s: float) -> None:
        sequence = self._sequence
        if sequence is None:
            if self._asked_resume_s is None:
                self._asked_resume_s = monotonic_s
            elif monotonic_s - self._asked_resume_s > ASK_RESUME_AGAIN_S:
                self._asked_resume_s = monotonic_s
                self.begin()
            return
        if sequence.is_finished:
            self._directory.tell(PairFinished(self._contract.key))
            return
        knew_start = sequence.next_ms is not None
        span = sequence.wanted(now_ms)
        if not knew_start:
            self._announce_start()
        if span is not None:
            self._backfill.tell(MinutesWanted(self._contract, span, self.me))
        given_up = sequence.give_up(now_ms)
        if given_up is not None:
            self._backfill.tell(FillHole(self._contract, given_up.hole, given_up.asked))
            self._pass_on(given_up.events)
        self._tell_state(now_ms)

    def _announce_start(self, first_ms: int | None = None) -> None:
        assert self._sequence is not None
        start_ms = self._sequence.next_ms if first_ms is None else first_ms
        if start_ms is not None:
            self._aggregator.tell(MinutesFrom(start_ms))

    def _pass_on(self, events: list[Event], said: KlineEvent | None = None) -> None:
        """Tell the aggregator what has come of a frame or of rows."""
        tell = self._aggregator.tell
        for event in events:
            match event:
                case Partial(bar):
                    tell(MinuteProgressed(bar, said))
                case Closed(bar, by_rest):
                    is_said = said is not None and said.k.t == bar.open_ms
                    tell(MinuteClosed(bar, by_rest, said if is_said else None))
                case Revised(bar, by_rest):
                    tell(MinuteRevised(bar, by_rest))

    def _tell_state(self, now_ms: int) -> None:
        assert self._sequence is not None
        next_ms = self._sequence.next_ms
        state = "live" if next_ms is not None and now_ms - next_ms < LATE_MS else "late"
        if state != self._state:
            self._state = state
            self._directory.tell(SymbolState(self._contract.key, state))
