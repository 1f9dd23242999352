"""Who may use which route: the one table, and the component that asks it.

A route or method that is not in the table is for administrators of all registries, so that a new one is closed until
it says otherwise.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import falcon

from pinocchio_core.errors import Forbidden, TooManyAttempts, Unauthorized
from pinocchio_core.service.access.attempts import Attempts
from pinocchio_core.service.access.callers import ANYBODY, NOBODY, Caller, Role

if TYPE_CHECKING:
    from pinocchio_core.service.access.tokens import TokenFile

_INVALID: Final = "an invalid token"

log = logging.getLogger("pinocchio.access")


class Need(NamedTuple):
    """What a request needs."""

    roles: tuple[Role, ...]
    """Those that may, the least of them last; empty where no token is needed."""
    limited: bool = True
    """Whether a token that is limited to registries may: the route shows and changes nothing of others."""


OPEN: Final = Need(())
READ: Final = Need((Role.ADMIN, Role.EDITOR, Role.READER))
WRITE: Final = Need((Role.ADMIN, Role.EDITOR))
MANAGE: Final = Need((Role.ADMIN,))
READ_ALL: Final = READ._replace(limited=False)
MANAGE_ALL: Final = MANAGE._replace(limited=False)

ROUTES: Final[Mapping[str, Mapping[str, Need]]] = {
    "/api/chat/profiles": {"GET": READ, "POST": WRITE},
    "/api/chat/profiles/{slug}": {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE},
    "/api/chat/profiles/{slug}/default": {"POST": WRITE},
    "/api/chat/profiles/{slug}/revisions": {"GET": READ},
    "/api/chat/profiles/{slug}/revisions/{version}": {"GET": READ},
    "/api/chat/profiles/{slug}/revisions/{version}/restore": {"POST": WRITE},
    "/api/chat/profiles/{slug}/diff": {"GET": READ},
    "/api/chat/profiles/{slug}/labels": {"GET": READ},
    "/api/chat/profiles/{slug}/labels/{label}": {"GET": READ, "PUT": WRITE, "DELETE": WRITE},
    "/api/chat/batch": {"POST": WRITE},
    "/api/chat/profiles/{slug}/resolve": {"POST": READ},
    "/api/chat/changes": {"GET": READ_ALL},
    "/chat": {"POST": READ},
    "/chat/{slug}": {"POST": READ},
    "/api/chat/conversations": {"GET": READ},
    "/api/chat/conversations/{conv_id}": {"GET": READ, "DELETE": READ},
    "/api/chat/profile": {"GET": READ, "POST": READ},
    "/api/chat/registries": {"GET": READ, "POST": MANAGE_ALL},
    "/api/chat/registries/{slug}": {"GET": READ, "PATCH": MANAGE, "DELETE": MANAGE},
    "/api/chat/schemas/middlewares": {"GET": READ},
    "/api/chat/schemas/engines": {"GET": READ},
    "/api/chat/schemas/extensions": {"GET": READ},
    "/api/chat/plugins": {"GET": READ},
    "/healthz": {"GET": OPEN},
    "/readyz": {"GET": OPEN},
    "/metrics": {"GET": READ_ALL},
    "/openapi.json": {"GET": READ},
}
"""By route and method; HEAD is as GET, and OPTIONS needs nothing."""


class OpenAccess:
    """Lets everybody in, where no tokens are configured."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: Mapping[str, Any]
    ) -> None:
        """Say that it is anybody."""
        del resp, resource, params
        req.context.caller = ANYBODY


class TokenAccess:
    """Finds out who sends a request by its token, and whether that role may."""

    def __init__(self, tokens: "TokenFile", *, root: str) -> None:
        self._caller_of = tokens.caller
        self._needs = {
            (f"{root}{path}", method): need for path, needs in ROUTES.items() for method, need in needs.items()
        }
        self._needs |= {(path, "HEAD"): need for (path, method), need in self._needs.items() if method == "GET"}
        self._attempts = Attempts()

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: Mapping[str, Any]
    ) -> None:
        """Set the caller, or refuse.

        Raises:
            Unauthorized, TooManyAttempts: there is no valid token.
            Forbidden: its role may not.
        """
        del resp, resource, params
        method, sent = req.method, req.env.get("HTTP_AUTHORIZATION")
        if method == "OPTIONS":
            return
        need = self._needs.get((req.uri_template or "", method), MANAGE_ALL)
        caller = NOBODY if sent is None else self._sender(req, sent)
        req.context.caller = caller
        if not need.roles:
            return
        if caller.role is None:
            _log(req, "no token", "nobody may without one")
            raise Unauthorized
        if caller.role not in need.roles:
            _log(req, f'token "{caller.name}"', f"role {caller.role} may not")
            raise Forbidden(f"this needs the role {need.roles[-1]}, and the token has the role {caller.role}")
        if caller.registries is not None and not need.limited:
            _log(req, f'token "{caller.name}"', "its registries are limited")
            raise Forbidden("this is about all registries, and the token is limited to some")

    def _sender(self, req: falcon.Request, sent: str) -> Caller:
        """Whose token a header Authorization has.

        A valid token is let in whatever else came from its address, which may be that of a proxy with many behind it.
        """
        scheme, _, token = sent.partition(" ")
        caller = self._caller_of(token.strip()) if scheme.lower() == "bearer" else None
        if caller is not None:
            return caller
        excess = self._attempts.failed(req.remote_addr)
        if excess is None:
            _log(req, _INVALID, "it is not in the file, or has ended")
            raise Unauthorized
        if excess.first:
            _log(req, _INVALID, f"too many from there; for {excess.wait_s} s no more of them are logged")
        raise TooManyAttempts(excess.wait_s)


def _log(req: falcon.Request, who: str, why: str) -> None:
    """Say who was refused what; never the token."""
    log.warning(
        "refused %s %s to %s from %s: %s, request %s",
        req.method,
        req.uri_template,
        who,
        req.remote_addr,
        why,
        req.context.request_id,
    )
