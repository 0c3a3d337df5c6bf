"""The threads and actors of a `BarSystem`, from one start to the stop after it."""

from __future__ import annotations

import logging
import threading
import time
from random import Random

from actors.data_service import wall_clock_ms
from actors.messages import Beat, Begin, StopAll
from actors.parts import Entrances, Parts, outside
from actors.runtime.cell import Address, Cell, Crash
from actors.runtime.dispatcher import ThreadDispatcher
from actors.runtime.status import Status
from actors.runtime.supervisor import BEAT_S, Supervisor, Wiring
from actors.runtime.threads import RealThreads
from actors.settings import Settings
from actors.span_requests import SpanRequests
from actors.vitals import Vitals

logger = logging.getLogger(__name__)

START_S = 30.0
STOP_S = 20.0
STEPS = 5
"""How often the metronome strikes in each beat: what the contracts do in one step keeps frames waiting for 3 ms."""


class Running:
    """One run of a system: its threads and actors."""

    def __init__(self, settings: Settings, random: Random, vitals: Vitals) -> None:
        out = outside(settings, time.monotonic, wall_clock_ms)  # first: it may raise, and no thread runs yet
        self._threads = RealThreads(time.monotonic)
        self._ended = threading.Event()
        self._is_over = threading.Event()
        self._vitals = vitals
        wiring = Wiring(
            threads=self._threads,
            random=random,
            parts=Parts(settings, random, out),
            status=Status(str(settings.database), wall_clock_ms()),
            publish=vitals.publish,
            give_up=vitals.give_up,
            all_ended=self._ended.set,
            steps=STEPS,
        )
        self._own = ThreadDispatcher("supervisor", time.monotonic)
        self._cell = Cell("supervisor", lambda: Supervisor(wiring), self._own, self._crashed)
        self._metronome = threading.Thread(target=self._beat, name="metronome", daemon=True)
        self.hub: Address
        self.requests: SpanRequests | None = None

    def start(self) -> None:
        supervisor = self._cell.launch()
        self._metronome.start()
        entrances: Entrances = supervisor.ask(Begin(), timeout_s=START_S)
        self.hub = entrances.hub
        self.requests = SpanRequests(entrances.backfill)

    def stop(self) -> None:
        self._cell.address.tell(StopAll())
        if not self._ended.wait(STOP_S):
            logger.error("stopping took longer than %d s; going on without", STOP_S)
        self._is_over.set()
        self._cell.request_stop()
        self._own.close(timeout_s=2.0)
        self._threads.close(timeout_s=2.0)
        self._metronome.join(2.0)

    def _beat(self) -> None:
        while not self._is_over.wait(BEAT_S / STEPS):
            self._cell.address.tell(Beat(time.monotonic()))

    def _crashed(self, crash: Crash) -> None:
        self._vitals.give_up(f"the supervisor crashed: {crash.error!r}")
