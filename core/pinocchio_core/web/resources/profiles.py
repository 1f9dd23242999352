"""Profiles: the collection and each one of them."""

import falcon

from pinocchio_core.domain.slugs import fold
from pinocchio_core.service.profiles import ProfileService
from pinocchio_core.store.listing import ProfileFilter
from pinocchio_core.store.rows import StoredProfile
from pinocchio_core.web import codec
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource

COLLECTION = "/api/chat/profiles"


class ProfilesResource(Resource):
    """`/api/chat/profiles` and `/api/chat/profiles/{slug}`."""

    def __init__(self, profiles: ProfileService, metrics: Metrics, *, root: str) -> None:
        self._profiles = profiles
        self._metrics = metrics
        self._root = root

    def on_get_collection(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The list, whole or a page of it."""
        target, wanted = codec.target_of(req), _filter_of(req)
        if codec.not_modified(req, resp, self._profiles.head(target).etag):
            return
        page = self._profiles.list(target, wanted)
        resp.set_header("ETag", page.head.etag)
        if page.more:
            kept = [("registry", page.registry), *((name, codec.query(req, name)) for name in ("limit", "q", "tag"))]
            parameters = [*kept, ("after", page.items[-1].slug)]
            resp.set_header("Link", codec.next_link(self._root, COLLECTION, parameters))
        codec.send_json(resp, page.items)

    def on_post_collection(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create one."""
        row = self._profiles.create(
            codec.target_of(req),
            codec.body_of(req),
            author=codec.author_of(req),
            conditions=codec.conditions_of(req),
        )
        self._metrics.writes.labels("create").inc()
        resp.status = falcon.HTTP_201
        resp.set_header("Location", self._location(row))
        send_profile(resp, row)

    def on_get(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Read one."""
        row = self._profiles.read(codec.target_of(req, slug))
        if not codec.not_modified(req, resp, row.etag):
            codec.send_json(resp, row.document)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Change one."""
        row = self._profiles.patch(
            codec.target_of(req, slug),
            codec.body_of(req),
            author=codec.author_of(req),
            conditions=codec.conditions_of(req),
        )
        self._metrics.writes.labels("update").inc()
        send_profile(resp, row)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Delete one."""
        self._profiles.delete(
            codec.target_of(req, slug),
            expected_version=codec.expected_version(req),
            author=codec.author_of(req),
            conditions=codec.conditions_of(req),
        )
        self._metrics.writes.labels("delete").inc()
        resp.status = falcon.HTTP_204

    def _location(self, row: StoredProfile) -> str:
        where = f"{self._root}{COLLECTION}/{row.slug}"
        return where if row.registry == self._profiles.default_registry else f"{where}?registry={row.registry}"


def send_profile(resp: falcon.Response, row: StoredProfile) -> None:
    """Answer with a profile and its entity tag."""
    resp.set_header("ETag", row.etag)
    codec.send_json(resp, row.document)


def _filter_of(req: falcon.Request) -> ProfileFilter:
    return ProfileFilter(
        limit=codec.limit_of(req),
        after=fold(codec.query(req, "after") or ""),
        text=codec.query(req, "q") or "",
        tag=codec.query(req, "tag") or "",
    )
