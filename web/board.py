"""Who listens to what, and the one text that all listeners of a stream are sent.

Everything here happens in the event loop's thread, but for the look-ups, which have a thread of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from bars import ContractKey, Interval
from storage import StorageError
from web.inbox import Inbox
from web.live import Lack, LiveSeries
from web.lookup import Found, Lookup
from wire.frames import event_of, kline_event
from wire.framing import TEXT, frame
from wire.names import Stream, parse_stream
from wire.published import BarEvent, Watch

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 30.0
"""How often the parts of derived bars in progress are read anew: minutes may be revised when they are compared."""
SERIES_MAX = 50_000
"""Three times what the exchange has. Beyond, names are acknowledged and stay silent, like those that mean nothing."""
ASK_AGAIN_S = 1.0
ASK_AGAIN_MAX_S = 60.0

_json = msgspec.json.Encoder().encode


class Listener(Protocol):
    """A client, as the board sees it."""

    @property
    def is_combined(self) -> bool:
        """Whether frames are to come wrapped, with the stream's name."""

    def offer(self, frame: bytes) -> None:
        """Take a frame, to be sent with the next `flush`."""

    def flush(self) -> None: ...


@dataclass(slots=True, eq=False)
class Channel:
    """A stream that somebody listens to."""

    name: str
    stream: Stream
    listeners: dict[Listener, None] = field(default_factory=dict)
    opening: bytes = b""
    """What a wrapped event begins with."""

    def __post_init__(self) -> None:
        self.opening = b'{"stream":%b,"data":' % _json(self.name)


@dataclass(slots=True, eq=False)
class Followed:
    """A series that somebody listens to, under one name or several."""

    live: LiveSeries
    channels: dict[str, Channel] = field(default_factory=dict)
    event_ms: int = 0
    ask_at_s: float = 0.0
    wait_s: float = ASK_AGAIN_S
    look_again_at_s: float = 0.0
    looking_up: int = 0


@dataclass(slots=True, eq=False)
class Tapped:
    """A stored series whose events are needed, and what for."""

    followed: list[Followed] = field(default_factory=list)
    stop: Callable[[], object] | None = None


class Board:
    """Streams and their listeners.

    Args:
        watch: where the events of a stored series are to be had.
        now_ms: the exchange's time, for events that no frame caused.
        overrun: called when events had to be dropped.
    """

    def __init__(
        self,
        watch: Watch,
        lookup: Lookup,
        now_ms: Callable[[], int | None],
        loop: asyncio.AbstractEventLoop,
        overrun: Callable[[], object],
    ) -> None:
        self._watch = watch
        self._lookup = lookup
        self._now_ms = now_ms
        self._loop = loop
        self._inbox = Inbox(loop, self._handle, overrun)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="push-lookup")
        self._followed: dict[tuple[str, Interval], Followed] = {}
        self._tapped: dict[tuple[str, Interval], Tapped] = {}
        self._types: dict[ContractKey, str] = {}
        self._touched: dict[Listener, None] = {}
        self._is_closed = False
        self._time_ms: int | None = None
        """The exchange's time in this turn, where it was needed: asking may cost a query."""

    def listen(self, listener: Listener, names: Iterable[str]) -> None:
        """Send a listener the frames of these streams; names that carry no bars are passed over."""
        for name in names:
            stream = parse_stream(name)
            followed = None if stream is None else self._follow(stream)
            if stream is not None and followed is not None:
                channel = followed.channels.setdefault(name, Channel(name, stream))
                channel.listeners[listener] = None
                if stream.contract_type is not None and followed.live.key not in self._types:
                    self._look_up(followed, [])

    def part(self, listener: Listener, names: Iterable[str]) -> None:
        """Send no more of these streams."""
        for name in names:
            stream = parse_stream(name)
            followed = self._followed.get((stream.symbol, stream.interval)) if stream else None
            channel = followed.channels.get(name) if followed else None
            if followed is None or channel is None:
                continue
            channel.listeners.pop(listener, None)
            if not channel.listeners:
                del followed.channels[name]
            if not followed.channels:
                self._unfollow(followed.live)

    def tick(self, now_s: float) -> None:
        """Look up what derived bars lack, where it is due."""
        for followed in list(self._followed.values()):
            if followed.live.is_derived:
                self._fill(followed, now_s)

    async def close(self) -> None:
        """End all watching, and the thread."""
        self._is_closed = True
        for tapped in self._tapped.values():
            if tapped.stop is not None:
                tapped.stop()
        self._followed.clear()
        self._tapped.clear()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    # --- series

    def _follow(self, stream: Stream) -> Followed | None:
        """The series of a stream; None where it is not followed yet and there are too many."""
        followed = self._followed.get((stream.symbol, stream.interval))
        if followed is not None or len(self._followed) >= SERIES_MAX:
            return followed
        live = LiveSeries(stream.symbol, stream.interval)
        followed = self._followed[stream.symbol, stream.interval] = Followed(live)
        followed.look_again_at_s = self._loop.time() + LOOK_AGAIN_S
        tapped = self._tapped.setdefault((live.symbol, live.source), Tapped())
        tapped.followed.append(followed)
        if tapped.stop is None:
            tapped.stop = self._watch(live.symbol, live.source, self._inbox.put)
        return followed

    def _unfollow(self, live: LiveSeries) -> None:
        followed = self._followed.pop((live.symbol, live.interval))
        tapped = self._tapped[live.symbol, live.source]
        tapped.followed.remove(followed)
        if not tapped.followed:
            del self._tapped[live.symbol, live.source]
            if tapped.stop is not None:
                tapped.stop()

    # --- events

    def _handle(self, events: Sequence[BarEvent]) -> None:
        for event in events:
            tapped = self._tapped.get((event.key.symbol, event.interval))
            for followed in tapped.followed if tapped else ():
                self._tell(followed, followed.live.take(event))
                if followed.live.is_derived:
                    self._fill(followed, self._loop.time())
        self._flush()

    def _flush(self) -> None:
        """Send what was offered: the end of one turn."""
        self._time_ms = None
        touched, self._touched = self._touched, {}
        for listener in touched:
            listener.flush()

    def _tell(self, followed: Followed, events: Iterable[BarEvent]) -> None:
        for event in events:
            event_ms = self._event_ms(followed, event)
            contract_type = self._types.get(event.key)
            for channel in followed.channels.values():
                if channel.stream.contract_type in (None, contract_type):
                    self._send(channel, event, event_ms)
                elif contract_type is None and not followed.looking_up:
                    self._look_up(followed, [])

    def _event_ms(self, followed: Followed, event: BarEvent) -> int:
        """The exchange's own time of the event; else now, though not before what the event tells of."""
        if event.said is not None:
            followed.event_ms = event.said.E
            return event.said.E
        bar, interval = event.bar, event.interval
        least_ms = interval.next_open(bar.open_ms) if event.closed else bar.open_ms
        if self._time_ms is None:
            self._time_ms = self._now_ms() or 0
        followed.event_ms = max(self._time_ms, followed.event_ms, least_ms)
        return followed.event_ms

    def _send(self, channel: Channel, event: BarEvent, event_ms: int) -> None:
        """Make each of the two forms once, and only if somebody wants it."""
        data = event_text(event, event_ms, channel.stream.contract_type)
        raw = combined = b""
        for listener in channel.listeners:
            if listener.is_combined:
                combined = combined or frame(TEXT, channel.opening + data + b"}")
                listener.offer(combined)
            else:
                raw = raw or frame(TEXT, data)
                listener.offer(raw)
            self._touched[listener] = None

    # --- looking up

    def _fill(self, followed: Followed, now_s: float) -> None:
        """Look up what is lacking, later and later if it is not there; and all of it again now and then."""
        lacks = followed.live.lacks()
        if lacks and now_s >= followed.ask_at_s:
            followed.ask_at_s = now_s + followed.wait_s
            followed.wait_s = min(2 * followed.wait_s, ASK_AGAIN_MAX_S)
        elif not lacks:
            followed.wait_s, followed.ask_at_s = ASK_AGAIN_S, 0.0
            if now_s < followed.look_again_at_s:
                return
            lacks = followed.live.look_again()
            followed.look_again_at_s = now_s + LOOK_AGAIN_S
        else:
            return
        if lacks:
            self._look_up(followed, lacks)

    def _look_up(self, followed: Followed, lacks: Sequence[Lack]) -> None:
        if self._is_closed:
            return
        live = followed.live
        followed.looking_up += 1
        future = self._thread.submit(self._lookup.find, live.symbol, live.interval, live.source, lacks)

        def done() -> None:
            followed.looking_up -= 1
            try:
                found = future.result()
            except StorageError as error:
                logger.error("looking up bars of %s %s: %s", live.symbol, live.interval, error)
                return
            if found is not None:
                self._found(followed, found)

        future.add_done_callback(lambda ended: ended.cancelled() or self._loop.call_soon_threadsafe(done))

    def _found(self, followed: Followed, found: Found) -> None:
        self._types[found.key] = found.contract_type
        live = followed.live
        if self._followed.get((live.symbol, live.interval)) is not followed:
            return
        for lack, parts, absent in found.parts:
            self._tell(followed, live.fill(found.key, lack, parts, absent))
        self._flush()


def event_text(event: BarEvent, event_ms: int, contract_type: str | None) -> bytes:
    """The event as the exchange words it; of minutes in its own words, trade ids included, where a frame said it."""
    symbol, said = event.key.symbol, event.said
    if said is not None and (said.k.i, said.k.t, said.k.x) == (event.interval.name, event.bar.open_ms, event.closed):
        return _json(event_of(symbol, said.k, event_ms=event_ms, contract_type=contract_type))
    told = kline_event(
        symbol, event.interval, event.bar, closed=event.closed, event_ms=event_ms, contract_type=contract_type
    )
    return _json(told)
