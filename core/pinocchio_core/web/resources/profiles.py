"""Profiles: the collection and each one of them."""

import falcon

from pinocchio_core.domain.slugs import shown
from pinocchio_core.errors import InvalidRequest, Problem
from pinocchio_core.service.profiles import ProfileService
from pinocchio_core.service.writing.outcomes import Outcome
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.store.tables.rows import StoredProfile
from pinocchio_core.web import codec, queries
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource

COLLECTION = "/api/chat/profiles"
FILTERS = ("limit", "q", "tag", "middleware", "label", "changed_since")


class ProfilesResource(Resource):
    """`/api/chat/profiles` and `/api/chat/profiles/{slug}`."""

    def __init__(self, profiles: ProfileService, writes: ProfileWrites, metrics: Metrics, *, root: str) -> None:
        self._profiles = profiles
        self._writes = writes
        self._metrics = metrics
        self._root = root

    def on_get_collection(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The list, whole or a page of it."""
        wanted, problems = queries.filter_of(req)
        registry, head = self._profiles.head(codec.target_of(req, problems=problems))
        if codec.not_modified(req, resp, self._profiles.list_etag(registry, head, wanted)):
            return
        page = self._profiles.list(registry, head, wanted)
        if page.more:
            kept = [("registry", registry), *((name, codec.query(req, name)) for name in FILTERS if name in req.params)]
            resp.set_header("Link", codec.next_link(self._root, COLLECTION, [*kept, ("after", page.slugs[-1])]))
        codec.send_total(resp, page.total)
        codec.send_json(resp, page.document)

    def on_post_collection(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create one."""
        outcome = self._writes.write("create", codec.change_of(req), codec.body_of(req), author=codec.author_of(req))
        if not outcome.dry_run:
            resp.status = falcon.HTTP_201
            resp.set_header("Location", location_of(outcome.row, self._root, self._profiles.default_registry))
        send_outcome(resp, outcome, self._metrics)

    def on_get(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Read one, or with `raw=true` what is stored of it, whatever that is."""
        raw = bool(req.query_string) and _wants_raw(req)
        row = self._profiles.read(codec.names_of(req, slug))
        if raw:
            self._send_raw(resp, row)
        elif not codec.not_modified(req, resp, row.etag):
            codec.send_json(resp, self._profiles.document(row))

    def on_put(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Replace one as a whole."""
        target = codec.change_of(req, slug)
        outcome = self._writes.write("replace", target, codec.body_of(req), author=codec.author_of(req))
        send_outcome(resp, outcome, self._metrics)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Change one."""
        target = codec.change_of(req, slug)
        outcome = self._writes.write("update", target, codec.body_of(req), author=codec.author_of(req))
        send_outcome(resp, outcome, self._metrics)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Delete one."""
        target = codec.change_of(req, slug, in_query=True)
        send_outcome(resp, self._writes.write("delete", target, author=codec.author_of(req)), self._metrics)

    def _send_raw(self, resp: falcon.Response, row: StoredProfile) -> None:
        """The entity tag is the row's, for a write's If-Match; damage does not change it, so nobody is told 304."""
        resp.set_header("ETag", row.etag)
        resp.set_header("X-Profile-State", self._profiles.state(row) or "ok")
        resp.data = row.payload
        resp.content_type = "application/octet-stream"


def _wants_raw(req: falcon.Request) -> bool:
    sent = codec.query(req, "raw")
    if sent not in (None, "true", "false"):
        raise InvalidRequest([Problem(field="query.raw", reason=f"must be true or false, got {shown(sent)}")])
    return sent == "true"


def location_of(row: StoredProfile, root: str, default_registry: str) -> str:
    """The URL of a profile."""
    where = f"{root}{COLLECTION}/{row.slug}"
    return where if row.registry == default_registry else f"{where}?registry={row.registry}"


def send_outcome(resp: falcon.Response, outcome: Outcome, metrics: Metrics) -> None:
    """Answer with what a profile is after a change, or would be, and count the change."""
    if outcome.dry_run:
        codec.send_trial(resp, outcome.trial)
        return
    if outcome.written:
        metrics.writes.add(outcome.op)
    document = outcome.document
    if document is None:
        resp.status = falcon.HTTP_204
        return
    resp.set_header("ETag", outcome.row.etag)
    codec.send_json(resp, document)
