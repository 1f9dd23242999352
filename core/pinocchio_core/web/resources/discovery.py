"""What may be used: schemas, plugins, and this API's own description. Fixed once the server has started."""

import hashlib
import importlib.resources
from typing import Any

import falcon
import msgspec

from pinocchio_core.web import codec
from pinocchio_core.web.resources import Resource


class FixedJsonResource(Resource):
    """A JSON document that stays the same as long as the server runs."""

    def __init__(self, document: bytes) -> None:
        self._document = document
        self._etag = f'"{hashlib.sha256(document).hexdigest()[:16]}"'

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The document."""
        if not codec.not_modified(req, resp, self._etag):
            codec.send_json(resp, self._document)


def openapi(*, version: str, root: str) -> bytes:
    """The OpenAPI document of this program, with its version and the prefix it is served under."""
    text = importlib.resources.files("pinocchio_core.web").joinpath("openapi.json").read_bytes()
    document: dict[str, Any] = msgspec.json.decode(text)
    document["info"]["version"] = version
    document["servers"] = [{"url": root or "/"}]
    return msgspec.json.encode(document)
