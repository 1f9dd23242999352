"""What a profile comes to."""

import falcon

from pinocchio_core.service.resolving import ResolveService
from pinocchio_core.web import codec
from pinocchio_core.web.resources import Resource


class ResolutionResource(Resource):
    """`/api/chat/profiles/{slug}/resolve`."""

    def __init__(self, resolving: ResolveService) -> None:
        self._resolving = resolving

    def on_post(self, req: falcon.Request, resp: falcon.Response, slug: str) -> None:
        """Resolve it, and say where every value comes from where that is asked for."""
        target = codec.reference_of(req, slug)
        codec.send_json(resp, self._resolving.requested(target, codec.body_of(req, optional=True)))
