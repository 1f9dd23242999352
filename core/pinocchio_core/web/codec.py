"""Requests into values, values into answers: bodies, names, versions, entity tags."""

import re
from collections.abc import Iterable
from typing import Any

import falcon
import msgspec

from pinocchio_core.domain import limits
from pinocchio_core.domain.slugs import shown, trim
from pinocchio_core.errors import BodyTooLarge, InvalidRequest, Problem, UnsupportedMediaType
from pinocchio_core.service.targets import NO_CONDITIONS, Conditions, Target, weakly_among
from pinocchio_core.store.rows import Author

SOURCE = "http-api"
MAX_VERSION = 2**63 - 1

_ETAGS = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*)*')
_ETAG = re.compile(r'(?:W/)?"[^"]*"')
_encode = msgspec.json.Encoder().encode


def body_of(req: falcon.Request, *, optional: bool = False) -> bytes:
    """The bytes of a JSON body, empty where it is `optional` and none was sent.

    Raises:
        BodyTooLarge, UnsupportedMediaType.
    """
    if (req.content_length or 0) > limits.MAX_BODY_BYTES:
        raise BodyTooLarge(limits.MAX_BODY_BYTES)
    body = req.bounded_stream.read(limits.MAX_BODY_BYTES + 1)
    if len(body) > limits.MAX_BODY_BYTES:
        raise BodyTooLarge(limits.MAX_BODY_BYTES)
    if optional and not body.strip():
        return b""
    media_type, _, parameters = (req.content_type or "").partition(";")
    charset = parameters.replace(" ", "").lower()
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8", 'charset="utf-8"'):
        raise UnsupportedMediaType(shown(req.content_type) if req.content_type else None)
    return body


def query(req: falcon.Request, name: str) -> str | None:
    """The first value of a query parameter, `None` where it is absent or blank."""
    if not req.query_string:
        return None
    values = req.get_param_as_list(name)
    return values[0] if values and trim(values[0]) else None


def target_of(req: falcon.Request, slug: str | None = None) -> Target:
    """The names in the path and the query."""
    return Target(slug=slug, registry=query(req, "registry"))


def expected_version(req: falcon.Request) -> int:
    """The version in the query, 0 where there is none; InvalidRequest where it is no version."""
    return _number(req, "expected_version", low=0, high=MAX_VERSION) or 0


def limit_of(req: falcon.Request) -> int | None:
    """The page size in the query, `None` where there is none; InvalidRequest where it is no page size."""
    return _number(req, "limit", low=1, high=limits.MAX_PAGE)


def author_of(req: falcon.Request) -> Author:
    """Who sends the request."""
    return Author(actor=f"anonymous@{req.remote_addr}", source=SOURCE)


def conditions_of(req: falcon.Request) -> Conditions:
    """The preconditions in the headers; InvalidRequest where one is malformed."""
    if_match, if_none_match = req.env.get("HTTP_IF_MATCH"), req.env.get("HTTP_IF_NONE_MATCH")
    if if_match is None and if_none_match is None:
        return NO_CONDITIONS
    return Conditions(if_match=_tags("If-Match", if_match), if_none_match=_tags("If-None-Match", if_none_match))


def send_json(resp: falcon.Response, document: bytes | dict[str, Any] | list[Any]) -> None:
    """Answer with JSON, ready-made or to be encoded."""
    resp.data = document if isinstance(document, bytes) else _encode(document)
    resp.content_type = falcon.MEDIA_JSON


def not_modified(req: falcon.Request, resp: falcon.Response, etag: str) -> bool:
    """Send the entity tag; True where the client has that state already and the answer is done."""
    resp.set_header("ETag", etag)
    sent = req.env.get("HTTP_IF_NONE_MATCH")
    if sent is None or not weakly_among(etag, _tags("If-None-Match", sent) or ()):
        return False
    resp.status = falcon.HTTP_304
    return True


def next_link(root: str, path: str, parameters: Iterable[tuple[str, str | None]]) -> str:
    """The value of a Link header to the next page (RFC 8288)."""
    encoded = "&".join(f"{name}={falcon.uri.encode_value(value)}" for name, value in parameters if value)
    return f'<{root}{path}?{encoded}>; rel="next"'


def _number(req: falcon.Request, name: str, *, low: int, high: int) -> int | None:
    raw = query(req, name)
    if raw is None:
        return None
    digits = trim(raw)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20 and low <= int(digits) <= high):
        problem = Problem(
            field=f"query.{name}", reason=f"invalid {name} {shown(raw)}: must be an integer from {low} to {high}"
        )
        raise InvalidRequest([problem])
    return int(digits)


def _tags(header: str, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    if value.strip() == "*":
        return ("*",)
    if not _ETAGS.fullmatch(value):
        reason = f"must be * or a list of entity tags in double quotes, got {shown(value)}"
        raise InvalidRequest([Problem(field=f"header.{header}", reason=reason)])
    return tuple(_ETAG.findall(value))
