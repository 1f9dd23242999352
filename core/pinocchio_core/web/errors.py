"""From exceptions to answers: the one table of statuses, and RFC 9457 problem documents for all of them."""

import logging
from typing import Any, cast

import falcon
import msgspec

from pinocchio_core import errors
from pinocchio_core.service.writing.outcomes import told

log = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
CHALLENGE = 'Bearer realm="pinocchio"'
"""How to be let in (RFC 6750, section 3)."""

STATUSES: dict[type[errors.PinocchioError], tuple[int, str]] = {
    errors.InvalidRequest: (400, "validation error"),
    errors.Unauthorized: (401, "unauthorized"),
    errors.Forbidden: (403, "forbidden"),
    errors.PolicyViolation: (403, "policy violation"),
    errors.RegistryNotFound: (404, "registry not found"),
    errors.ProfileNotFound: (404, "profile not found"),
    errors.RevisionNotFound: (404, "revision not found"),
    errors.ConversationNotFound: (404, "conversation not found"),
    errors.VersionConflict: (409, "version conflict"),
    errors.AlreadyExists: (409, "already exists"),
    errors.InUse: (409, "in use"),
    errors.StackBroken: (409, "stack broken"),
    errors.RowUnreadable: (409, "row unreadable"),
    errors.IdempotencyMismatch: (409, "idempotency key reused"),
    errors.HistoryReset: (410, "history reset"),
    errors.PreconditionFailed: (412, "precondition failed"),
    errors.BodyTooLarge: (413, "request too large"),
    errors.UnsupportedMediaType: (415, "unsupported media type"),
    errors.HostRefused: (421, "misdirected request"),
    errors.TooManyAttempts: (429, "too many attempts"),
    errors.ConversationBusy: (429, "conversation busy"),
    errors.TurnCancelled: (499, "client gone"),
    errors.HookFailed: (500, "plugin failed"),
    errors.MiddlewareFailed: (500, "middleware failed"),
    errors.EngineFailed: (502, "engine failed"),
    errors.StoreUnavailable: (503, "store unavailable"),
    errors.Overloaded: (503, "overloaded"),
    errors.TooManyTurns: (503, "overloaded"),
    errors.ListenersFull: (503, "too many listeners"),
}
"""Status and title of each class; a subclass has its parent's unless it has its own."""


def install(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """Make the app answer every exception with a problem document."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(errors.PinocchioError, _ours)
    app.add_error_handler(falcon.HTTPError, _of_framework)


def problem_of(error: errors.PinocchioError) -> dict[str, Any]:
    """The problem document of one of our exceptions, without its request."""
    status, title = row_of(type(error))
    code = getattr(error, "code", title.replace(" ", "_"))
    document = _problem(status, title, str(error), code)
    problems = error.problems if isinstance(error, errors.InvalidRequest) else error.refused
    if problems:
        document["errors"] = told(problems)
    if isinstance(error, errors.EngineFailed) and error.status is not None:
        reason = f"the provider answered with status {error.status}"
        document["errors"] = [{"field": "engine", "reason": reason, "actual": str(error.status)}]
    if error.next_step:
        document["next_step"] = error.next_step
    for member in ("current", "conflict", "dependents"):
        if value := getattr(error, member, None):
            document[member] = value
    return document


def row_of(kind: type[errors.PinocchioError]) -> tuple[int, str]:
    """The row of the table for a class of exceptions."""
    return next(STATUSES[base] for base in kind.__mro__ if base in STATUSES)


def plain_problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """A problem document for what no class of ours stands for."""
    return _problem(status, title, detail, title.replace(" ", "_"))


def _problem(status: int, title: str, detail: str, code: str) -> dict[str, Any]:
    return {"type": f"urn:pinocchio:problem:{code}", "title": title, "status": status, "detail": detail, "code": code}


def _send(req: falcon.Request, resp: falcon.Response, document: dict[str, Any]) -> None:
    resp.delete_header("ETag")  # it is that of what would have been the answer
    resp.status = document["status"]
    resp.data = msgspec.json.encode(document | {"request_id": req.context.request_id})
    resp.text = resp.media = None
    resp.content_type = PROBLEM_JSON


def _ours(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    del params
    ours = cast("errors.PinocchioError", error)
    if isinstance(ours, errors.Unauthorized):
        resp.set_header("WWW-Authenticate", CHALLENGE)
    retry_after_s = getattr(ours, "retry_after_s", None)
    if retry_after_s is not None:
        resp.set_header("Retry-After", str(retry_after_s))
    _log(req.context.request_id, ours)
    _send(req, resp, problem_of(ours))


def _log(request_id: str, error: errors.PinocchioError) -> None:
    """What an operator wants to hear of; what a provider said is not in it, because it may repeat the prompt."""
    if isinstance(error, errors.EngineFailed):
        status = "" if error.status is None else f", the provider answered with status {error.status}"
        log.warning("request %s: the engine failed%s", request_id, status)
    elif isinstance(error, errors.StoreUnavailable | errors.Overloaded | errors.TooManyTurns):
        log.warning("request %s: %s", request_id, error)
    elif isinstance(error, errors.HookFailed | errors.MiddlewareFailed):
        log.error("request %s: %s", request_id, error, exc_info=error)


def problem_for(error: BaseException, request_id: str) -> dict[str, Any]:
    """The problem document of whatever ended a turn that is answered as events; logs it as for any answer."""
    if isinstance(error, errors.PinocchioError):
        _log(request_id, error)
        document = problem_of(error)
    else:
        document = _unexpected_problem(request_id, error)
    return document | {"request_id": request_id}


def _of_framework(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    del params
    http = cast("falcon.HTTPError", error)
    status = falcon.http_status_to_code(http.status)
    title = falcon.code_to_http_status(status)[4:].lower()
    if http.headers:
        resp.set_headers(http.headers)
    detail = http.description or f"{req.method} {req.path}: {title}"
    document = plain_problem(status, title, detail)
    if status == falcon.http_status_to_code(falcon.HTTP_404):
        document["next_step"] = "see GET /openapi.json for the routes there are"
    _send(req, resp, document)


def _unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    del params
    _send(req, resp, _unexpected_problem(req.context.request_id, error))


def _unexpected_problem(request_id: str, error: BaseException) -> dict[str, Any]:
    log.error("request %s: unexpected %s", request_id, type(error).__name__, exc_info=error)
    detail = f"an unexpected error; the server's log has it under request {request_id}"
    document = plain_problem(500, "internal error", detail)
    document["next_step"] = "report it with the request id"
    return document
