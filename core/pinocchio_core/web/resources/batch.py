"""Several writes at once."""

from typing import Final

import falcon
from msgspec import structs

from pinocchio_core.errors import Problem
from pinocchio_core.service.checking.targets import NO_CONDITIONS, Target
from pinocchio_core.service.writing.batch import BatchService
from pinocchio_core.web import codec
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource

_CONDITIONS: Final = {"header.If-Match": "HTTP_IF_MATCH", "header.If-None-Match": "HTTP_IF_NONE_MATCH"}
"""Headers that a batch does not take, by the field of the problem, and their names in WSGI."""
_WHY: Final = "is about one profile, and a batch about several; send the expected_version of each write instead"


class BatchResource(Resource):
    """`/api/chat/batch`."""

    def __init__(self, batch: BatchService, metrics: Metrics) -> None:
        self._batch = batch
        self._metrics = metrics

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make several changes of profiles, or none."""
        target = _target_of(req)
        writes, outcomes = self._batch.request(target, codec.body_of(req), author=codec.author_of(req))
        results = [{"op": write.op, **each.result()} for write, each in zip(writes, outcomes, strict=True)]
        if target.dry_run:
            codec.send_trial(resp, {"dry_run": True, "results": results})
            return
        for outcome in outcomes:
            if outcome.written:
                self._metrics.writes.add(outcome.op)
        codec.send_json(resp, {"results": results})


def _target_of(req: falcon.Request) -> Target:
    """What the request says outside its body; conditions are among its problems."""
    target = codec.change_of(req)
    sent = [Problem(field=name, reason=_WHY) for name, key in _CONDITIONS.items() if key in req.env]
    if not sent:
        return target
    others = (problem for problem in target.problems_outside if problem.field not in _CONDITIONS)
    return structs.replace(target, conditions=NO_CONDITIONS, problems_outside=(*others, *sent))
