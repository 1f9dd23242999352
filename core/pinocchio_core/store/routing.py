"""A store of which some registries are others': those that are served from files, each from a store in memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pinocchio_core.domain.profile import Profile, Registry
from pinocchio_core.errors import SourceReadOnly
from pinocchio_core.store.layouts.opening import open_database
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.sqlite.dsn import dsn_of_path
from pinocchio_core.store.store import ALL_WELL, Store
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.history import AFTER_ALL, HistoryStore, Revision, StoredRevision
from pinocchio_core.store.tables.listing import Page, WholeList
from pinocchio_core.store.tables.profiles import Make, ProfileStore, Written
from pinocchio_core.store.tables.recent import Recent
from pinocchio_core.store.tables.registries import RegistryHead, RegistryStore, StoredRegistry, clock_ms
from pinocchio_core.store.tables.rows import Author, StoredProfile
from pinocchio_core.store.tables.scan import RowState

_IN_LISTS = "UPDATE profiles SET item_json = json_insert(item_json, '$.source', ?) WHERE registry_slug = ? AND slug = ?"
_CHANGED = "UPDATE profile_registries SET version = ?, updated_at_ms = ? WHERE slug = ?"


@dataclass(frozen=True)
class Source:
    """Where a registry is that is not the database's."""

    store: Store
    name: str
    """What it is read from, for people."""


Find = Callable[[str], Source | None]
"""The source of a registry, `None` for the database."""


def sourced_store(registries: Iterable[tuple[Registry, int, Iterable[Profile]]]) -> Store:
    """A store in memory with these registries, when each was last changed in ms, and their profiles.

    Versions are those that the profiles have, and for a registry the time of its last change: the same content is
    the same to every process that reads it.
    """
    store = Store(open_database(dsn_of_path(":memory:")).database)
    try:
        with store.write():
            for registry, changed_at_ms, profiles in registries:
                _insert(store, registry, changed_at_ms, profiles)
    except BaseException:
        store.close()
        raise
    return store


def _insert(store: Store, registry: Registry, changed_at_ms: int, profiles: Iterable[Profile]) -> None:
    author = Author(actor=registry.metadata.updated_by, source=registry.metadata.source)
    store.registries.insert(registry, author)
    for profile in profiles:
        store.profiles.create(registry.slug, profile.slug, _as_it_is(profile), author=author)
        store.database.run(_IN_LISTS, (profile.metadata.source, registry.slug, profile.slug))
    store.database.run(_CHANGED, (changed_at_ms, changed_at_ms, registry.slug))


class RoutedStore(Store):
    """The database's registries and those of sources; what is another's cannot be written."""

    def __init__(self, database: Database, find: Find, slugs: Callable[[], Iterable[str]]) -> None:
        """`slugs` are those of the registries for which `find` finds a source."""
        super().__init__(database)
        self._find = find
        self.registries = _Registries(database, find, slugs)
        self.profiles = _Profiles(database, self.registries, find)
        self.history = _History(database, find)

    def require_writable(self, registry: str) -> None:
        """Raise SourceReadOnly where a registry is not the database's."""
        _require_ours(self._find, registry)

    def list_profiles(
        self, registry: str, default: str | None, wanted: ProfileFilter, states: Mapping[str, RowState] = ALL_WELL
    ) -> Page:
        """The profiles of a registry that are wanted."""
        source = self._find(registry)
        if source:
            return source.store.list_profiles(registry, default, wanted)
        return super().list_profiles(registry, default, wanted, states)

    def whole_list(self, registry: str, default: str | None) -> WholeList | None:
        """All profiles of a registry, `None` where one is damaged."""
        source = self._find(registry)
        return source.store.whole_list(registry, default) if source else super().whole_list(registry, default)


class _Profiles(ProfileStore):
    def __init__(self, database: Database, registries: RegistryStore, find: Find) -> None:
        super().__init__(database, registries, clock=clock_ms)
        self._find = find

    def read(self, registry: str, slug: str) -> StoredProfile | None:
        source = self._find(registry)
        return source.store.profiles.read(registry, slug) if source else super().read(registry, slug)

    def count(self, registry: str) -> int:
        source = self._find(registry)
        return source.store.profiles.count(registry) if source else super().count(registry)

    def create(
        self,
        registry: str,
        slug: str,
        make: Make,
        *,
        author: Author,
        expected_version: int = 0,
        restored_from: int | None = None,
    ) -> Written:
        _require_ours(self._find, registry)
        return super().create(
            registry, slug, make, author=author, expected_version=expected_version, restored_from=restored_from
        )

    def replace(self, make: Make, *, old: Profile, author: Author, recent: Recent | None = None) -> Written | None:
        _require_ours(self._find, old.registry)
        return super().replace(make, old=old, author=author, recent=recent)

    def overwrite(self, row: StoredProfile, make: Make, *, author: Author, restored_from: int | None = None) -> Written:
        _require_ours(self._find, row.registry)
        return super().overwrite(row, make, author=author, restored_from=restored_from)

    def delete(self, row: StoredProfile, *, author: Author) -> int | None:
        _require_ours(self._find, row.registry)
        return super().delete(row, author=author)


class _History(HistoryStore):
    """A source knows the present version of each profile and no other."""

    def __init__(self, database: Database, find: Find) -> None:
        super().__init__(database)
        self._find = find

    def page(self, registry: str, slug: str, *, before: int | None, limit: int) -> list[Revision]:
        source = self._find(registry)
        reader = source.store.history.page if source else super().page
        return reader(registry, slug, before=before, limit=limit)

    def read(self, registry: str, slug: str, version: int) -> StoredRevision | None:
        source = self._find(registry)
        return source.store.history.read(registry, slug, version) if source else super().read(registry, slug, version)

    def exists(self, registry: str, slug: str) -> bool:
        source = self._find(registry)
        return source.store.history.exists(registry, slug) if source else super().exists(registry, slug)

    def last_before(self, registry: str, slug: str, version: int = AFTER_ALL) -> int | None:
        source = self._find(registry)
        reader = source.store.history.last_before if source else super().last_before
        return reader(registry, slug, version)

    def is_default(self, registry: str, slug: str) -> bool | None:
        source = self._find(registry)
        return source.store.history.is_default(registry, slug) if source else super().is_default(registry, slug)


class _Registries(RegistryStore):
    def __init__(self, database: Database, find: Find, slugs: Callable[[], Iterable[str]]) -> None:
        super().__init__(database, clock=clock_ms)
        self._find = find
        self._slugs = slugs

    def read(self, slug: str) -> StoredRegistry:
        source = self._find(slug)
        return source.store.registries.read(slug) if source else super().read(slug)

    def all(self) -> list[StoredRegistry]:
        sourced = {slug: self.read(slug) for slug in self._slugs()}
        ours = [row for row in super().all() if row.slug not in sourced]
        return sorted([*ours, *sourced.values()], key=lambda row: row.slug)

    def head(self, slug: str) -> RegistryHead:
        source = self._find(slug)
        return source.store.registries.head(slug) if source else super().head(slug)

    def exists(self, slug: str) -> bool:
        return self._find(slug) is not None or super().exists(slug)

    def insert(self, registry: Registry, author: Author) -> None:
        _require_ours(self._find, registry.slug)
        super().insert(registry, author)

    def replace(self, registry: Registry, *, version: int, op: str, author: Author) -> bool:
        _require_ours(self._find, registry.slug)
        return super().replace(registry, version=version, op=op, author=author)

    def delete(self, slug: str, *, version: int, author: Author) -> bool:
        _require_ours(self._find, slug)
        return super().delete(slug, version=version, author=author)


def _require_ours(find: Find, registry: str) -> None:
    source = find(registry)
    if source:
        raise SourceReadOnly(registry, source.name)


def _as_it_is(profile: Profile) -> Make:
    return lambda _version, _at_ms: profile
