"""What servers on one database tell each other through it: the table `server_facts`, a JSON value under each name."""

from typing import Any, Final

import msgspec

from pinocchio_core.store.sqlite.database import Database

VERSION_FLOOR: Final = "version_floor"
"""The highest version that anything had before a restore: every later version is above it."""

_READ = "SELECT value_json FROM server_facts WHERE name = ?"
_WRITE = (
    "INSERT INTO server_facts (name, value_json, at_ms) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value_json = excluded.value_json, at_ms = excluded.at_ms"
)


class Facts:
    """Reads and writes facts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, name: str) -> Any | None:
        """The fact of this name, `None` where there is none."""
        rows = self._database.rows(_READ, (name,))
        return msgspec.json.decode(rows[0][0]) if rows else None

    def write(self, name: str, value: Any, at_ms: int) -> None:
        """Set a fact; only inside `Database.write`."""
        self._database.run(_WRITE, (name, msgspec.json.encode(value).decode(), at_ms))

    def keep_only(self, name: str) -> None:
        """Forget every other fact; only inside `Database.write`."""
        self._database.run("DELETE FROM server_facts WHERE name <> ?", (name,))

    def version_floor(self) -> int:
        """The version that every new one is above."""
        return int(self.read(VERSION_FLOOR) or 0)
