"""Labels of a profile's versions."""

import falcon

from pinocchio_core.service.labels import LabelOutcome, LabelService, label_document
from pinocchio_core.web import codec
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource


class LabelsResource(Resource):
    """`/api/chat/profiles/{slug}/labels` and one of them."""

    def __init__(self, labels: LabelService, metrics: Metrics) -> None:
        self._labels = labels
        self._metrics = metrics

    def on_get_collection(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """All of them, by name."""
        codec.send_json(resp, self._labels.all(codec.target_of(req, slug)))

    def on_get_one(self, req: falcon.Request, resp: falcon.Response, slug: str, label: str) -> None:
        """One with where it pointed before."""
        document, etag = self._labels.read(codec.target_of(req, slug), label)
        if not codec.not_modified(req, resp, etag):
            codec.send_json(resp, document)

    def on_put_one(self, req: falcon.Request, resp: falcon.Response, slug: str, label: str) -> None:
        """Make one, or let it point to another version."""
        target = codec.change_of(req, slug)
        outcome = self._labels.put(target, label, codec.body_of(req), author=codec.author_of(req))
        self._send(resp, outcome, "put_label")

    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, slug: str, label: str) -> None:
        """Remove one."""
        target = codec.change_of(req, slug, in_query=True)
        self._send(resp, self._labels.delete(target, label, author=codec.author_of(req)), "delete_label")

    def _send(self, resp: falcon.Response, outcome: LabelOutcome, op: str) -> None:
        if outcome.dry_run:
            codec.send_trial(resp, outcome.trial)
            return
        if outcome.written:
            self._metrics.writes.add(op)
        if outcome.after is None:
            resp.status = falcon.HTTP_204
            return
        resp.status = falcon.HTTP_200 if outcome.before else falcon.HTTP_201
        resp.set_header("ETag", outcome.after.etag)
        codec.send_json(resp, label_document(outcome.after))
