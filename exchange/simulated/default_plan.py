"""The world that the demo and most tests live in: the exchange's oddities, and as many symbols as wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count as count_from
from itertools import islice

from bars import MINUTE, Span
from bars.interval import DAY_MS, HOUR_MS, INTERVALS, MINUTE_MS
from exchange.simulated.plan import FRAMES_PER_MINUTE_MAX, ArchivePlan, ContractPlan, Limits, PrecisionChange, WorldPlan

_FIRST_START_MS = 1_791_201_450_000  # Monday 2026-10-05 11:57:30
_SYLLABLES = ("ka", "lo", "mi", "ne", "ru", "sa", "to", "vi", "xe", "zu", "be", "do", "fa", "gi", "hu", "jo")


def default_start_ms(seed: int) -> int:
    """A fixed date for every seed: some day of four weeks, half a minute into a minute before noon."""
    return _FIRST_START_MS + seed * 37 % 28 * DAY_MS


def default_plan(
    seed: int = 1,
    count: int = 12,
    *,
    start_ms: int | None = None,
    history_days: int = 10,
    frames_per_minute: int = 40,
    changes: bool = True,
    empty_minute_finals: bool = False,
    limits: Limits | None = None,
) -> WorldPlan:
    """A world with `count` trading perpetuals, and beside them a settled one, a quarterly and a pending one.

    Args:
        start_ms: the exchange's time at the start; None: a date that depends on the seed alone.
        history_days: about how old most contracts are; BTCUSDT and ETHUSDT are older.
        frames_per_minute: how many kline frames a busy symbol sends at most.
        changes: whether soon after the start a pending contract is launched (10 minutes), a contract's
            quantities get more decimals (15), and a contract is delisted (30, announced at 5).
        limits: the exchange's usual ones unless given.
    """
    if start_ms is None:
        start_ms = default_start_ms(seed)
    perpetuals = [*_known(start_ms, history_days), *islice(_generated(start_ms, history_days), max(0, count))][:count]
    if changes:
        perpetuals = [_with_change(contract, start_ms) for contract in perpetuals]
    contracts = tuple(
        replace(contract, frames_per_minute=min(contract.frames_per_minute, frames_per_minute, FRAMES_PER_MINUTE_MAX))
        for contract in [*perpetuals, *_beside(start_ms, history_days, launches=changes)]
    )
    month_ms = INTERVALS["1M"].back(start_ms, 1)
    return WorldPlan(
        seed=seed,
        start_ms=start_ms,
        contracts=contracts,
        halts=_halts(start_ms),
        empty_minute_finals=empty_minute_finals,
        limits=limits or Limits(),
        archive=ArchivePlan(header_from_ms=month_ms),
    )


def _halts(start_ms: int) -> tuple[Span, ...]:
    noon_ms = start_ms - start_ms % DAY_MS + 12 * HOUR_MS
    yesterday = Span(noon_ms - DAY_MS - 200 * MINUTE_MS, noon_ms - DAY_MS - 181 * MINUTE_MS)
    earlier = Span(noon_ms - 5 * DAY_MS + 7 * MINUTE_MS, noon_ms - 5 * DAY_MS + 17 * MINUTE_MS)
    soon_ms = MINUTE.floor(start_ms) + 20 * MINUTE_MS
    return earlier, yesterday, Span(soon_ms, soon_ms + 3 * MINUTE_MS)


def _known(start_ms: int, history_days: int) -> list[ContractPlan]:
    day_ms = start_ms - start_ms % DAY_MS
    recent_ms = day_ms - history_days * DAY_MS + 10 * HOUR_MS + 30 * MINUTE_MS
    older_ms = day_ms - max(history_days, min(12 * history_days, 120)) * DAY_MS + 17 * HOUR_MS + 55 * MINUTE_MS
    old_ms = day_ms - max(history_days, min(6 * history_days, 60)) * DAY_MS + 7 * HOUR_MS + 40 * MINUTE_MS
    return [
        ContractPlan("BTCUSDT", "BTC", "USDT", onboard_ms=older_ms, price_decimals=2, quantity_decimals=3,
                     price_ticks=831_379, tick_units=10, quantity_units=40, trades_per_minute=2_600,
                     frames_per_minute=180, underlying=("COIN", "PoW", "Crypto")),
        ContractPlan("ETHUSDT", "ETH", "USDT", onboard_ms=old_ms, price_decimals=2, quantity_decimals=3,
                     price_ticks=312_055, quantity_units=700, trades_per_minute=2_000, frames_per_minute=160,
                     underlying=("COIN", "Layer-1", "Crypto")),
        ContractPlan("SOLUSDT", "SOL", "USDT", onboard_ms=recent_ms, price_decimals=4, quantity_decimals=0,
                     price_ticks=17_342, tick_units=100, quantity_units=12, trades_per_minute=900,
                     frames_per_minute=120),
        ContractPlan("1000PEPEUSDT", "1000PEPE", "USDT", onboard_ms=recent_ms + HOUR_MS, price_decimals=7,
                     quantity_decimals=0, price_ticks=98_765, quantity_units=54_000, trades_per_minute=500,
                     frames_per_minute=90, underlying=("COIN", "Meme", "Crypto")),
        ContractPlan("币安人生USDT", "币安人生", "USDT", onboard_ms=recent_ms + 2 * HOUR_MS, price_decimals=7,
                     quantity_decimals=0, price_ticks=1_534, tick_units=1_000, quantity_units=310,
                     trades_per_minute=60, frames_per_minute=30, quiet_permille=15,
                     underlying=("COIN", "Chinese", "Crypto")),
        ContractPlan("XAUUSDT", "XAU", "USDT", onboard_ms=recent_ms + 3 * HOUR_MS, price_decimals=2,
                     quantity_decimals=3, price_ticks=412_350, quantity_units=55, trades_per_minute=40,
                     frames_per_minute=25, quiet_permille=40, weekend_quiet_permille=900,
                     contract_type="TRADIFI_PERPETUAL", underlying=("COMMODITY", "TradFi")),
        ContractPlan("ETHUSDC", "ETH", "USDC", onboard_ms=recent_ms + 4 * HOUR_MS, price_decimals=2,
                     quantity_decimals=3, price_ticks=312_040, quantity_units=300, trades_per_minute=120,
                     frames_per_minute=50, quiet_permille=2),
        ContractPlan("ETHBTC", "ETH", "BTC", onboard_ms=recent_ms + 5 * HOUR_MS, price_decimals=6,
                     quantity_decimals=2, price_ticks=3_753, tick_units=10, quantity_units=90,
                     trades_per_minute=9, frames_per_minute=12, quiet_permille=120),
        ContractPlan("42USDT", "42", "USDT", onboard_ms=recent_ms + 6 * HOUR_MS, price_decimals=5,
                     quantity_decimals=1, price_ticks=5_120, quantity_units=4_000, trades_per_minute=2,
                     frames_per_minute=3, quiet_permille=850),
        ContractPlan("OLDUSDT", "OLD", "USDT", onboard_ms=recent_ms, price_decimals=4, quantity_decimals=1,
                     price_ticks=2_718, quantity_units=900, trades_per_minute=25, frames_per_minute=20,
                     quiet_permille=60),
    ]  # fmt: skip


def _with_change(contract: ContractPlan, start_ms: int) -> ContractPlan:
    minute_ms = MINUTE.floor(start_ms)
    if contract.symbol == "SOLUSDT":
        return replace(contract, precision=PrecisionChange(minute_ms + 15 * MINUTE_MS, 4, 2))
    if contract.symbol == "OLDUSDT":
        delivery_ms, announced_ms = minute_ms + 30 * MINUTE_MS, minute_ms + 5 * MINUTE_MS
        return replace(contract, delivery_ms=delivery_ms, announced_ms=announced_ms)
    return contract


def _beside(start_ms: int, history_days: int, *, launches: bool) -> list[ContractPlan]:
    """Rows of exchangeInfo that are no trading perpetuals."""
    minute_ms = MINUTE.floor(start_ms)
    onboard_ms = minute_ms - (history_days + 5) * DAY_MS
    launch_ms = minute_ms + (10 * MINUTE_MS if launches else 365 * DAY_MS)
    settled = ContractPlan(
        "OMGUSDT", "OMG", "USDT", onboard_ms=onboard_ms, price_decimals=4, quantity_decimals=1, price_ticks=3_050,
        quantity_units=700, trades_per_minute=20, frames_per_minute=10, quiet_permille=30,
        delivery_ms=minute_ms - 3 * DAY_MS, underlying=("COIN", "Layer-2"),
    )  # fmt: skip
    return [
        settled,
        replace(settled, symbol="BTCSTUSDT", base_asset="BTCST", refuses_klines=True),
        ContractPlan(
            "BTCUSDT_261225", "BTC", "USDT", onboard_ms=onboard_ms, price_decimals=1, quantity_decimals=3,
            price_ticks=842_110, quantity_units=30, trades_per_minute=15, frames_per_minute=10, quiet_permille=50,
            contract_type="CURRENT_QUARTER", pair="BTCUSDT", delivery_ms=1_798_185_600_000, underlying=("COIN",),
        ),
        replace(settled, symbol="BTCUSDT_260925", base_asset="BTC", contract_type="CURRENT_QUARTER DELIVERING",
                pair="BTCUSDT", underlying=("COIN",)),
        ContractPlan(
            "NEWUSDT", "NEW", "USDT", onboard_ms=launch_ms, listed_ms=0, first_trade_ms=launch_ms, price_decimals=5,
            quantity_decimals=0, price_ticks=45_000, quantity_units=250, trades_per_minute=300,
        ),
    ]  # fmt: skip


def _generated(start_ms: int, history_days: int) -> Iterator[ContractPlan]:
    return (_filler(number, start_ms, history_days) for number in count_from())


def _filler(number: int, start_ms: int, history_days: int) -> ContractPlan:
    """Contract `number`: every third busy, every third average, every third rather quiet."""
    size = len(_SYLLABLES)
    base = "".join(_SYLLABLES[number // size**place % size] for place in (0, 1, 2)).upper()
    age_ms = max(1, history_days - number % max(1, history_days)) * DAY_MS - number % 1_000 * MINUTE_MS
    busy = (240, 70, 12)[number % 3]
    return ContractPlan(
        symbol=f"{base}USDT",
        base_asset=base,
        quote_asset="USDT",
        onboard_ms=MINUTE.floor(start_ms) - age_ms,
        price_decimals=3 + number % 4,
        quantity_decimals=number % 3,
        price_ticks=8_000 + number * 7_919 % 90_000,
        quantity_units=50 + number * 31 % 4_000,
        trades_per_minute=busy,
        frames_per_minute=(80, 45, 15)[number % 3],
        quiet_permille=(0, 3, 60)[number % 3],
        contract_type="TRADIFI_PERPETUAL" if number % 5 == 4 else "PERPETUAL",
        underlying=("EQUITY", "TradFi") if number % 5 == 4 else ("COIN", "Crypto"),
    )
