"""What happens to connections as time goes by: pings, the end after 24 hours, and their faults."""

from __future__ import annotations

from collections.abc import Callable

from bars import MINUTE
from exchange.simulated.clock import SimulatedClock
from exchange.simulated.connections import Audience, Connection
from exchange.simulated.counters import Counters
from exchange.simulated.faults import Dice, FaultPlan
from exchange.simulated.plan import Limits
from wire.framing import ping_frame

GOING_AWAY = 1001
POLICY = 1008
BROKEN = 1006
"""The code that stands for a connection which ended without a close."""


class Keeper:
    """Looks after all connections, one step at a time.

    Args:
        plan: the faults of this moment.
    """

    def __init__(
        self,
        audience: Audience,
        clock: SimulatedClock,
        limits: Limits,
        plan: Callable[[], FaultPlan],
        dice: Dice,
        counters: Counters,
    ) -> None:
        self._audience = audience
        self._clock = clock
        self._limits = limits
        self._plan = plan
        self._dice = dice
        self._counters = counters
        self._minute_ms = MINUTE.floor(clock.now_ms())

    def step(self, now_ms: int) -> None:
        """Do what is due at `now_ms` of the exchange's clock."""
        now_s = self._clock.monotonic_s()
        minute_ms = MINUTE.floor(now_ms)
        new_minute, self._minute_ms = minute_ms > self._minute_ms, minute_ms
        for connection in list(self._audience.connections):
            if now_ms - connection.opened_ms >= self._limits.connection_life_ms:
                self.close(connection, GOING_AWAY, "")
            elif now_s >= connection.next_ping_s:
                self._ping(connection, now_ms, now_s)
            if new_minute:
                self._disturb(connection)

    def close(self, connection: Connection, code: int, reason: str) -> None:
        """Close with a code, as the exchange does."""
        if connection not in self._audience.connections:
            return
        self._counters.closes[code] += 1
        self._audience.leave(connection)
        connection.socket.close(code, reason)

    def freeze(self, connection: Connection) -> None:
        """Send no data any more, though the connection lives."""
        connection.frozen = True

    def cut(self, connection: Connection) -> None:
        """End the connection without a word."""
        if connection not in self._audience.connections:
            return
        self._counters.closes[BROKEN] += 1
        self._audience.leave(connection)
        connection.socket.abort()

    def _ping(self, connection: Connection, now_ms: int, now_s: float) -> None:
        pinged_s, ponged_s = connection.pinged_s, connection.socket.last_pong_s
        if pinged_s is not None and (ponged_s is None or ponged_s < pinged_s):
            if now_s - pinged_s >= self._limits.pong_timeout_s:
                self.cut(connection)
                return
        else:
            connection.pinged_s = now_s
        connection.socket.write(ping_frame(str(now_ms).encode()))
        connection.next_ping_s = now_s + self._limits.ping_interval_s

    def _disturb(self, connection: Connection) -> None:
        plan = self._plan()
        if self._dice.hits(plan.disconnects):
            self.cut(connection)
        elif self._dice.hits(plan.going_away):
            self.close(connection, GOING_AWAY, "")
        elif self._dice.hits(plan.freezes):
            self.freeze(connection)
