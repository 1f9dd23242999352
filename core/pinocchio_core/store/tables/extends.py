"""Which profiles build on which: kept beside the profiles, so that those that build on one are found at once."""

from collections.abc import Iterator
from typing import Final

from pinocchio_core.domain.profile import Base, Profile, decode_profile
from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.rows import UNDECODABLE

Key = tuple[str, str]
"""The slugs of a registry and of a profile in it."""

NEWEST: Final = ""
"""Stands for no pin."""
ALL: Final = -1
"""The limit that is none."""
_MAX_PINNED: Final = 1000

_CLEAR = "DELETE FROM profile_extends WHERE registry_slug = ? AND slug = ?"
_PUT = (
    "INSERT OR IGNORE INTO profile_extends (registry_slug, slug, base_registry, base_slug, pin) VALUES (?, ?, ?, ?, ?)"
)
_OF_BASE = "SELECT DISTINCT registry_slug, slug FROM profile_extends WHERE base_registry = ? AND base_slug = ?"
FOLLOWING = f"{_OF_BASE} AND pin = ? ORDER BY 1, 2 LIMIT ?"
_ON = f"{_OF_BASE} ORDER BY 1, 2 LIMIT ?"
_VERSION = (
    "SELECT CAST(payload_json AS BLOB) FROM profile_revisions WHERE registry_slug = ? AND slug = ? AND version = ?"
)
_LABEL = "SELECT version FROM profile_labels WHERE registry_slug = ? AND slug = ? AND label = ?"


class ExtendsStore:
    """The rows of `profile_extends`. The methods that change something only run inside `Database.write`.

    A profile has a row for each one that it builds on, and one for each that those build on of which it names a version
    or a label: it depends on these too, whatever they are now.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, profile: Profile) -> None:
        """Keep what a profile that was written builds on, and nothing that it did before."""
        self.remove(profile.registry, profile.slug)
        for (registry, slug), pin in self._references(profile):
            self._database.run(_PUT, (profile.registry, profile.slug, registry, slug, pin))

    def remove(self, registry: str, slug: str) -> None:
        """Forget what a profile builds on."""
        self._database.run(_CLEAR, (registry, slug))

    def following(self, registry: str, slug: str, *, pin: str = NEWEST, limit: int) -> list[Key]:
        """The profiles that change with the newest version of one, or with where one of its labels points."""
        return [(each[0], each[1]) for each in self._database.rows(FOLLOWING, (registry, slug, pin, limit))]

    def on(self, registry: str, slug: str, *, limit: int) -> list[Key]:
        """The profiles that build on any version of one."""
        return [(each[0], each[1]) for each in self._database.rows(_ON, (registry, slug, limit))]

    def _references(self, profile: Profile) -> Iterator[tuple[Key, str]]:
        waiting, seen = [profile], set[tuple[Key, str]]()
        while waiting and len(seen) < _MAX_PINNED:
            each = waiting.pop()
            for base in each.runtime.extends or ():
                key = (base.registry or each.registry, base.slug)
                reference = (key, NEWEST if base.pin is None else str(base.pin))
                if reference not in seen:
                    seen.add(reference)
                    yield reference
                    waiting += self._pinned(key, base)

    def _pinned(self, key: Key, base: Base) -> list[Profile]:
        """The version that is named, where it can be read; elsewhere it is said when it is used."""
        version = base.version
        if base.label is not None:
            pointed = self._database.rows(_LABEL, (*key, base.label))
            version = pointed[0][0] if pointed else None
        rows = self._database.rows(_VERSION, (*key, version)) if version is not None else []
        try:
            return [decode_profile(payload) for (payload,) in rows if payload is not None]
        except UNDECODABLE:
            return []
