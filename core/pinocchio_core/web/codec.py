"""Requests into values, values into answers: bodies, names, versions, entity tags."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import falcon
import msgspec
from msgspec import structs

from pinocchio_core.domain import limits
from pinocchio_core.domain.slugs import shown, trim
from pinocchio_core.errors import BodyTooLarge, InvalidRequest, Problem, UnsupportedMediaType
from pinocchio_core.service.access.callers import Caller
from pinocchio_core.service.checking.targets import NO_CONDITIONS, PROFILE_SLUG, Conditions, Target, weakly_among
from pinocchio_core.store.tables.rows import Author

SOURCE = "http-api"
MAX_VERSION = 2**63 - 1
MAX_ACTOR_BYTES = 256

_ETAGS = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"\s*)*')
_ETAG = re.compile(r'(?:W/)?"[^"]*"')
_encode = msgspec.json.Encoder().encode


def body_of(req: falcon.Request, *, optional: bool = False) -> bytes:
    """The bytes of a JSON body, empty where it is `optional` and none was sent.

    Raises:
        BodyTooLarge, UnsupportedMediaType.
    """
    length = req.content_length or 0
    if length > limits.MAX_BODY_BYTES:
        raise BodyTooLarge(limits.MAX_BODY_BYTES)
    body = req.stream.read(length) if length else b""
    if optional and not body.strip():
        return b""
    if req.content_type == falcon.MEDIA_JSON:
        return body
    media_type, _, parameters = (req.content_type or "").partition(";")
    charset = parameters.replace(" ", "").lower()
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8", 'charset="utf-8"'):
        raise UnsupportedMediaType(shown(req.content_type) if req.content_type else None)
    return body


def query(req: falcon.Request, name: str) -> str | None:
    """The first value of a query parameter, `None` where it is absent or blank."""
    sent = req.params.get(name)
    value = sent[0] if isinstance(sent, list) else sent
    return value if value and trim(value) else None


def target_of(
    req: falcon.Request,
    slug: str | None = None,
    *,
    what: str = PROFILE_SLUG,
    in_query: bool = False,
    versions_too: bool = False,
    problems: Sequence[Problem] = (),
) -> Target:
    """What the request says in its path, its query and its headers.

    `in_query`: the expected version and the reason, where they cannot be in a body.
    `versions_too`: whether the slug may say which version is meant.
    `problems` were found in the rest of the query; they are answered with all others.
    """
    env = req.env
    found = list(problems)
    conditions = NO_CONDITIONS
    if "HTTP_IF_MATCH" in env or "HTTP_IF_NONE_MATCH" in env:
        conditions = Conditions(
            if_match=_tags("If-Match", env.get("HTTP_IF_MATCH"), found),
            if_none_match=_tags("If-None-Match", env.get("HTTP_IF_NONE_MATCH"), found),
        )
    version = number(req, "expected_version", 0, MAX_VERSION, found) if in_query else 0
    return Target(
        slug=slug,
        what=what,
        versions_too=versions_too,
        registry=query(req, "registry"),
        registries=caller_of(req).registries,
        conditions=conditions,
        expected_version=version or 0,
        reason=query(req, "reason") if in_query else None,
        problems_outside=tuple(found),
    )


def change_of(
    req: falcon.Request, slug: str | None = None, *, what: str = PROFILE_SLUG, in_query: bool = False
) -> Target:
    """As `target_of`, for a request that changes something and may only be tried, or forced where it deletes."""
    if not req.query_string:
        return target_of(req, slug, what=what)
    problems: list[Problem] = []
    dry_run = flag(req, "dry_run", problems)
    force = in_query and flag(req, "force", problems)
    target = target_of(req, slug, what=what, in_query=in_query, problems=problems)
    return structs.replace(target, dry_run=dry_run, force=force)


def flag(req: falcon.Request, name: str, problems: list[Problem]) -> bool:
    """Whether a query parameter is `true`; absent is false, and blank is wrong: who tries must not find it done."""
    sent = req.get_param_as_list(name)
    if sent not in (None, ["true"], ["false"]):
        reason = f"must be true or false, got {shown(', '.join(sent))}"
        problems.append(Problem(field=f"query.{name}", reason=reason))
    return sent == ["true"]


def reference_of(req: falcon.Request, slug: str | None) -> Target:
    """As `target_of`, for requests that also take `slug@version` and `slug@label`."""
    return target_of(req, slug, versions_too=True)


def names_of(req: falcon.Request, slug: str | None = None) -> Target:
    """The names in the path and the query, and what is wrong with a condition, for requests that only read."""
    problems: list[Problem] = []
    _tags("If-None-Match", req.env.get("HTTP_IF_NONE_MATCH"), problems)
    return Target(
        slug=slug,
        registry=query(req, "registry"),
        registries=caller_of(req).registries,
        versions_too=True,
        problems_outside=tuple(problems),
    )


def caller_of(req: falcon.Request) -> Caller:
    """Who was let in with the request; see `web.access`."""
    caller: Caller = req.context.caller
    return caller


def author_of(req: falcon.Request) -> Author:
    """Who sends the request: the name of the token; where there are no tokens, the header X-Actor if it is sane."""
    caller = caller_of(req)
    actor = caller.name or _actor(req.env.get("HTTP_X_ACTOR")) or f"anonymous@{req.remote_addr}"
    return Author(actor=actor, source=SOURCE, admin=caller.admin)


def send_json(resp: falcon.Response, document: bytes | dict[str, Any] | list[Any]) -> None:
    """Answer with JSON, ready-made or to be encoded."""
    resp.data = document if isinstance(document, bytes) else _encode(document)
    resp.content_type = falcon.MEDIA_JSON


def send_trial(resp: falcon.Response, document: dict[str, Any]) -> None:
    """Answer what a change would come to."""
    resp.set_header("Cache-Control", "no-store")
    send_json(resp, document)


def send_total(resp: falcon.Response, total: int | None) -> None:
    """Say how many there are on all pages of a list, where it is paged."""
    if total is not None:
        resp.set_header("X-Total-Count", str(total))


def not_modified(req: falcon.Request, resp: falcon.Response, etag: str) -> bool:
    """Send the entity tag; True where the client has that state already and the answer is done.

    Raises:
        InvalidRequest: the condition is malformed.
    """
    resp.set_header("ETag", etag)
    sent = req.env.get("HTTP_IF_NONE_MATCH")
    if sent is None:
        return False
    if sent != etag:
        problems: list[Problem] = []
        tags = _tags("If-None-Match", sent, problems)
        if problems:
            raise InvalidRequest(problems)
        if not weakly_among(etag, tags or ()):
            return False
    resp.status = falcon.HTTP_304
    return True


def next_link(root: str, path: str, parameters: Iterable[tuple[str, str | None]]) -> str:
    """The value of a Link header to the next page (RFC 8288)."""
    encoded = "&".join(f"{name}={falcon.uri.encode_value(value)}" for name, value in parameters if value)
    return f'<{root}{path}?{encoded}>; rel="next"'


def _actor(sent: str | None) -> str | None:
    """What a header says in UTF-8, which PEP 3333 hands on as Latin-1; `None` where that is no name."""
    if sent is None or len(sent) > MAX_ACTOR_BYTES:
        return None
    try:
        name = sent.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return None
    return name if name.isprintable() else None


def number(req: falcon.Request, name: str, low: int, high: int, problems: list[Problem]) -> int | None:
    """An integer of the query, `None` where it is absent, blank or wrong, which is then among the problems."""
    raw = query(req, name)
    if raw is None:
        return None
    digits = trim(raw)
    if digits.isascii() and digits.isdigit() and len(digits) <= 20 and low <= int(digits) <= high:
        return int(digits)
    reason = f"invalid {name} {shown(raw)}: must be an integer from {low} to {high}"
    problems.append(Problem(field=f"query.{name}", reason=reason))
    return None


def _tags(header: str, value: str | None, problems: list[Problem]) -> tuple[str, ...] | None:
    if value is None:
        return None
    if value.strip() == "*":
        return ("*",)
    if not _ETAGS.fullmatch(value):
        reason = f"must be * or a list of entity tags in double quotes, got {shown(value)}"
        problems.append(Problem(field=f"header.{header}", reason=reason))
        return None
    return tuple(_ETAG.findall(value))
