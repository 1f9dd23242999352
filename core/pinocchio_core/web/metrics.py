"""What the server counts and times, for Prometheus. One of these for each app."""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from pinocchio_core.errors import PinocchioError
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.keeper import wal_bytes
from pinocchio_core.web.counting import AnyFamily, Counts, Family, TimesFamily, TimesOfThreads, single
from pinocchio_core.web.turn_metrics import TurnMetrics

if TYPE_CHECKING:
    from pinocchio_core.service.changes.webhooks import Webhooks

_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All that is counted of one app."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(
        self, database: Database, turns: TurnMetrics, *, version: str, webhooks: "Webhooks | None" = None
    ) -> None:
        self._database = database
        self._turns = turns
        self._version = version
        self._webhooks = webhooks
        self.requests = TimesOfThreads(_BUCKETS_S)
        """By route template, method and status."""
        self.writes = Counts()
        """By kind."""
        self.conflicts = Counts()

    def text(self, more: Iterable[AnyFamily]) -> bytes:
        """Everything, and what only those know who ask, in Prometheus' text format."""
        from pinocchio_core.web.exposition import text_of  # with its library, which few servers need at once

        return text_of([*self._families(), *more])

    def _families(self) -> Iterator[AnyFamily]:
        yield from self._turns.families()
        if self._webhooks:
            yield from _webhook_families(self._webhooks)
        yield from _store_families(self._database)
        yield TimesFamily(
            "pinocchio_http_request_duration_seconds",
            "Time to answer, by route template.",
            self.requests.total().items(),
            labels=("route", "method", "status"),
            bounds_s=_BUCKETS_S,
        )
        writes = self.writes.total().items()
        yield Family("counter", "pinocchio_writes", "Acknowledged writes.", writes, labels=("op",))
        conflicts = self.conflicts.total().get((), 0)
        yield single("counter", "pinocchio_write_conflicts", "Writes refused for what is stored.", conflicts)
        version = [((self._version,), 1)]
        yield Family("gauge", "pinocchio_build_info", "The version that runs.", version, labels=("version",))
        process = [((str(os.getpid()),), 1)]
        yield Family("gauge", "pinocchio_worker_info", "The process that counted all this.", process, labels=("pid",))


def _store_families(database: Database) -> Iterator[AnyFamily]:
    """Waits of writers, checkpoints, and the write-ahead log, since the database was opened."""
    tally, gate, path = database.tally, database.gate, database.dsn.path
    for name, text, value in (
        ("store_write_waits", "Writes that had to wait for another one.", gate.waits),
        ("store_write_wait_seconds", "How long those waited.", gate.wait_s),
        ("store_write_timeouts", "Writes and checkpoints that did not get in within the busy timeout.", gate.timeouts),
        ("store_checkpoints", "Checkpoints of the write-ahead log.", tally.checkpoints),
        ("store_checkpoint_seconds", "How long those took.", tally.checkpoint_s),
        ("store_checkpoints_blocked", "Checkpoints that a reader kept from finishing.", tally.checkpoints_blocked),
        ("store_file_changes", "Times the database file was replaced, removed or written by others.", tally.reopened),
    ):
        yield single("counter", f"pinocchio_{name}", text, value)
    size = 0 if path is None else wal_bytes(f"{path}-wal")
    yield single("gauge", "pinocchio_store_wal_bytes", "Size of the write-ahead log.", size)


def _webhook_families(webhooks: "Webhooks") -> Iterator[AnyFamily]:
    """What this process has sent, and how far each is by whichever server, where the database can say."""
    posts = webhooks.posts.copy().items()
    yield Family("counter", "pinocchio_webhook_posts", "Messages to webhooks.", posts, labels=("name", "result"))
    try:
        states = webhooks.states()
    except PinocchioError:
        return
    behind = [((state.name,), state.behind) for state in states]
    yield Family("gauge", "pinocchio_webhook_lag", "Changes that a webhook is behind.", behind, labels=("name",))
    failed = [((state.name,), state.attempts) for state in states]
    text = "Attempts since the last one that did not fail."
    yield Family("gauge", "pinocchio_webhook_failed_attempts", text, failed, labels=("name",))
