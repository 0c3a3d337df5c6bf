"""One WebSocket connection to the exchange's streams."""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import ssl
import time
from collections.abc import Mapping
from http.cookies import CookieError

import websocket

from exchange.errors import Disconnected, ExchangeError, HandshakeRefused, Refused, Unreachable
from exchange.fetch import USER_AGENT
from exchange.handshake import HandshakeSocket
from exchange.messages import MESSAGE_BYTES_MAX, MessageReader, ProtocolViolation
from exchange.refusals import error_from_answer
from exchange.tunnel import connect_to
from wire.errors import NO_CODE

_READ_BYTES = 65_536
_MANY_BYTES = 8_192
"""After a read of this size the next one follows at once."""
_HANDSHAKE_TIMEOUTS = 3
"""How many times as long as each wait in it a whole handshake may take."""
_GOODBYE_TIMEOUT_S = 0.5


def market_stream_url(base_url: str) -> str:
    """Where kline streams are: on the `/market` route only since 2026-04-23; others acknowledge and stay silent."""
    return base_url.rstrip("/") + "/market/stream"


class StreamConnection:
    """An open connection; for one thread. Once it has ended, everything but `close` raises `Disconnected`.

    websocket-client does the handshake and sends, `MessageReader` reads: see there why.
    """

    def __init__(self, opened: websocket.WebSocket, connected: socket.socket, url: str, timeout_s: float) -> None:
        """Use `open`. Takes over a WebSocket after its handshake, and the socket under it."""
        self._opened = opened
        self._url = url
        self._timeout_s = timeout_s
        self._socket = connected
        self._socket.settimeout(0)
        self._readable = selectors.DefaultSelector()
        self._readable.register(self._socket, selectors.EVENT_READ)
        self._reader = MessageReader(MESSAGE_BYTES_MAX)
        self._end: Disconnected | None = None
        self._looked_s = -math.inf
        self._reads_much = False

    @classmethod
    def open(
        cls, url: str, proxy: str | None = None, timeout_s: float = 10.0, tls: ssl.SSLContext | None = None
    ) -> StreamConnection:
        """Connect to `url`, `ws` or `wss`.

        Args:
            proxy: the URL of a proxy, as `proxy_for` gives it; the environment is not looked at.
            timeout_s: for connecting, for each wait during the handshake, which may take three times as long, and later
                for sending.
            tls: which certificates to trust; None: those of the system and of certifi.

        Raises:
            Unreachable: no answer, or one that is no HTTP.
            HandshakeRefused: an answer that opens no WebSocket; where its status says more, as for REST:
                Restricted, RateLimited, Banned, Blocked, ServerFault.
        """
        asked = f"opening {url}"
        opened = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
        try:
            connected = connect_to(url, proxy, timeout_s, tls)
        except OSError as error:
            raise Unreachable(f"{asked}: {type(error).__name__}: {error}") from error
        try:
            header = [f"User-Agent: {USER_AGENT}"]
            bounded = HandshakeSocket(connected, _HANDSHAKE_TIMEOUTS * timeout_s)
            opened.connect(url, socket=bounded, timeout=timeout_s, redirect_limit=0, header=header)  # type: ignore[no-untyped-call]
            opened.sock = connected
        except websocket.WebSocketBadStatusException as error:
            connected.close()
            headers, body = error.resp_headers or {}, error.resp_body or b""
            raise _refusal(asked, error.status_code, headers, body) from error
        except (websocket.WebSocketException, OSError, CookieError) as error:
            connected.close()
            redirection = opened.handshake_response
            if redirection is not None:
                raise _refusal(asked, redirection.status, redirection.headers, b"") from error
            raise Unreachable(f"{asked}: {type(error).__name__}: {error}") from error
        return cls(opened, connected, url, timeout_s)

    def receive(self, timeout_s: float) -> bytes | None:
        """The next whole message, text or binary; None when none came within `timeout_s`.

        Raises:
            Disconnected: the connection has ended, and all that came before was handed out.
        """
        messages = self.receive_batch(timeout_s, 1)
        return messages[0] if messages else None

    def receive_batch(self, timeout_s: float, count_max: int, gather_s: float = 0.0) -> list[bytes]:
        """Wait for the next message, then take what else is there already, up to `count_max`, in order.

        Empty when none came within `timeout_s`. Pings are answered on the way, and what came of a message
        so far is kept. Waking up costs more than decoding a frame: after a look at the socket none follows for
        `gather_s`, unless much has come.

        Raises:
            Disconnected: as `receive`.
        """
        deadline_s: float | None = None
        while True:
            messages = self._take(count_max)
            if messages:
                return messages
            self._check_open()
            now_s = time.monotonic()
            if deadline_s is None:
                deadline_s = now_s + timeout_s
            pause_s = min(self._looked_s + gather_s, deadline_s) - now_s
            if pause_s > 0 and not self._reads_much:
                time.sleep(pause_s)
                now_s += pause_s
            if not self._has_decrypted() and not self._readable.select(max(0.0, deadline_s - now_s)):
                return []
            self._looked_s = time.monotonic()
            self._read()

    def send(self, text: str) -> None:
        """Send a text message.

        Raises:
            Disconnected: the connection has ended, or does not take it in time.
        """
        self._check_open()
        self._send(text.encode(), websocket.ABNF.OPCODE_TEXT)
        self._check_open()

    def close(self) -> None:
        """Say goodbye, if that goes at once, and close the socket. Closing twice does nothing."""
        if self._opened.sock is None:
            return
        if self._end is None:
            self._end = Disconnected(f"{self._url}: closed from here")
            with contextlib.suppress(websocket.WebSocketException, OSError):
                self._socket.settimeout(_GOODBYE_TIMEOUT_S)
                self._opened.send_close()
        self._readable.close()
        self._opened.shutdown()  # type: ignore[no-untyped-call]

    def _take(self, count_max: int) -> list[bytes]:
        try:
            messages = self._reader.take(count_max)
        except ProtocolViolation as violation:
            self._ended(f"protocol violated: {violation}")
            return []
        while self._reader.pings and self._end is None:
            self._send(self._reader.pings.pop(0), websocket.ABNF.OPCODE_PONG)
        return messages

    def _check_open(self) -> None:
        closed = self._reader.close
        if closed is not None and self._end is None:
            text = f"{self._url}: closed by the peer: {closed.code} {closed.reason}"
            self._end = Disconnected(text, code=closed.code, reason=closed.reason)
        if self._end is not None:
            raise self._end

    def _has_decrypted(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _read(self) -> None:
        """Feed what is there without waiting; of TLS record by record, as a server may send each frame in its own."""
        received = []
        size = 0
        while size < _READ_BYTES:
            try:
                data = self._socket.recv(_READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                self._ended(f"{type(error).__name__}: {error}")
                break
            if not data:
                self._ended("the peer ended the connection without closing it")
                break
            received.append(data)
            size += len(data)
            if not isinstance(self._socket, ssl.SSLSocket):
                break
        if received:
            self._reader.feed(b"".join(received))
        self._reads_much = size >= _MANY_BYTES

    def _send(self, payload: bytes, opcode: int) -> None:
        try:
            self._socket.settimeout(self._timeout_s)
            self._opened.send(payload, opcode)
            self._socket.settimeout(0)
        except (websocket.WebSocketException, OSError) as error:
            self._ended(f"sending: {type(error).__name__}: {error}")

    def _ended(self, why: str) -> None:
        if self._end is None:
            self._end = Disconnected(f"{self._url}: {why}")


def _refusal(asked: str, status: int, headers: Mapping[str, str], body: bytes) -> ExchangeError:
    error = error_from_answer(asked, status, headers, body)
    if isinstance(error, Refused) or status < 400:
        code, message = (error.code, error.message) if isinstance(error, Refused) else (NO_CODE, "")
        return HandshakeRefused(str(error), status=status, code=code, message=message)
    return error
