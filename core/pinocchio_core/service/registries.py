"""Use cases of registries themselves: list, read, create, change, delete."""

from collections.abc import Iterator
from typing import Any

from msgspec import structs, to_builtins

from pinocchio_core.domain import limits
from pinocchio_core.domain.profile import Registry, RegistryMetadata
from pinocchio_core.domain.slugs import parse_slug, trim
from pinocchio_core.errors import InUse, Problem, ProfileNotFound, RowUnreadable, VersionConflict
from pinocchio_core.service.envelope import value_at
from pinocchio_core.service.names import list_problems, name_problem, slug_problems
from pinocchio_core.service.requests import CreateRegistry, PatchRegistry
from pinocchio_core.service.targets import NO_CONDITIONS, Conditions, Target, checked
from pinocchio_core.store.registries import StoredRegistry
from pinocchio_core.store.rows import Author
from pinocchio_core.store.store import Store


class RegistryService:
    """Registries, checked and stored. `target.slug` names the registry."""

    def __init__(self, store: Store, *, default_registry: str) -> None:
        self._store = store
        self.default_registry = default_registry

    def read(self, target: Target) -> StoredRegistry:
        """One registry; InvalidRequest or RegistryNotFound where there is none by that name."""
        target.check()
        return self._store.registries.read(target.profile_slug())

    def all(self) -> list[StoredRegistry]:
        """Every registry, by slug."""
        return self._store.registries.all()

    def document(self, row: StoredRegistry) -> dict[str, Any]:
        """A registry as it is served; what can be told of it, and its `state`, where its row is damaged."""
        try:
            document = to_builtins(row.registry())
        except RowUnreadable:
            document = {"slug": row.slug, "state": "quarantined", "metadata": {}}
        document["metadata"] |= {"version": row.version, "updated_at_ms": row.updated_at_ms}
        return {**document, "profile_count": row.profile_count, "is_default": row.slug == self.default_registry}

    def create(self, body: bytes, *, author: Author, conditions: Conditions = NO_CONDITIONS) -> StoredRegistry:
        """Add an empty registry.

        Raises:
            InvalidRequest, AlreadyExists, VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        request = checked(body, CreateRegistry, Target(), also=_new_problems)
        slug = parse_slug(request.slug or "")
        metadata = RegistryMetadata(
            created_at_ms=self._store.now_ms(), created_by=author.actor, updated_by=author.actor, source=author.source
        )
        draft = _changed(Registry(slug=slug, metadata=metadata), request, author)
        with self._store.write():
            existing = self._store.registries.read(slug) if self._store.registries.exists(slug) else None
            conditions.check(existing.etag if existing else None)
            self._store.registries.insert(draft, author)
            if request.expected_version:
                raise VersionConflict(f'registry "{slug}"', expected=request.expected_version, actual=0)
            return self._store.registries.read(slug)

    def patch(
        self, target: Target, body: bytes, *, author: Author, conditions: Conditions = NO_CONDITIONS
    ) -> StoredRegistry:
        """Change a registry; what is stored already is not written again.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        request = checked(body, PatchRegistry, target, also=_problems)
        slug = target.profile_slug()
        with self._store.write():
            row = self._store.registries.read(slug)
            old = row.registry()
            draft = _changed(old, request, author)
            default = draft.default_profile_slug
            if default and default != old.default_profile_slug and not self._store.profiles.read(slug, default):
                raise ProfileNotFound(slug, default)
            _require_version(row, request.expected_version or 0)
            conditions.check(row.etag, version=row.version)
            unchanged = structs.replace(
                draft, metadata=structs.replace(draft.metadata, updated_by=old.metadata.updated_by)
            )
            if unchanged == old:
                return row
            self._store.registries.replace(draft, version=row.version, op="update_registry", author=author)
            return self._store.registries.read(slug)

    def delete(
        self, target: Target, *, expected_version: int, author: Author, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Remove an empty registry.

        Raises:
            InvalidRequest, RegistryNotFound, InUse, VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        target.check()
        slug = target.profile_slug()
        with self._store.write():
            row = self._store.registries.read(slug)
            _require_version(row, expected_version)
            conditions.check(row.etag, version=row.version)
            if slug == self.default_registry:
                raise InUse(
                    f'registry "{slug}" is this server\'s default', next_step="start it with another --default-registry"
                )
            if row.profile_count:
                raise InUse(
                    f'registry "{slug}" has {row.profile_count} profiles', next_step="delete its profiles first"
                )
            self._store.registries.delete(slug, version=row.version, author=author)


def _problems(tree: dict[str, Any]) -> Iterator[Problem]:
    yield from name_problem("display_name", tree.get("display_name"), limit=limits.MAX_DISPLAY_NAME_LENGTH)
    yield from list_problems("metadata.tags", value_at(tree, "metadata", "tags"), limits.MAX_TAGS)
    default = tree.get("default_profile_slug")
    if isinstance(default, str) and trim(default):
        yield from slug_problems("default_profile_slug", default)


def _new_problems(tree: dict[str, Any]) -> Iterator[Problem]:
    yield from slug_problems("slug", tree.get("slug"), what="registry slug")
    if tree.get("default_profile_slug"):
        yield Problem(field="default_profile_slug", reason="a new registry has no profiles yet")
    yield from _problems(tree)


def _changed(old: Registry, request: PatchRegistry, author: Author) -> Registry:
    tags = request.metadata.tags if request.metadata else None
    metadata = structs.replace(
        old.metadata, updated_by=author.actor, tags=old.metadata.tags if tags is None else tags or None
    )
    default = trim(request.default_profile_slug or "")
    return structs.replace(
        old,
        display_name=_text(request.display_name, old.display_name),
        description=_text(request.description, old.description),
        default_profile_slug=parse_slug(default) if default else old.default_profile_slug,
        metadata=metadata,
    )


def _text(sent: str | None, old: str | None) -> str | None:
    return old if sent is None else trim(sent) or None


def _require_version(row: StoredRegistry, expected: int) -> None:
    if expected and expected != row.version:
        current = {"version": row.version, "updated_at_ms": row.updated_at_ms}
        raise VersionConflict(f'registry "{row.slug}"', expected=expected, actual=row.version, current=current)
