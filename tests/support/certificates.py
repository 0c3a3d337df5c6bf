"""A certificate authority of our own for servers on loopback."""

from __future__ import annotations

import ssl
from typing import NamedTuple

import trustme


class LoopbackTls(NamedTuple):
    """Contexts of a server at 127.0.0.1 and of a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def loopback_tls() -> LoopbackTls:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "exchange.test").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return LoopbackTls(server, client)
