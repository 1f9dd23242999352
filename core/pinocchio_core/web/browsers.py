"""What browsers are kept from, and what they are told: hosts, origins, CORS, security headers."""

import logging
from typing import Any, Final

import falcon

from pinocchio_core.domain.slugs import shown
from pinocchio_core.errors import CrossSiteRefused, HostRefused
from pinocchio_core.service.access.sites import Sites

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer, unless a resource sends others: no answer is a page, a script, or a part of one.

Referrer-Policy is not among them, because nothing that is sent leads anywhere; each header costs a microsecond.
"""
READABLE: Final = "ETag, Location, Link, Retry-After, X-Request-Id"
"""Headers of answers that pages of trusted origins may read."""
SENDABLE: Final = (
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Actor,"
    " X-Idempotency-Key, X-Request-Id"
)
PREFLIGHT_S: Final = 600
"""How long a browser may remember what it was told of a route."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

log = logging.getLogger("pinocchio.access")


class Browsers:
    """Refuses what a browser may have been made to send."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Check the host, and for what may change something the origin.

        Raises:
            HostRefused, CrossSiteRefused.
        """
        del resp
        env = req.env
        host = env.get("HTTP_HOST")
        if not self._sites.serve(host):
            self._log(req, f"for the host {shown(host or '')}")
            raise HostRefused(shown(host or ""))
        if env["REQUEST_METHOD"] in _SAFE:
            return
        origin = env.get("HTTP_ORIGIN")
        if not self._sites.may_write(origin, env.get("HTTP_SEC_FETCH_SITE"), host):
            self._log(req, f"for a page of {shown(origin or 'another site')}")
            raise CrossSiteRefused

    def _log(self, req: falcon.Request, why: str) -> None:
        log.warning("refused %s %s, from %s, request %s", req.method, why, req.remote_addr, req.context.request_id)


class CrossOrigin:
    """Tells browsers what pages of trusted origins may do (Fetch standard, section 3.3).

    Falcon's own component lets caches give the answer of one origin to another, and any header be sent.
    """

    def __init__(self, sites: Sites) -> None:
        self._origins = sites.origins

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool) -> None:
        """Add to every answer what the origin of its request may do with it."""
        del resource, req_succeeded
        resp.append_header("Vary", "Origin")
        origin = req.env.get("HTTP_ORIGIN")
        if origin not in self._origins:
            return
        resp.set_header("Access-Control-Allow-Origin", origin)
        resp.set_header("Access-Control-Expose-Headers", READABLE)
        methods = resp.get_header("Allow")
        if req.method == "OPTIONS" and methods and req.env.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD"):
            resp.set_header("Access-Control-Allow-Methods", methods)
            resp.set_header("Access-Control-Allow-Headers", SENDABLE)
            resp.set_header("Access-Control-Max-Age", str(PREFLIGHT_S))
