"""What may be used: schemas, plugins, and this API's own description. Fixed once the server has started."""

import hashlib
import importlib.resources
from functools import cached_property
from typing import Any, Final

import falcon
import msgspec

from pinocchio_core.web import codec
from pinocchio_core.web.access import MANAGE_ALL, ROUTES, Need
from pinocchio_core.web.resources import Resource

_REFUSALS: Final = {"401": "Unauthorized", "403": "Forbidden", "421": "Misdirected", "429": "TooManyAttempts"}
"""Answers that every operation has, where it says nothing else of the status."""
_SPACES: Final = r"\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
_WHITE_SPACE: Final = {r"[^\\s": f"[^{_SPACES}", r"\\s": f"[{_SPACES}]", r"\\S": f"[^{_SPACES}]"}
"""What patterns call white space is what `slugs.trim` removes; ECMA-262 has U+FEFF among it, and not U+0085."""


class FixedJsonResource(Resource):
    """A JSON document that stays the same as long as the server runs."""

    def __init__(self, document: bytes) -> None:
        self._document = document
        self._etag = f'"{hashlib.sha256(document).hexdigest()[:16]}"'

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The document."""
        if not codec.not_modified(req, resp, self._etag):
            codec.send_json(resp, self._document)


class OpenApiResource(Resource):
    """`/openapi.json`; made when somebody first asks for it, for that leaves a megabyte behind."""

    def __init__(self, *, version: str, root: str) -> None:
        self._version = version
        self._root = root

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The description of this API."""
        self._made.on_get(req, resp)

    @cached_property
    def _made(self) -> FixedJsonResource:
        return FixedJsonResource(openapi(version=self._version, root=self._root))


def openapi(*, version: str, root: str) -> bytes:
    """The OpenAPI document of this program, with its version and the prefix it is served under."""
    text = importlib.resources.files("pinocchio_core.web").joinpath("openapi.json").read_text("utf-8")
    for short, whole in _WHITE_SPACE.items():
        text = text.replace(short, whole)
    document: dict[str, Any] = msgspec.json.decode(text)
    document["info"]["version"] = version
    document["servers"] = [{"url": root or "/"}]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _add_access(operation, ROUTES.get(path, {}).get(method.upper(), MANAGE_ALL))
    return msgspec.json.encode(document)


def _add_access(operation: dict[str, Any], need: Need) -> None:
    """Say of an operation who may, and how others are answered; it is the same for all of them."""
    if not need.roles:
        operation["security"] = [{}, {"token": []}]
    who = f"Needs a token with the role {need.roles[-1]}" if need.roles else "Needs no token"
    where = "" if need.limited else ", not one that is limited to registries"
    operation["description"] += f" {who}{where}."
    for status, name in _REFUSALS.items():
        operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{name}"})
