"""Use cases of registries themselves: list, read, create, change, delete."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, structs, to_builtins

from pinocchio_core.domain import limits
from pinocchio_core.domain.profile import Registry, RegistryMetadata
from pinocchio_core.domain.slugs import parse_slug, trim
from pinocchio_core.errors import InUse, Problem, ProfileNotFound, RowUnreadable, VersionConflict
from pinocchio_core.service.checking.envelope import value_at
from pinocchio_core.service.checking.names import list_problems, name_problem, slug_problems
from pinocchio_core.service.checking.requests import CreateRegistry, PatchRegistry
from pinocchio_core.service.checking.targets import Target, checked
from pinocchio_core.service.writing.drafts import names_of, text_of
from pinocchio_core.service.writing.outcomes import trial
from pinocchio_core.store.store import Store
from pinocchio_core.store.tables.registries import StoredRegistry
from pinocchio_core.store.tables.rows import Author, StoredProfile


class RegistryOutcome(Struct, frozen=True):
    """What a change of a registry came to."""

    before: StoredRegistry | None
    row: StoredRegistry | None


class RegistryService:
    """Registries, checked and stored. `target.slug` names the registry."""

    def __init__(self, store: Store, *, default_registry: str) -> None:
        self._store = store
        self.default_registry = default_registry

    def read(self, target: Target) -> StoredRegistry:
        """One registry; InvalidRequest or RegistryNotFound where there is none by that name."""
        target.check()
        return self._store.registries.read(target.seen(target.path_slug()))

    def all(self, target: Target) -> list[StoredRegistry]:
        """Every registry that there is for who asks, by slug."""
        rows = self._store.registries.all()
        return rows if target.registries is None else [row for row in rows if row.slug in target.registries]

    def page(self, target: Target, limit: int | None, after: str) -> tuple[list[StoredRegistry], int]:
        """Registries by slug after one, all or one more than `limit`, and how many there are."""
        rows = self.all(target)
        page = [row for row in rows if row.slug > after]
        return page[: None if limit is None else limit + 1], len(rows)

    def document(self, row: StoredRegistry) -> dict[str, Any]:
        """A registry as it is served; what can be told of it, and its `state`, where its row is damaged."""
        try:
            document = to_builtins(row.registry())
        except RowUnreadable:
            document = {"slug": row.slug, "state": "quarantined", "metadata": {}}
        document["metadata"] |= {"version": row.version, "updated_at_ms": row.updated_at_ms}
        return {**document, "profile_count": row.profile_count, "is_default": row.slug == self.default_registry}

    def trial(self, outcome: RegistryOutcome) -> dict[str, Any]:
        """The answer where a change was only tried."""
        before, after = (
            None if row is None else msgspec.json.encode(self.document(row)) for row in (outcome.before, outcome.row)
        )
        return trial(before, after)

    def create(self, target: Target, body: bytes, *, author: Author) -> RegistryOutcome:
        """Add an empty registry.

        Raises:
            InvalidRequest, AlreadyExists, VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        request = checked(body, CreateRegistry, target, also=_new_problems)
        slug, author = parse_slug(request.slug or ""), author.because(request.reason)
        self._store.require_writable(slug)
        metadata = RegistryMetadata(
            created_at_ms=self._store.now_ms(), created_by=author.actor, updated_by=author.actor, source=author.source
        )
        draft = changed_registry(Registry(slug=slug, metadata=metadata), request, author)
        with self._store.write(dry_run=target.dry_run):
            existing = self._store.registries.read(slug) if self._store.registries.exists(slug) else None
            target.conditions.check(existing)
            self._store.registries.insert(draft, author)
            if request.expected_version:
                raise VersionConflict(f'registry "{slug}"', expected=request.expected_version, actual=0)
            return RegistryOutcome(None, self._store.registries.read(slug))

    def patch(self, target: Target, body: bytes, *, author: Author) -> RegistryOutcome:
        """Change a registry; what is stored already is not written again.

        Raises:
            InvalidRequest, RegistryNotFound, ProfileNotFound, RowUnreadable, VersionConflict, PreconditionFailed,
            StoreUnavailable.
        """
        request = checked(body, PatchRegistry, target, also=_problems)
        slug, author = target.seen(target.path_slug()), author.because(request.reason)
        with self._store.write(dry_run=target.dry_run):
            row = self._store.registries.read(slug)
            self._store.require_writable(slug)
            old = row.registry()
            draft = changed_registry(old, request, author)
            chosen = self._chosen(old, draft)
            row.require_version(request.expected_version or 0)
            target.conditions.check(row)
            if chosen:
                chosen.profile()  # a damaged profile is no default to fall back to
            unchanged = structs.replace(
                draft, metadata=structs.replace(draft.metadata, updated_by=old.metadata.updated_by)
            )
            if unchanged == old:
                return RegistryOutcome(row, row)
            self._store.registries.replace(draft, version=row.version, op="update_registry", author=author)
            return RegistryOutcome(row, self._store.registries.read(slug))

    def delete(self, target: Target, *, author: Author) -> RegistryOutcome:
        """Remove an empty registry.

        Raises:
            InvalidRequest, RegistryNotFound, InUse, VersionConflict, PreconditionFailed, StoreUnavailable.
        """
        target.check()
        slug, author = target.seen(target.path_slug()), author.because(target.reason)
        with self._store.write(dry_run=target.dry_run):
            row = self._store.registries.read(slug)
            self._store.require_writable(slug)
            row.require_version(target.expected_version)
            target.conditions.check(row)
            if slug == self.default_registry:
                raise InUse(
                    f'registry "{slug}" is this server\'s default', next_step="start it with another --default-registry"
                )
            if row.profile_count:
                raise InUse(
                    f'registry "{slug}" has {row.profile_count} profiles', next_step="delete its profiles first"
                )
            self._store.registries.delete(slug, version=row.version, author=author)
        return RegistryOutcome(row, None)

    def _chosen(self, old: Registry, new: Registry) -> StoredProfile | None:
        """The profile that becomes the default, `None` where that stays."""
        default = new.default_profile_slug
        if not default or default == old.default_profile_slug:
            return None
        found = self._store.profiles.read(new.slug, default)
        if found is None:
            raise ProfileNotFound(new.slug, default)
        return found


def _problems(tree: dict[str, Any]) -> Iterator[Problem]:
    yield from name_problem("display_name", tree.get("display_name"), limit=limits.MAX_DISPLAY_NAME_LENGTH)
    yield from list_problems("metadata.tags", value_at(tree, "metadata", "tags"), limits.MAX_TAGS)
    default = tree.get("default_profile_slug")
    if isinstance(default, str) and trim(default):
        yield from slug_problems("default_profile_slug", default)


def _new_problems(tree: dict[str, Any]) -> Iterator[Problem]:
    yield from slug_problems("slug", tree.get("slug"), what="registry slug")
    default = tree.get("default_profile_slug")
    if isinstance(default, str) and trim(default):
        yield Problem(field="default_profile_slug", reason="a new registry has no profiles yet")
    yield from _problems(tree)


def problems_of_filed(tree: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with a registry that a file describes."""
    yield from slug_problems("slug", tree.get("slug"), what="registry slug")
    yield from _problems(tree)
    if tree.get("expected_version"):
        yield Problem(field="expected_version", reason="belongs to requests, not into a file")


def changed_registry(old: Registry, request: PatchRegistry, author: Author) -> Registry:
    """`old` with what the request says of it."""
    tags = request.metadata.tags if request.metadata else None
    metadata = structs.replace(
        old.metadata, updated_by=author.actor, tags=old.metadata.tags if tags is None else names_of(tags)
    )
    default = trim(request.default_profile_slug or "")
    return structs.replace(
        old,
        display_name=text_of(request.display_name, old.display_name),
        description=text_of(request.description, old.description),
        default_profile_slug=parse_slug(default) if default else old.default_profile_slug,
        metadata=metadata,
    )
