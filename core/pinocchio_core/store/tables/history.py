"""Reading the history: pages of what was done to a profile, and each version of it as it was."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from pinocchio_core.domain.profile import Profile, decode_profile
from pinocchio_core.errors import RowUnreadable
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.rows import UNDECODABLE, StoredProfile, checksum

_TOLD = (
    "CAST(version AS INTEGER), CAST(op AS TEXT), CAST(actor AS TEXT), CAST(source AS TEXT), CAST(reason AS TEXT),"
    " CAST(at_ms AS INTEGER), CAST(restored_from AS INTEGER)"
)
_OF_PROFILE = "FROM profile_revisions WHERE registry_slug = ? AND slug = ?"
PAGE_OF_REVISIONS = f"SELECT {_TOLD} {_OF_PROFILE} AND version < ? ORDER BY version DESC LIMIT ?"
_ONE = f"SELECT {_TOLD}, CAST(payload_json AS BLOB) {_OF_PROFILE} AND version = ?"
_ANY = f"SELECT 1 {_OF_PROFILE} LIMIT 1"
_LAST_BEFORE = f"SELECT max(version) {_OF_PROFILE} AND version < ?"
_IS_DEFAULT = (
    "SELECT p.slug IS r.default_profile_slug FROM profiles p JOIN profile_registries r ON r.slug = p.registry_slug"
    " WHERE p.registry_slug = ? AND p.slug = ?"
)
AFTER_ALL = 2**63 - 1


class Revision(Struct, frozen=True):
    """One change of a profile."""

    version: int
    op: str
    actor: str
    source: str
    reason: str | None
    at_ms: int
    restored_from: int | None
    """The version that it brought back."""

    def told(self, labels: Sequence[str]) -> dict[str, Any]:
        """It as JSON, with the labels that point to it; what has no value is left out."""
        every = structs.asdict(self) | {"labels": list(labels) or None}
        return {name: every[name] for name in _TOLD_ORDER if every[name] is not None}


_TOLD_ORDER = ("version", "op", "actor", "source", "reason", "at_ms", "restored_from", "labels")


class StoredRevision(Struct, frozen=True):
    """A revision with what it left stored."""

    registry: str
    slug: str
    revision: Revision
    payload: bytes | None
    """The document after the change, `None` for a deletion."""

    def profile(self) -> Profile | None:
        """The profile as it was, `None` for a deletion.

        Raises:
            RowUnreadable: the row is damaged.
        """
        if self.payload is None:
            return None
        return past_profile(self.registry, self.slug, self.revision.version, self.payload)

    def document(self) -> msgspec.Raw | None:
        """The stored document, byte for byte; see `profile`."""
        return None if self.profile() is None else msgspec.Raw(self.payload or b"")

    def row(self, *, is_default: bool) -> StoredProfile:
        """The profile as it was, in the form in which the one of now is read; only for what is no deletion.

        Raises:
            RowUnreadable: the row is damaged.
        """
        self.profile()
        payload = self.payload or b""
        version = self.revision.version
        return StoredProfile(
            self.registry, self.slug, payload, checksum(payload), version, is_default=is_default, is_past=True
        )


def past_profile(registry: str, slug: str, version: int, payload: bytes) -> Profile:
    """A version of a profile from what is kept of it.

    Raises:
        RowUnreadable: that is no profile, or another one.
    """
    try:
        payload.decode()  # what is kept raw is not looked into
        profile = decode_profile(payload)
    except UNDECODABLE as error:
        raise _unreadable(registry, slug, version, f"it is not a profile: {error}") from error
    if (profile.registry, profile.slug, profile.metadata.version) != (registry, slug, version):
        raise _unreadable(registry, slug, version, "its document is another one")
    return profile


def _unreadable(registry: str, slug: str, version: int, reason: str) -> RowUnreadable:
    what = f'version {version} of profile "{slug}" in registry "{registry}"'
    return RowUnreadable(what, reason, next_step="use another version; a backup may still have this one")


class HistoryStore:
    """Reads `profile_revisions`, also of profiles that are deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, registry: str, slug: str, *, before: int | None, limit: int) -> list[Revision]:
        """The newest revisions below the version `before`, the newest first."""
        rows = self._database.rows(PAGE_OF_REVISIONS, (registry, slug, before or AFTER_ALL, limit))
        return [Revision(*row) for row in rows]

    def read(self, registry: str, slug: str, version: int) -> StoredRevision | None:
        """One revision, `None` where there is none of that version."""
        rows = self._database.rows(_ONE, (registry, slug, version))
        return StoredRevision(registry, slug, Revision(*rows[0][:-1]), rows[0][-1]) if rows else None

    def exists(self, registry: str, slug: str) -> bool:
        """Whether there ever was a profile of this slug."""
        return bool(self._database.rows(_ANY, (registry, slug)))

    def last_before(self, registry: str, slug: str, version: int = AFTER_ALL) -> int | None:
        """The highest version below `version`, `None` where there is none."""
        found = self._database.rows(_LAST_BEFORE, (registry, slug, version))[0][0]
        return None if found is None else int(found)

    def is_default(self, registry: str, slug: str) -> bool | None:
        """Whether the profile is its registry's default now, `None` where it does not exist any more."""
        rows = self._database.rows(_IS_DEFAULT, (registry, slug))
        return bool(rows[0][0]) if rows else None
