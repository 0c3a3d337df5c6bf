"""Enormous answers: hundreds of megabytes with and without a length, gzip bombs, endless headers and frames."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.giant import Giant, GiantServer, answers, endless_frame
from tests.faults.trial import options, trial, until
from tests.support.service import ROOT

MORE_MB_MAX = 100
"""So much more memory than before a service may take, whatever it is sent."""
DOWNLOAD_MB_MAX = 300
OF_HANDSHAKES = ("300 MB with a length", "a refusal of 300 MB", "300 MB of headers", "300 MB of status line")
"""Kinds that a WebSocket's client may meet."""


def run(arguments: Sequence[str] = ()) -> str:
    """One kind after the other in the place of every answer, on REST, then on the streams; then for a download."""
    chosen = options("enormous", __doc__, arguments, symbols=40, speed=60.0, seconds=10.0, of_seconds="of each kind")
    kinds = answers()
    with ExitStack() as stack:
        one = stack.enter_context(trial(symbols=chosen.symbols, speed=chosen.speed))
        rest, streams = (stack.enter_context(GiantServer(one.exchange.port)) for _ in range(2))
        one.options = ("--rest-url", rest.url("http"), "--ws-url", streams.url("ws"))
        one.begin()
        calm_mb = one.memory_mb()
        peaks_mb: dict[str, int] = {}
        handshakes = {name: kinds[name] for name in OF_HANDSHAKES} | {"a frame of 1 TB": endless_frame}
        for server, place, sent in ((rest, "REST", kinds), (streams, "streams", handshakes)):
            for name, giant in sent.items():
                one.forget_peak()
                server.giant, before = giant, server.seen["answers"]
                if server is streams:
                    one.exchange.disconnect_all()
                until(lambda: server.seen["answers"] > before, 120, f"{place} is asked")  # noqa: B023
                time.sleep(chosen.seconds)
                server.giant, before = None, server.seen["passed"]
                until(lambda: server.seen["passed"] > before, 120, f"{place} is asked again")  # noqa: B023
                peaks_mb[f"{name} ({place})"] = one.peak_mb()
                print(f"  {place}: {name}: at most {peaks_mb[f'{name} ({place})']} MB", flush=True)
        one.expect_well()
        bars, equal_s = one.expect_truth()
        restarts = one.status()["restarts"]
        assert one.stop() == 0
        sent_mb = (rest.seen["bytes"] + streams.seen["bytes"]) >> 20
        downloads_mb = {name: downloaded_mb(one.exchange.rest_url, giant) for name, giant in kinds.items()}
    worst, most_mb = max(peaks_mb.items(), key=lambda item: item[1])
    assert most_mb <= calm_mb + MORE_MB_MAX, f"{worst}: {calm_mb} MB before, {most_mb} MB at most"
    largest, download_mb = max(downloads_mb.items(), key=lambda item: item[1])
    assert download_mb <= DOWNLOAD_MB_MAX, f"a download took {download_mb} MB: {largest}"
    return (
        f"{len(peaks_mb)} kinds on REST and streams, {sent_mb:,} MB sent: {calm_mb} MB resident before, {most_mb} MB "
        f"at most ({worst}), {restarts} actors began anew; all {bars:,} bars equal {equal_s:.0f} s after it; a "
        f"download took {download_mb} MB at most ({largest})"
    )


def downloaded_mb(rest_url: str, giant: Giant) -> int:
    """The most memory that `run.py backfill` takes whose archive and listing answer so."""
    with TemporaryDirectory() as folder, GiantServer(0) as archive:
        archive.giant = giant
        command = [
            *(sys.executable, "run.py", "backfill", "--database", str(Path(folder, "bars.db"))),
            *("--rest-url", rest_url, "--archive-url", archive.url("http"), "--listing-url", archive.url("http")),
            *("--symbols", "BTCUSDT", "--intervals", "1m", "--source", "archive"),
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            stop_s = time.monotonic() + 300
            peak_mb = 0
            while process.poll() is None and time.monotonic() < stop_s:
                peak_mb = max(peak_mb, _peak_mb(process.pid))
                time.sleep(0.2)
            assert process.returncode == 3, f"a download ended with {process.returncode}, expected 3"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return peak_mb


def _peak_mb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0
