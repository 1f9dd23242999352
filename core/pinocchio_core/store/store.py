"""The store as the services see it: its parts, and the writes that touch more than one of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from types import MappingProxyType
from typing import TypeVar

from msgspec import structs

from pinocchio_core.errors import RowUnreadable, StoreUnavailable
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.extends import ExtendsStore
from pinocchio_core.store.tables.filters import ProfileFilter
from pinocchio_core.store.tables.history import HistoryStore
from pinocchio_core.store.tables.labels import LabelStore
from pinocchio_core.store.tables.listing import Page, ProfileLists, WholeList
from pinocchio_core.store.tables.profiles import ProfileStore
from pinocchio_core.store.tables.registries import RegistryStore, clock_ms
from pinocchio_core.store.tables.revisions import RevisionStore
from pinocchio_core.store.tables.rows import Author, StoredProfile
from pinocchio_core.store.tables.scan import RowState

T = TypeVar("T")

ALL_WELL: Mapping[str, RowState] = MappingProxyType({})
"""What is known of rows of which nothing is known."""


class _TakenBack(Exception):
    """Ends a transaction that is not to be kept."""


class Store:
    """Registries, profiles and their history in one database."""

    def __init__(self, database: Database, *, clock: Callable[[], int] = clock_ms) -> None:
        """`clock` gives the time in milliseconds since 1970-01-01 UTC."""
        self.database = database
        self.registries = RegistryStore(database, clock=clock)
        self.profiles = ProfileStore(database, self.registries, clock=clock)
        self.revisions = RevisionStore(database)
        self.history = HistoryStore(database)
        self.labels = LabelStore(database, clock=clock)
        self.extends = ExtendsStore(database)
        self._lists = ProfileLists(database)
        self.now_ms = clock

    @property
    def busy_timeout_ms(self) -> int:
        """How long a write waits for others."""
        return self.database.dsn.busy_timeout_ms

    def write(self, *, dry_run: bool = False) -> AbstractContextManager[None]:
        """One transaction; see `Database.write`. With `dry_run` everything is taken back at its end."""
        return self._taken_back() if dry_run else self.database.write()

    def change(self, work: Callable[[], T], *, dry_run: bool = False) -> T:
        """Do a piece of work in a transaction that it may share with others'; see `GroupCommit.run`.

        With `dry_run` in one of its own, which is taken back.
        """
        if not dry_run:
            return self.database.group.run(work)
        with self._taken_back():
            return work()

    def require_writable(self, registry: str) -> None:
        """Raise SourceReadOnly where a registry is not the database's; see `RoutedStore`."""

    def list_profiles(
        self, registry: str, default: str | None, wanted: ProfileFilter, states: Mapping[str, RowState] = ALL_WELL
    ) -> Page:
        """The profiles of a registry that are wanted; see `ProfileLists`."""
        return self._lists.read(registry, default, wanted, states)

    def whole_list(self, registry: str, default: str | None) -> WholeList | None:
        """All profiles of a registry, `None` where one is damaged."""
        return self._lists.whole(registry, default)

    def set_default(self, registry: str, slug: str | None, *, author: Author) -> None:
        """Make a profile its registry's default, or leave it without one; inside `write`."""
        row = self.registries.read(registry)
        old = row.registry()
        metadata = structs.replace(old.metadata, updated_by=author.actor)
        changed = structs.replace(old, default_profile_slug=slug, metadata=metadata)
        self.registries.replace(changed, version=row.version, op="set_default", author=author)

    def delete_profile(self, row: StoredProfile, *, author: Author) -> int:
        """Remove a profile that was read in this transaction; a registry that loses its default has none then.

        Returns the version of the deletion.
        """
        version = self.profiles.delete(row, author=author)
        if version is None:
            raise StoreUnavailable(f'profile "{row.slug}" changed inside one transaction')
        if row.is_default:
            try:
                self.set_default(row.registry, None, author=author)
            except RowUnreadable:
                self.registries.forget_default(row.registry)
        return version

    @contextmanager
    def _taken_back(self) -> Iterator[None]:
        with suppress(_TakenBack), self.database.write():
            yield
            raise _TakenBack

    def close(self) -> None:
        """Close the database."""
        self.database.close()
