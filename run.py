"""Barkeep's command line: wiring, signals, log, exit statuses.

    0 done    1 stopped by its own supervision    2 bad option    3 finished with something missing or different
    4 database in use, unusable, or of a newer version

`status` also ends with 1 when no service is running, `audit` when the exchange cannot be reached, and `export` when a
file cannot be written.
"""

from __future__ import annotations

import errno
import faulthandler
import logging
import os
import queue
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from actors import BarSystem
from actors.commands.export import ExportFailed
from actors.data_service import DataService
from actors.options import BadOption
from actors.settings import Settings
from actors.shell.command_line import Command, parse
from actors.shell.commands import TEMPORARY
from actors.shell.errands import audit, backfill, backup, export, failed, status
from actors.shell.log_lines import LineFormatter, Stderr
from actors.shell.memory import calm_collector, share_arenas
from actors.shell.terminal import progress
from exchange import ExchangeError
from exchange.proxy import InvalidProxy
from exchange.simulated import SimulatedExchange, default_plan
from storage import BarStore, Reader, StorageError
from web import Access, ClosedHold, PushServer, Sources, WebServer, make_app, room_for

logger = logging.getLogger("barkeep")

SIGNAL_DELAY_S = 0.2
"""The ordered stop begins at most this long after a signal."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        command = parse(sys.argv[1:] if argv is None else argv, os.environ)
        set_up_logging(command.settings)
        calm_collector()
        share_arenas()
        return run(command)
    except (BadOption, InvalidProxy) as error:
        return failed(error, status=2)
    except StorageError as error:
        return failed(error, status=4)
    except (ExchangeError, ExportFailed) as error:
        return failed(error, status=1)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def run(command: Command) -> int:
    """Do what was asked for; returns the exit status."""
    match command.name:
        case "help" | "version":
            sys.stdout.write(command.own["text"])
            return 0
        case "data":
            return data(command.settings)
        case "web":
            return web(command.settings)
        case "demo":
            return demo(command.settings, **command.own)
        case "backfill":
            with signals() as stopping:
                return backfill(command.settings, command.own, lambda: stopping.requested)
        case "status":
            return status(command.settings, as_json=command.own["json"])
        case "audit":
            return audit(command.settings, command.own)
        case "export":
            return export(command.settings, command.own)
        case "backup":
            return backup(command.settings, command.own["file"])
        case _:
            return serve(command.settings)


# Logging


def set_up_logging(settings: Settings) -> None:
    """Log to stderr, one line for each record."""
    handler = logging.StreamHandler(Stderr())
    handler.setFormatter(LineFormatter(as_json=settings.log_format == "json"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    if settings.log_level != "debug":
        # urllib3 warns of headers that it cannot read, with a traceback: what comes of it is ours to tell.
        for library, level in (("uvicorn", "WARNING"), ("urllib3", "ERROR"), ("websocket", "WARNING")):
            logging.getLogger(library).setLevel(level)


# The commands that go on


def serve(settings: Settings) -> int:
    """Data service and web in one process."""
    system = BarSystem(settings)
    BarStore.open(settings.database).close()  # a file in use is told of before a port that is taken
    with signals() as stopping, closing(Reader(settings.database)) as reader:
        sources = Sources(reader, system.now_ms, system.health, system.status, fetch=system.fetch, watch=system.watch)
        # The port comes first: where it cannot be had, nothing has been started that would have to stop.
        # The reader goes before the system: a writer that closes the file last merges SQLite's log into it.
        with bound(sources, settings) as server, system, closing(reader), serving(server, settings):
            try:
                watch(system, stopping, settings)
            finally:
                system.stop_fetching()
    return outcome(system)


def data(settings: Settings) -> int:
    """Data service alone: no HTTP."""
    system = BarSystem(settings)
    with signals() as stopping, system:
        watch(system, stopping, settings)
    return outcome(system)


def web(settings: Settings) -> int:
    """Web and push alone, on the file that a data service writes."""
    with signals() as stopping, closing(Reader(settings.database)) as reader:
        service = DataService(reader)
        sources = Sources(reader, service.now_ms, service.health, service.status, silence=service.health)
        with bound(sources, settings) as server, serving(server, settings):
            while not stopping.wait(SIGNAL_DELAY_S):
                pass
    return 0


def demo(settings: Settings, *, speed: float, count: int, seed: int) -> int:
    """The simulated exchange, and `serve` on it."""
    plan = default_plan(seed, count)
    with tempfile.TemporaryDirectory(prefix="barkeep-") as folder, SimulatedExchange(plan, speed=speed) as exchange:
        database = Path(folder, "demo.db") if settings.database == Path(TEMPORARY) else settings.database
        return serve(
            replace(
                settings,
                database=database,
                rest_url=exchange.rest_url,
                ws_url=exchange.ws_url,
                archive_url=exchange.archive_url,
                listing_url=exchange.listing_url,
                proxy=None,
            )
        )


# The parts


@contextmanager
def bound(sources: Sources, settings: Settings) -> Iterator[WebServer]:
    """A web server that has its port, for as long as the block runs. It answers once it is started.

    Raises:
        BadOption: the port is taken, or the host is none of this machine's.
    """
    push = PushServer(sources)
    app = make_app(replace(sources, push_clients=lambda: push.clients))
    server = listen(app, settings, push, ClosedHold(sources.reader))
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def serving(server: WebServer, settings: Settings) -> Iterator[None]:
    """The web server answers for as long as the block runs."""
    server.start()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.info("serving on http://%s:%d", host, server.port)
    try:
        yield
    finally:
        server.stop()


def listen(
    app: Callable[..., Any], settings: Settings, push: PushServer | None = None, hold: ClosedHold | None = None
) -> WebServer:
    """A web server that has its port.

    Raises:
        BadOption: the port is taken, or the host is none of this machine's.
    """
    access = Access.of(settings.host, settings.allowed_hosts, settings.token, socket.gethostname())
    clients = room_for(settings.max_clients)
    if clients < settings.max_clients:
        logger.warning("room for %d clients, not %d: too few open files are allowed", clients, settings.max_clients)
    try:
        return WebServer(app, settings.host, settings.port, push, hold, access=access, clients=clients)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise BadOption("--port", f"a free port that may be opened ({error.strerror})", settings.port) from None
        raise BadOption("--host", f"an address of this machine ({error.strerror})", settings.host) from None


def watch(system: BarSystem, stopping: Stopping, settings: Settings) -> None:
    """Report progress until the system ends or a signal asks for its end."""
    with progress(settings) as report:
        while not stopping.requested and not system.wait(SIGNAL_DELAY_S):
            report(system.status)


def outcome(system: BarSystem) -> int:
    """The exit status of a system that has stopped."""
    return 0 if system.failure is None else failed(system.failure, status=1)


class Stopping:
    """Whether a signal asked for an ordered stop."""

    def __init__(self) -> None:
        self.requested = False
        self._arrived: queue.SimpleQueue[int] = queue.SimpleQueue()  # unlike Event.set(), safe in a handler

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Take note of a signal; the second one ends the process at once."""
        if self.requested:
            os._exit(128 + number)
        self.requested = True
        self._arrived.put(number)

    def wait(self, timeout_s: float) -> bool:
        """Whether a signal has come, before or within `timeout_s`."""
        if not self.requested:
            with suppress(queue.Empty):
                self._arrived.get(timeout=timeout_s)
        return self.requested


@contextmanager
def signals() -> Iterator[Stopping]:
    """While the block runs, SIGINT and SIGTERM only take note. SIGUSR1 prints what every thread is at."""
    stopping = Stopping()
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        faulthandler.register(signal.SIGUSR1)
    previous = {number: signal.signal(number, stopping.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
