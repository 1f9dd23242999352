"""Profiles: the rows of `profiles`. Reads are one SELECT of ready-made JSON; writes are guarded by the version."""

from collections.abc import Callable

from msgspec import Struct

from pinocchio_core.domain.profile import Profile
from pinocchio_core.errors import AlreadyExists, StoreUnavailable, VersionConflict
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.extends import ExtendsStore
from pinocchio_core.store.tables.recent import Recent, RecentProfiles
from pinocchio_core.store.tables.registries import RegistryStore, clock_ms
from pinocchio_core.store.tables.revisions import RevisionStore
from pinocchio_core.store.tables.rows import PROFILE_COLUMNS, Author, StoredProfile, profile_values, stored
from pinocchio_core.store.tables.search import SearchRows

# as a BLOB: the bytes go to the client as they are, and a row of broken UTF-8 does not stop the statement
_READ = (
    "SELECT CAST(payload_json AS BLOB), payload_sha256, version,"
    " slug IS (SELECT r.default_profile_slug FROM profile_registries r WHERE r.slug = registry_slug)"
    " FROM profiles WHERE registry_slug = ? AND slug = ?"
)
_INSERT = f"INSERT INTO profiles ({PROFILE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SAME_VERSION = "CAST(version AS INTEGER) = CAST(? AS INTEGER)"  # a damaged one may be anything
_REPLACE = (
    "UPDATE profiles SET version = ?, updated_at_ms = ?, display_name = ?, description = ?, tags_json = ?,"
    " item_json = ?, payload_sha256 = ?, payload_json = ?"
    f" WHERE registry_slug = ? AND slug = ? AND {_SAME_VERSION}"
)
_UPDATED_AT = "SELECT CAST(updated_at_ms AS INTEGER) FROM profiles WHERE registry_slug = ? AND slug = ?"
_DELETE = f"DELETE FROM profiles WHERE registry_slug = ? AND slug = ? AND {_SAME_VERSION}"
_COUNT = "SELECT count(*) FROM profiles WHERE registry_slug = ?"

Make = Callable[[int, int], Profile]
"""Makes the profile to be written from its version and its time in milliseconds."""


class Written(Struct, frozen=True):
    """A committed change of a profile."""

    profile: Profile
    row: StoredProfile


class ProfileStore:
    """Reads and writes profiles. The methods that change something only run inside `Database.write`."""

    def __init__(self, database: Database, registries: RegistryStore, *, clock: Callable[[], int] = clock_ms) -> None:
        self._database = database
        self._registries = registries
        self._revisions = RevisionStore(database)
        self._search = SearchRows(database)
        self._extends = ExtendsStore(database)
        self._recent = RecentProfiles(database)
        self._clock = clock

    def read(self, registry: str, slug: str) -> StoredProfile | None:
        """One profile's row, or `None`; does not tell a missing registry from a missing profile."""
        rows = self._database.rows(_READ, (registry, slug))
        if not rows:
            return None
        payload, sha256, version, is_default = rows[0]
        return StoredProfile(registry, slug, payload, sha256, version, bool(is_default))

    def recent(self, registry: str, slug: str) -> Recent | None:
        """One profile as this process wrote it last, if that is kept; what is stored may be something else by now."""
        return self._recent.get(registry, slug)

    def count(self, registry: str) -> int:
        """How many profiles a registry has."""
        return int(self._database.rows(_COUNT, (registry,))[0][0])

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
        """Add a profile; its version continues after the last one its slug ever had.

        `restored_from` is the version that this brings back.

        Raises:
            RegistryNotFound: there is no such registry.
            AlreadyExists: the slug is taken.
            VersionConflict: `expected_version` is not 0, so the client saw a profile that is gone.
        """
        now = self._clock()
        _, default = self._registries.touch(registry, now)
        existing = self.read(registry, slug)
        if existing:
            raise AlreadyExists(f'profile "{slug}" in registry "{registry}"', current=existing.current())
        if expected_version:
            raise VersionConflict(f'profile "{slug}"', expected=expected_version, actual=0)
        version = self._revisions.first_version(registry, slug)
        profile = make(version, now)
        row = stored(profile, is_default=default == slug)
        self._database.run(_INSERT, profile_values(profile, row))
        self._search.put(profile)
        if profile.runtime.extends:
            self._extends.put(profile)
        self._record(profile, row, "create", author, restored_from)
        return Written(profile, row)

    def replace(self, make: Make, *, old: Profile, author: Author, recent: Recent | None = None) -> Written | None:
        """Write a profile over `old`, which was read before or is the one of `recent`.

        `None` where the row has moved on since. Its time is later than the old one's even where the clock was set back.
        """
        version = old.metadata.version
        if recent is None:
            new = self._revisions.next_version(old.registry, old.slug, version)
        elif self._recent.holds(recent):
            new = version + 1  # which was above all others when it was written
        else:
            return None
        profile = make(new, max(self._clock(), old.metadata.updated_at_ms + 1))
        row = stored(profile, is_default=False)
        values = profile_values(profile, row)
        if not self._database.run(_REPLACE, (*values[2:], old.registry, old.slug, version)):
            return None
        self._search.change(old, profile)
        if profile.runtime.extends != old.runtime.extends:
            self._extends.put(profile)
        _, default = self._registries.touch(old.registry, profile.metadata.updated_at_ms)
        self._record(profile, row, "update", author)
        return Written(profile, stored(profile, is_default=True) if default == old.slug else row)

    def overwrite(self, row: StoredProfile, make: Make, *, author: Author, restored_from: int | None = None) -> Written:
        """Write a profile over a row that was read in this transaction, whatever that holds.

        Its time is later than the old one's even where the clock was set back. `restored_from` is the version that this
        brings back.
        """
        last_ms = self._database.rows(_UPDATED_AT, (row.registry, row.slug))[0][0] or 0
        profile = make(
            self._revisions.next_version(row.registry, row.slug, row.version), max(self._clock(), last_ms + 1)
        )
        new = stored(profile, is_default=row.is_default)
        if not self._database.run(_REPLACE, (*profile_values(profile, new)[2:], row.registry, row.slug, row.version)):
            raise StoreUnavailable(f'profile "{row.slug}" changed inside one transaction')
        self._search.put(profile)
        self._extends.put(profile)
        self._registries.touch(row.registry, profile.metadata.updated_at_ms)
        self._record(profile, new, "replace", author, restored_from)
        return Written(profile, new)

    def delete(self, row: StoredProfile, *, author: Author) -> int | None:
        """Remove the profile of this row and version; returns the version of the deletion.

        `None` where the row has moved on. The deletion is a revision of its own.
        """
        if not self._database.run(_DELETE, (row.registry, row.slug, row.version)):
            return None
        self._recent.forget(row.registry, row.slug)
        self._search.remove(row.registry, row.slug)
        self._extends.remove(row.registry, row.slug)
        version, now = self._revisions.next_version(row.registry, row.slug, row.version), self._clock()
        self._registries.touch(row.registry, now)
        self._revisions.append(row.registry, row.slug, version, op="delete", payload=None, author=author, at_ms=now)
        return version

    def _record(
        self, profile: Profile, row: StoredProfile, op: str, author: Author, restored_from: int | None = None
    ) -> None:
        self._recent.put(row)
        self._revisions.append(
            profile.registry,
            profile.slug,
            profile.metadata.version,
            op=op if restored_from is None else "restore",
            payload=row.payload,
            author=author,
            at_ms=profile.metadata.updated_at_ms,
            restored_from=restored_from,
        )
