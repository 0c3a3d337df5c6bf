"""Which certificates are trusted, the same for REST and WebSocket."""

from __future__ import annotations

import ssl

import certifi


def trusting_context() -> ssl.SSLContext:
    """A client's TLS context that trusts the system's certificates, those of SSL_CERT_FILE, and certifi's.

    The system's count because a company's proxy may be known there only, certifi's because some systems
    have none.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
