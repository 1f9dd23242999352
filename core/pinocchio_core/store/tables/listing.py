"""Lists of profiles: each row has its item as ready JSON, so no payload is read and nothing is decoded."""

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.filters import ProfileFilter, source_of
from pinocchio_core.store.tables.scan import QUARANTINED, RowState

MOST_KNOWN_BYTES: Final = 4 * 1024 * 1024
# as a BLOB: the bytes go to the client as they are, and a row of broken UTF-8 does not stop the statement
_COLUMNS = "p.slug, CAST(p.item_json AS BLOB)"
_ALL = f"SELECT {_COLUMNS} FROM profiles p WHERE p.registry_slug = ? ORDER BY p.slug"
_EVERYTHING = -1  # what SQLite takes for no LIMIT
_DEFAULT, _OTHER = b',"is_default":true}', b',"is_default":false}'

_check_items = msgspec.json.Decoder(list[Raw]).decode


class Page(Struct, frozen=True):
    """Profiles of a registry as a JSON array."""

    document: bytes
    slugs: list[str]
    more: bool
    """Whether there are profiles after these."""
    total: int | None
    """How many there are on all pages; `None` where the list is not paged."""


class WholeList(Struct, frozen=True):
    """All profiles of a registry, to cut pages from."""

    slugs: list[str]
    items: list[bytes]
    """Each as it is listed, after a comma."""

    def page(self, wanted: ProfileFilter) -> Page:
        """The profiles after a slug, as many as are wanted."""
        start = bisect_right(self.slugs, wanted.after)
        end = None if wanted.limit is None else start + wanted.limit
        slugs = self.slugs[start:end]
        more = start + len(slugs) < len(self.slugs)
        return Page(_array(self.items[start:end]), slugs, more, None if wanted.limit is None else len(self.slugs))


class ProfileLists:
    """The lists of the profiles of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[bytes, bytes]] = {}
        """By slug, an item that was found sound, and as it is listed; it counts where that very item is stored."""
        self._known_bytes = 0
        self._lock = threading.Lock()

    def read(self, registry: str, default: str | None, wanted: ProfileFilter, states: Mapping[str, RowState]) -> Page:
        """The profiles of a registry that are wanted, by slug; one that is damaged has its `state` and little else.

        `states` says what else is known of rows that are not well, by slug; it holds for one version of each.
        """
        source = source_of(self._database, registry, wanted)
        where = f"FROM {source.sql} AND {source.slug} > ? ORDER BY {source.slug} LIMIT ?"
        limit = _EVERYTHING if wanted.limit is None else wanted.limit + 1
        values = [*source.parameters, wanted.after, limit]
        document = None
        if not states:
            rows = self._database.rows(f"SELECT {_COLUMNS} {where}", values)
            items = self._items(rows[: wanted.limit], default)
            document = None if items is None else _array(items)
        if document is None:
            rows = self._database.rows(f"SELECT {_COLUMNS}, p.version {where}", values)
            document = _looked_through(rows[: wanted.limit], default, states)
        slugs = [row[0] for row in rows[: wanted.limit]]
        return Page(document, slugs, len(rows) > len(slugs), source.total)

    def whole(self, registry: str, default: str | None) -> WholeList | None:
        """All profiles of a registry, `None` where one is damaged."""
        rows = self._database.rows(_ALL, (registry,))
        items = self._items(rows, default)
        return None if items is None else WholeList([slug for slug, _ in rows], items)

    def _items(self, rows: Sequence[tuple[str, bytes]], default: str | None) -> list[bytes] | None:
        """These rows as they are listed, `None` where one is damaged; those that were sound are not checked again."""
        known, new = self._known.get, {}
        items = []
        for slug, item in rows:
            pair = known(slug)
            if pair is None or pair[0] != item:
                pair = new[slug] = item, _listed(item, _OTHER)
            items.append(pair[1] if slug != default else _listed(item, _DEFAULT))
        if new:
            if not _are_sound([listed for _, listed in new.values()]):
                return None
            self._remember(new)
        return items

    def _remember(self, new: Mapping[str, tuple[bytes, bytes]]) -> None:
        size = sum(2 * len(item) for item, _ in new.values())
        if size > MOST_KNOWN_BYTES:
            return
        with self._lock:
            if self._known_bytes + size > MOST_KNOWN_BYTES:
                self._known.clear()
                self._known_bytes = 0
            self._known.update(new)
            self._known_bytes += size


def _are_sound(items: Sequence[bytes]) -> bool:
    document = _array(items)
    try:
        if not document.isascii():
            document.decode()  # msgspec does not look into what it leaves raw
        _check_items(document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _listed(item: bytes, ending: bytes) -> bytes:
    """An item as it is listed, after a comma."""
    return b"".join((b",", item[:-1], ending))


def _array(items: Sequence[bytes]) -> bytes:
    """A list of items that each begin with a comma."""
    return b"".join([b"[", items[0][1:], *items[1:], b"]"]) if items else b"[]"


def _looked_through(rows: Sequence[tuple[Any, ...]], default: str | None, states: Mapping[str, RowState]) -> bytes:
    """The list of rows some of which may not be well."""
    items = [_listed(item, _DEFAULT if slug == default else _OTHER) for slug, item, _ in rows]
    items = _marked(rows, items, states) if states else items
    return _array(items if _are_sound(items) else [_sound(row, default, states) for row in rows])


def _marked(rows: Sequence[tuple[Any, ...]], items: list[bytes], states: Mapping[str, RowState]) -> list[bytes]:
    marked = []
    for (slug, _, version), item in zip(rows, items, strict=True):
        state = states.get(slug)
        marked.append(item[:-1] + state.members + b"}" if state and state.version == version else item)
    return marked


def _sound(row: tuple[Any, ...], default: str | None, states: Mapping[str, RowState]) -> bytes:
    slug, item, version = row
    try:
        known = msgspec.json.decode(item, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        known = {"slug": slug, "version": version, "state": QUARANTINED}
    else:
        state = states.get(slug)
        known |= state.told if state and state.version == version else {}
    return b"," + msgspec.json.encode(known | {"is_default": slug == default})
