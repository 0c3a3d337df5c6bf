"""What may go wrong in a simulated world, and how often."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """Probabilities of what goes wrong. The default is nothing at all."""

    crashes: float = 0.0
    """Of an actor, for each message."""
    rare_crashes: float = 0.0
    """Of an actor, for the first messages of each kind that it is told; the more it has had, the less."""
    crashed_beginnings: float = 0.0
    """Of an actor, whenever it takes hold of a file or a connection."""
    stalls: float = 0.0
    """Per beat: some actor has no turn for a while."""

    lost_frames: float = 0.0
    doubled_frames: float = 0.0
    late_frames: float = 0.0
    """Up to half a minute late, so that later ones overtake them."""
    missing_finals: float = 0.0
    wrong_finals: float = 0.0
    """Of finals that say something else than what the exchange keeps."""
    damaged_frames: float = 0.0
    """Frames that are no bars any more."""
    disconnects: float = 0.0
    """Per beat, of one connection."""
    silences: float = 0.0
    """Per beat: a connection goes on without a word."""
    deaf_streams: float = 0.0
    """Of streams that are asked for: acknowledged, and never served."""
    refused_connections: float = 0.0
    outages: float = 0.0
    """Per beat: for a while nobody is there, neither for streams nor for requests."""
    stream_outages: float = 0.0
    """Per beat: for minutes or hours nobody is there for streams."""
    rest_outages: float = 0.0
    """Per beat: for minutes or hours nobody is there for requests."""

    rest_errors: float = 0.0
    """Of requests."""
    limits: float = 0.0
    """Of requests: too many of them by somebody else on this address; a short ban every other time."""
    unknown_symbols: float = 0.0
    """Of requests for klines: refused, though the symbol exists."""
    stale_rows: float = 0.0
    """Of requests for klines: answered as some seconds ago."""
    changed_rows: float = 0.0
    """Of recent minutes in such answers: something else than what the exchange keeps in the end."""
    empty_rows: float = 0.0
    """Of requests for klines: from then on those of that symbol are answered without a row, for a while."""
    stale_contracts: float = 0.0
    """Of requests for exchangeInfo: answered as some minutes ago."""
    lacking_contracts: float = 0.0
    """Of requests for exchangeInfo: answered without some contracts, or without any."""
    false_ends: float = 0.0
    """Of requests for exchangeInfo: from then on a contract is said to have ended already, for a while."""

    failed_commits: float = 0.0
    failed_reads: float = 0.0
    full_disks: float = 0.0
    """Per commit: from then on there is no room for a while."""
    sleeps: float = 0.0
    """Per beat: the machine sleeps, and its monotonic clock with it, for minutes or hours."""
    standstills: float = 0.0
    """Per beat: this process stands still for minutes or hours, while all clocks go on."""
