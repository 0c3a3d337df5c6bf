"""The listening socket: who is let in, who is turned away, and what happens when file descriptors run out.

asyncio accepts thousands of connections in one go, out of file descriptors too; so `accept` is of our own make here.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import Any

from web.connections import FULL, HEADER_BYTES_MAX
from web.door import Door

ACCEPTED_AT_ONCE = 32
"""After this many new connections the others have their turn."""

_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener(socket.socket):
    """A listening socket that turns away whom there is no place for, and lives on when descriptors run out.

    A spare descriptor is kept: given up for a moment it lets a connection be accepted and closed, which otherwise
    would wait in the system's queue, and keep the loop spinning over it.

    Args:
        bound: the socket that has the address; it is spent.
    """

    def __init__(self, bound: socket.socket, door: Door) -> None:
        super().__init__(bound.family, bound.type, bound.proto, fileno=bound.detach())
        self._door = door
        self._spare: int | None = None
        self._accepted = 0
        self._keep_spare()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that may stay.

        Raises:
            BlockingIOError: none waits, or the others are to have their turn first.
            OSError: descriptors have run out, the spare one included; asyncio tries again in a second.
        """
        while self._accepted < ACCEPTED_AT_ONCE and not self._door.places.is_settling:
            self._accepted += 1
            self._keep_spare()
            try:
                connection, address, may_stay = self._next()
            except BlockingIOError:
                self._accepted = 0
                raise
            except OSError:
                self._accepted = ACCEPTED_AT_ONCE  # asyncio asks again at once, though it has set a timer
                raise
            if may_stay and self._door.admits():
                return connection, address
            _turn_away(connection)
        self._accepted = 0
        raise BlockingIOError

    def close(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        super().close()

    def _next(self) -> tuple[socket.socket, Any, bool]:
        """The next connection, where from, and whether there are descriptors enough for it to stay."""
        try:
            return *super().accept(), True
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS or self._spare is None:
                raise
        os.close(self._spare)
        self._spare = None
        self._door.make_way()
        refused = super().accept()
        self._door.tally["connections refused for want of file descriptors"] += 1
        return *refused, False

    def _keep_spare(self) -> None:
        if self._spare is None:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)


def _turn_away(connection: socket.socket) -> None:
    """Say that there is no place. What the client has said already is taken first, or it would see a reset only."""
    with connection, suppress(OSError):
        connection.setblocking(False)
        with suppress(BlockingIOError):
            connection.recv(HEADER_BYTES_MAX)
        connection.send(FULL)
