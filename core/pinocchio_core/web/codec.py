"""Requests into values, values into answers: bodies, names, versions, entity tags."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import falcon
import msgspec
from msgspec import structs

from pinocchio_core.domain import limits
from pinocchio_core.domain.slugs import fold, parse_slug, shown, trim
from pinocchio_core.errors import BodyTooLarge, InvalidRequest, Problem, UnsupportedMediaType
from pinocchio_core.service.access import Caller
from pinocchio_core.service.targets import PROFILE_SLUG, Conditions, Target, weakly_among
from pinocchio_core.store.feed import Place, Wanted, parse_place
from pinocchio_core.store.filters import ProfileFilter
from pinocchio_core.store.rows import Author

SOURCE = "http-api"
MAX_VERSION = 2**63 - 1
MAX_ACTOR_BYTES = 256
LATEST = "latest"
"""In the place of a cursor: from now on."""
DEFAULT_PAGE = 100
"""Changes on a page where no limit is sent."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# a plus sign in a query stands for a blank
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[Zz]|[+ -]\d\d:\d\d)", re.ASCII)
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


def target_of(
    req: falcon.Request,
    slug: str | None = None,
    *,
    what: str = PROFILE_SLUG,
    in_query: bool = False,
    problems: Sequence[Problem] = (),
) -> Target:
    """What the request says in its path, its query and its headers.

    `in_query`: the expected version and the reason, where they cannot be in a body.
    `problems` were found in the rest of the query; they are answered with all others.
    """
    env = req.env
    found = list(problems)
    conditions = Conditions(
        if_match=_tags("If-Match", env.get("HTTP_IF_MATCH"), found),
        if_none_match=_tags("If-None-Match", env.get("HTTP_IF_NONE_MATCH"), found),
    )
    version = _number(req, "expected_version", 0, MAX_VERSION, found) if in_query else 0
    return Target(
        slug=slug,
        what=what,
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
    return structs.replace(target_of(req, slug), versions_too=True)


def names_of(req: falcon.Request, slug: str | None = None) -> Target:
    """The names in the path and the query, for requests that only read."""
    return Target(slug=slug, registry=query(req, "registry"), registries=caller_of(req).registries, versions_too=True)


def filter_of(req: falcon.Request) -> tuple[ProfileFilter, list[Problem]]:
    """Which profiles a list is to show, and what is wrong with the query."""
    problems: list[Problem] = []
    limit = _number(req, "limit", 1, limits.MAX_PAGE, problems)
    after, text, tag, middleware = (query(req, name) or "" for name in ("after", "q", "tag", "middleware"))
    wanted = ProfileFilter(
        limit=limit,
        after=fold(after),
        text=text,
        tag=tag,
        middleware=trim(middleware),
        changed_since_ms=_moment(req, "changed_since", problems),
    )
    return wanted, problems


def page_of(req: falcon.Request) -> tuple[int | None, str]:
    """The `limit` and `after` of a list; InvalidRequest where they are none."""
    problems: list[Problem] = []
    limit = _number(req, "limit", 1, limits.MAX_PAGE, problems)
    if problems:
        raise InvalidRequest(problems)
    return limit, fold(query(req, "after") or "")


def page_of_versions(req: falcon.Request) -> tuple[dict[str, int], list[Problem]]:
    """Which versions a list is to show, as far as the query says so, and what is wrong with it."""
    problems: list[Problem] = []
    limit = _number(req, "limit", 1, limits.MAX_PAGE, problems)
    before = _number(req, "before", 1, MAX_VERSION, problems)
    wanted = {"limit": limit, "before": before}
    return {name: number for name, number in wanted.items() if number is not None}, problems


def caller_of(req: falcon.Request) -> Caller:
    """Who was let in with the request; see `web.access`."""
    caller: Caller = req.context.caller
    return caller


@dataclass(frozen=True)
class FeedRequest:
    """What of the feed of changes a request is about."""

    after: Place | None
    """`None` for the newest."""
    limit: int
    wanted: Wanted


def feed_of(req: falcon.Request, *, default: Place | None, resumed: bool) -> FeedRequest:
    """What of the feed is asked for; `resumed` where the header Last-Event-ID says after what.

    Raises:
        InvalidRequest.
    """
    problems: list[Problem] = []
    sent, field = query(req, "after"), "query.after"
    if resumed and trim(req.env.get("HTTP_LAST_EVENT_ID", "")):
        sent, field = req.env["HTTP_LAST_EVENT_ID"], "header.Last-Event-ID"
    after = default
    if sent is not None:
        try:
            after = None if trim(sent) == LATEST else parse_place(trim(sent))
        except ValueError:
            reason = f"invalid cursor {shown(sent)}: must be one of an earlier answer, a number, or {LATEST}"
            problems.append(Problem(field=field, reason=reason))
    limit = _number(req, "limit", 1, limits.MAX_PAGE, problems)
    names = [_slug(req, name, problems) for name in ("registry", "slug")]
    if problems:
        raise InvalidRequest(problems)
    return FeedRequest(after, limit or DEFAULT_PAGE, Wanted(registry=names[0], slug=names[1]))


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


def _number(req: falcon.Request, name: str, low: int, high: int, problems: list[Problem]) -> int | None:
    raw = query(req, name)
    if raw is None:
        return None
    digits = trim(raw)
    if digits.isascii() and digits.isdigit() and len(digits) <= 20 and low <= int(digits) <= high:
        return int(digits)
    reason = f"invalid {name} {shown(raw)}: must be an integer from {low} to {high}"
    problems.append(Problem(field=f"query.{name}", reason=reason))
    return None


def _slug(req: falcon.Request, name: str, problems: list[Problem]) -> str | None:
    raw = query(req, name)
    try:
        return None if raw is None else parse_slug(raw, what=name)
    except ValueError as error:
        problems.append(Problem(field=f"query.{name}", reason=str(error)))
        return None


def _moment(req: falcon.Request, name: str, problems: list[Problem]) -> int | None:
    """A time in milliseconds since 1970, or as RFC 3339 has it."""
    raw = query(req, name)
    if raw is None:
        return None
    text = trim(raw)
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    try:
        moment = datetime.fromisoformat(text.upper().replace(" ", "+")) if _RFC3339.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is not None:
        return int((moment - _EPOCH) / timedelta(milliseconds=1))
    reason = f"invalid {name} {shown(raw)}: must be milliseconds since 1970 or a time such as 2026-01-31T12:00:00Z"
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
