"""Registries themselves."""

import falcon

from pinocchio_core.service.registries import RegistryOutcome, RegistryService
from pinocchio_core.store.tables.registries import StoredRegistry
from pinocchio_core.web import codec, queries
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource

COLLECTION = "/api/chat/registries"


class RegistriesResource(Resource):
    """`/api/chat/registries` and `/api/chat/registries/{slug}`."""

    def __init__(self, registries: RegistryService, metrics: Metrics, *, root: str) -> None:
        self._registries = registries
        self._metrics = metrics
        self._root = root

    def on_get_collection(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Every registry that there is for who asks, by slug, or a page of them."""
        limit, after = queries.page_of(req)
        rows, total = self._registries.page(codec.names_of(req), limit, after)
        if limit is not None:
            if len(rows) > limit:
                kept = [("limit", str(limit)), ("after", rows[limit - 1].slug)]
                resp.set_header("Link", codec.next_link(self._root, COLLECTION, kept))
            codec.send_total(resp, total)
        codec.send_json(resp, [self._registries.document(row) for row in rows[:limit]])

    def on_post_collection(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create one."""
        target = codec.change_of(req)
        outcome = self._registries.create(target, codec.body_of(req), author=codec.author_of(req))
        if outcome.row and not target.dry_run:
            resp.status = falcon.HTTP_201
            resp.set_header("Location", f"{self._root}{COLLECTION}/{outcome.row.slug}")
        self._answer(resp, outcome, "create_registry", dry_run=target.dry_run)

    def on_get(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Read one."""
        row = self._registries.read(codec.target_of(req, slug, what="registry slug"))
        if not codec.not_modified(req, resp, row.etag):
            self._send(resp, row)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Change one."""
        target = codec.change_of(req, slug, what="registry slug")
        outcome = self._registries.patch(target, codec.body_of(req), author=codec.author_of(req))
        self._answer(resp, outcome, "update_registry", dry_run=target.dry_run)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Delete an empty one."""
        target = codec.change_of(req, slug, what="registry slug", in_query=True)
        outcome = self._registries.delete(target, author=codec.author_of(req))
        self._answer(resp, outcome, "delete_registry", dry_run=target.dry_run)

    def _answer(self, resp: falcon.Response, outcome: RegistryOutcome, op: str, *, dry_run: bool) -> None:
        if dry_run:
            codec.send_trial(resp, self._registries.trial(outcome))
            return
        self._metrics.writes.add(op)
        if outcome.row is None:
            resp.status = falcon.HTTP_204
        else:
            self._send(resp, outcome.row)

    def _send(self, resp: falcon.Response, row: StoredRegistry) -> None:
        resp.set_header("ETag", row.etag)
        codec.send_json(resp, self._registries.document(row))
