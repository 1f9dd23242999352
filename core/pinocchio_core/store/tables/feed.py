"""The history as a feed: what was changed after a place in it, in the order in which it was committed.

A place is the number of a revision and a mark of its content. Numbers alone would lie after an older file was put in
the place of this one, however that was done: they are given again then, and what they stood for is no more.
"""

import re
from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

from msgspec import UNSET, Struct, UnsetType

from pinocchio_core.errors import HistoryReset
from pinocchio_core.store.sqlite.database import Database

LOOK_AHEAD: Final = 5000
"""How many revisions one read looks at for those that are wanted."""
_PLACE = re.compile(r"(\d{1,19})(?:-([0-9a-f]{8}))?", re.ASCII)
_MAX_SEQ: Final = 2**63 - 1
_COLUMNS = "seq, registry_slug, slug, version, op, actor, source, reason, at_ms"
# the one at the place itself comes first: it shows that the place is still there
_AFTER = f"SELECT {_COLUMNS} FROM profile_revisions WHERE seq >= ? ORDER BY seq LIMIT ?"
# and the last of those that were looked at shows where to go on
_WANTED = (
    f"SELECT {_COLUMNS} FROM profile_revisions WHERE seq BETWEEN ? AND ? AND (seq = ?"
    " OR seq = (SELECT max(seq) FROM profile_revisions WHERE seq <= ?)"
    " OR (registry_slug = coalesce(?, registry_slug) AND slug = coalesce(?, slug))) ORDER BY seq LIMIT ?"
)
_NEWEST = f"SELECT {_COLUMNS} FROM profile_revisions ORDER BY seq DESC LIMIT 1"


class Change(Struct, frozen=True):
    """One committed change, without the document."""

    seq: int
    registry: str
    slug: str
    """Empty for a change of the registry itself."""
    version: int
    op: str
    actor: str
    source: str
    reason: str | UnsetType
    at_ms: int

    @property
    def place(self) -> "Place":
        """Where the feed goes on after it."""
        return Place(self.seq, f"{crc32(f'{self.registry} {self.slug} {self.version} {self.at_ms}'.encode()):08x}")


class Place(Struct, frozen=True):
    """After which revision to go on; 0 is before all of them."""

    seq: int
    mark: str | None = None
    """Of its content; `None` where only the number is known."""

    def __str__(self) -> str:
        return f"{self.seq}-{self.mark}" if self.mark else str(self.seq)


BEGINNING: Final = Place(0)


class Wanted(Struct, frozen=True, kw_only=True):
    """Which changes a read is about, `None` for all."""

    registry: str | None = None
    slug: str | None = None

    def includes(self, change: Change) -> bool:
        """Whether a change is one of them."""
        return self.registry in (None, change.registry) and self.slug in (None, change.slug)


EVERYTHING: Final = Wanted()


class Changes(Struct, frozen=True):
    """Some of the feed."""

    changes: list[Change]
    after: Place
    """Where to go on."""
    more: bool
    """Whether there may be more already."""


def parse_place(text: str) -> Place:
    """A place as `str` writes it, or the number of a revision alone.

    Raises:
        ValueError: it is neither.
    """
    found = _PLACE.fullmatch(text)
    if not found or int(found[1]) > _MAX_SEQ:
        raise ValueError(text)
    return Place(int(found[1]), found[2])


class ChangeFeed:
    """Reads the history in the order of commits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self) -> Place:
        """The end of the history now."""
        rows = self._database.rows(_NEWEST)
        return _change(rows[0]).place if rows else BEGINNING

    def read(self, after: Place, *, limit: int, wanted: Wanted = EVERYTHING) -> Changes:
        """At most `limit` changes after a place; one indexed SELECT.

        Raises:
            HistoryReset: that place is not in the history, or not what it was.
        """
        if wanted == EVERYTHING:
            looked = self._changes(_AFTER, (after.seq, limit + 2))
        else:
            until = min(after.seq + LOOK_AHEAD, _MAX_SEQ)
            place = (after.seq, until)
            looked = self._changes(_WANTED, (*place, *place, wanted.registry, wanted.slug, limit + 2))
        if after.seq:
            if not looked or looked[0].seq != after.seq or after.mark not in (None, looked[0].place.mark):
                raise HistoryReset(str(after), str(self.newest()))
            looked = looked[1:]
        found = [change for change in looked if wanted.includes(change)]
        if len(found) > limit:
            return Changes(found[:limit], found[limit - 1].place, more=True)
        last = looked[-1].place if looked else after
        return Changes(found, last, more=wanted != EVERYTHING and last.seq >= after.seq + LOOK_AHEAD)

    def _changes(self, sql: str, parameters: Sequence[Any]) -> list[Change]:
        return [_change(row) for row in self._database.rows(sql, parameters)]


def _change(row: tuple[Any, ...]) -> Change:
    seq, registry, slug, version, op, actor, source, reason, at_ms = row
    return Change(seq, registry, slug, version, op, actor, source, UNSET if reason is None else reason, at_ms)
