"""What the server counts and times, for Prometheus. One registry of collectors for each app."""

import os
import threading
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pinocchio_core.errors import PinocchioError
from pinocchio_core.service.changes.webhooks import Webhooks
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.keeper import wal_bytes
from pinocchio_core.web.turn_metrics import TurnMetrics

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LABELS = ("route", "method", "status")

_Times = dict[tuple[str, str, int], list[float]]
"""For each route, method and status: how many answers fell into each bucket, and last the sum of their seconds."""


class RequestTimes(Collector):
    """How long answers took.

    Each thread counts for itself and a scrape adds them up: the library's own histogram takes two locks an answer.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[_Times] = []

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        try:
            times: _Times = self._own.times
        except AttributeError:
            times = self._own.times = {}
            self._all.append(times)
        cell = times.get((route, method, status))
        if cell is None:
            cell = times[route, method, status] = [0.0] * (len(_BUCKETS_S) + 2)
        cell[bisect_left(_BUCKETS_S, seconds)] += 1
        cell[-1] += seconds

    def collect(self) -> Iterator[Metric]:
        """The histogram of all threads."""
        total: _Times = {}
        for times in list(self._all):
            for key, cell in list(times.items()):
                total[key] = [a + b for a, b in zip(total.get(key, [0.0] * len(cell)), cell, strict=True)]
        family = HistogramMetricFamily(
            "pinocchio_http_request_duration_seconds", "Time to answer, by route template.", labels=_LABELS
        )
        for (route, method, status), (*counts, seconds) in sorted(total.items()):
            bounds = [*map(str, _BUCKETS_S), "+Inf"]
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric((route, method, str(status)), buckets, seconds)
        yield family


class StoreTimes(Collector):
    """What happened to the database since it was opened, read when it is asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Waits of writers, checkpoints, and the write-ahead log."""
        tally, gate, path = self._database.tally, self._database.gate, self._database.dsn.path
        for name, text, value in (
            ("store_write_waits", "Writes that had to wait for another one.", gate.waits),
            ("store_write_wait_seconds", "How long those waited.", gate.wait_s),
            (
                "store_write_timeouts",
                "Writes and checkpoints that did not get in within the busy timeout.",
                gate.timeouts,
            ),
            ("store_checkpoints", "Checkpoints of the write-ahead log.", tally.checkpoints),
            ("store_checkpoint_seconds", "How long those took.", tally.checkpoint_s),
            ("store_checkpoints_blocked", "Checkpoints that a reader kept from finishing.", tally.checkpoints_blocked),
            (
                "store_file_changes",
                "Times the database file was replaced, removed or written by others.",
                tally.reopened,
            ),
        ):
            yield CounterMetricFamily(f"pinocchio_{name}", text, value=value)
        size = 0 if path is None else wal_bytes(f"{path}-wal")
        yield GaugeMetricFamily("pinocchio_store_wal_bytes", "Size of the write-ahead log.", value=size)


class WebhookStates(Collector):
    """How webhooks fare, read when it is asked for."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def collect(self) -> Iterator[Metric]:
        """What this process has sent, and how far each is by whichever server, where the database can say."""
        posts = CounterMetricFamily("pinocchio_webhook_posts", "Messages to webhooks.", labels=("name", "result"))
        for (name, result), count in sorted(self._webhooks.posts.items()):
            posts.add_metric((name, result), count)
        yield posts
        behind = GaugeMetricFamily("pinocchio_webhook_lag", "Changes that a webhook is behind.", labels=("name",))
        failed = GaugeMetricFamily(
            "pinocchio_webhook_failed_attempts", "Attempts since the last one that did not fail.", labels=("name",)
        )
        try:
            states = self._webhooks.states()
        except PinocchioError:
            return
        for state in states:
            behind.add_metric((state.name,), state.behind)
            failed.add_metric((state.name,), state.attempts)
        yield behind
        yield failed


class Metrics:
    """The collectors of one app."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(
        self, database: Database, turns: TurnMetrics, *, version: str, webhooks: Webhooks | None = None
    ) -> None:
        self._registry = CollectorRegistry()
        turns.register(self._registry)
        if webhooks:
            self._registry.register(WebhookStates(webhooks))
        self._registry.register(StoreTimes(database))
        self.requests = RequestTimes()
        self._registry.register(self.requests)
        self.writes = Counter("pinocchio_writes", "Acknowledged writes.", ("op",), registry=self._registry)
        self.conflicts = Counter(
            "pinocchio_write_conflicts", "Writes refused for what is stored.", registry=self._registry
        )
        self.plugin_faults = Gauge(
            "pinocchio_plugin_faults", "Plugins that should be active and are not.", registry=self._registry
        )
        self.quarantined_rows = Gauge(
            "pinocchio_quarantined_rows", "Stored rows that are not well.", ("state",), registry=self._registry
        )
        self.backup_age = Gauge(
            "pinocchio_backup_age_seconds",
            "Age of the newest verified backup that servers made by themselves; NaN where there is none.",
            registry=self._registry,
        )
        self.listeners = Gauge(
            "pinocchio_change_listeners", "Clients that listen to changes as events.", registry=self._registry
        )
        info = Gauge("pinocchio_build_info", "The version that runs.", ("version",), registry=self._registry)
        info.labels(version).set(1)
        worker = Gauge("pinocchio_worker_info", "The process that counted all this.", ("pid",), registry=self._registry)
        worker.labels(str(os.getpid())).set(1)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
