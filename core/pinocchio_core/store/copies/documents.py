"""Every document that a database or a backup may serve: the profiles as they are, and versions that labels name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pinocchio_core.errors import DatabaseRefused
from pinocchio_core.store.copies.checks import layout_of, one_moment, profile_rows, tables_of
from pinocchio_core.store.copies.unarchive import as_database
from pinocchio_core.store.sqlite.library import Connection
from pinocchio_core.store.tables.rows import StoredProfile, checksum

_LABELLED = (
    "SELECT r.registry_slug, r.slug, CAST(r.payload_json AS BLOB), r.version, l.label"
    " FROM profile_labels l JOIN profile_revisions r USING (registry_slug, slug, version)"
    " WHERE r.payload_json IS NOT NULL ORDER BY r.registry_slug, r.slug, l.label"
)


@dataclass(frozen=True)
class StoredDocument:
    """A document with where it is kept."""

    row: StoredProfile
    label: str | None = None
    """The label of the version that it is, `None` for the profile as it is now."""


def stored_documents(path: Path) -> Iterator[StoredDocument]:
    """The documents of the database or backup at the path, all of one moment; nothing is changed.

    Raises:
        DatabaseRefused: it cannot be read, or has the layout of the original program.
    """
    with as_database(path) as database, one_moment(database) as connection:
        if layout_of(path, connection) == 0:
            raise DatabaseRefused(
                f"{path} has the layout of the original program", next_step="start a server on it once, or on a copy"
            )
        yield from map(StoredDocument, profile_rows(connection))
        if "profile_labels" in tables_of(connection):
            yield from _labelled(connection)


def _labelled(connection: Connection) -> Iterator[StoredDocument]:
    for registry, slug, payload, version, label in connection.execute(_LABELLED).fetchall():
        row = StoredProfile(registry, slug, payload, checksum(payload), version, is_default=False)
        yield StoredDocument(row, label)
