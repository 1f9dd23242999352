"""The history of a profile: its versions, each of them, and what is different between two."""

import falcon

from pinocchio_core.service.history import HistoryService
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.web import codec, queries
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource
from pinocchio_core.web.resources.profiles import COLLECTION, location_of, send_outcome


class RevisionsResource(Resource):
    """`/api/chat/profiles/{slug}/revisions`, one of them, and `/api/chat/profiles/{slug}/diff`."""

    def __init__(self, history: HistoryService, writes: ProfileWrites, metrics: Metrics, *, root: str) -> None:
        self._history = history
        self._writes = writes
        self._metrics = metrics
        self._root = root

    def on_get_collection(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """A page of them, the newest first."""
        wanted, problems = queries.page_of_versions(req)
        page = self._history.page(codec.target_of(req, slug, problems=problems), **wanted)
        if page.more:
            kept = [("registry", page.registry), ("limit", codec.query(req, "limit"))]
            path, before = f"{COLLECTION}/{page.slug}/revisions", str(page.document[-1]["version"])
            resp.set_header("Link", codec.next_link(self._root, path, [*kept, ("before", before)]))
        codec.send_json(resp, page.document)

    def on_get_one(self, req: falcon.Request, resp: falcon.Response, slug: str, version: str) -> None:
        """One with the document that it left."""
        document, etag = self._history.read(codec.target_of(req, slug), version)
        if not codec.not_modified(req, resp, etag):
            codec.send_json(resp, document)

    def on_post_restore(self, req: falcon.Request, resp: falcon.Response, slug: str, version: str) -> None:
        """Make one the newest again."""
        target, body = codec.change_of(req, slug), codec.body_of(req, optional=True)
        outcome = self._writes.restore(target, version, body, author=codec.author_of(req))
        if outcome.before is None and not outcome.dry_run:
            resp.status = falcon.HTTP_201
            resp.set_header("Location", location_of(outcome.row, self._root, self._writes.default_registry))
        send_outcome(resp, outcome, self._metrics)

    def on_get_diff(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """What is different between two."""
        older, newer = codec.query(req, "from"), codec.query(req, "to")
        codec.send_json(resp, self._history.diff(codec.target_of(req, slug), older=older, newer=newer))
