"""Profiles as this process wrote them last, so that who changes one again need not read it first.

What is here may be out of date: another process may have written since, or the transaction may have been taken back.
So it is only good for a draft, and a change made from it is made if `holds` still says so inside its transaction.
"""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.rows import StoredProfile

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of documents, in all."""
LONGEST: Final = 64 * 1024
"""The longest of them, in bytes."""


class Recent(Struct, frozen=True):
    """A row that this process wrote."""

    row: StoredProfile
    """Whether it is the default may have changed since."""
    writes_seen: int
    """`OtherWriters.writes_seen` then."""


class RecentProfiles:
    """The rows written last, up to so many bytes. Everything but `get` only runs inside `Database.write`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[str, str], Recent] = OrderedDict()
        self._bytes = 0

    def get(self, registry: str, slug: str) -> Recent | None:
        """What is kept of a profile; nothing while others write to the database, who would often be in between."""
        return self._kept.get((registry, slug)) if self._database.others.are_quiet else None

    def holds(self, recent: Recent) -> bool:
        """Whether nobody has written it since: the row is this one, or has an earlier version."""
        row = recent.row
        return (
            self._kept.get((row.registry, row.slug)) is recent
            and recent.writes_seen == self._database.others.writes_seen
        )

    def put(self, row: StoredProfile) -> None:
        """Keep a row that was just written."""
        self.forget(row.registry, row.slug)
        if len(row.payload) > LONGEST:
            return
        self._kept[row.registry, row.slug] = Recent(row, self._database.others.writes_seen)
        self._bytes += len(row.payload)
        while self._bytes > MOST_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1].row.payload)

    def forget(self, registry: str, slug: str) -> None:
        """Keep nothing of a profile."""
        gone = self._kept.pop((registry, slug), None)
        if gone:
            self._bytes -= len(gone.row.payload)
