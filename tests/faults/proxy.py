"""A TCP proxy on loopback that does what networks do: it delays, cuts, damages, or swallows without a word."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from random import Random

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
START_S = 10.0
_VALUE = re.compile(rb'"[ohlcvqVQ]":"[0-9.]*([0-9])"')
"""A price or a volume of a kline event, and its last digit."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the network is. Probabilities are for each piece of data that arrives, of some kilobytes at most.

    What damages concerns only what comes from the server.
    """

    delay_s: float = 0.0
    """The longest delay of a piece; those behind it wait as well."""
    cut: float = 0.0
    """The connection ends: half the time with RST, else with FIN in the middle of whatever it is."""
    corrupt: float = 0.0
    """One byte gets its highest bit turned over: no text is sound JSON afterwards."""
    lie: float = 0.0
    """One value of a kline event gets another last digit: sound JSON, and wrong."""
    is_dead: bool = False
    """Who connects now is accepted, and what he says is swallowed for ever."""


FAIR = Weather()


class Link:
    """One client's connection and the one to the server behind it."""

    def __init__(self, *, is_swallowed: bool) -> None:
        self.is_swallowed = is_swallowed
        self.is_reset = False


class FaultyProxy:
    """Passes connections on to a port of loopback, as well as the weather allows. May be used in a `with` statement.

    `weather` may be replaced at any time. `seen` counts connections, swallowed, cut, corrupted, lied.
    """

    def __init__(self, target_port: int, seed: int = 1) -> None:
        self.weather = FAIR
        self.seen: Counter[str] = Counter()
        self.port = 0
        self._target_port = target_port
        self._random = Random(seed)
        self._links: set[Link] = set()
        self._ready = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="faulty-proxy", daemon=True)

    def __enter__(self) -> FaultyProxy:  # noqa: PYI034 - Self came with Python 3.11
        self._thread.start()
        assert self._ready.wait(START_S), "the proxy did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_S)

    def url(self, scheme: str) -> str:
        return f"{scheme}://{HOST}:{self.port}"

    def swallow(self) -> None:
        """Make all connections of this moment half open: nothing passes any more, and nobody is told."""
        for link in list(self._links):
            link.is_swallowed = True
            self.seen["swallowed"] += 1

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(is_swallowed=self.weather.is_dead)
        self.seen["connections"] += 1
        self.seen["swallowed"] += link.is_swallowed
        try:
            from_server, to_server = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._links.add(link)
        up = asyncio.create_task(self._pass(reader, to_server, link, damages=False))
        down = asyncio.create_task(self._pass(from_server, writer, link, damages=True))
        try:
            ended, _ = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if link.is_swallowed and up not in ended:
                await up  # what the server does is not to be known either
        finally:
            self._links.discard(link)
            for task, end in ((up, to_server), (down, writer)):
                task.cancel()
                _end(end, with_reset=link.is_reset)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: Link, *, damages: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                weather = self.weather
                if weather.delay_s:
                    await asyncio.sleep(self._random.random() * weather.delay_s)
                if link.is_swallowed:
                    continue
                if self._hits(weather.cut):
                    self.seen["cut"] += 1
                    link.is_reset = self._hits(0.5)
                    sink.write(data[: self._random.randrange(len(data))])
                    return
                sink.write(self._damaged(data, weather) if damages else data)
                await sink.drain()

    def _damaged(self, data: bytes, weather: Weather) -> bytes:
        if self._hits(weather.corrupt):
            self.seen["corrupted"] += 1
            at = self._random.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]
        if self._hits(weather.lie) and (values := list(_VALUE.finditer(data))):
            self.seen["lied"] += 1
            at = self._random.choice(values).start(1)
            return data[:at] + b"%d" % ((data[at] - ord("0") + self._random.randrange(1, 10)) % 10) + data[at + 1 :]
        return data

    def _hits(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability


def _end(writer: asyncio.StreamWriter, *, with_reset: bool) -> None:
    connected = writer.get_extra_info("socket")
    if with_reset and connected is not None:
        with suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
