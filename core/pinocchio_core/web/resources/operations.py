"""How the server is."""

import falcon

from pinocchio_core.errors import PinocchioError
from pinocchio_core.host.host import Host
from pinocchio_core.service.findings import Findings
from pinocchio_core.store.store import Store
from pinocchio_core.web import codec
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource


class HealthResource(Resource):
    """`/healthz`: the process is up. Touches nothing that could hang."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Yes."""
        del req
        codec.send_json(resp, {"status": "ok"})


class ReadyResource(Resource):
    """`/readyz`: the store answers and every plugin is well; else 503 and what is wrong.

    Rows that are not well are named too, but everything else is served, so that the answer stays 200.
    """

    def __init__(self, store: Store, host: Host, findings: Findings) -> None:
        self._store = store
        self._host = host
        self._findings = findings

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Whether requests can be served as configured."""
        del req
        reasons = [f"plugin {record.source}: {record.status.value}: {record.detail}" for record in self._host.faults]
        try:
            self._store.registries.all()
        except PinocchioError as error:
            reasons.append(str(error))
        if reasons:
            resp.status = falcon.HTTP_503
        reasons += self._findings.reasons()
        codec.send_json(resp, {"status": "degraded" if reasons else "ok", "reasons": reasons})


class MetricsResource(Resource):
    """`/metrics`, for Prometheus."""

    def __init__(self, metrics: Metrics, host: Host, findings: Findings) -> None:
        self._metrics = metrics
        self._host = host
        self._findings = findings

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Everything that is counted."""
        del req
        self._metrics.plugin_faults.set(len(self._host.faults))
        for state, count in self._findings.counts().items():
            self._metrics.quarantined_rows.labels(state).set(count)
        resp.data = self._metrics.text()
        resp.content_type = self._metrics.content_type
