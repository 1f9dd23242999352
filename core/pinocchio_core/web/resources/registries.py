"""Registries themselves."""

import falcon

from pinocchio_core.service.registries import RegistryService
from pinocchio_core.store.registries import StoredRegistry
from pinocchio_core.web import codec
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
        """Every registry, by slug."""
        del req
        codec.send_json(resp, [self._registries.document(row) for row in self._registries.all()])

    def on_post_collection(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create one."""
        row = self._registries.create(
            codec.target_of(req),
            codec.body_of(req),
            author=codec.author_of(req),
        )
        self._metrics.writes.labels("create_registry").inc()
        resp.status = falcon.HTTP_201
        resp.set_header("Location", f"{self._root}{COLLECTION}/{row.slug}")
        self._send(resp, row)

    def on_get(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Read one."""
        row = self._registries.read(codec.target_of(req, slug, what="registry slug"))
        if not codec.not_modified(req, resp, row.etag):
            self._send(resp, row)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Change one."""
        row = self._registries.patch(
            codec.target_of(req, slug, what="registry slug"),
            codec.body_of(req),
            author=codec.author_of(req),
        )
        self._metrics.writes.labels("update_registry").inc()
        self._send(resp, row)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Delete an empty one."""
        self._registries.delete(
            codec.target_of(req, slug, what="registry slug", in_query=True),
            author=codec.author_of(req),
        )
        self._metrics.writes.labels("delete_registry").inc()
        resp.status = falcon.HTTP_204

    def _send(self, resp: falcon.Response, row: StoredRegistry) -> None:
        resp.set_header("ETag", row.etag)
        codec.send_json(resp, self._registries.document(row))
