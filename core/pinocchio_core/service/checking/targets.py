"""Which profile and which registry a request is about, and under which conditions."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from msgspec import Struct

from pinocchio_core.domain import limits
from pinocchio_core.domain.slugs import parse_slug, shown, trim
from pinocchio_core.errors import InvalidRequest, PreconditionFailed, Problem, RegistryNotFound
from pinocchio_core.service.checking.envelope import open_envelope
from pinocchio_core.service.checking.names import (
    reason_problem,
    reference_problems,
    registry_problems,
    same_slug,
    slug_problems,
)
from pinocchio_core.store.tables.labels import StoredLabel
from pinocchio_core.store.tables.registries import StoredRegistry
from pinocchio_core.store.tables.rows import Author, StoredProfile

PROFILE_SLUG: Final = "profile slug"
IN_PATH, IN_QUERY, REASON_IN_QUERY = "path.slug", "query.registry", "query.reason"
"""The fields of problems that are not in the body."""


class Conditions(Struct, frozen=True, kw_only=True):
    """Preconditions of a request (RFC 9110, section 13): entity tags, `("*",)` for any, `None` where not sent."""

    if_match: tuple[str, ...] | None = None
    if_none_match: tuple[str, ...] | None = None

    def check(self, row: StoredProfile | StoredRegistry | StoredLabel | None) -> None:
        """Raise PreconditionFailed where they do not hold for what is stored, `None` for nothing."""
        etag = row.etag if row else None
        if self.if_match is not None and (etag is None or not _strongly_among(etag, self.if_match)):
            raise PreconditionFailed("If-Match", current=row.current() if row else None)
        if self.if_none_match is not None and etag is not None and weakly_among(etag, self.if_none_match):
            raise PreconditionFailed("If-None-Match", current=row.current() if row else None)


NO_CONDITIONS = Conditions()


class Target(Struct, frozen=True, kw_only=True):
    """What a request says outside its body, as it was sent."""

    slug: str | None = None
    """From the path; `None` where the path has none."""
    what: str = PROFILE_SLUG
    """What the slug is, for messages."""
    versions_too: bool = False
    """Whether the slug may say which version is meant, as `slug@7` or `slug@production`."""
    registry: str | None = None
    """From the query; a registry in the body wins, and blank counts as absent."""
    registries: frozenset[str] | None = None
    """The only ones that exist for who asks, `None` for all."""
    conditions: Conditions = NO_CONDITIONS
    expected_version: int = 0
    """From the query; 0 is unchecked."""
    reason: str | None = None
    """From the query: why the change is made."""
    dry_run: bool = False
    """From the query: whether the change is only tried."""
    place: str = ""
    """Where it is in a request of several, `writes[3]`."""
    force: bool = False
    """From the query: whether to delete what others depend on."""
    problems_outside: tuple[Problem, ...] = ()
    """What is wrong with the rest of the query and with headers."""

    def problems(self, tree: dict[str, Any] | None = None) -> Iterator[Problem]:
        """What is wrong with all that, and whether the body's slug is another one."""
        yield from self.problems_outside
        if self.reason is not None:
            yield from reason_problem(REASON_IN_QUERY, self.reason)
        if tree and "reason" in tree:
            yield from reason_problem("reason", tree["reason"])
        if self.registry is not None:
            yield from registry_problems(IN_QUERY, self.registry)
        if self.slug is None:
            return
        found = list(self._slug_problems(self.slug))
        yield from found
        sent = tree.get("slug") if tree and not found else None
        if isinstance(sent, str) and not same_slug(sent, self.slug):
            reason = "must be the slug of the path or be left out; it cannot be changed"
            yield Problem(field="slug", reason=reason)

    def check(self) -> None:
        """Raise InvalidRequest where a name is wrong, for requests without a body."""
        problems = list(self.problems())
        if problems:
            raise InvalidRequest(problems)

    def _slug_problems(self, slug: str) -> Iterator[Problem]:
        if self.versions_too:
            yield from reference_problems(IN_PATH, slug)
        elif self.what == PROFILE_SLUG and "@" in slug and not list(reference_problems(IN_PATH, slug)):
            pin = slug[slug.index("@") :]
            yield Problem(field=IN_PATH, reason=f"versions do not change; leave out {shown(pin)}")
        else:
            yield from slug_problems(IN_PATH, slug, what=self.what)

    def registry_slug(self, in_body: str | None, default: str) -> str:
        """The slug of the registry that is named.

        Raises:
            RegistryNotFound: it does not exist for who asks.
        """
        return self.seen(self.named_registry(in_body, default))

    def named_registry(self, in_body: str | None, default: str) -> str:
        """The registry's slug: the body's, else the query's, else the default; it may not exist for who asks."""
        for raw in (in_body, self.registry):
            if raw is not None and trim(raw):
                return parse_slug(raw, what="registry slug")
        return default

    def seen(self, registry: str) -> str:
        """The registry; RegistryNotFound where it does not exist for who asks."""
        _require_seen(registry, self.registries)
        return registry

    def path_slug(self) -> str:
        """The slug from the path."""
        return parse_slug(self.slug or "")


class Order(Struct, frozen=True, kw_only=True):
    """What every change says: of which profile, by whom, and under which conditions."""

    registry: str
    slug: str
    author: Author
    expected_version: int
    """0 is unchecked."""
    conditions: Conditions
    force: bool = False
    """Whether to delete what others depend on."""
    place: str = ""
    """Where it is in a request of several, `writes[3]`."""
    registries: frozenset[str] | None = None
    """The only registries that exist for who asks, `None` for all."""

    def require_seen(self) -> None:
        """Raise RegistryNotFound where the registry does not exist for who asks."""
        _require_seen(self.registry, self.registries)


R = TypeVar("R", bound=Struct)


def opened(
    body: bytes, kind: type[R], target: Target, *, max_nodes: int = limits.MAX_NODES
) -> tuple[dict[str, Any], R | None, list[Problem]]:
    """A request's body, and what is wrong with its fields and with the names around it; see `open_envelope`.

    Raises:
        InvalidRequest: the body is not a JSON object at all.
    """
    try:
        tree, request, problems = open_envelope(body, kind, max_nodes=max_nodes)
    except InvalidRequest as error:
        raise InvalidRequest([*target.problems(), *error.problems], next_step=error.next_step) from None
    return tree, request, [*target.problems(tree), *problems]


def checked(
    body: bytes, kind: type[R], target: Target, *, also: Callable[[dict[str, Any]], Iterable[Problem]] = lambda _: ()
) -> R:
    """A request that needs no checks against the catalog; `also` finds further problems in its body.

    Raises:
        InvalidRequest: with every problem.
    """
    tree, request, problems = opened(body, kind, target)
    if "registry" in tree:
        problems += registry_problems("registry", tree["registry"])
    problems += also(tree)
    if problems or request is None:
        raise InvalidRequest(problems)
    return request


def _require_seen(registry: str, registries: frozenset[str] | None) -> None:
    if registries is not None and registry not in registries:
        raise RegistryNotFound(registry)


def _strongly_among(etag: str, tags: tuple[str, ...]) -> bool:
    return "*" in tags or etag in tags


def weakly_among(etag: str, tags: tuple[str, ...]) -> bool:
    """Whether one of the tags is `etag` by weak comparison, or any."""
    return "*" in tags or etag in {tag.removeprefix("W/") for tag in tags}
