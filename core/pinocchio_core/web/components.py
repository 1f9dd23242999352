"""Falcon components: what happens around every request; *middleware* in this project wraps a chat turn."""

import itertools
import logging
import re
import secrets
import time
from typing import Any

import falcon

from pinocchio_core.web.browsers import SECURITY_HEADERS
from pinocchio_core.web.metrics import Metrics

_CONFLICTS = (409, 412)
access = logging.getLogger("pinocchio.access")

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class RequestTrace:
    """Gives each request an id and a place in the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._observe = metrics.requests.observe
        self._conflicts = metrics.conflicts
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the caller's request id where it is sane, else make one."""
        resp.set_headers(SECURITY_HEADERS)
        context = req.context
        context.began = time.perf_counter()
        sent = req.env.get("HTTP_X_REQUEST_ID")
        if sent is not None and _SANE_ID.fullmatch(sent):
            context.request_id = sent
        else:
            context.request_id = f"{self._prefix}-{next(self._numbers):x}"
        uri = req.env.get("REQUEST_URI", "")
        if "//" in req.env["PATH_INFO"] or ("%2" in uri and "%2f" in uri.partition("?")[0].lower()):
            raise falcon.HTTPRouteNotFound  # the router would take it for one slash in some places

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool) -> None:
        """Send the request id back, and count the answer."""
        del resource, req_succeeded
        context = req.context
        resp.set_header("X-Request-Id", context.request_id)
        took = time.perf_counter() - context.began
        status = resp.status_code
        if status in _CONFLICTS:
            self._conflicts.add()
        method = req.method if req.method in falcon.COMBINED_METHODS else "other"
        self._observe(took, req.uri_template or "none", method, str(status))


class AccessLog:
    """One line in the log for each answer: never a body, a query or a header, because prompts are confidential."""

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool) -> None:
        """Say who was asked what, and how it went."""
        del resource, req_succeeded
        context = req.context
        fields = {
            "request_id": context.request_id,
            "client": req.remote_addr,
            "method": req.method,
            "route": req.uri_template or "none",
            "status": resp.status_code,
            "milliseconds": round(1000 * (time.perf_counter() - context.began), 3),
        }
        text = "%(method)s %(route)s %(status)d, %(milliseconds).1f ms, request %(request_id)s from %(client)s"
        access.info(text, fields, extra={"fields": fields})
