"""Why bars are not there: what is known of a gap, and what that makes of it. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bars.gaps import Span, subtract
from bars.interval import HOUR_MS


class Reason(str, enum.Enum):
    """Why a span has no bars, or none with trades."""

    NOT_LISTED = "not listed yet"
    PAUSE = "exchange pause"
    """The minutes are there, empty ones of every contract: nobody could trade."""
    NO_TRADES = "no trades"
    """The exchange was asked, and has bars after the span but none in it."""
    DELISTED = "delisted"
    RELISTED = "relisted"
    """The symbol belonged to another contract then."""
    DOWNTIME = "our downtime"
    ARCHIVE = "archive hole"
    FILLING = "being filled"
    UNFILLABLE = "unfillable"


class State(str, enum.Enum):
    """What becomes of a gap."""

    FILLING = "being filled"
    UNFILLABLE = "unfillable"
    """Asked for in vain so often that the exchange is taken not to have it; what comes all the same is stored."""
    EXPLAINED = "explained"
    """There is nothing to fill."""


ASKED_MAX = 6
"""After this many requests in vain a hole counts as unfillable."""
BELIEVED_AFTER = 2
"""After this many answers without any bar of a hole, the last an hour ago, one more is believed: there are none."""


def rest_ms(asked: int) -> int:
    """How long a hole that was asked for `asked` times in vain is left alone: nothing, then 1 h, 4 h, 16 h, 64 h."""
    return 0 if asked < 2 else HOUR_MS << 2 * (min(asked, ASKED_MAX) - 2)


class Facts(NamedTuple):
    """What is known of a span without bars, all of it alike. The default: nothing."""

    before_listing: bool = False
    after_delivery: bool = False
    of_another_contract: bool = False
    """At that time the symbol belonged to another contract."""
    is_pause: bool = False
    exchange_has_none: bool = False
    in_downtime: bool = False
    noted: Reason | None = None
    """What whoever found the hole said of it."""
    asked: int = 0
    """How often it was asked for in vain."""


def decide(facts: Facts) -> tuple[Reason, State]:
    """The reason for a gap and its state. What ends the search for bars comes before what explains their lack."""
    if facts.before_listing or facts.after_delivery:
        if facts.of_another_contract:
            return Reason.RELISTED, State.EXPLAINED
        return (Reason.NOT_LISTED if facts.before_listing else Reason.DELISTED), State.EXPLAINED
    if facts.is_pause:
        return Reason.PAUSE, State.EXPLAINED
    is_unfillable = facts.noted is Reason.UNFILLABLE
    if facts.exchange_has_none:
        return Reason.NO_TRADES if is_unfillable else facts.noted or Reason.NO_TRADES, State.EXPLAINED
    if is_unfillable or facts.asked >= ASKED_MAX:
        return facts.noted or Reason.UNFILLABLE, State.UNFILLABLE
    if facts.noted is not None:
        return facts.noted, State.FILLING
    return (Reason.DOWNTIME if facts.in_downtime else Reason.FILLING), State.FILLING


@dataclass(frozen=True, slots=True)
class Noted:
    """What is remembered of a hole in one series."""

    span: Span
    reason: Reason | None
    """None: nothing is known but that it was asked for."""
    since_ms: int
    asked: int = 0
    asked_ms: int = 0
    """When it was last asked for; 0 for never."""

    def is_resting(self, now_ms: int) -> bool:
        """Whether it is not to be asked for at `now_ms`."""
        return self.asked >= ASKED_MAX or now_ms < self.asked_ms + rest_ms(self.asked)

    def is_believed(self, now_ms: int) -> bool:
        """Whether one more answer at `now_ms` without any of it says that the exchange has none of it."""
        return self.asked >= BELIEVED_AFTER and now_ms >= self.asked_ms + rest_ms(BELIEVED_AFTER)


def asked_again(known: Iterable[Noted], span: Span, now_ms: int) -> list[Noted]:
    """What to remember once `span` was asked for in vain: the parts known before count one more. Ascending.

    Parts that rest do not: two requests for them were under way at once.
    """
    return _overlaid(
        known,
        span,
        Noted(span, None, now_ms, 1, now_ms),
        lambda old: old if old.is_resting(now_ms) else replace(old, asked=old.asked + 1, asked_ms=now_ms),
    )


def noted_again(known: Iterable[Noted], span: Span, reason: Reason, now_ms: int) -> list[Noted]:
    """What to remember once somebody knows why `span` is a hole. Ascending."""
    return _overlaid(known, span, Noted(span, reason, now_ms), lambda old: replace(old, reason=reason))


def kept_within(known: Iterable[Noted], holes: Sequence[Span]) -> list[Noted]:
    """What of it still is a hole. Both ascend."""
    parts = (_cut(one, one.span.intersect(hole)) for one in known for hole in holes)
    return [part for part in parts if not part.span.is_empty]


def without(noted: Noted, spans: Sequence[Span]) -> list[Noted]:
    """What is left of it without these spans, which ascend."""
    return [_cut(noted, part) for part in subtract([noted.span], spans)]


def _overlaid(known: Iterable[Noted], span: Span, fresh: Noted, changed: Callable[[Noted], Noted]) -> list[Noted]:
    """`known` without overlaps: inside `span` it is `changed`, and `fresh` where nothing was known."""
    known = list(known)
    parts = [_cut(one, part) for one in known for part in subtract([one.span], [span])]
    inside = [_cut(one, one.span.intersect(span)) for one in known]
    parts += [changed(one) for one in inside if not one.span.is_empty]
    parts += [_cut(fresh, part) for part in subtract([span], sorted(one.span for one in known))]
    return _joined(sorted(parts, key=lambda one: one.span))


def _joined(parts: Iterable[Noted]) -> list[Noted]:
    """Neighbours of which the same is known, as one."""
    joined: list[Noted] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last is not None and last.span.stop_ms == part.span.start_ms and _is_alike(last, part):
            start_ms, since_ms = last.span.start_ms, min(last.since_ms, part.since_ms)
            joined[-1] = replace(part, span=Span(start_ms, part.span.stop_ms), since_ms=since_ms)
        else:
            joined.append(part)
    return joined


def _is_alike(one: Noted, other: Noted) -> bool:
    return (one.reason, one.asked, one.asked_ms) == (other.reason, other.asked, other.asked_ms)


def _cut(noted: Noted, span: Span) -> Noted:
    return replace(noted, span=span)
