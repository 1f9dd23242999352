"""Registries: the rows of `profile_registries`."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from pinocchio_core.domain.profile import Registry, encode_document
from pinocchio_core.errors import AlreadyExists, RegistryNotFound, RowUnreadable, VersionConflict
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.facts import VERSION_FLOOR
from pinocchio_core.store.tables.revisions import REGISTRY_ITSELF, RevisionStore
from pinocchio_core.store.tables.rows import UNDECODABLE, Author

_COLUMNS = (
    "slug, CAST(payload_json AS BLOB), CAST(version AS INTEGER), CAST(updated_at_ms AS INTEGER), default_profile_slug,"
    " (SELECT count(*) FROM profiles WHERE registry_slug = profile_registries.slug)"
)
_ONE = f"SELECT {_COLUMNS} FROM profile_registries WHERE slug = ?"
_ALL = f"SELECT {_COLUMNS} FROM profile_registries ORDER BY slug"
_HEAD = (
    "SELECT CAST(version AS INTEGER), CAST(updated_at_ms AS INTEGER), default_profile_slug"
    " FROM profile_registries WHERE slug = ?"
)
_INSERT = (
    "INSERT INTO profile_registries (slug, payload_json, updated_at_ms, version, default_profile_slug)"
    " VALUES (?, ?, ?, ?, ?)"
)
_REPLACE = (
    "UPDATE profile_registries SET payload_json = ?, default_profile_slug = ?, version = ?,"
    " updated_at_ms = max(?, updated_at_ms + 1) WHERE slug = ? AND CAST(version AS INTEGER) = ?"
)
_TOUCH = (
    "UPDATE profile_registries SET updated_at_ms = max(?, updated_at_ms + 1), version = 1 + max(version,"
    f" coalesce((SELECT CAST(value_json AS INTEGER) FROM server_facts WHERE name = '{VERSION_FLOOR}'), 0))"
    " WHERE slug = ? RETURNING version, CAST(default_profile_slug AS BLOB)"
)
_DELETE = "DELETE FROM profile_registries WHERE slug = ? AND CAST(version AS INTEGER) = ?"

_decode = msgspec.json.Decoder(Registry).decode


class StoredRegistry(Struct, frozen=True):
    """A registry's row."""

    slug: str
    payload: bytes
    version: int
    updated_at_ms: int
    default_profile_slug: str | None
    profile_count: int

    @property
    def etag(self) -> str:
        """A strong validator: a registry's version moves with every write to it or to one of its profiles."""
        return registry_etag(self.version, self.updated_at_ms)

    def current(self) -> dict[str, Any]:
        """What a client whose change comes too late is told of it."""
        try:
            author = {"updated_by": self.registry().metadata.updated_by}
        except RowUnreadable:
            author = {}
        return {"version": self.version, "updated_at_ms": self.updated_at_ms, **author}

    def require_version(self, expected: int) -> None:
        """Raise VersionConflict where a client expects another version; 0 is unchecked."""
        if expected and expected != self.version:
            raise VersionConflict(
                f'registry "{self.slug}"', expected=expected, actual=self.version, current=self.current()
            )

    def registry(self) -> Registry:
        """The registry as a value.

        Raises:
            RowUnreadable: its payload is damaged.
        """
        try:
            return _decode(self.payload)
        except UNDECODABLE as error:
            raise RowUnreadable(f'registry "{self.slug}"', str(error)) from error


class RegistryHead(Struct, frozen=True):
    """What reads of profiles need of their registry."""

    version: int
    updated_at_ms: int
    default_profile_slug: str | None

    @property
    def etag(self) -> str:
        """As `StoredRegistry.etag`."""
        return registry_etag(self.version, self.updated_at_ms)


def registry_etag(version: int, updated_at_ms: int) -> str:
    """The validator of a registry and of every list of its profiles."""
    return f'"{version}-{updated_at_ms:x}"'


def clock_ms() -> int:
    """Milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class RegistryStore:
    """Reads and writes registries. The methods that change something only run inside `Database.write`."""

    def __init__(self, database: Database, *, clock: Callable[[], int] = clock_ms) -> None:
        self._database = database
        self._revisions = RevisionStore(database)
        self._clock = clock

    def read(self, slug: str) -> StoredRegistry:
        """One registry; RegistryNotFound where there is none."""
        rows = self._database.rows(_ONE, (slug,))
        if not rows:
            raise RegistryNotFound(slug)
        return StoredRegistry(*rows[0])

    def all(self) -> list[StoredRegistry]:
        """Every registry, by slug."""
        return [StoredRegistry(*row) for row in self._database.rows(_ALL)]

    def head(self, slug: str) -> RegistryHead:
        """Version and default of one registry; RegistryNotFound where there is none."""
        rows = self._database.rows(_HEAD, (slug,))
        if not rows:
            raise RegistryNotFound(slug)
        return RegistryHead(*rows[0])

    def exists(self, slug: str) -> bool:
        """Whether there is a registry of this slug."""
        return bool(self._database.rows(_HEAD, (slug,)))

    def touch(self, slug: str, at_ms: int) -> tuple[int, str | None]:
        """Count a write at `at_ms` to one of its profiles; returns the new version and the default's slug."""
        rows = self._database.rows(_TOUCH, (at_ms, slug))
        if not rows:
            raise RegistryNotFound(slug)
        version, default = rows[0]  # as bytes: a text that is none would have the statement run again
        return version, None if default is None else default.decode("utf-8", "backslashreplace")

    def insert(self, registry: Registry, author: Author) -> None:
        """Add a registry; a slug that was used before goes on counting. AlreadyExists where it is taken."""
        if self.exists(registry.slug):
            raise AlreadyExists(f'registry "{registry.slug}"', current=self.read(registry.slug).current())
        version = self._revisions.first_version(registry.slug, REGISTRY_ITSELF)
        payload, now = encode_document(registry), self._clock()
        self._database.run(_INSERT, (registry.slug, payload.decode(), now, version, registry.default_profile_slug))
        self._record(registry.slug, version, "create_registry", payload, author)

    def replace(self, registry: Registry, *, version: int, op: str, author: Author) -> bool:
        """Write a registry over its row of this version; False where the row has moved on."""
        payload, default = encode_document(registry), registry.default_profile_slug
        new = self._revisions.next_version(registry.slug, REGISTRY_ITSELF, version)
        if not self._database.run(_REPLACE, (payload.decode(), default, new, self._clock(), registry.slug, version)):
            return False
        self._record(registry.slug, new, op, payload, author)
        return True

    def forget_default(self, slug: str) -> None:
        """Leave a registry without a default though its payload is damaged and cannot say so."""
        self._database.run("UPDATE profile_registries SET default_profile_slug = NULL WHERE slug = ?", (slug,))

    def delete(self, slug: str, *, version: int, author: Author) -> bool:
        """Remove an empty registry of this version; False where the row has moved on."""
        if not self._database.run(_DELETE, (slug, version)):
            return False
        new = self._revisions.next_version(slug, REGISTRY_ITSELF, version)
        self._record(slug, new, "delete_registry", None, author)
        return True

    def _record(self, slug: str, version: int, op: str, payload: bytes | None, author: Author) -> None:
        self._revisions.append(
            slug, REGISTRY_ITSELF, version, op=op, payload=payload, author=author, at_ms=self._clock()
        )
