"""The default profile of a registry, and the current profile of a browser."""

import falcon

from pinocchio_core.service.defaults import Choice, DefaultService, chosen_from
from pinocchio_core.service.writing.writes import ProfileWrites
from pinocchio_core.web import codec
from pinocchio_core.web.metrics import Metrics
from pinocchio_core.web.resources import Resource
from pinocchio_core.web.resources.profiles import send_outcome

COOKIE = "chat_profile"


class DefaultResource(Resource):
    """`/api/chat/profiles/{slug}/default`."""

    def __init__(self, writes: ProfileWrites, metrics: Metrics) -> None:
        self._writes = writes
        self._metrics = metrics

    def on_post(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Make the profile its registry's default."""
        target, body = codec.change_of(req, slug, in_query=True), codec.body_of(req, optional=True)
        outcome = self._writes.write("set_default", target, body, author=codec.author_of(req))
        send_outcome(resp, outcome, self._metrics)


class CurrentResource(Resource):
    """`/api/chat/profile`: what this browser uses, kept in a cookie."""

    def __init__(self, defaults: DefaultService) -> None:
        self._defaults = defaults

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The profile of the cookie while it exists, else the default."""
        values = req.get_cookie_values(COOKIE)
        chosen = chosen_from(values[0], self._defaults.default_registry) if values else None
        resp.set_header("Cache-Control", "no-store")
        self._send(resp, self._defaults.current(codec.target_of(req), chosen))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Remember a profile."""
        choice = self._defaults.choose(codec.target_of(req), codec.body_of(req))
        resp.set_cookie(
            COOKIE,
            choice.cookie(self._defaults.default_registry),
            path="/",
            http_only=True,
            same_site="Lax",
            secure=req.forwarded_scheme == "https",
        )
        self._send(resp, choice)

    def _send(self, resp: falcon.Response, choice: Choice) -> None:
        codec.send_json(resp, {"slug": choice.slug, "registry": choice.registry})
