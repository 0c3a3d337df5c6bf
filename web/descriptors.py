"""How many connections the process may have: each takes a file descriptor."""

from __future__ import annotations

import sys

from web.places import RESERVED_DESCRIPTORS, clients_within

if sys.platform != "win32":
    import resource


def room_for(clients: int) -> int:
    """Make room for this many connections, as far as the system lets this process; returns how many there is room for.

    Raises the soft limit of open files, which is 1,024 on many systems, up to the hard one; changes the process, so
    that it is for a program's start.
    """
    if sys.platform == "win32":  # no such limit
        return clients
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + RESERVED_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return clients if soft == resource.RLIM_INFINITY else clients_within(clients, soft)
