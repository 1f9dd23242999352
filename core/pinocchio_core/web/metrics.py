"""What the server counts and times, for Prometheus. One registry of collectors for each app."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The collectors of one app."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, *, version: str) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "pinocchio_http_request_duration_seconds",
            "Time to answer, by route template, method and status.",
            ("route", "method", "status"),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, int], Histogram] = {}
        self.writes = Counter("pinocchio_writes", "Acknowledged writes.", ("op",), registry=self._registry)
        self.conflicts = Counter("pinocchio_write_conflicts", "Writes refused as stale.", registry=self._registry)
        self.plugin_faults = Gauge("pinocchio_plugin_faults", "Plugins that should be active.", registry=self._registry)
        info = Gauge("pinocchio_build_info", "The version that runs.", ("version",), registry=self._registry)
        info.labels(version).set(1)

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (route, method, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._requests.labels(route, method, str(status))
        child.observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
