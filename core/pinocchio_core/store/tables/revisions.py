"""The append-only history: one row for each committed change, written in the change's own transaction."""

from typing import Final, NamedTuple

from pinocchio_core.domain.references import MAX_VERSION
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.facts import VERSION_FLOOR
from pinocchio_core.store.tables.rows import Author

REGISTRY_ITSELF: Final = ""
"""The `slug` of revisions of a registry rather than of one of its profiles."""

_APPEND = (
    "INSERT INTO profile_revisions (registry_slug, slug, version, op, payload_json, actor, source, reason, at_ms,"
    " restored_from) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_TOO_HIGH = 1 << 62
_LAST = (
    "SELECT max(coalesce(max(version), 0),"
    f" coalesce((SELECT CAST(value_json AS INTEGER) FROM server_facts WHERE name = '{VERSION_FLOOR}'), 0))"
    " FROM profile_revisions WHERE registry_slug = ? AND slug = ?"
)


_READ = (
    "SELECT CAST(payload_json AS BLOB), reason FROM profile_revisions"
    " WHERE registry_slug = ? AND slug = ? AND version = ? ORDER BY seq DESC LIMIT 1"
)


class Revision(NamedTuple):
    """What a version of a profile or a registry was."""

    payload: bytes | None
    """The document; `None` for a deletion."""
    reason: str | None


class RevisionStore:
    """The history of every profile and registry."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self,
        registry: str,
        slug: str,
        version: int,
        *,
        op: str,
        payload: bytes | None,
        author: Author,
        at_ms: int,
        restored_from: int | None = None,
    ) -> None:
        """Record a change; only inside the transaction that makes it. `payload` is the document after it."""
        text = None if payload is None else payload.decode()
        values = (registry, slug, version, op, text, author.actor, author.source, author.reason, at_ms, restored_from)
        self._database.run(_APPEND, values)

    def read(self, registry: str, slug: str, version: int) -> Revision | None:
        """One version, `None` where the history does not have it."""
        if version > MAX_VERSION:  # which SQLite could not be asked for
            return None
        rows = self._database.rows(_READ, (registry, slug, version))
        return Revision(*rows[0]) if rows else None

    def first_version(self, registry: str, slug: str) -> int:
        """The version of what is created: above the highest that its slug ever had, and all there was before a restore.

        Deletions count.
        """
        return int(self._database.rows(_LAST, (registry, slug))[0][0]) + 1

    def next_version(self, registry: str, slug: str, version: int) -> int:
        """The version after a row's, and after all that its slug ever had: a damaged row may say anything."""
        known: object = version
        after = known + 1 if isinstance(known, int) and known < _TOO_HIGH else 0
        return max(self.first_version(registry, slug), after)
