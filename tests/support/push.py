"""A push server on loopback whose events the test makes itself, and a client of it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import websocket

from bars import Bar, Contract, ContractKey, Interval
from storage import Change, ContractsSeen, Reader
from tests.support.market import MONDAY_MS, a_contract, a_reader
from tests.support.service import wait_until
from web import PushServer, Sources, WebServer, make_app
from wire.frames import KlineEvent
from wire.published import BarEvent, Deliver

HOST = "127.0.0.1"
PATIENCE_S = 30.0
NOW_MS = MONDAY_MS + 90_500


class Source:
    """Stands for the live system: keeps who watches what, and delivers what the test says."""

    def __init__(self) -> None:
        self.watchers: dict[tuple[str, Interval], list[Deliver]] = {}
        self._lock = threading.Lock()

    def watch(self, symbol: str, interval: Interval, deliver: Deliver) -> Callable[[], None]:
        with self._lock:
            self.watchers.setdefault((symbol, interval), []).append(deliver)

        def stop() -> None:
            with self._lock:
                self.watchers[symbol, interval].remove(deliver)
                if not self.watchers[symbol, interval]:
                    del self.watchers[symbol, interval]

        return stop

    def tell(
        self, key: ContractKey, interval: Interval, bar: Bar, *, closed: bool = False, said: KlineEvent | None = None
    ) -> None:
        with self._lock:
            watchers = list(self.watchers.get((key.symbol, interval), ()))
        for deliver in watchers:
            assert deliver(BarEvent(key, interval, bar, closed, said))

    def wait_for(self, symbol: str, interval: Interval) -> None:
        wait_until(lambda: (symbol, interval) in self.watchers, PATIENCE_S, f"{symbol} {interval} is watched")


class Client:
    """A WebSocket client that reads JSON."""

    def __init__(self, port: int, path: str, **options: Any) -> None:
        self.socket = websocket.create_connection(f"ws://{HOST}:{port}{path}", timeout=PATIENCE_S, **options)

    def say(self, request: Any) -> None:
        self.socket.send(request if isinstance(request, str) else json.dumps(request))

    def ask(self, method: str, *params: Any, id: Any = 1) -> Any:  # noqa: A002 - so the protocol calls it
        """The answer to a request; frames that come before it are dropped."""
        self.say({"method": method, "params": list(params), "id": id})
        while True:
            answer = self.hear()
            if "id" in answer or "error" in answer:
                return answer

    def hear(self) -> Any:
        return json.loads(self.text())

    def text(self) -> str:
        text = self.socket.recv()
        assert isinstance(text, str), f"expected a text frame, got {text!r}"
        assert text, "the connection is closed"
        return text

    def hear_within(self, timeout_s: float) -> Any:
        """What comes next; None when nothing comes in time."""
        self.socket.settimeout(timeout_s)
        try:
            return self.hear()
        except websocket.WebSocketTimeoutException:
            return None
        finally:
            self.socket.settimeout(PATIENCE_S)

    def closing(self) -> tuple[int, str]:
        """Read until the close; its code and reason."""
        while True:
            opcode, data = self.socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2], "big"), data[2:].decode()

    def send_raw(self, data: bytes) -> None:
        """Send bytes that need not be whole frames.

        Raises:
            OSError: the connection is gone.
        """
        plain = self.socket.sock
        assert isinstance(plain, socket.socket)
        plain.sendall(data)

    def close(self) -> None:
        self.socket.close()

    def hang_up(self) -> None:
        """Be gone without a word."""
        plain = self.socket.sock
        assert isinstance(plain, socket.socket)
        with suppress(OSError):
            plain.shutdown(socket.SHUT_RDWR)
        plain.close()


class Service:
    """A web server with a push server, over a file of its own."""

    def __init__(self, path: Path, contracts: Iterable[Contract], changes: Iterable[Change], **options: Any) -> None:
        self.source = Source()
        self.reader: Reader = a_reader(path, [ContractsSeen(list(contracts)), *changes])
        sources = Sources(self.reader, lambda: NOW_MS, lambda: None, dict, watch=self.source.watch)
        self.push = PushServer(sources, **options)
        self.server = WebServer(make_app(sources), HOST, 0, self.push)
        self._clients: list[Client] = []

    @property
    def port(self) -> int:
        return self.server.port

    def client(self, path: str = "/market/stream", **options: Any) -> Client:
        client = Client(self.port, path, **options)
        self._clients.append(client)
        return client

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        self.server.stop()
        self.reader.close()


@contextmanager
def serving(
    path: Path, contracts: Iterable[Contract] | None = None, changes: Iterable[Change] = (), **options: Any
) -> Iterator[Service]:
    service = Service(path, [a_contract()] if contracts is None else contracts, changes, **options)
    service.server.start()
    try:
        yield service
    finally:
        service.stop()
