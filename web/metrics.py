"""`/metrics` for Prometheus: how the data service is, in numbers, and what this web side was asked.

The service's numbers are those of `/api/status`, so that a web process of its own shows them too; what the status does
not say has no sample. Counters of the service start anew with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bars.interval import SECOND_MS
from bars.ledger import Reason
from web.answers import Answer, Query
from web.remembered import Remembered
from web.sources import Sources
from wire.version import VERSION

NO_ROUTE = "none"
"""The route of requests for pages that do not exist: their paths are anybody's invention."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)

_GAUGES = (
    ("exchange_time_seconds", "The exchange's time.", ("exchange_time",), SECOND_MS),
    ("start_time_seconds", "When the data service started, by this machine's clock.", ("started_at",), SECOND_MS),
    ("lag_seconds", "How far the newest event is behind the exchange's time.", ("lag_ms",), SECOND_MS),
    ("mailbox_messages", "Messages that wait in all actors' mailboxes.", ("mailboxes", "waiting"), 1),
    ("mailbox_messages_max", "Messages that wait in the fullest mailbox.", ("mailboxes", "length"), 1),
    ("writer_waiting_bars", "Closed bars that wait to be committed.", ("database", "waiting"), 1),
    ("database_size_bytes", "The size of the database with its log.", ("database", "size_bytes"), 1),
    (
        "last_commit_timestamp_seconds",
        "When was committed last, by this machine's clock.",
        ("database", "last_commit"),
        SECOND_MS,
    ),
    (
        "verified_ratio",
        "The share of the stored minutes that was compared with the exchange.",
        ("verified", "share"),
        1,
    ),
    ("unverified_minutes", "Stored minutes not compared with the exchange yet.", ("verified", "unverified"), 1),
    ("request_weight_used", "Request weight used in the exchange's minute.", ("backfill", "weight_used"), 1),
    (
        "request_weight_allowed",
        "Request weight that may be used in an exchange's minute.",
        ("backfill", "weight_allowed"),
        1,
    ),
    ("backfill_pages_left", "Pages of history still to be fetched.", ("backfill", "pages_left"), 1),
)
"""Name, help, where in the status, and by what it is divided there."""

_COUNTERS = (
    ("restarts", "Actors started anew after a crash.", ("restarts",)),
    ("unreadable_frames", "Frames and answers of the exchange that could not be read.", ("garbage",)),
    ("commits", "Commits to the database.", ("database", "commits")),
    ("bars_written", "Closed bars stored.", ("database", "bars_written")),
    ("bars_removed", "Closed bars removed because they were old.", ("database", "bars_removed")),
    (
        "bars_dropped",
        "Closed bars that waited for the disk until they were too many; fetched again later.",
        ("database", "dropped"),
    ),
    ("backfill_pages", "Pages of history fetched.", ("backfill", "pages_done")),
    ("verification_weight", "Request weight spent on comparing minutes.", ("verified", "weight")),
)

_FEED_COUNTERS = (
    ("feed_events", "Events that came over a connection to the exchange.", "frames"),
    ("feed_reconnects", "How often a connection was made anew.", "reconnects"),
)
_RESULTS = ("equal", "differed", "missing", "extra", "kept")
_NO_STATES = frozenset({"total", "missing"})
"""What the status says of symbols beside how many are in which state."""


class Metrics:
    """One application's numbers, in a registry of its own."""

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "barkeep_http_requests", "HTTP requests answered.", ("route", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "barkeep_http_request_duration_seconds",
            "How long answering took.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        Info("barkeep_build", "Which Barkeep this is.", registry=self._registry).info({"version": VERSION})
        ProcessCollector(registry=self._registry)
        self._registry.register(_Service(sources))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request; may be called by any thread."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def page(self, _query: Query) -> Answer:
        """The handler of `/metrics`."""
        return Answer(generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Service(Collector):
    """What the data service says of itself."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._status = Remembered(sources.status, sources.monotonic_s)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names do not collide, and asking would need a status."""
        return ()

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield _gauge("healthy", "1 while /healthz says so, else 0.", self._sources.health() is None)
        for name, text, path, divisor in _GAUGES:
            value = _number(status, path)
            if value is not None:
                yield _gauge(name, text, value / divisor)
        for name, text, path in _COUNTERS:
            value = _number(status, path)
            if value is not None:
                yield CounterMetricFamily(f"barkeep_{name}", text, value)
        yield from _feeds(status.get("feeds") or [])
        yield from _labelled("symbols", "Contracts by state.", "state", _symbols(status.get("symbols") or {}))
        if "gaps_by_reason" in status:
            by_reason = {**{reason.value: 0 for reason in Reason}, **status["gaps_by_reason"]}
            yield from _labelled("gaps", "Spans without bars, by reason.", "reason", by_reason)
        yield from _verified(status.get("verified") or {})
        if "backfill" in status:
            reachable = not status["backfill"].get("unreachable")
            yield _gauge("exchange_reachable", "1 unless requests to the exchange fail.", reachable)
        if self._sources.push_clients is not None:
            yield _gauge("push_clients", "WebSocket clients connected.", self._sources.push_clients())


def _feeds(feeds: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    live = GaugeMetricFamily("barkeep_feed_up", "1 while a connection to the exchange is live.", labels=["feed"])
    streams = GaugeMetricFamily("barkeep_feed_streams", "Streams that a connection carries.", labels=["feed"])
    counters = [
        (CounterMetricFamily(f"barkeep_{name}", text, labels=["feed"]), key) for name, text, key in _FEED_COUNTERS
    ]
    for feed in feeds:
        label = [str(feed.get("name", ""))]
        live.add_metric(label, feed.get("state") == "live")
        streams.add_metric(label, feed.get("streams", 0))
        for counter, key in counters:
            counter.add_metric(label, feed.get(key, 0))
    yield from (live, streams, *(counter for counter, _ in counters))


def _symbols(symbols: Mapping[str, Any]) -> dict[str, int]:
    states = {name: count for name, count in symbols.items() if name not in _NO_STATES}
    return {**states, "missing": len(symbols["missing"])} if "missing" in symbols else states


def _verified(verified: Mapping[str, Any]) -> Iterator[Metric]:
    results = [name for name in _RESULTS if name in verified]
    if results:
        text = "Minutes compared with the exchange, by result."
        family = CounterMetricFamily("barkeep_verified_minutes", text, labels=["result"])
        for name in results:
            family.add_metric([name], verified[name])
        yield family


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> Iterator[Metric]:
    if values:
        family = GaugeMetricFamily(f"barkeep_{name}", text, labels=[label])
        for value, count in values.items():
            family.add_metric([value], count)
        yield family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"barkeep_{name}", text, value)


def _number(status: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = status
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None
