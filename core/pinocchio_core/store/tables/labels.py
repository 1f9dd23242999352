"""Labels: names for versions of profiles, and where each of them has pointed."""

from collections.abc import Callable
from typing import Any
from zlib import crc32

from msgspec import Struct, structs

from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.registries import clock_ms
from pinocchio_core.store.tables.rows import Author

_COLUMNS = (
    "registry_slug, slug, label, CAST(version AS INTEGER), CAST(protected AS INTEGER), CAST(updated_at_ms AS INTEGER),"
    " CAST(updated_by AS TEXT)"
)
_OF_PROFILE = f"SELECT {_COLUMNS} FROM profile_labels WHERE registry_slug = ? AND slug = ? ORDER BY label"
_ONE = f"SELECT {_COLUMNS} FROM profile_labels WHERE registry_slug = ? AND slug = ? AND label = ?"
_PUT = (
    "INSERT INTO profile_labels (registry_slug, slug, label, version, protected, updated_at_ms, updated_by)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (registry_slug, slug, label) DO UPDATE SET version = excluded.version,"
    " protected = excluded.protected, updated_at_ms = excluded.updated_at_ms, updated_by = excluded.updated_by"
)
_REMOVE = "DELETE FROM profile_labels WHERE registry_slug = ? AND slug = ? AND label = ?"
_MOVES = (
    "SELECT CAST(version AS INTEGER), CAST(protected AS INTEGER), CAST(actor AS TEXT), CAST(source AS TEXT),"
    " CAST(reason AS TEXT), CAST(at_ms AS INTEGER) FROM profile_label_moves"
    " WHERE registry_slug = ? AND slug = ? AND label = ? ORDER BY seq DESC LIMIT ?"
)
_LAST_MOVE = (
    "SELECT seq, registry_slug, slug, label, version, protected, at_ms FROM profile_label_moves"
    " ORDER BY seq DESC LIMIT 1"
)
_RECORD = (
    "INSERT INTO profile_label_moves (registry_slug, slug, label, version, protected, actor, source, reason, at_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
LOST_LABELS = (
    "SELECT l.registry_slug, l.slug, l.label FROM profile_labels l"
    " LEFT JOIN profiles p ON p.registry_slug = l.registry_slug AND p.slug = l.slug"
    " LEFT JOIN profile_revisions r"
    " ON r.registry_slug = l.registry_slug AND r.slug = l.slug AND r.version = l.version"
    " WHERE p.slug IS NULL OR r.payload_json IS NULL ORDER BY 1, 2, 3"
)
"""The names of labels whose profile, or whose version with its document, is not there."""


class StoredLabel(Struct, frozen=True):
    """A label's row."""

    registry: str
    slug: str
    label: str
    version: int
    """The version that it points to."""
    protected: bool
    """Whether only an admin may move and remove it."""
    updated_at_ms: int
    updated_by: str

    @property
    def etag(self) -> str:
        """A strong validator: another one whenever the label was moved, protected or made again."""
        return f'"{self.version}-{self.updated_at_ms:x}{"-protected" if self.protected else ""}"'

    def current(self) -> dict[str, Any]:
        """What a client whose move comes too late is told of it."""
        return {"version": self.version, "updated_at_ms": self.updated_at_ms, "updated_by": self.updated_by}


class LabelMove(Struct, frozen=True):
    """One change of a label."""

    version: int | None
    """Where it pointed from then on, `None` where it was removed."""
    protected: bool
    actor: str
    source: str
    reason: str | None
    at_ms: int

    def told(self) -> dict[str, Any]:
        """It as JSON; what has no value is left out."""
        return {name: value for name, value in structs.asdict(self).items() if value is not None}


class LabelStore:
    """Reads and writes labels. The methods that change something only run inside `Database.write`."""

    def __init__(self, database: Database, *, clock: Callable[[], int] = clock_ms) -> None:
        self._database = database
        self._clock = clock

    def of_profile(self, registry: str, slug: str) -> list[StoredLabel]:
        """All labels of a profile, by name."""
        return [_label(row) for row in self._database.rows(_OF_PROFILE, (registry, slug))]

    def by_version(self, registry: str, slug: str) -> dict[int, list[str]]:
        """The names of a profile's labels, by the version that they point to."""
        found: dict[int, list[str]] = {}
        for each in self.of_profile(registry, slug):
            found.setdefault(each.version, []).append(each.label)
        return found

    def read(self, registry: str, slug: str, label: str) -> StoredLabel | None:
        """One label, `None` where there is none."""
        rows = self._database.rows(_ONE, (registry, slug, label))
        return _label(rows[0]) if rows else None

    def moves(self, registry: str, slug: str, label: str, *, limit: int) -> list[LabelMove]:
        """Where a label has pointed, the newest first; also that of one that was removed."""
        rows = self._database.rows(_MOVES, (registry, slug, label, limit))
        return [LabelMove(version, bool(protected), *others) for version, protected, *others in rows]

    def last_move(self) -> str:
        """A mark of the last change of any label; not just its number, which is given again after a restore."""
        rows = self._database.rows(_LAST_MOVE)
        return f"{rows[0][0]}-{crc32(repr(rows[0]).encode()):08x}" if rows else "0"

    def put(
        self,
        registry: str,
        slug: str,
        label: str,
        version: int,
        *,
        protected: bool,
        author: Author,
        old: StoredLabel | None,
    ) -> StoredLabel:
        """Let a label point to a version; `old` is what it was. Its time is later than the old one's."""
        at_ms = max(self._clock(), old.updated_at_ms + 1 if old else 0)
        made = StoredLabel(registry, slug, label, version, protected, at_ms, author.actor)
        self._database.run(_PUT, (registry, slug, label, version, int(protected), at_ms, author.actor))
        self._record(made, version, author, at_ms)
        return made

    def remove(self, label: StoredLabel, *, author: Author) -> None:
        """Remove a label; where it has pointed stays."""
        self._database.run(_REMOVE, (label.registry, label.slug, label.label))
        self._record(label, None, author, max(self._clock(), label.updated_at_ms + 1))

    def _record(self, label: StoredLabel, version: int | None, author: Author, at_ms: int) -> None:
        told = (version, int(label.protected), author.actor, author.source, author.reason, at_ms)
        self._database.run(_RECORD, (label.registry, label.slug, label.label, *told))


def _label(row: tuple[Any, ...]) -> StoredLabel:
    registry, slug, label, version, protected, *others = row
    return StoredLabel(registry, slug, label, version, bool(protected), *others)
