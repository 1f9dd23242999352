"""How the server is."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import falcon

from pinocchio_core.errors import PinocchioError
from pinocchio_core.host.host import Host
from pinocchio_core.service.access.callers import Caller
from pinocchio_core.service.changes.following import Follower
from pinocchio_core.service.upkeep.findings import Findings
from pinocchio_core.store.store import Store
from pinocchio_core.web import codec
from pinocchio_core.web.counting import AnyFamily, Family, single
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource

if TYPE_CHECKING:
    from pinocchio_core.service.upkeep.scheduled import ScheduledBackups

UNTOLD: Final = "something is wrong; a token that may read all registries is told what"


class HealthResource(Resource):
    """`/healthz`: the process is up. Touches nothing that could hang."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Yes."""
        del req
        codec.send_json(resp, {"status": "ok"})


class ReadyResource(Resource):
    """`/readyz`: the store answers and every plugin is well; else 503 and what is wrong.

    Rows that are not well, files that cannot be used as they are now and backups that are missing are named too, but
    everything is served, so that the answer stays 200.
    """

    def __init__(
        self,
        store: Store,
        host: Host,
        findings: Findings,
        backups: "ScheduledBackups | None",
        reasons: Sequence[Callable[[], Sequence[str]]],
    ) -> None:
        self._store = store
        self._host = host
        self._findings = findings
        self._backups = backups
        self._reasons = reasons

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Whether requests can be served as configured; why not is for those who may read everything."""
        reasons = [f"plugin {record.source}: {record.status.value}: {record.detail}" for record in self._host.faults]
        try:
            self._store.registries.all()
        except PinocchioError as error:
            reasons.append(str(error))
        if reasons:
            resp.status = falcon.HTTP_503
        reasons += [*self._findings.reasons(), *(each for more in self._reasons for each in more())]
        document: dict[str, Any] = {"status": "ok", "reasons": reasons}
        if self._backups:
            age_s, missing = _state_of(self._backups)
            reasons += missing
            document["backup_age_seconds"] = age_s
        if reasons:
            document["status"] = "degraded"
            if not _sees_everything(req.context.caller):
                document["reasons"] = [UNTOLD]
        codec.send_json(resp, document)


class MetricsResource(Resource):
    """`/metrics`, for Prometheus."""

    def __init__(
        self, metrics: Metrics, host: Host, findings: Findings, backups: "ScheduledBackups | None", follower: Follower
    ) -> None:
        self._follower = follower
        self._metrics = metrics
        self._host = host
        self._findings = findings
        self._backups = backups

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Everything that is counted."""
        del req
        resp.data = self._metrics.text(self._families())
        resp.content_type = self._metrics.content_type

    def _families(self) -> Iterator[AnyFamily]:
        faults = len(self._host.faults)
        yield single("gauge", "pinocchio_plugin_faults", "Plugins that should be active and are not.", faults)
        listening = "Clients that listen to changes as events."
        yield single("gauge", "pinocchio_change_listeners", listening, self._follower.count)
        rows = [((state,), count) for state, count in self._findings.counts().items()]
        yield Family("gauge", "pinocchio_quarantined_rows", "Stored rows that are not well.", rows, labels=("state",))
        age_s = _state_of(self._backups)[0] if self._backups else None
        text = "Age of the newest verified backup that servers made by themselves; NaN where there is none."
        yield single("gauge", "pinocchio_backup_age_seconds", text, math.nan if age_s is None else age_s)


def _sees_everything(caller: Caller) -> bool:
    """Whether names of rows, files and plugins may be told."""
    return caller.role is not None and caller.registries is None


def _state_of(backups: "ScheduledBackups") -> tuple[float | None, list[str]]:
    """The age of the newest verified one in seconds, and what is wrong; nothing where the database cannot say."""
    try:
        return backups.age_s(), backups.reasons()
    except PinocchioError:
        return None, []
