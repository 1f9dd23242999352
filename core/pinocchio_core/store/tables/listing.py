"""Lists of profiles: each row has its item as ready JSON, so no payload is read and nothing is decoded."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import Raw, Struct

from pinocchio_core.store.sqlite.database import Database
from pinocchio_core.store.tables.filters import ProfileFilter, source_of
from pinocchio_core.store.tables.scan import QUARANTINED, RowState

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

    document: bytes
    slugs: list[str]
    ends: list[int]
    """Where the item of each ends in the document, which is before a comma or the end."""

    def page(self, wanted: ProfileFilter) -> Page:
        """The profiles after a slug, as many as are wanted."""
        first, count = bisect_right(self.slugs, wanted.after), len(self.slugs)
        last = count if wanted.limit is None else min(first + wanted.limit, count)
        start = self.ends[first - 1] + 1 if first else 1
        items = memoryview(self.document)[start : self.ends[last - 1] if first < last else start]
        total = None if wanted.limit is None else count
        return Page(b"".join((b"[", items, b"]")), self.slugs[first:last], last < count, total)


class ProfileLists:
    """The lists of the profiles of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
            document = _sound_document(_items(rows[: wanted.limit], default))
        if document is None:
            rows = self._database.rows(f"SELECT {_COLUMNS}, p.version {where}", values)
            document = _looked_through(rows[: wanted.limit], default, states)
        slugs = [row[0] for row in rows[: wanted.limit]]
        return Page(document, slugs, len(rows) > len(slugs), source.total)

    def whole(self, registry: str, default: str | None) -> WholeList | None:
        """All profiles of a registry, `None` where one is damaged."""
        rows = self._database.rows(_ALL, (registry,))
        items = _items(rows, default)
        document = _sound_document(items)
        if document is None:
            return None
        return WholeList(document, [slug for slug, _ in rows], list(accumulate(map(len, items))))


def _items(rows: Sequence[tuple[str, bytes]], default: str | None) -> list[bytes]:
    return [_listed(item, _DEFAULT if slug == default else _OTHER) for slug, item in rows]


def _sound_document(items: Sequence[bytes]) -> bytes | None:
    """The list of these items, `None` where one is damaged."""
    document = _array(items)
    return document if _is_sound(document) else None


def _is_sound(document: bytes) -> bool:
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
    items = _items([(slug, item) for slug, item, _ in rows], default)
    document = _sound_document(_marked(rows, items, states) if states else items)
    return _array([_sound(row, default, states) for row in rows]) if document is None else document


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
