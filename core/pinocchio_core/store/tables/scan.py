"""Going through all rows beside the requests: pages in the order of the file, each read whole by one statement.

Names are read as bytes, so that not even a row whose slug is no text stops a page.
"""

from functools import cached_property
from typing import Any, Final
from zlib import crc32

import msgspec
from msgspec import Struct

from pinocchio_core.errors import Problem
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.facts import Facts
from pinocchio_core.store.tables.rows import StoredProfile

QUARANTINED: Final = "quarantined"
"""The state of a row that cannot be read."""
INVALID: Final = "invalid"
"""The state of a row that can be read and would not be accepted now."""

PAGE: Final = 50
"""How many rows are read at one time."""
_COLUMNS = (
    "CAST(registry_slug AS BLOB), CAST(slug AS BLOB), CAST(payload_json AS BLOB), CAST(payload_sha256 AS BLOB),"
    " CAST(version AS INTEGER)"
)
_AFTER = f"SELECT {_COLUMNS}, rowid FROM profiles WHERE rowid > ? ORDER BY rowid LIMIT ?"
_ONE = f"SELECT {_COLUMNS} FROM profiles WHERE registry_slug = ? AND slug = ?"
_REGISTRIES = "SELECT slug FROM profile_registries ORDER BY slug"
_LAST = "SELECT coalesce(max(seq), 0) FROM profile_revisions"
_CHANGED = "SELECT registry_slug, slug, seq FROM profile_revisions WHERE seq > ? ORDER BY seq LIMIT ?"

Key = tuple[str, str]
"""A registry's slug and a profile's, or `REGISTRY_ITSELF`."""


class RowState(Struct, frozen=True, dict=True):
    """What is wrong with one version of a row."""

    kind: str
    """QUARANTINED or INVALID."""
    version: int
    problems: tuple[Problem, ...] = ()
    """Some of what makes it invalid."""

    @property
    def told(self) -> dict[str, Any]:
        """What its item in a list has besides."""
        problems = [{"field": each.field, "reason": each.reason} for each in self.problems]
        return {"state": self.kind} | ({"problems": problems} if problems else {})

    @cached_property
    def members(self) -> bytes:
        """The same as JSON members, each after a comma."""
        return b"," + msgspec.json.encode(self.told)[1:-1]

    def mark(self, key: Key) -> int:
        """A number that stands for this state of this row."""
        return crc32(f"{key} {self.version}".encode() + self.members)


class Position(Struct, frozen=True):
    """How far the history goes."""

    seq: int
    floor: int
    """Another one after each restore."""
    reopened: int
    """How often the file was found to be another one."""


class RowScan:
    """Reads rows for whoever looks after them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._facts = Facts(database)

    def profiles(self, after: int) -> tuple[list[StoredProfile], int]:
        """The next page of profiles after the row of this number, and the number of its last; empty at the end."""
        rows = self._database.rows(_AFTER, (after, PAGE))
        rows = [row for row in rows if row[-1] > after]  # a damaged tree may lead back to rows that were read before
        return [_profile(row) for row in rows], rows[-1][-1] if rows else after

    def profile(self, key: Key) -> StoredProfile | None:
        """One profile, whether or not it is its registry's default."""
        rows = self._database.rows(_ONE, key)
        return _profile(rows[0]) if rows else None

    def registries(self) -> list[str]:
        """The slug of every registry."""
        return [slug for (slug,) in self._database.rows(_REGISTRIES)]

    def position(self) -> Position:
        """Where the history ends now."""
        seq = int(self._database.rows(_LAST)[0][0])
        return Position(seq, self._facts.version_floor(), self._database.tally.reopened)

    def changed(self, after: int) -> tuple[list[Key], int]:
        """The next page of what was changed after a place in the history, and where that page ends."""
        rows = [row for row in self._database.rows(_CHANGED, (after, PAGE)) if row[-1] > after]  # as in `profiles`
        return list(dict.fromkeys((registry, slug) for registry, slug, _ in rows)), rows[-1][-1] if rows else after


def _profile(row: tuple[Any, ...]) -> StoredProfile:
    registry, slug, payload, sha256, version = row[:5]
    return StoredProfile(_text(registry), _text(slug), payload or b"", _text(sha256), version or 0, is_default=False)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")
