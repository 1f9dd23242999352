"""Several writes at once."""

import falcon

from pinocchio_core.service.writing.batch import BatchService
from pinocchio_core.web import codec
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource


class BatchResource(Resource):
    """`/api/chat/batch`."""

    def __init__(self, batch: BatchService, metrics: Metrics) -> None:
        self._batch = batch
        self._metrics = metrics

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make several changes of profiles, or none."""
        target = codec.change_of(req)
        writes, outcomes = self._batch.request(target, codec.body_of(req), author=codec.author_of(req))
        results = [{"op": write.op, **each.result()} for write, each in zip(writes, outcomes, strict=True)]
        if target.dry_run:
            codec.send_trial(resp, {"dry_run": True, "results": results})
            return
        for outcome in outcomes:
            if outcome.written:
                self._metrics.writes.add(outcome.op)
        codec.send_json(resp, {"results": results})
