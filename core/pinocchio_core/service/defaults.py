"""Use cases of choosing: a registry's default profile, and the current profile of a browser."""

from dataclasses import dataclass

from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.errors import ProfileNotFound
from pinocchio_core.host.host import Host
from pinocchio_core.plugin.types import ProfileChange
from pinocchio_core.service.names import slug_problems
from pinocchio_core.service.requests import ChooseProfile, SetDefault
from pinocchio_core.service.targets import Outcome, Target, checked
from pinocchio_core.store.rows import Author, readable
from pinocchio_core.store.store import Store


@dataclass(frozen=True)
class Choice:
    """A profile by its names."""

    registry: str
    slug: str

    def cookie(self, default_registry: str) -> str:
        """It as the value of a cookie: `SLUG`, or `REGISTRY:SLUG` in another registry than the default one."""
        return self.slug if self.registry == default_registry else f"{self.registry}:{self.slug}"


class DefaultService:
    """Which profile is used where none is named."""

    def __init__(self, store: Store, host: Host, *, default_registry: str) -> None:
        self._store = store
        self._host = host
        self.default_registry = default_registry

    def set_default(self, target: Target, body: bytes, *, author: Author) -> Outcome:
        """Make a profile its registry's default; the expected version and conditions are about the registry.

        An `expected_version` in the body wins over that in the query. Where it is the default already, nothing is
        written.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        request = checked(body, SetDefault, target) if body.strip() else SetDefault()
        target.check()
        registry, slug = target.registry_slug(request.registry, self.default_registry), target.path_slug()
        author = author.because(request.reason, target.reason)
        expected = request.expected_version or target.expected_version
        with self._store.write():
            parent = self._store.registries.read(registry)
            row = self._store.profiles.read(registry, slug)
            if row is None:
                raise ProfileNotFound(registry, slug)
            parent.require_version(expected)
            target.conditions.check(parent)
            if row.is_default:
                return Outcome(row, written=False)
            row.profile()  # a damaged profile is no default to fall back to
            self._store.set_default(registry, slug, author=author)
            row = self._store.profiles.read(registry, slug) or row
        self._host.changed(
            ProfileChange(
                op="set_default",
                registry=registry,
                slug=slug,
                version=row.version,
                actor=author.actor,
                at_ms=self._store.now_ms(),
                profile=readable(row),
            )
        )
        return Outcome(row, written=True)

    def choose(self, target: Target, body: bytes) -> Choice:
        """The existing profile that `body` names.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound.
        """
        request = checked(body, ChooseProfile, target, also=lambda tree: slug_problems("slug", tree.get("slug")))
        registry = target.registry_slug(request.registry, self.default_registry)
        choice = Choice(registry, parse_slug(request.slug or ""))
        self._require(choice)
        return choice

    def current(self, target: Target, chosen: Choice | None) -> Choice:
        """The chosen profile while it exists, else the registry's default.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound: the registry has no default either.
        """
        target.check()
        if chosen and self._store.profiles.read(chosen.registry, chosen.slug):
            return chosen
        registry = target.registry_slug(None, self.default_registry)
        slug = self._store.registries.head(registry).default_profile_slug or "default"
        self._require(Choice(registry, slug))
        return Choice(registry, slug)

    def _require(self, choice: Choice) -> None:
        if self._store.profiles.read(choice.registry, choice.slug) is None:
            self._store.registries.head(choice.registry)
            raise ProfileNotFound(choice.registry, choice.slug)


def chosen_from(value: str, default_registry: str) -> Choice | None:
    """What a browser's cookie says, `SLUG` or `REGISTRY:SLUG`; `None` where it is malformed."""
    registry, colon, slug = value.strip('"').rpartition(":")
    try:
        return Choice(parse_slug(registry) if colon else default_registry, parse_slug(slug))
    except ValueError:
        return None
