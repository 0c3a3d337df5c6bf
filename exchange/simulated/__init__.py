"""An exchange on loopback that behaves as the real one does, its faults included, and knows the truth.

    with SimulatedExchange(default_plan(seed=7, count=20), speed=60) as exchange:
        exchange.rest_url, exchange.ws_url, exchange.archive_url, exchange.listing_url
        exchange.world.bars("BTCUSDT", MINUTE, start_ms, stop_ms)   # what a client should end up with

Deterministic from its plan's seed, at any speed. It shares no code with the client half of `exchange`.
"""

from exchange.simulated.clock import SimulatedClock
from exchange.simulated.default_plan import default_plan, default_start_ms
from exchange.simulated.faults import MILD, PRESETS, WILD, FaultPlan
from exchange.simulated.plan import ArchivePlan, ContractPlan, Limits, PrecisionChange, Split, WorldPlan
from exchange.simulated.recorded import RecordedSeries
from exchange.simulated.replay import RecordedFrame, read_recording
from exchange.simulated.server import SimulatedExchange
from exchange.simulated.world import World

__all__ = [
    "MILD",
    "PRESETS",
    "WILD",
    "ArchivePlan",
    "ContractPlan",
    "FaultPlan",
    "Limits",
    "PrecisionChange",
    "RecordedFrame",
    "RecordedSeries",
    "SimulatedClock",
    "SimulatedExchange",
    "Split",
    "World",
    "WorldPlan",
    "default_plan",
    "default_start_ms",
    "read_recording",
]
