"""What goes wrong, and how often: a plan of probabilities, and the dice that carry it out."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Probabilities between 0 and 1, and the sizes that go with them. The default is no fault at all.

    What concerns the network (delays, time-outs) is in local seconds; what concerns the market (late
    finals, rows that still move) in exchange milliseconds.
    """

    server_errors: float = 0.0
    """5xx answers: JSON with one of the exchange's codes, HTML, or an empty body."""
    restricted: float = 0.0
    """451, a restricted location: JSON with code 0."""
    forbidden: float = 0.0
    """403 of the firewall: HTML."""
    cut_bodies: float = 0.0
    """Answers with status 200 whose JSON ends in the middle."""
    garbage_bodies: float = 0.0
    """Answers with status 200 that are no JSON of the kind."""
    delays: float = 0.0
    delay_s: float = 0.3
    """The longest delay."""
    timeouts: float = 0.0
    """Answers that never come: nothing at all, or headers and a first part of the body."""
    settling_rows: float = 0.0
    """Klines answers of a node that lags: a minute just closed still moves there, or is not yet over."""
    settling_ms: int = 13_000
    only_status: int | None = None
    """Every REST and archive answer has this status from now on: 451, 403, 418, 429, 500 …"""

    refused_handshakes: float = 0.0
    lost_frames: float = 0.0
    """Of frames in progress."""
    doubled_frames: float = 0.0
    late_finals: float = 0.0
    late_final_ms: int = 30_000
    """How late at most."""
    missing_finals: float = 0.0
    swapped_frames: float = 0.0
    """Frames sent after those of other streams that followed them."""
    garbage_frames: float = 0.0
    """Extra frames: text that is no JSON, unknown events, binary, invalid UTF-8."""
    disconnects: float = 0.0
    """Per connection and exchange minute: the connection breaks without a word."""
    going_away: float = 0.0
    """Per connection and exchange minute: close 1001."""
    freezes: float = 0.0
    """Per connection and exchange minute: no further data, though pings go on."""
    frozen: bool = False
    """No connection gets any data from now on; what would have been sent is lost."""

    missing_files: float = 0.0
    """Archive files that are not there though their time has come; for monthly ones only."""
    monthly_holes: float = 0.0
    """Monthly archive files that lack one to three days which their daily files have."""
    wrong_checksums: float = 0.0
    """CHECKSUM files that do not fit, of daily files only."""


MILD = FaultPlan(
    server_errors=0.01,
    delays=0.1,
    timeouts=0.002,
    settling_rows=0.2,
    lost_frames=0.01,
    doubled_frames=0.005,
    late_finals=0.02,
    missing_finals=0.01,
    swapped_frames=0.01,
    garbage_frames=0.0005,
    disconnects=0.005,
    going_away=0.002,
)
"""A bad day."""
WILD = FaultPlan(
    server_errors=0.1,
    restricted=0.01,
    forbidden=0.01,
    cut_bodies=0.03,
    garbage_bodies=0.02,
    delays=0.3,
    delay_s=1.0,
    timeouts=0.01,
    settling_rows=0.5,
    refused_handshakes=0.1,
    lost_frames=0.1,
    doubled_frames=0.05,
    late_finals=0.1,
    missing_finals=0.1,
    swapped_frames=0.1,
    garbage_frames=0.01,
    disconnects=0.05,
    going_away=0.02,
    freezes=0.02,
    missing_files=0.1,
    monthly_holes=0.3,
    wrong_checksums=0.05,
)
"""The worst day of all."""
PRESETS = MappingProxyType({"none": FaultPlan(), "mild": MILD, "wild": WILD})


class Dice:
    """Seeded chance. One for each concern, so that one concern's draws do not shift another's."""

    def __init__(self, seed: int, concern: str) -> None:
        self._random = Random(f"{seed}/{concern}")

    def hits(self, probability: float) -> bool:
        """Whether an event of this probability happens; draws nothing when it cannot."""
        return probability > 0 and self._random.random() < probability

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1."""
        return self._random.randrange(bound)

    def share(self) -> float:
        """A number from 0 to 1."""
        return self._random.random()

    def shuffle(self, items: list[Any]) -> None:
        self._random.shuffle(items)
