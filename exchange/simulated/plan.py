"""What a simulated world is made of. All of it is fixed in advance, so that a seed replays it."""

from __future__ import annotations

from dataclasses import dataclass, field

from bars import MINUTE, Scale, Span
from bars.contract import NO_DELIVERY_MS
from bars.interval import DAY_MS, HOUR_MS, MINUTE_MS

FRAMES_PER_MINUTE_MAX = 200
"""Under four a second, which is what the exchange sends at most: every 250 ms, if there is an update."""
QUIET_PERMILLE_MAX = 990
"""A close is carried over empty minutes by looking for the last one that is not."""


@dataclass(frozen=True, slots=True)
class PrecisionChange:
    """From `at_ms` (a minute's start) on, values have more decimals.

    SOLUSDT's volumes went from 0 to 2 decimals on 2025-04-09 09:30, in the middle of an archive file.
    """

    at_ms: int
    price_decimals: int
    quantity_decimals: int


@dataclass(frozen=True, slots=True)
class Split:
    """A contract-size change at `at_ms`: prices are `factor` times lower from then on; history stays as it was."""

    at_ms: int
    factor: int


@dataclass(frozen=True, slots=True)
class ContractPlan:
    """One contract's whole life. Times are UTC milliseconds.

    Prices count ticks of `tick_units` units each; a unit is 10^-price_decimals.
    """

    symbol: str
    base_asset: str
    quote_asset: str
    onboard_ms: int
    price_decimals: int
    quantity_decimals: int
    price_ticks: int
    tick_units: int = 1
    quantity_units: int = 100
    """The typical quantity of one trade."""
    trades_per_minute: int = 100
    frames_per_minute: int = 40
    quiet_permille: int = 0
    """How many minutes in a thousand have no trade."""
    weekend_quiet_permille: int | None = None
    contract_type: str = "PERPETUAL"
    pair: str = ""
    underlying: tuple[str, ...] = ("COIN", "Crypto")
    """underlyingType, then the underlyingSubTypes."""
    listed_ms: int | None = None
    """When its row appears in exchangeInfo; None: at `onboard_ms`. Until then its status is PENDING_TRADING."""
    first_trade_ms: int = 0
    """The first bar's open time; 0: two minutes after onboarding, as BTCUSDT's."""
    delivery_ms: int = NO_DELIVERY_MS
    announced_ms: int = 0
    """Since when exchangeInfo shows `delivery_ms`; before, it shows none."""
    refuses_klines: bool = False
    """Once settled, answers -1122 instead of flat bars."""
    precision: PrecisionChange | None = None
    split: Split | None = None

    def __post_init__(self) -> None:
        quietest = max(self.quiet_permille, self.weekend_quiet_permille or 0)
        if not 0 <= quietest <= QUIET_PERMILLE_MAX:
            expected = f"0 to {QUIET_PERMILLE_MAX} quiet minutes in a thousand"
            raise ValueError(f"planning {self.symbol}: expected {expected}, got {quietest}")

    @property
    def first_ms(self) -> int:
        """The open time of the first bar."""
        return MINUTE.ceil(self.first_trade_ms or self.onboard_ms + 2 * MINUTE_MS)

    @property
    def shown_from_ms(self) -> int:
        return self.onboard_ms if self.listed_ms is None else self.listed_ms

    def scale_at(self, time_ms: int) -> Scale:
        """The decimals of values at `time_ms`; quote volume is price times quantity."""
        price, quantity = self.price_decimals, self.quantity_decimals
        if self.precision is not None and time_ms >= self.precision.at_ms:
            price, quantity = self.precision.price_decimals, self.precision.quantity_decimals
        return Scale(price, quantity, price + quantity)

    def status_at(self, time_ms: int) -> str:
        if time_ms < self.onboard_ms:
            return "PENDING_TRADING"
        return "TRADING" if time_ms < self.delivery_ms else "SETTLING"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the exchange allows, and how it punishes."""

    weight_per_minute: int = 2400
    refused_before_ban: int = 10
    """After this many 429 in a minute the next request brings a ban."""
    ban_ms: int = 2 * MINUTE_MS
    """The first ban; each further one is twice as long, up to three days."""
    messages_per_second: int = 10
    ping_interval_s: float = 180.0
    pong_timeout_s: float = 600.0
    connection_life_ms: int = DAY_MS
    """Exchange time."""


@dataclass(frozen=True, slots=True)
class ArchivePlan:
    """When archive files appear, and what they look like. Times are the exchange's."""

    daily_delay_ms: int = 8 * HOUR_MS + 35 * MINUTE_MS
    monthly_delay_ms: int = 2 * DAY_MS
    header_from_ms: int = 1_640_995_200_000
    """Files of periods that begin earlier have no header line and print whole numbers without decimals."""
    page_keys: int = 1000


@dataclass(frozen=True, slots=True)
class WorldPlan:
    """Everything that is true in a simulated world.

    Two contracts may have one symbol: the later one takes the name over, as relisted symbols do.
    """

    seed: int
    start_ms: int
    contracts: tuple[ContractPlan, ...]
    halts: tuple[Span, ...] = ()
    """In these spans nobody trades in any contract."""
    empty_minute_finals: bool = False
    """Whether a minute without trades sends a flat final; otherwise it sends nothing at all."""
    limits: Limits = field(default_factory=Limits)
    archive: ArchivePlan = field(default_factory=ArchivePlan)
