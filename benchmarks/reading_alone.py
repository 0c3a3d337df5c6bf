"""The floor of all that reads streams: websocket-client and a JSON decoder, nothing kept.

    python -m benchmarks.reading_alone <URL> <file with stream names>

A connection and a thread for 200 streams each, as the service has. It prints how many frames it has read whenever a
line comes on its standard input, and ends with that.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import msgspec
import websocket

from wire.subscriptions import STREAMS_PER_CONNECTION


class Reading:
    """One connection, read by one thread."""

    def __init__(self, url: str, names: list[str]) -> None:
        self.frames = 0
        self._connection = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
        self._connection.connect(f"{url}/market/stream")  # type: ignore[no-untyped-call]
        request = {"method": "SUBSCRIBE", "params": names, "id": 1}
        self._connection.send(msgspec.json.encode(request).decode())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        decode = msgspec.json.Decoder().decode
        while True:
            try:
                payload = self._connection.recv()
            except (websocket.WebSocketException, OSError):
                return
            if "data" in decode(payload):
                self.frames += 1


def main() -> None:
    url, file = sys.argv[1:]
    names = Path(file).read_text(encoding="utf-8").split()
    step = STREAMS_PER_CONNECTION
    readings = [Reading(url, names[at : at + step]) for at in range(0, len(names), step)]
    for _ in sys.stdin:
        print(sum(reading.frames for reading in readings), flush=True)


if __name__ == "__main__":
    main()
