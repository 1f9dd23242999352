"""What lists and feeds take in the query: filters, pages, places."""

import re
from datetime import UTC, datetime, timedelta

import falcon
from msgspec import Struct

from pinocchio_core.domain import limits
from pinocchio_core.domain.slugs import fold, parse_slug, shown, trim
from pinocchio_core.errors import InvalidRequest, Problem
from pinocchio_core.store.tables.feed import Place, Wanted, parse_place
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.web import codec

LATEST = "latest"
"""In the place of a cursor: from now on."""
DEFAULT_PAGE = 100
"""Changes on a page where no limit is sent."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# a plus sign in a query stands for a blank
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[Zz]|[+ -]\d\d:\d\d)", re.ASCII)


def filter_of(req: falcon.Request) -> tuple[ProfileFilter, list[Problem]]:
    """Which profiles a list is to show, and what is wrong with the query."""
    problems: list[Problem] = []
    limit = codec.number(req, "limit", 1, limits.MAX_PAGE, problems)
    names = ("after", "q", "tag", "middleware", "label")
    after, text, tag, middleware, label = (codec.query(req, name) or "" for name in names)
    wanted = ProfileFilter(
        limit=limit,
        after=fold(after),
        text=text,
        tag=tag,
        middleware=trim(middleware),
        label=fold(label),
        changed_since_ms=_moment(req, "changed_since", problems),
    )
    return wanted, problems


def page_of(req: falcon.Request) -> tuple[int | None, str]:
    """The `limit` and `after` of a list; InvalidRequest where they are none."""
    problems: list[Problem] = []
    limit = codec.number(req, "limit", 1, limits.MAX_PAGE, problems)
    if problems:
        raise InvalidRequest(problems)
    return limit, fold(codec.query(req, "after") or "")


def page_of_versions(req: falcon.Request) -> tuple[dict[str, int], list[Problem]]:
    """Which versions a list is to show, as far as the query says so, and what is wrong with it."""
    problems: list[Problem] = []
    limit = codec.number(req, "limit", 1, limits.MAX_PAGE, problems)
    before = codec.number(req, "before", 1, codec.MAX_VERSION, problems)
    wanted = {"limit": limit, "before": before}
    return {name: number for name, number in wanted.items() if number is not None}, problems


class FeedRequest(Struct, frozen=True):
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
    sent, field = codec.query(req, "after"), "query.after"
    if resumed and trim(req.env.get("HTTP_LAST_EVENT_ID", "")):
        sent, field = req.env["HTTP_LAST_EVENT_ID"], "header.Last-Event-ID"
    after = default
    if sent is not None:
        try:
            after = None if trim(sent) == LATEST else parse_place(trim(sent))
        except ValueError:
            reason = f"invalid cursor {shown(sent)}: must be one of an earlier answer, a number, or {LATEST}"
            problems.append(Problem(field=field, reason=reason))
    limit = codec.number(req, "limit", 1, limits.MAX_PAGE, problems)
    names = [_slug(req, name, problems) for name in ("registry", "slug")]
    if problems:
        raise InvalidRequest(problems)
    return FeedRequest(after, limit or DEFAULT_PAGE, Wanted(registry=names[0], slug=names[1]))


def _slug(req: falcon.Request, name: str, problems: list[Problem]) -> str | None:
    raw = codec.query(req, name)
    try:
        return None if raw is None else parse_slug(raw, what=name)
    except ValueError as error:
        problems.append(Problem(field=f"query.{name}", reason=str(error)))
        return None


def _moment(req: falcon.Request, name: str, problems: list[Problem]) -> int | None:
    """A time in milliseconds since 1970, or as RFC 3339 has it."""
    raw = codec.query(req, name)
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
