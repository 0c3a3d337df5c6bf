"""What one seed makes of the simulation: which market, which troubles, when processes end, and how."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from random import Random

from bars import MINUTE, MINUTE_MS, Span
from bars.contract import NO_DELIVERY_MS
from bars.interval import DAY_MS, HOUR_MS, SECOND_MS, WEEK_MS
from exchange.simulated.plan import ContractPlan, Limits, PrecisionChange, Split, WorldPlan
from exchange.simulated.series import SimulatedSeries
from tests.support.trouble import Trouble

MONDAY_MS = 1_791_158_400_000
"""2026-10-05 00:00 UTC."""
SPEEDS = (5.0, 15.0, 30.0, 60.0, 60.0)
BEATS = 320
"""So many beats of trouble in all."""
BEAT_S = 0.25
REVISED_AFTER_MS = (0, 20 * SECOND_MS, 100 * SECOND_MS)
"""Less than what a minute is left alone before it is compared."""
HISTORIES = (
    "1m=2h,5m=5h,30m=12h,4h=2d,1d=5d,1w=3w",
    "1m=40m,5m=none,30m=none,4h=none,1d=none,1w=none",
    "1m=9h,5m=9h,30m=9h,4h=all,1d=all,1w=all",
    "1m=none,5m=1h,30m=none,4h=1d,1d=3d,1w=none",
    "1m=none,5m=none,30m=none,4h=none,1d=none,1w=none",
)
WEIGHT_LIMITS = (2400, 2400, 400, 120)


class End(enum.Enum):
    """How a phase ends."""

    GO_ON = "goes on"
    KILLED = "is killed"
    TORN = "is killed in the middle of a commit"
    STOPPED = "is stopped"


@dataclass(frozen=True, slots=True)
class Phase:
    """So many beats with the same troubles; after an end of the process so much time of the exchange without one."""

    beats: int
    trouble: Trouble
    end: End
    turns: int
    """After so many turns it ends all the same: between any two messages."""
    away_ms: int


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything that a seed decides, but for chance in detail."""

    seed: int
    plan: WorldPlan
    speed: float
    phases: tuple[Phase, ...]
    options: Mapping[str, str]
    never: Mapping[str, frozenset[int]]
    """Minutes without trades that the exchange never has a row for, by symbol."""
    revised_after_ms: int
    is_watched: bool
    """Whether somebody subscribes to all bars."""

    def without(self, faults: frozenset[str]) -> Shape:
        """The same without some kinds of trouble, so that the one that matters can be found."""
        kept = {name: 0.0 for name in faults if name in _FAULTS}
        phases = tuple(replace(phase, trouble=replace(phase.trouble, **kept)) for phase in self.phases)
        if "ends" in faults:
            phases = tuple(replace(phase, end=End.GO_ON, turns=1_000_000, away_ms=0) for phase in phases)
        return replace(self, phases=phases)

    @property
    def tells_wrong(self) -> bool:
        """Whether what the exchange says may be wrong for a while, so that only comparing mends it."""
        return any(
            phase.trouble.wrong_finals or phase.trouble.stale_rows or phase.trouble.changed_rows
            for phase in self.phases
        )


_FAULTS = tuple(field.name for field in fields(Trouble))
FAULTS = (*_FAULTS, "ends")
"""What can be left out."""

_STRENGTHS: Mapping[str, tuple[float, float]] = {
    "crashes": (0.0005, 0.01),
    "rare_crashes": (0.01, 0.15),
    "crashed_beginnings": (0.02, 0.3),
    "stalls": (0.01, 0.2),
    "lost_frames": (0.02, 0.9),
    "doubled_frames": (0.02, 0.5),
    "late_frames": (0.02, 0.5),
    "missing_finals": (0.05, 1.0),
    "wrong_finals": (0.02, 0.3),
    "damaged_frames": (0.01, 0.3),
    "disconnects": (0.005, 0.1),
    "silences": (0.002, 0.03),
    "deaf_streams": (0.1, 0.6),
    "refused_connections": (0.1, 0.7),
    "outages": (0.002, 0.02),
    "rest_errors": (0.02, 0.6),
    "limits": (0.005, 0.1),
    "unknown_symbols": (0.02, 0.2),
    "stale_rows": (0.05, 0.8),
    "changed_rows": (0.01, 0.2),
    "stale_contracts": (0.1, 0.8),
    "failed_commits": (0.02, 0.5),
    "failed_reads": (0.001, 0.02),
    "full_disks": (0.005, 0.1),
    "sleeps": (0.002, 0.02),
}
"""How likely at least and at most, where it happens at all."""
_LATER: Mapping[str, tuple[float, float, float]] = {
    "empty rows": (0.12, 0.005, 0.2),
    "stream_outages": (0.06, 0.002, 0.02),
    "rest_outages": (0.06, 0.002, 0.02),
    "lacking_contracts": (0.06, 0.1, 0.8),
    "false_ends": (0.06, 0.05, 0.4),
    "standstills": (0.06, 0.002, 0.02),
}
"""In what share of the phases, and how likely at least and at most, by the name of their chance. What came later is
drawn apart, so that it changes nothing else of a seed."""


def drawn(seed: int) -> Shape:
    """The shape of a seed."""
    random = Random(f"{seed}/shape")
    speed = random.choice(SPEEDS)
    start_ms = _start_ms(random)
    lasts_ms = round(BEATS * BEAT_S * speed * 1_000)
    soon = Span(MINUTE.ceil(start_ms + 2 * MINUTE_MS), MINUTE.ceil(start_ms + lasts_ms))
    contracts = [one for number in range(random.choice((1, 2, 2, 3))) for one in _contracts(random, number, soon)]
    halt = _some_span(random, soon)
    is_halted = random.random() < 0.2 and not any(
        halt.start_ms <= contract.first_ms < halt.stop_ms for contract in contracts
    )
    plan = WorldPlan(
        seed=seed,
        start_ms=start_ms,
        contracts=tuple(contracts),
        halts=(halt,) if is_halted else (),
        empty_minute_finals=random.random() < 0.3,
        limits=Limits(weight_per_minute=random.choice(WEIGHT_LIMITS)),
    )
    return Shape(
        seed=seed,
        plan=plan,
        speed=speed,
        phases=tuple(_with_later(seed, _phases(random))),
        options=_options(random, contracts),
        never=_never(random, plan, soon),
        revised_after_ms=random.choice(REVISED_AFTER_MS),
        is_watched=random.random() < 0.8,
    )


def _start_ms(random: Random) -> int:
    """Often shortly before a larger bar ends."""
    week_ms = MONDAY_MS + random.randrange(4) * WEEK_MS
    before_ms = random.randrange(60 * SECOND_MS, 12 * MINUTE_MS)
    return random.choice(
        (
            week_ms + random.randrange(WEEK_MS),
            week_ms + random.randrange(6 * 7) * 4 * HOUR_MS - before_ms,
            week_ms + random.randrange(7) * DAY_MS - before_ms,
            week_ms - before_ms,
        )
    )


def _contracts(random: Random, number: int, soon: Span) -> list[ContractPlan]:
    symbol = ("BTCUSDT", "币安人生USDT", "1000PEPEUSDT")[number]
    in_trouble_ms = random.randrange(soon.start_ms, soon.stop_ms, MINUTE_MS)
    ages_ms = (random.randrange(3, 30) * HOUR_MS, random.randrange(2, 5) * DAY_MS, random.randrange(5, 100) * MINUTE_MS)
    onboard_ms = MINUTE.floor(soon.start_ms - random.choice(ages_ms))
    if number and random.random() < 0.25:
        onboard_ms = in_trouble_ms
    contract = ContractPlan(
        symbol,
        symbol.removesuffix("USDT"),
        "USDT",
        onboard_ms=onboard_ms,
        price_decimals=random.randrange(1, 4),
        quantity_decimals=random.randrange(3),
        price_ticks=random.randrange(2_000, 900_000),
        tick_units=random.choice((1, 1, 10)),
        quantity_units=random.randrange(10, 500),
        trades_per_minute=random.choice((2, 40, 900)),
        frames_per_minute=random.choice((2, 5, 12)),
        quiet_permille=random.choice((0, 0, 30, 300, 800)),
        contract_type=random.choice(("PERPETUAL", "PERPETUAL", "TRADIFI_PERPETUAL")),
        listed_ms=random.choice((None, onboard_ms - 5 * MINUTE_MS)),
        first_trade_ms=random.choice((0, onboard_ms)),
    )
    if random.random() < 0.2:
        decimals = contract.price_decimals + random.randrange(2), contract.quantity_decimals + random.randrange(2)
        contract = replace(contract, precision=PrecisionChange(in_trouble_ms, *decimals))
    if random.random() < 0.05:
        contract = replace(contract, split=Split(in_trouble_ms, 10))
    if random.random() < 0.2:
        return _delisted(random, contract, soon)
    return [contract]


def _delisted(random: Random, contract: ContractPlan, soon: Span) -> list[ContractPlan]:
    """Ended in the middle of the troubles, announced before or not; the symbol perhaps given to another contract."""
    earliest_ms = max(contract.first_ms + 3 * MINUTE_MS, soon.start_ms)
    if earliest_ms >= soon.stop_ms:
        return [contract]
    delivery_ms = random.randrange(earliest_ms, soon.stop_ms, MINUTE_MS)
    announced_ms = delivery_ms + random.choice((-30, -6, -1, 0, 4)) * MINUTE_MS
    ended = replace(contract, delivery_ms=delivery_ms, announced_ms=announced_ms)
    if ended.precision is not None and ended.precision.at_ms >= delivery_ms:
        ended = replace(ended, precision=None)
    if random.random() < 0.7:
        return [replace(ended, refuses_klines=random.random() < 0.3)]
    ended = replace(ended, announced_ms=min(announced_ms, delivery_ms))
    again_ms = delivery_ms + random.randrange(1, 8) * MINUTE_MS
    relisted = replace(
        contract, onboard_ms=again_ms, listed_ms=None, first_trade_ms=0, precision=None, split=None, price_ticks=7_777
    )
    return [ended, relisted]


def _some_span(random: Random, within: Span) -> Span:
    start_ms = random.randrange(within.start_ms, within.stop_ms, MINUTE_MS)
    return Span(start_ms, start_ms + random.randrange(3, 20) * MINUTE_MS)


def _options(random: Random, contracts: list[ContractPlan]) -> dict[str, str]:
    options = {"history": random.choice((HISTORIES[0], HISTORIES[0], *HISTORIES))}
    if random.random() < 0.3:
        options["symbols"] = ",".join(dict.fromkeys(contract.symbol for contract in contracts))
    if random.random() < 0.15:
        options["keep"] = "1m=5h,5m=1d"
    return options


def _never(random: Random, plan: WorldPlan, soon: Span) -> dict[str, frozenset[int]]:
    """Some of the minutes without trades, alone and in runs."""
    if random.random() >= 0.2:
        return {}
    never: dict[str, frozenset[int]] = {}
    halted = frozenset(minute for halt in plan.halts for minute in range(halt.start_ms, halt.stop_ms, MINUTE_MS))
    for contract in plan.contracts:
        series = SimulatedSeries(contract, plan.seed, frozenset(at // MINUTE_MS for at in halted))
        opens_ms = range(soon.start_ms - HOUR_MS, min(soon.stop_ms, contract.delivery_ms), MINUTE_MS)
        empty = [bar.open_ms for at_ms in opens_ms if (bar := series.minute(at_ms // MINUTE_MS)) and bar.is_empty]
        chosen = frozenset(open_ms for open_ms in empty if random.random() < 0.5)
        never[contract.symbol] = never.get(contract.symbol, frozenset()) | chosen
    return never


def _phases(random: Random) -> list[Phase]:
    count = random.choice((1, 2, 3, 4))
    phases = [_calm(random)] if random.random() < 0.5 else []
    share = random.choice((0.15, 0.3, 0.3, 0.6))
    ends = (End.GO_ON, End.KILLED) if random.random() < 0.5 else tuple(End)
    for _ in range(count):
        trouble = Trouble(
            **{name: _strength(random, *strengths) for name, strengths in _STRENGTHS.items() if random.random() < share}
        )
        end = random.choice(ends)
        turns = 1_000_000 if end in (End.GO_ON, End.STOPPED) else random.randrange(10, 6_000)
        phases.append(Phase(BEATS // count, trouble, end, turns, _away_ms(random) if end is not End.GO_ON else 0))
    return phases


def _with_later(seed: int, phases: list[Phase]) -> list[Phase]:
    for name, (share, *strengths) in _LATER.items():
        random = Random(f"{seed}/{name}")
        for number, phase in enumerate(phases):
            if phase.trouble != Trouble() and random.random() < share:
                later = {name.replace(" ", "_"): _strength(random, *strengths)}
                phases[number] = replace(phase, trouble=replace(phase.trouble, **later))
    return phases


def _calm(random: Random) -> Phase:
    return Phase(random.randrange(4, 60), Trouble(), End.GO_ON, 1_000_000, 0)


def _strength(random: Random, least: float, most: float) -> float:
    return round(math.exp(random.uniform(math.log(least), math.log(most))), 5)


def _away_ms(random: Random) -> int:
    return random.choice(
        (0, random.randrange(90 * SECOND_MS), random.randrange(10 * MINUTE_MS), random.randrange(5 * HOUR_MS))
    )


def described(shape: Shape) -> list[str]:
    """A shape for people, in lines."""
    lines = [f"seed {shape.seed}: from {clock(shape.plan.start_ms, full=True)} at {shape.speed:g} times real time"]
    for contract in shape.plan.contracts:
        ends = "" if contract.delivery_ms == NO_DELIVERY_MS else f", ends {clock(contract.delivery_ms)}"
        ends += "" if not ends else f" (announced {clock(contract.announced_ms)})"
        finer = "" if contract.precision is None else f", finer from {clock(contract.precision.at_ms)}"
        lines.append(
            f"  {contract.symbol} since {clock(contract.onboard_ms, full=True)}, first bar {clock(contract.first_ms)}"
            f", {contract.quiet_permille} of 1000 minutes quiet{finer}{ends}"
        )
    lines += [f"  nobody trades from {clock(halt.start_ms)} to {clock(halt.stop_ms)}" for halt in shape.plan.halts]
    lines += [f"  {len(never)} minutes of {symbol} never have a row" for symbol, never in shape.never.items() if never]
    lines.append(f"  {dict(shape.options)}, weight {shape.plan.limits.weight_per_minute}, watched: {shape.is_watched}")
    if shape.revised_after_ms:
        lines.append(f"  rows are revised up to {shape.revised_after_ms / 1_000:g} s after the end")
    for phase in shape.phases:
        faults = {name: value for name in _FAULTS if (value := getattr(phase.trouble, name))}
        told = ", ".join(f"{name} {value:g}" for name, value in faults.items()) or "no trouble"
        after = (
            ""
            if phase.end is End.GO_ON
            else f" (after {phase.turns} turns at the latest), {phase.away_ms // 1_000} s away"
        )
        lines.append(f"  {phase.beats} beats: {told}; then {phase.end.value}{after}")
    return lines


def clock(time_ms: int, *, full: bool = False) -> str:
    """A time for people: with the date, or to the second, or with milliseconds where there are any."""
    day, rest = divmod(time_ms - MONDAY_MS, DAY_MS)
    minutes, ms = divmod(rest, MINUTE_MS)
    seconds = f"{ms // 1_000:02}" + (f".{ms % 1_000:03}" if ms % 1_000 else "")
    return f"{f'day {day}, ' if full else ''}{minutes // 60:02}:{minutes % 60:02}:{seconds}"
