"""Use cases of choosing: the current profile of a browser, and the default where it has none."""

from msgspec import Struct

from pinocchio_core.domain.references import parse_reference
from pinocchio_core.domain.slugs import parse_slug
from pinocchio_core.service.checking.names import reference_problems
from pinocchio_core.service.checking.requests import ChooseProfile
from pinocchio_core.service.checking.targets import Target, checked
from pinocchio_core.service.references import is_there, referenced_row, require_profile
from pinocchio_core.store.store import Store


class Choice(Struct, frozen=True):
    """A profile by its names."""

    registry: str
    slug: str
    """It may say which version is meant, as `slug@7` or `slug@production`."""

    def cookie(self, default_registry: str) -> str:
        """It as the value of a cookie: `SLUG`, or `REGISTRY:SLUG` in another registry than the default one."""
        return self.slug if self.registry == default_registry else f"{self.registry}:{self.slug}"


class DefaultService:
    """Which profile is used where none is named."""

    def __init__(self, store: Store, *, default_registry: str) -> None:
        self._store = store
        self.default_registry = default_registry

    def choose(self, target: Target, body: bytes) -> Choice:
        """The existing profile that `body` names.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RevisionNotFound, RowUnreadable.
        """
        request = checked(body, ChooseProfile, target, also=lambda tree: reference_problems("slug", tree.get("slug")))
        registry = target.registry_slug(request.registry, self.default_registry)
        choice = Choice(registry, str(parse_reference(request.slug or "")))
        referenced_row(self._store, choice.registry, choice.slug)
        return choice

    def current(self, target: Target, chosen: Choice | None) -> Choice:
        """The chosen profile while it exists, else the registry's default.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound: the registry has no default either.
        """
        target.check()
        seen = chosen and (target.registries is None or chosen.registry in target.registries)
        if chosen and seen and is_there(self._store, chosen.registry, chosen.slug):
            return chosen
        registry = target.registry_slug(None, self.default_registry)
        slug = self._store.registries.head(registry).default_profile_slug or "default"
        require_profile(self._store, registry, slug)
        return Choice(registry, slug)


def chosen_from(value: str, default_registry: str) -> Choice | None:
    """What a browser's cookie says, `SLUG` or `REGISTRY:SLUG`, perhaps with a version; `None` where it is malformed."""
    registry, colon, slug = value.strip('"').rpartition(":")
    try:
        return Choice(parse_slug(registry) if colon else default_registry, str(parse_reference(slug)))
    except ValueError:
        return None
